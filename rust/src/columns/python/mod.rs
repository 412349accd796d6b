//! The door to Python: takes Arrow arrays as they lie, lets other threads run, gives arrays back.

mod csv;
mod rows;
mod values;

use arrow_array::cast::AsArray;
use arrow_array::{Array, StringArray, UInt8Array, make_array};
use arrow_data::ArrayData;
use arrow_pyarrow::PyArrowType;
use arrow_schema::DataType;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use super::fault::{CellError, Fault};

fn key(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, Fault> {
    <[u8; 32]>::try_from(bytes)
        .map(Zeroizing::new)
        .map_err(|_| Fault::new("bad-key"))
}

fn text(array: &ArrayData) -> Result<StringArray, Fault> {
    if array.data_type() == &DataType::Utf8 {
        Ok(make_array(array.clone()).as_string::<i32>().clone())
    } else {
        Err(Fault::new("unsupported-type"))
    }
}

/// Bytes as an array: Python reads its buffer where it lies, and no copy is made.
fn bytes(all: Vec<u8>) -> PyArrowType<ArrayData> {
    PyArrowType(UInt8Array::from(all).into_data())
}

/// Adds everything of this folder to the extension module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("CellError", m.py().get_type::<CellError>())?;
    values::register(m)?;
    csv::register(m)?;
    rows::register(m)
}
