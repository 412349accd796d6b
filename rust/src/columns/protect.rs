//! Rows as they came, made into rows as they leave: fingerprints, sealed values, cleartext.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use zeroize::Zeroizing;

use super::csv::write::{Blanks, Column, write_into};
use super::distinct::{Distinct, lead};
use super::fault::{Fault, SpillError};
use super::fingerprint::fingerprint_into;
use super::hash::Mac;
use super::seal::{Sealing, seal_into};
use super::shuffle::Bucket;
use super::texts::Texts;

/// Rows made at a time on the way to CSV: few enough that what is made stays in the core's cache.
const STEP: usize = 1024;
/// Bytes of CSV that are written at a time.
const PIECE: usize = 384 * 1024;

/// What becomes of an input column.
pub enum Job {
    Fingerprint(Mac),
    Sealed {
        header: String,
        pad_to: Option<usize>,
    },
    Cleartext,
}

/// One output column, and which input column it is made of.
pub struct Target {
    pub slot: usize,
    pub job: Job,
}

/// All output columns of a table.
pub struct Protect {
    pub targets: Vec<Target>,
    pub root: Zeroizing<[u8; 32]>,
    pub preserve_nulls: bool,
    /// Told of every fingerprint, by the number of its column among the fingerprint columns.
    pub distinct: Option<Arc<Distinct>>,
}

/// What one call gathers: texts and fingerprints of each output column, kept from step to step.
struct Work {
    sealed: Vec<Texts>,
    prints: Vec<Texts>,
    codes: Vec<Vec<u128>>,
}

impl Protect {
    fn count(&self, wanted: impl Fn(&Job) -> bool) -> usize {
        self.targets.iter().filter(|t| wanted(&t.job)).count()
    }

    fn work(&self) -> Work {
        let sealed = self.count(|job| matches!(job, Job::Sealed { .. }));
        let prints = self.count(|job| matches!(job, Job::Fingerprint(_)));
        Work {
            sealed: (0..sealed).map(|_| Texts::default()).collect(),
            prints: (0..prints).map(|_| Texts::default()).collect(),
            codes: vec![Vec::new(); prints],
        }
    }

    fn column<'a>(&self, batch: &'a RecordBatch, slot: usize) -> Result<&'a ArrayRef, Fault> {
        batch
            .columns()
            .get(slot)
            .ok_or_else(|| Fault::new("internal"))
    }

    fn make(&self, batch: &RecordBatch, work: &mut Work) -> Result<(), Fault> {
        work.sealed.iter_mut().for_each(Texts::clear);
        work.prints.iter_mut().for_each(Texts::clear);
        let mut sealings = Vec::with_capacity(work.sealed.len());
        let mut prints = work.prints.iter_mut().zip(&mut work.codes);
        for target in &self.targets {
            let array = self.column(batch, target.slot)?;
            match &target.job {
                Job::Cleartext => {}
                Job::Sealed { header, pad_to } => sealings.push(Sealing {
                    array,
                    header,
                    pad_to: *pad_to,
                }),
                Job::Fingerprint(mac) => {
                    let (out, codes) = prints.next().ok_or_else(|| Fault::new("internal"))?;
                    let keep = self.distinct.is_some();
                    fingerprint_into(array, mac, self.preserve_nulls, out, |code| {
                        if keep {
                            codes.push(lead(code));
                        }
                    })?;
                }
            }
        }
        seal_into(&sealings, &self.root, self.preserve_nulls, &mut work.sealed)
    }

    fn tell(&self, work: &mut Work) -> Result<(), SpillError> {
        if let Some(distinct) = &self.distinct {
            for (column, codes) in work.codes.iter_mut().enumerate() {
                distinct.push(column, codes)?;
            }
        }
        Ok(())
    }

    /// The output columns of a batch.
    pub fn batch(&self, batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch, SpillError> {
        let mut work = self.work();
        self.make(batch, &mut work)?;
        self.tell(&mut work)?;
        let (mut sealed, mut prints) = (work.sealed.into_iter(), work.prints.into_iter());
        let mut columns = Vec::with_capacity(self.targets.len());
        for target in &self.targets {
            let made = match &target.job {
                Job::Cleartext => {
                    columns.push(Arc::clone(self.column(batch, target.slot)?));
                    continue;
                }
                Job::Sealed { .. } => sealed.next(),
                Job::Fingerprint(_) => prints.next(),
            };
            let made = made.ok_or_else(|| Fault::new("internal"))?;
            columns.push(Arc::new(made.into_array()?) as ArrayRef);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|_| Fault::new("internal").into())
    }

    /// Appends a whole bucket to a file as CSV records; cleartext columns must be text.
    ///
    /// Many threads may do so at a time, each with a `File` of its own that was opened to append: the
    /// kernel then puts every write behind the last, and every write is of whole records. The core
    /// that made the bytes hands them over while they are in its cache.
    pub fn append(&self, bucket: &Bucket, null: &str, file: &File) -> Result<(), SpillError> {
        let blanks = Blanks::of(null, self.targets.len());
        let mut work = self.work();
        let mut out = Vec::with_capacity(PIECE + PIECE / 2);
        for start in (0..bucket.rows()).step_by(STEP) {
            let batch = bucket.slice(start, STEP)?;
            self.make(&batch, &mut work)?;
            let (mut sealed, mut prints) = (work.sealed.iter(), work.prints.iter());
            let mut columns = Vec::with_capacity(self.targets.len());
            for target in &self.targets {
                columns.push(match &target.job {
                    Job::Cleartext => Column::of(self.column(&batch, target.slot)?)?,
                    Job::Sealed { .. } => made(sealed.next())?,
                    Job::Fingerprint(_) => made(prints.next())?,
                });
            }
            write_into(&columns, batch.num_rows(), &blanks, &mut out);
            if out.len() >= PIECE || start + STEP >= bucket.rows() {
                write_whole(file, &out)?;
                out.clear();
            }
        }
        self.tell(&mut work)
    }
}

/// One write, whole or failed: what another thread appends must not come between its parts.
fn write_whole(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    loop {
        return match file.write(bytes) {
            Ok(count) if count == bytes.len() => Ok(()),
            // The kernel cuts a write to a file short only where there is no room for the rest.
            Ok(_) => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

fn made(texts: Option<&Texts>) -> Result<Column<'_>, Fault> {
    texts
        .map(Column::Made)
        .ok_or_else(|| Fault::new("internal"))
}
