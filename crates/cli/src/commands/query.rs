//! Questions that a database answers: by the one at hand, or by a coordinator's, which carries out the same command on its own.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gramwise_coordinator::{Answers, kept_output};
use gramwise_model::rows::{AttemptRow, SweepRecord, SweepState};
use gramwise_model::{AttemptId, TrialId};
use gramwise_report as answers;
use gramwise_report::{GroupBy, HistoryQuery, Terminal};
use gramwise_store::Reader;
use gramwise_wire::v1::Question;

use super::{client, no_trial, report};
use crate::args::{Cli, Command, Common, Form, HistoryArgs, Query, TrialArg};
use crate::database;
use crate::exit::{self, Exit, Failure};
use crate::output::{print, terminal};

/// How often what goes on is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// An answer.
struct Said {
    text: Vec<u8>,
    /// What was asked about still goes on.
    more: bool,
    /// Of a stream that grows: where to go on.
    through: u64,
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self { text: text.into_bytes(), more: false, through: 0 }
    }
}

impl From<Vec<u8>> for Said {
    fn from(text: Vec<u8>) -> Self {
        Self { text, more: false, through: 0 }
    }
}

/// Answers a question, once or until what it is about is over.
pub(super) fn query(common: &Common, query: Query) -> anyhow::Result<Exit> {
    if common.coordinator.is_some() {
        let runtime = super::runtime()?;
        let mut client = runtime.block_on(client::sweeps(common))?;
        return repeated(query, |query| runtime.block_on(said_afar(&mut client, query)));
    }
    let path = database::path(common)?;
    repeated(query, |query| said(&path, query, terminal()))
}

/// Asks and prints; again while the question says to and there is more. Who was answered once waits for a coordinator that is away.
fn repeated(mut query: Query, mut ask: impl FnMut(&Query) -> anyhow::Result<Said>) -> anyhow::Result<Exit> {
    let (mut was_answered, mut is_away) = (false, false);
    loop {
        let said = match ask(&query) {
            Err(error) if was_answered && exit::of(&error) == Exit::NoCoordinator => {
                if !std::mem::replace(&mut is_away, true) {
                    eprintln!("the coordinator does not answer; waiting for it, Ctrl-C ends this");
                }
                std::thread::sleep(LOOK);
                continue;
            }
            answer => answer?,
        };
        (was_answered, is_away) = (true, false);
        show(&query, &said)?;
        if !goes_on(&mut query, &said) {
            return Ok(Exit::Success);
        }
        std::thread::sleep(LOOK);
    }
}

fn show(query: &Query, said: &Said) -> anyhow::Result<()> {
    let clears = matches!(query, Query::Status { watch: true, output, .. } if output.form == Form::Table);
    if clears && std::io::stdout().is_terminal() {
        // Home, print, and clear what an earlier, longer text left below.
        print(b"\x1b[H\x1b[2J")?;
    }
    print(&said.text)
}

/// Is the question to be asked again, after what was said?
fn goes_on(query: &mut Query, said: &Said) -> bool {
    match query {
        Query::Status { watch: true, .. } => said.more,
        Query::Logs { follow: true, skip, .. } => {
            // After the trial's end its worker hands the rest over: it is looked until nothing new comes.
            let is_new = *skip != said.through;
            *skip = said.through;
            said.more || is_new
        }
        _ => false,
    }
}

/// What a coordinator answers to the words of this command.
async fn said_afar(client: &mut client::Sweeps, query: &Query) -> anyhow::Result<Said> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if let Query::Logs { skip, .. } = query {
        words.extend(["--skip".to_owned(), skip.to_string()]);
    }
    let Terminal { width, colour } = terminal();
    let width = u32::try_from(width).unwrap_or(u32::MAX);
    let answer = client.answer(Question { words, width, colour }).await;
    let mut parts = answer.map_err(|status| client::refused(&status))?.into_inner();
    let mut said = Said { text: Vec::new(), more: false, through: 0 };
    while let Some(part) = parts.message().await.map_err(|status| client::refused(&status))? {
        said.text.extend(part.text);
        (said.more, said.through) = (part.more, part.through);
        if part.exit != 0 {
            return Err(Failure::error(exit::named(part.exit), part.error));
        }
    }
    Ok(said)
}

/// Answers others' questions from a database.
pub(super) fn answers(path: PathBuf) -> Answers {
    use clap::Parser;
    Answers::new(move |words, width, colour| {
        let program = std::iter::once("gramwise").chain(words.iter().map(String::as_str));
        let command = Cli::try_parse_from(program).map(|cli| cli.command);
        let said = match command {
            Ok(Command::Query(query)) => {
                said(&path, &query, Terminal { width: width.clamp(20, 1000), colour })
            }
            Ok(_) | Err(_) => Err(Failure::error(
                Exit::WrongInput,
                "this coordinator does not know that question\nhint: it may be of another version",
            )),
        };
        match said {
            Ok(Said { text, more, through }) => {
                gramwise_coordinator::Answer { text, more, through, ..Default::default() }
            }
            Err(error) => gramwise_coordinator::Answer {
                error: error.to_string(),
                exit: exit::of(&error) as u8,
                ..Default::default()
            },
        }
    })
}

