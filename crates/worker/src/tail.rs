//! Reading a growing file line by line, and what a line says.
//!
//! Files rather than pipes: a worker that is slow or dead never blocks a trial on a full pipe.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gramwise_model::{CO2E, Metric, Metrics};
use serde_json::Value;

use crate::rotation;

/// A line longer than this is no report; the rest of it is skipped.
const LONGEST: usize = 64 * 1024;
/// Bytes read at once.
const PIECE: u64 = 1 << 20;

/// The reader of one growing file. The file need not exist yet.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    file: Option<File>,
    lines: Lines,
}

/// Splits bytes into lines as they come.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The beginning of a line whose end is not there yet.
    partial: Vec<u8>,
    /// The line that is being read has lost its beginning.
    skips: bool,
}

impl Lines {
    /// The lines that these bytes complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if self.skips {
                self.skips = byte != b'\n';
            } else if byte == b'\n' {
                lines.push(String::from_utf8_lossy(&self.partial).into_owned());
                self.partial.clear();
            } else if self.partial.len() < LONGEST {
                self.partial.push(byte);
            }
        }
        lines
    }
}

impl Tail {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, lines: Lines::default() }
    }

    /// The lines that were completed since the last call, of a megabyte at most. Is there more, at once?
    pub(crate) fn lines(&mut self) -> io::Result<(Vec<String>, bool)> {
        if self.file.as_mut().is_some_and(|file| was_replaced(file, &self.path)) {
            *self = Self::new(&self.path);
        }
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(mut file) => {
                    // What an earlier life of the worker let go of was read by it; a line may begin there.
                    let first = rotation::first_kept(&file, 0);
                    self.lines.skips = first > 0;
                    file.seek(io::SeekFrom::Start(first))?;
                    self.file = Some(file);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), false)),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok((Vec::new(), false)) };
        let mut fresh = Vec::new();
        file.take(PIECE).read_to_end(&mut fresh)?;
        Ok((self.lines.take(&fresh), fresh.len() as u64 == PIECE))
    }

    /// How far it has been read.
    pub(crate) fn position(&mut self) -> u64 {
        self.file.as_mut().and_then(|file| file.stream_position().ok()).unwrap_or(0)
    }

    /// The last line, if the file ended without a line break.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.lines.partial);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned())
    }
}

/// Is the file at the path another one, or the same one cut short? A script may open its report anew each time.
fn was_replaced(file: &mut File, path: &Path) -> bool {
    let (Ok(now), Ok(open), Ok(position)) =
        (std::fs::metadata(path), file.metadata(), file.stream_position())
    else {
        return false;
    };
    now.ino() != open.ino() || now.len() < position
}

/// One step as a script reported it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reported {
    pub(crate) step: u64,
    pub(crate) metrics: Metrics,
}

/// What a line of `$GRAMWISE_REPORT` says. `Err` says what is wrong with it, for the trial's log.
pub(crate) fn parse(line: &str) -> Result<Reported, String> {
    let value: Value = serde_json::from_str(line)
        .or_else(|error| serde_json::from_str(&without_bare_numbers(line)).map_err(|_| error))
        .map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(object) = value else {
        return Err("expected an object like {\"step\": 1, ...}".to_owned());
    };
    let step = match object.get("step") {
        Some(step) => {
            whole(step).ok_or_else(|| format!("`step` must be a whole number from 1, found {step}"))?
        }
        None => return Err("`step` is missing: {\"step\": 1, ...}".to_owned()),
    };
    let mut metrics = Metrics::new();
    for (name, value) in object {
        if name == "step" || name == CO2E {
            continue; // `co2e` is measured, never reported.
        }
        match &value {
            Value::Number(number) => {
                metrics.insert(name, Metric::new(number.as_f64().unwrap_or(f64::NAN)));
            }
            Value::Null => {
                metrics.insert(name, Metric::Diverged);
            }
            Value::String(word) if is_divergence(word) => {
                metrics.insert(name, Metric::Diverged);
            }
            Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                return Err(format!("metric `{name}` must be a number, found {value}"));
            }
        }
    }
    Ok(Reported { step, metrics })
}

/// What a line of stdout says, if it is meant for gramwise.
pub(crate) fn parse_stdout(line: &str) -> Option<Result<Reported, String>> {
    line.strip_prefix("gramwise: ").map(parse)
}

