//! A trial program for gramwise: trains a small classifier of handwritten digits.
//!
//! Hyperparameters come as flags; what the search wants of this run (how far to go, where to report, where to
//! keep checkpoints) comes in the environment. Without that environment it runs by hand just as well.

mod checkpoint;
mod data;
mod hyperparameters;
mod matrix;
mod network;
mod optimizer;
mod report;
mod training;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser};

use crate::checkpoint::CheckpointFile;
use crate::data::Digits;
use crate::hyperparameters::Hyperparameters;
use crate::report::Reporter;
use crate::training::{Epoch, Training};

/// Trains a small classifier of handwritten digits and reports its validation error after each epoch.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// What is being tuned.
    #[command(flatten)]
    hyperparameters: Hyperparameters,

    /// Epochs to train, unless --steps says otherwise
    #[arg(long, default_value_t = 30)]
    epochs: u32,

    /// What the search wants of this run.
    #[command(flatten)]
    orders: Orders,
}

/// What gramwise tells each trial in the environment; by hand, flags do the same.
#[derive(Debug, Args)]
#[command(next_help_heading = "Set by gramwise in the environment")]
struct Orders {
    /// Train up to and including this epoch
    #[arg(long, env = "GRAMWISE_STEPS")]
    steps: Option<u32>,

    /// Seed of the initial weights, the order of the images and the dropout
    #[arg(long, env = "GRAMWISE_SEED", default_value_t = 0)]
    seed: u64,

    /// Append reports to this file instead of printing them
    #[arg(long, env = "GRAMWISE_REPORT", value_name = "FILE")]
    report: Option<PathBuf>,

    /// Go on from the checkpoint in this folder, and leave one after each epoch
    #[arg(long, env = "GRAMWISE_CHECKPOINT_DIR", value_name = "FOLDER")]
    checkpoint_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the flags ask for.
fn run(flags: Flags) -> Result<()> {
    let Flags { hyperparameters, epochs, orders } = flags;
    let mut reporter = Reporter::open(orders.report)?;
    let checkpoint = orders.checkpoint_dir.map(|folder| CheckpointFile::in_folder(&folder)).transpose()?;
    let mut training = Training::new(hyperparameters, orders.seed);
    if let Some(file) = &checkpoint {
        file.restore(&mut training)?;
    }
    train(&mut training, orders.steps.unwrap_or(epochs), checkpoint.as_ref(), &mut reporter)
}

/// Trains up to epoch `steps`, and after each epoch saves and then reports.
///
/// In this order, whoever reads of an epoch can count on its checkpoint, and may stop this process there. A
/// process that was killed between the two has an epoch saved that nobody heard of; if it was the last one,
/// then the next run has nothing left to train, and says it again.
fn train(
    training: &mut Training,
    steps: u32,
    checkpoint: Option<&CheckpointFile>,
    reporter: &mut Reporter,
) -> Result<()> {
    if let Some(scores) = training.last_scores().filter(|_| training.epoch() >= steps) {
        return reporter.scores(training.epoch(), scores);
    }
    let digits = Digits::load()?;
    while training.epoch() < steps {
        match training.run_epoch(&digits) {
            Epoch::Diverged => return reporter.diverged(training.epoch()),
            Epoch::Finished(scores) => {
                if let Some(file) = checkpoint {
                    file.save(training)?;
                }
                reporter.scores(training.epoch(), scores)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_have_a_legal_definition() {
        use clap::CommandFactory;
        Flags::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_default() {
        let flags = Flags::try_parse_from(["digits"]).expect("no flag is required");
        assert_eq!(flags.epochs, 30);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for flag in ["--lr=0", "--lr=nan", "--momentum=1", "--dropout=-0.1", "--layers=3", "--batch=0"] {
            assert!(Flags::try_parse_from(["digits", flag]).is_err(), "{flag} was accepted");
        }
    }
}
