//! How the program tells gramwise what it found: one line of JSON after each epoch.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::training::Scores;

/// Where reports go.
#[derive(Debug)]
pub(crate) enum Reporter {
    /// To a file that gramwise reads, a line of JSON for each report.
    File {
        /// The file, open for appending.
        file: File,
        /// Its path, for messages.
        path: PathBuf,
    },
    /// To standard output, each line marked with `gramwise: `, which gramwise finds there too.
    Stdout,
}

/// One report as it is written.
#[derive(Debug, Serialize)]
struct Line<E> {
    /// The epoch, from 1.
    step: u32,
    /// Share of the validation images that were given a wrong digit, or the word `diverged`: JSON has no NaN.
    val_error: E,
    /// Mean cross entropy in nats; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    train_loss: Option<f32>,
}

impl Reporter {
    /// Reports to the file at `path`, which is made if it is not there, or to standard output.
    pub(crate) fn open(path: Option<PathBuf>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| format!("cannot open the report file: {}", path.display()))?;
        Ok(Self::File { file, path })
    }

    /// Reports the `scores` after epoch `step`.
    pub(crate) fn scores(&mut self, step: u32, scores: Scores) -> Result<()> {
        self.write(&Line { step, val_error: scores.val_error, train_loss: Some(scores.train_loss) })
    }

    /// Reports that epoch `step` ended in numbers that are not finite.
    pub(crate) fn diverged(&mut self, step: u32) -> Result<()> {
        self.write(&Line { step, val_error: "diverged", train_loss: None })
    }

    /// Writes the whole line at once, so that a reader never sees half of it.
    fn write(&mut self, line: &Line<impl Serialize>) -> Result<()> {
        let json = serde_json::to_string(line).context("cannot encode a report")?;
        match self {
            Self::File { file, path } => file
                .write_all(format!("{json}\n").as_bytes())
                .with_context(|| format!("cannot write to the report file: {}", path.display())),
            Self::Stdout => io::stdout()
                .write_all(format!("gramwise: {json}\n").as_bytes())
                .context("cannot write to standard output"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_line_of_json() {
        let line = Line { step: 3, val_error: 0.125_f32, train_loss: Some(0.5) };
        let json = serde_json::to_string(&line).expect("a line is legal JSON");
        assert_eq!(json, r#"{"step":3,"val_error":0.125,"train_loss":0.5}"#);
    }

    #[test]
    fn divergence_is_a_word() {
        let line = Line { step: 3, val_error: "diverged", train_loss: None };
        let json = serde_json::to_string(&line).expect("a line is legal JSON");
        assert_eq!(json, r#"{"step":3,"val_error":"diverged"}"#);
    }
}
