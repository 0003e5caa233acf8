//! One file a command; questions that are one call each are here.

mod bench;
mod calibrate;
mod check;
mod client;
mod control;
mod doctor;
mod engine;
mod grid;
mod import;
mod leaderboard;
mod meter;
mod preview;
mod query;
mod replicate;
mod report;
mod run;
mod serve;
mod token;
mod worker;

use std::process::ExitCode;

use anyhow::Context;
use gramwise_model::{IntensityFrom, TrialId};
use gramwise_report as answers;
use gramwise_report::Actuals;
use gramwise_wire::v1::control_request::Action;

use crate::args::{Cli, Command};
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
        Command::Submit { file } => return control::submit(common, &file).map(Into::into),
        Command::Pause(of) => return control::control(common, of.sweep, Action::Pause).map(Into::into),
        Command::Replicate(args) => return replicate::replicate(common, &args).map(Into::into),
        Command::Leaderboard(args) => return leaderboard::leaderboard(common, &args).map(Into::into),
        Command::Import { from } => return import::import(common, &from).map(Into::into),
        Command::Resume(of) => return control::control(common, of.sweep, Action::Resume).map(Into::into),
        Command::Stop(of) => return control::control(common, of.sweep, Action::Stop).map(Into::into),
        Command::Cancel(of) => return control::control(common, of.sweep, Action::Cancel).map(Into::into),
        Command::Enqueue(args) => return control::enqueue(common, &args).map(Into::into),
        Command::Drain { worker } => return control::drain(common, &worker).map(Into::into),
        Command::Token(command) => return token::tokens(common, &command).map(Into::into),
        Command::Query(query) => return query::query(common, query).map(Into::into),
        Command::Bench(args) => return bench::bench(common, &args).map(Into::into),
        Command::Engine => return engine::engine().map(Into::into),
        // It ends as its command does.
        Command::Meter(args) => return meter::meter(common, &args).map(Into::into),
        Command::Intensity(args) => return grid::intensity(common, &args).map(Into::into),
        Command::Preview(args) => return preview::preview(common, &args).map(Into::into),
        Command::Check { file } => return check::check(common, &file).map(Into::into),
        Command::Doctor { devices, output } => return doctor::doctor(&devices, output.form).map(Into::into),
        Command::Calibrate(args) => return calibrate::calibrate(common, &args).map(Into::into),
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
            print(answers::restated(&record.sweep, &bookings, &actuals, output.form.into(), terminal()))?;
        }
    }
    Ok(Exit::Success.into())
}

/// What all that waits for sockets runs on.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.context("cannot start the runtime")
}

/// The error for a trial that is not there.
pub(crate) fn no_trial(id: TrialId) -> anyhow::Error {
    Failure::error(
        Exit::WrongInput,
        format!("no trial {id} in this sweep\nhint: `gramwise trials` lists them"),
    )
}
