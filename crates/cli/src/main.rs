//! gramwise: a hyperparameter search that counts its carbon.
//!
//! This crate is the terminal: it reads the command line, wires the other crates together, prints data on stdout and talk on
//! stderr, and turns errors into exit codes. Nothing is decided, metered or stored here.

mod args;
mod commands;
mod database;
mod exit;
mod output;
mod progress;
mod sweep_file;
mod token;

use std::process::ExitCode;

use clap::Parser;
use exit::Exit;
use gramwise_worker::{attend, shim};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == shim::COMMAND) {
        return run_shim(words);
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == attend::COMMAND) {
        let command: Vec<_> = words.collect();
        return attend::main(&command).map_or_else(
            |error| {
                eprintln!("error: cannot attend to the command: {error}");
                Exit::Internal.into()
            },
            ExitCode::from,
        );
    }
    let cli = args::Cli::parse(); // Ends the program with code 2 on a wrong command line.
    start_talk(&cli.common);
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            // A reader that closed the pipe (`| head`) is no failure.
            if output::is_broken_pipe(&error) {
                return Exit::Success.into();
            }
            output::say_error(&error);
            exit::of(&error).into()
        }
    }
}

fn run_shim(words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let Some(arguments) = shim::Arguments::from_words(words) else { return Exit::Internal.into() };
    match shim::main(&arguments) {
        Ok(()) => Exit::Success.into(),
        Err(_) => Exit::Internal.into(),
    }
}

/// Log lines go to stderr; `$GRAMWISE_LOG` overrides the level by module.
fn start_talk(common: &args::Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "gramwise=info,warn",
        (false, 2) => "gramwise=debug,info",
        (false, _) => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRAMWISE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colour_on_stderr())
        .init();
}