/// Python's json writes NaN and infinities bare, which is no JSON: they become `null`, outside of texts.
fn without_bare_numbers(line: &str) -> String {
    let mut in_text = false;
    let mut parts = Vec::new();
    for part in line.split('"') {
        parts.push(if in_text {
            part.to_owned()
        } else {
            part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null")
        });
        // A quote that is escaped does not end a text.
        in_text = if in_text { part.ends_with('\\') } else { true };
    }
    parts.join("\"")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and in range"
)]
fn whole(step: &Value) -> Option<u64> {
    let whole = step.as_u64().filter(|step| *step < 9_000_000_000_000_000).or_else(|| {
        // Python's json writes 3.0 for a float epoch.
        step.as_f64()
            .filter(|value| value.fract() == 0.0 && (1.0..9.0e15).contains(value))
            .map(|value| value as u64)
    });
    whole.filter(|step| *step > 0)
}

/// The words that scripts write which avoid bare NaN and Infinity.
fn is_divergence(word: &str) -> bool {
    ["diverged", "nan", "inf", "-inf", "infinity", "-infinity"].contains(&word.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_when_they_are_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut tail = Tail::new(&path);
        assert!(tail.lines().unwrap().0.is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.lines().unwrap().0, ["one"]);
        file.write_all(b"o\nthree").unwrap();
        assert_eq!(tail.lines().unwrap().0, ["two"]);
        assert_eq!(tail.rest().as_deref(), Some("three"));
        assert_eq!(tail.rest(), None);
    }

    #[test]
    fn what_was_written_in_great_haste_is_read_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let line = format!("{}\n", "x".repeat(99));
        std::fs::write(&path, line.repeat(25_000)).unwrap();
        let mut tail = Tail::new(&path);
        let mut counts = Vec::new();
        loop {
            let (lines, more) = tail.lines().unwrap();
            counts.push(lines.len());
            if !more {
                break;
            }
        }
        assert_eq!((counts.len(), counts.iter().sum()), (3, 25_000));
    }

    #[test]
    fn a_file_that_is_written_anew_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let mut tail = Tail::new(&path);
        std::fs::write(&path, "first line\n").unwrap();
        assert_eq!(tail.lines().unwrap().0, ["first line"]);
        std::fs::write(&path, "second\n").unwrap();
        assert_eq!(tail.lines().unwrap().0, ["second"]);
        std::fs::remove_file(&path).unwrap();
        assert!(tail.lines().unwrap().0.is_empty());
        std::fs::write(&path, "the third line\n").unwrap();
        assert_eq!(tail.lines().unwrap().0, ["the third line"]);
    }

    #[test]
    fn reports_are_read_and_faults_are_named() {
        let reported = parse(r#"{"step": 3, "loss": 0.5, "acc": null, "f1": "NaN", "co2e": 9}"#).unwrap();
        assert_eq!(reported.step, 3);
        let expected: Metrics = [
            ("loss".to_owned(), Metric::Finite(0.5)),
            ("acc".to_owned(), Metric::Diverged),
            ("f1".to_owned(), Metric::Diverged),
        ]
        .into();
        assert_eq!(reported.metrics, expected);
        let bare = parse(r#"{"step": 1, "NaN \"s": 2, "a": NaN, "b": -Infinity, "c": Infinity}"#).unwrap();
        assert_eq!(bare.metrics.values().filter(|metric| **metric == Metric::Diverged).count(), 3);
        assert_eq!(bare.metrics["NaN \"s"], Metric::Finite(2.0));
        assert!(parse(r#"{"step": 1000000000000000000}"#).is_err());
        assert_eq!(parse(r#"{"step": 2.0}"#).unwrap().step, 2);
        assert!(parse(r#"{"step": 0}"#).unwrap_err().contains("whole number from 1"));
        assert!(parse(r#"{"loss": 1}"#).unwrap_err().contains("`step` is missing"));
        assert!(parse(r#"{"step": 1, "loss": "low"}"#).unwrap_err().contains("must be a number"));
        assert!(parse("[1]").unwrap_err().contains("expected an object"));
        assert!(parse("epoch 1").is_err());
        assert_eq!(parse_stdout("epoch 1"), None);
        assert!(parse_stdout(r#"gramwise: {"step": 1}"#).unwrap().is_ok());
    }
}
