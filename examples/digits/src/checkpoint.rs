//! Checkpoints: a file from which a training goes on as if it had never stopped.
//!
//! The file is a line that says what it is, a line of JSON (the [`Header`]), the numbers (parameters first,
//! then the optimizer's memory; `f32`, little-endian), and eight bytes of checksum over everything before
//! them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::hyperparameters::Architecture;
use crate::training::{Progress, Training};

/// The second line: what the numbers are.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// The network and the optimizer that they fit.
    architecture: Architecture,
    /// How far the training was.
    progress: Progress,
    /// Steps that the optimizer had made.
    optimizer_steps: u32,
}

/// A checkpoint as it is kept.
#[derive(Debug)]
struct Checkpoint {
    /// What the numbers are.
    header: Header,
    /// Parameters, then the optimizer's memory.
    numbers: Vec<f32>,
}

/// The place of a training's checkpoint.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    /// The file; it need not exist.
    path: PathBuf,
}

impl CheckpointFile {
    /// The checkpoint in `folder`, which is made if it is not there.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder: {}", folder.display()))?;
        Ok(Self { path: folder.join(NAME) })
    }

    /// Writes the state of `training`, in place of any earlier one.
    ///
    /// The file is renamed into place, so that a process killed at any moment leaves either checkpoint whole.
    /// It is not forced to disk: after a power failure the checksum may find it cut off.
    pub(crate) fn save(&self, training: &Training) -> Result<()> {
        let temporary = self.path.with_extension("tmp");
        let bytes = Checkpoint::of(training).encode()?;
        fs::write(&temporary, bytes)
            .with_context(|| format!("cannot write the checkpoint: {}", temporary.display()))?;
        fs::rename(&temporary, &self.path)
            .with_context(|| format!("cannot write the checkpoint: {}", self.path.display()))
    }

    /// Brings `training` to where the checkpoint left off; if there is none, leaves it as it is.
    pub(crate) fn restore(&self, training: &mut Training) -> Result<()> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other,
        };
        bytes
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Checkpoint::decode(&bytes)?.put_into(training))
            .map_err(|error| {
                let path = self.path.display();
                anyhow!("cannot go on from the checkpoint: {path}: {error:#}\nhint: delete it to start over")
            })
    }
}

impl Checkpoint {
    /// The state of `training`.
    fn of(training: &Training) -> Self {
        let mut numbers = training.network.parameters.clone();
        for list in &training.optimizer.memory {
            numbers.extend_from_slice(list);
        }
        Self {
            header: Header {
                architecture: training.hyperparameters.architecture(),
                progress: training.progress,
                optimizer_steps: training.optimizer.steps,
            },
            numbers,
        }
    }

    /// Gives `training` this state; it must be of the same architecture.
    fn put_into(self, training: &mut Training) -> Result<()> {
        let wanted = training.hyperparameters.architecture();
        let found = self.header.architecture;
        ensure!(found == wanted, "it was made with {found}, but this run has {wanted}");
        let lists = std::iter::once(&mut training.network.parameters)
            .chain(&mut training.optimizer.memory)
            .collect::<Vec<_>>();
        let expected: usize = lists.iter().map(|list| list.len()).sum();
        let count = self.numbers.len();
        ensure!(count == expected, "it has {count} numbers instead of {expected}");
        let mut rest = self.numbers.as_slice();
        for list in lists {
            let (numbers, others) = rest.split_at(list.len());
            list.copy_from_slice(numbers);
            rest = others;
        }
        training.optimizer.steps = self.header.optimizer_steps;
        training.progress = self.header.progress;
        Ok(())
    }

    /// The bytes of the file.
    fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, &self.header).context("cannot encode a checkpoint")?;
        bytes.push(b'\n');
        bytes.extend(self.numbers.iter().flat_map(|number| number.to_le_bytes()));
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        Ok(bytes)
    }

    /// Reads the bytes of a file.
    fn decode(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.starts_with(MAGIC), "it is not a checkpoint of this program");
        let content = verified(bytes).context("it is damaged or cut off")?;
        let mut parts = content.splitn(3, |&byte| byte == b'\n');
        let (Some(_magic), Some(header), Some(numbers)) = (parts.next(), parts.next(), parts.next()) else {
            bail!("it has no header");
        };
        let header = serde_json::from_slice(header).context("its header is not legal")?;
        let (chunks, rest) = numbers.as_chunks();
        ensure!(rest.is_empty(), "it ends within a number");
        Ok(Self { header, numbers: chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect() })
    }
}

/// What stands before the checksum at the end of `bytes`, if it fits.
fn verified(bytes: &[u8]) -> Option<&[u8]> {
    let (content, found) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    (checksum(content) == *found).then_some(content)
}

/// The 64-bit FNV-1a hash of `bytes`, little-endian: enough against accidents, no guard against malice.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
        .to_le_bytes()
}

/// The first line, without its end: program and version of the format.
const MAGIC: &[u8] = b"gramwise example digits: checkpoint 1";

/// The name of the file in its folder.
const NAME: &str = "digits.checkpoint";

/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Digits;
    use crate::hyperparameters::{Hyperparameters, OptimizerKind};
    use crate::training::example;

    /// A network with everything that a checkpoint must keep or derive: both lists of Adam, dropout, a
    /// decaying rate.
    fn hyperparameters() -> Hyperparameters {
        Hyperparameters { layers: 2, opt: OptimizerKind::Adam, lr: 0.01, ..example() }
    }

    /// A training of one epoch, and its checkpoint as bytes.
    fn saved() -> (Training, Vec<u8>) {
        let digits = Digits::load().expect("the data is well formed");
        let mut training = Training::new(hyperparameters(), 3);
        training.run_epoch(&digits);
        let bytes = Checkpoint::of(&training).encode().expect("it is finite");
        (training, bytes)
    }

    #[test]
    fn a_resumed_training_equals_an_uninterrupted_one() {
        let digits = Digits::load().expect("the data is well formed");
        let (mut uninterrupted, bytes) = saved();
        let mut resumed = Training::new(hyperparameters(), 3);
        Checkpoint::decode(&bytes)
            .and_then(|checkpoint| checkpoint.put_into(&mut resumed))
            .expect("the checkpoint fits");
        assert_eq!(resumed.progress, uninterrupted.progress);
        for _ in 0..2 {
            assert_eq!(resumed.run_epoch(&digits), uninterrupted.run_epoch(&digits));
        }
        assert_eq!(resumed.epoch(), 3);
        assert_eq!(resumed.network.parameters, uninterrupted.network.parameters);
        assert_eq!(resumed.optimizer.memory, uninterrupted.optimizer.memory);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused() {
        let (_, bytes) = saved();
        for place in (MAGIC.len()..bytes.len()).step_by(501) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(Checkpoint::decode(&damaged).is_err(), "byte {place}");
        }
        for length in [0, 5, MAGIC.len(), MAGIC.len() + 9, bytes.len() - 1] {
            assert!(Checkpoint::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let error = Checkpoint::decode(b"PK\x03\x04").expect_err("this is a zip file");
        assert!(error.to_string().contains("not a checkpoint"), "{error}");
    }

    #[test]
    fn a_checkpoint_of_another_shape_is_refused() {
        let (_, bytes) = saved();
        let wider = Hyperparameters { width: 16, ..hyperparameters() };
        let error = Checkpoint::decode(&bytes)
            .and_then(|checkpoint| checkpoint.put_into(&mut Training::new(wider, 3)))
            .expect_err("the widths differ");
        assert!(error.to_string().contains("made with --opt=adam --layers=2 --width=8"), "{error}");
    }
}
