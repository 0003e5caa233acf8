//! `gramwise logs`: what a trial wrote.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use gramwise_model::TrialId;
use gramwise_model::rows::{AttemptRow, SweepRecord};

use crate::args::{Common, TrialArg};
use crate::commands::no_trial;
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::print;

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Which output of a trial.
#[derive(Debug)]
pub(super) struct Which {
    pub(super) follow: bool,
    pub(super) attempt: Option<u32>,
    pub(super) stderr: bool,
}

/// Prints the output of an attempt; with `follow`, until it ends.
pub(super) fn logs(common: &Common, trial: &TrialArg, which: &Which) -> anyhow::Result<Exit> {
    let reader = database::reader(common)?;
    let sweep = database::sweep(&reader, trial.sweep.as_deref())?.id.to_string();
    let id = TrialId(trial.trial);
    let record = database::record(&reader, Some(&sweep))?;
    let number = chosen(&record, id, which.attempt)?.number;
    let path = file(common, &record, id, number, which.stderr)?;
    let mut file = std::fs::File::open(&path).map_err(|error| {
        let hint = "hint: outputs are beside the database of the machine that ran the trial";
        Failure::error(Exit::WrongInput, format!("cannot read {}: {error}\n{hint}", path.display()))
    })?;
    let mut printed = 0;
    loop {
        let over = chosen(&database::record(&reader, Some(&sweep))?, id, Some(number))?.outcome.is_some();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(printed))?;
        printed += file.read_to_end(&mut bytes)? as u64;
        print(&String::from_utf8_lossy(&bytes))?;
        if !which.follow || over {
            return Ok(Exit::Success);
        }
        std::thread::sleep(LOOK);
    }
}

fn chosen(record: &SweepRecord, trial: TrialId, number: Option<u32>) -> anyhow::Result<&AttemptRow> {
    if !record.trials.iter().any(|row| row.id == trial) {
        return Err(no_trial(trial));
    }
    let mut attempts = record.attempts.iter().filter(|row| row.trial == trial);
    attempts.rfind(|row| number.is_none_or(|number| row.number == number)).ok_or_else(|| {
        let what = number.map_or("no attempt yet".to_owned(), |number| format!("no attempt {number}"));
        Failure::error(
            Exit::WrongInput,
            format!("trial {trial} has {what}\nhint: `gramwise show {trial}` lists them"),
        )
    })
}

fn file(
    common: &Common,
    record: &SweepRecord,
    trial: TrialId,
    attempt: u32,
    stderr: bool,
) -> anyhow::Result<PathBuf> {
    let name = if stderr { "stderr.log" } else { "stdout.log" };
    Ok(database::files(&database::path(common)?)?
        .join(format!("sweep-{}", record.sweep.id))
        .join(format!("trial-{trial}"))
        .join(format!("attempt-{attempt}"))
        .join(name))
}
