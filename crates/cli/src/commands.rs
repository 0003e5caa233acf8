//! One file a command; questions that are one call each are here.

mod bench;
mod calibrate;
mod check;
mod doctor;
mod engine;
mod grid;
mod logs;
mod meter;
mod preview;
mod report;
mod run;
mod serve;
mod status;
mod submit;
mod worker;

use std::process::ExitCode;

use gramwise_model::{IntensityFrom, TrialId};
use gramwise_report as answers;
use gramwise_report::{Actuals, HistoryQuery};

use crate::args::{Cli, Command, Common, Form, TrialArg};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::{print, terminal};

/// Carries out a command.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let common = &cli.common;
    match cli.command {
        Command::Run(args) => return run::run(common, &args).map(Into::into),
        Command::Serve(args) => return serve::serve(common, &args).map(Into::into),
        Command::Worker(args) => return worker::worker(common, &args).map(Into::into),
        Command::Submit { file, coordinator } => {
            return submit::submit(common, &file, &coordinator).map(Into::into);
        }
        Command::Cancel { sweep, coordinator } => {
            return submit::cancel(common, sweep, &coordinator).map(Into::into);
        }
        Command::Bench(args) => return bench::bench(common, &args).map(Into::into),
        Command::Engine => return engine::engine().map(Into::into),
        // It ends as its command does.
        Command::Meter(args) => return meter::meter(common, &args).map(Into::into),
        Command::Intensity(args) => return grid::intensity(common, &args).map(Into::into),
        Command::Preview(args) => return preview::preview(common, &args).map(Into::into),
        Command::Check { file } => return check::check(common, &file).map(Into::into),
        Command::Doctor { devices, output } => return doctor::doctor(&devices, output.form).map(Into::into),
        Command::Calibrate(args) => return calibrate::calibrate(common, &args).map(Into::into),
        Command::Logs { trial, follow, attempt, stderr } => {
            return logs::logs(common, &trial, &logs::Which { follow, attempt, stderr }).map(Into::into);
        }
        Command::Status { sweep, watch, output } => {
            return status::status(common, sweep.sweep.as_deref(), watch, output.form).map(Into::into);
        }
        Command::Report { sweep, output } => report::report(common, sweep.sweep.as_deref(), output.form)?,
        Command::Ls { output } => {
            let sweeps = database::summaries(&database::reader(common)?)?;
            print(&answers::sweeps(&sweeps, output.form.into(), terminal()))?;
        }
        Command::Trials { sweep, output } => {
            let record = database::record(&database::reader(common)?, sweep.sweep.as_deref())?;
            print(&answers::trials(&record, output.form.into(), terminal()))?;
        }
        Command::Best { sweep, output } => {
            let record = database::record(&database::reader(common)?, sweep.sweep.as_deref())?;
            let best = answers::best(&record, output.form.into(), terminal());
            print(&best.ok_or_else(|| {
                let message = "no trial has completed and kept to the constraints yet";
                Failure::error(
                    Exit::WrongInput,
                    format!("{message}\nhint: `gramwise trials` lists what there is"),
                )
            })?)?;
        }
        Command::Front { sweep, output } => {
            let record = database::record(&database::reader(common)?, sweep.sweep.as_deref())?;
            print(&answers::front(&record, output.form.into(), terminal()))?;
        }
        Command::Show { trial, output } => show(common, &trial, output.form)?,
        Command::Explain { trial, output } => {
            let record = database::record(&database::reader(common)?, trial.sweep.as_deref())?;
            let id = TrialId(trial.trial);
            let text = answers::explain(&record, id, output.form.into(), terminal());
            print(&text.ok_or_else(|| no_trial(id))?)?;
        }
        Command::Restate { sweep, intensity, column, grid, output } => {
            let reader = database::reader(common)?;
            let record = database::record(&reader, sweep.sweep.as_deref())?;
            let bookings = reader.bookings(record.sweep.id)?;
            let source = IntensityFrom::parse(&intensity, record.sweep.spec.carbon.zone.as_deref())
                .map_err(|unknown| Failure::error(Exit::WrongInput, unknown.to_string()))?;
            let span = (
                bookings.iter().map(|booking| booking.from.0).min().unwrap_or(0),
                bookings.iter().map(|booking| booking.to.0).max().unwrap_or(0),
            );
            let told = grid::told(&source, &grid, column.as_deref(), span)?;
            let actuals = Actuals { series: &told.series, source: &told.source, kind: told.kind };
            print(&answers::restated(&record.sweep, &bookings, &actuals, output.form.into(), terminal()))?;
        }
        Command::History { group_by, output } => {
            let sweeps = database::summaries(&database::reader(common)?)?;
            let query = HistoryQuery { group_by: group_by.into_iter().map(Into::into).collect() };
            print(&answers::history(&sweeps, &query, output.form.into(), terminal()))?;
        }
    }
    Ok(Exit::Success.into())
}

fn show(common: &Common, trial: &TrialArg, form: Form) -> anyhow::Result<()> {
    let reader = database::reader(common)?;
    let record = database::record(&reader, trial.sweep.as_deref())?;
    let id = TrialId(trial.trial);
    let steps = reader.steps(record.sweep.id, id)?;
    let text = answers::show(&record, id, &steps, form.into(), terminal());
    print(&text.ok_or_else(|| no_trial(id))?)
}

/// The error for a trial that is not there.
pub(crate) fn no_trial(id: TrialId) -> anyhow::Error {
    Failure::error(
        Exit::WrongInput,
        format!("no trial {id} in this sweep\nhint: `gramwise trials` lists them"),
    )
}
