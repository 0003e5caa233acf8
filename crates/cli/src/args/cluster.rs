//! What the commands for several machines take.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Devices, GridArgs, RoleArg};

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen. Where others can reach it, `--init` comes first.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7117")]
    pub(crate) listen: std::net::SocketAddr,
    /// Make what encryption needs, and tokens for workers and clients; serve nothing.
    #[arg(long)]
    pub(crate) init: bool,
    /// A worker that is not heard of for so long loses its trials to others.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) lease: Duration,
    #[command(flatten)]
    pub(crate) grid: GridArgs,
    /// The time from one look at the grid's intensity to the next.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) intensity_every: Duration,
}

/// What `worker` takes.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// What this machine is called [default: its hostname].
    #[arg(long, env = "GRAMWISE_HOST", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Trials at once [default: one per GPU, without GPUs one per CPU core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) slots: Option<u32>,
    /// Where checkpoints, outputs and the worker's journal are kept; hosts that share it resume each other's trials
    /// [default: worker in the user's data folder].
    #[arg(long, env = "GRAMWISE_FILES", value_name = "DIR")]
    pub(crate) files: Option<PathBuf>,
    /// The time a trial has between SIGTERM and SIGKILL.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
    /// When the worker is killed its trials go on for so long; a worker that is started meanwhile goes on with them.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    pub(crate) orphaned: Duration,
    #[command(flatten)]
    pub(crate) devices: Devices,
}

/// A sweep of a coordinator.
#[derive(Debug, Args)]
pub(crate) struct SweepNumber {
    /// The sweep's number.
    pub(crate) sweep: u32,
}

/// What `enqueue` takes.
#[derive(Debug, Args)]
pub(crate) struct EnqueueArgs {
    /// The sweep's number.
    pub(crate) sweep: u32,
    /// Every active hyperparameter.
    #[arg(required = true, value_name = "NAME=VALUE")]
    pub(crate) values: Vec<String>,
}

/// A time that is not over at once.
fn a_while(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) { Err("a token is for a second at least".to_owned()) } else { Ok(time) }
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make one; prints it.
    Create {
        /// What it is for.
        #[arg(long, value_enum)]
        role: RoleArg,
        /// Refuse it after this time, such as 7d [default: never].
        #[arg(long, value_name = "TIME", value_parser = a_while)]
        expires: Option<Duration>,
    },
    /// List them, and the workers that joined.
    Ls,
    /// Refuse one from now on, and all workers that joined with it; or one worker.
    Revoke {
        /// The token's id, or the worker's name.
        id: String,
    },
}
