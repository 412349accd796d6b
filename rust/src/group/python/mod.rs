//! The door to Python: takes Arrow arrays as they lie, lets other threads run, gives arrays back.

mod elgamal;
mod points;
mod tables;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int64Type, UInt16Type};
use arrow_array::{Array, FixedSizeBinaryArray, PrimitiveArray, make_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_pyarrow::PyArrowType;
use arrow_schema::DataType;
use pyo3::prelude::*;

use super::records::Field;
use crate::columns::fault::Fault;

type Arrow = PyArrowType<ArrayData>;

/// A column of records: fixed-size binary without NULLs.
struct Records {
    array: FixedSizeBinaryArray,
    width: usize,
}

impl Records {
    fn of(data: Arrow) -> Result<Self, Fault> {
        let DataType::FixedSizeBinary(width) = *data.0.data_type() else {
            return Err(Fault::new("unsupported-type"));
        };
        let width = usize::try_from(width).map_err(|_| Fault::new("bad-width"))?;
        if width == 0 {
            return Err(Fault::new("bad-width"));
        }
        no_nulls(&data.0)?;
        Ok(Self {
            array: FixedSizeBinaryArray::from(data.0),
            width,
        })
    }

    fn bytes(&self) -> &[u8] {
        self.array.value_data()
    }

    fn field<const N: usize>(&self, at: usize) -> Result<Field<'_, N>, Fault> {
        Field::new(self.bytes(), self.width, at)
    }
}

fn no_nulls(data: &ArrayData) -> Result<(), Fault> {
    match data.nulls() {
        Some(nulls) if nulls.null_count() > 0 => {
            let row = nulls.iter().position(|valid| !valid);
            Err(Fault {
                row,
                ..Fault::new("null")
            })
        }
        _ => Ok(()),
    }
}

fn numbers<T: ArrowPrimitiveType>(data: Arrow) -> Result<PrimitiveArray<T>, Fault> {
    if data.0.data_type() != &T::DATA_TYPE {
        return Err(Fault::new("unsupported-type"));
    }
    no_nulls(&data.0)?;
    Ok(make_array(data.0).as_primitive::<T>().clone())
}

fn values(data: Arrow) -> Result<PrimitiveArray<Int64Type>, Fault> {
    numbers(data)
}

fn groups(data: Arrow) -> Result<PrimitiveArray<UInt16Type>, Fault> {
    numbers(data)
}

/// Bytes as a column of records; no copy is made.
fn column(bytes: Vec<u8>, width: usize) -> Result<Arrow, Fault> {
    let width = i32::try_from(width).map_err(|_| Fault::new("bad-width"))?;
    let array = FixedSizeBinaryArray::try_new(width, Buffer::from_vec(bytes), None)
        .map_err(|_| Fault::new("internal"))?;
    Ok(PyArrowType(array.into_data()))
}

/// Adds everything of this folder to the extension module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    points::register(m)?;
    elgamal::register(m)?;
    tables::register(m)
}