fn said(path: &Path, query: &Query, terminal: Terminal) -> anyhow::Result<Said> {
    let reader = Reader::open(path)?;
    let record = |sweep: &Option<String>| database::record(&reader, sweep.as_deref());
    Ok(match query {
        Query::Ls { output } => {
            answers::sweeps(&reader.summaries()?).written(output.form.into(), terminal).into()
        }
        Query::Status { sweep, output, watch: _ } => {
            let record = record(&sweep.sweep)?;
            let text = answers::status(&record, database::now(), output.form.into(), terminal);
            let more = record.sweep.state != SweepState::Ended;
            Said { text: text.into_bytes(), more, through: 0 }
        }
        Query::Trials { sweep, output } => {
            answers::trials(&record(&sweep.sweep)?).written(output.form.into(), terminal).into()
        }
        Query::Show { trial, output } => {
            let record = record(&trial.sweep)?;
            let id = TrialId(trial.trial);
            let steps = reader.steps(record.sweep.id, id)?;
            let text = answers::show(&record, id, &steps, output.form.into(), terminal);
            text.ok_or_else(|| no_trial(id))?.into()
        }
        Query::Best { sweep, output } => {
            let best = answers::best(&record(&sweep.sweep)?, output.form.into(), terminal);
            let message = "no trial has completed and kept to the constraints yet";
            best.ok_or_else(|| {
                Failure::error(
                    Exit::WrongInput,
                    format!("{message}\nhint: `gramwise trials` lists what there is"),
                )
            })?
            .into()
        }
        Query::Front { sweep, output } => {
            answers::front(&record(&sweep.sweep)?).written(output.form.into(), terminal).into()
        }
        Query::Explain { trial, output } => {
            let id = TrialId(trial.trial);
            let text = answers::explain(&record(&trial.sweep)?, id, output.form.into(), terminal);
            text.ok_or_else(|| no_trial(id))?.into()
        }
        Query::Logs { trial, attempt, stderr, skip, follow: _ } => {
            logs(path, &record(&trial.sweep)?, (trial, *attempt), *stderr, *skip)?
        }
        Query::Report { sweep, form } => {
            let record = record(&sweep.sweep)?;
            report::rendered(&reader, &record, *form, terminal)?.into()
        }
        Query::Statement { sweep, form } => {
            answers::statement(&record(&sweep.sweep)?, (*form).into(), env!("CARGO_PKG_VERSION")).into()
        }
        Query::History(args) => {
            let HistoryArgs { group_by, since, until, output, .. } = &**args;
            if let (Some(since), Some(until)) = (since, until)
                && since.begins >= until.ends
            {
                let message = "`--since` is after `--until`";
                return Err(Failure::error(Exit::WrongInput, message));
            }
            // By name it is the newest of that name, as everywhere.
            let sweep = args.sweep.as_deref().map(|name| database::sweep(&reader, Some(name))).transpose()?;
            let sweep = sweep.map(|row| row.id.to_string());
            let only = [
                (GroupBy::Sweep, &sweep),
                (GroupBy::Name, &args.name),
                (GroupBy::Project, &args.project),
                (GroupBy::Tags, &args.tag),
                (GroupBy::User, &args.user),
                (GroupBy::Zone, &args.zone),
                (GroupBy::Host, &args.host),
                (GroupBy::Gpu, &args.gpu),
            ];
            let query = HistoryQuery {
                group_by: group_by.iter().copied().map(Into::into).collect(),
                since: since.map(|days| days.begins),
                until: until.map(|days| days.ends),
                only: only.into_iter().filter_map(|(by, word)| Some((by, word.clone()?))).collect(),
            };
            answers::history(&reader.summaries()?, &query).written(output.form.into(), terminal).into()
        }
    })
}

/// What an attempt wrote, from a byte on.
fn logs(
    database: &Path,
    record: &SweepRecord,
    (trial, attempt): (&TrialArg, Option<u32>),
    stderr: bool,
    skip: u64,
) -> anyhow::Result<Said> {
    let id = TrialId(trial.trial);
    let chosen = chosen(record, id, attempt)?;
    let name = if stderr { "stderr.log" } else { "stdout.log" };
    let attempt = AttemptId { sweep: record.sweep.id, trial: id, number: chosen.number };
    let path = database::files(database)?.join(attempt.folder()).join(name);
    let more = chosen.outcome.is_none();
    match kept_output(&path, skip) {
        Ok((from, kept)) => {
            let through = from + kept.len() as u64;
            let mut text = Vec::new();
            if from > skip {
                text.extend(format!("[{} bytes before this are not kept]\n", from - skip).into_bytes());
            }
            text.extend(kept);
            Ok(Said { text, more, through })
        }
        // It has written nothing yet, or its worker has handed nothing over.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && more => {
            Ok(Said { text: Vec::new(), more, through: skip })
        }
        Err(error) => {
            let hint =
                "hint: outputs are beside the database; `gramwise show` names the host that ran the trial";
            Err(Failure::error(Exit::WrongInput, format!("cannot read {}: {error}\n{hint}", path.display())))
        }
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
