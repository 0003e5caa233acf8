//! `gramwise worker`: one machine's share of sweeps, one life of the worker a sweep.

use std::time::Duration;

use anyhow::Context;
use etcetera::BaseStrategy;
use gramwise_meter::{HostMeter, MeterThread};
use gramwise_worker::{Error, Options};
use tokio_util::sync::CancellationToken;

use super::{doctor, run};
use crate::args::{Common, WorkerArgs};
use crate::exit::{Exit, Failure};
use crate::token;

/// The pause after a coordinator refused: it may be another one meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// Works until it is told to end.
pub(super) fn worker(common: &Common, args: &WorkerArgs) -> anyhow::Result<Exit> {
    let files = match &args.files {
        Some(files) => files.clone(),
        None => etcetera::base_strategy::choose_base_strategy()
            .context("cannot find the home directory\nhint: name a folder with --files")?
            .data_dir()
            .join("gramwise")
            .join("worker"),
    };
    let files = std::path::absolute(&files).context("cannot find the current directory")?;
    std::fs::create_dir_all(&files).with_context(|| format!("cannot create {}", files.display()))?;
    let url = &args.coordinator.coordinator;
    let token = token::shown(common, &args.coordinator.token)?;
    let say = |text: &str| {
        if !common.quiet {
            eprintln!("{text}");
        }
    };
    run::runtime()?.block_on(async {
        let interrupt = CancellationToken::new();
        let watching = tokio::spawn(run::interrupted(interrupt.clone()));
        say(&format!("a worker of {url}; files in {}; Ctrl-C ends it and its trials", files.display()));
        while !interrupt.is_cancelled() {
            // A life of its own for each sweep: what the host burnt for one is no cost of another.
            let meter = HostMeter::probe(&doctor::options(&args.devices))?;
            let name = run::worker_name(&meter.inventory().hostname);
            let meter = MeterThread::spawn(meter).context("cannot start the meter")?;
            let options = Options {
                coordinator: url.clone(),
                token: token.clone(),
                name,
                slots: args.slots,
                files: files.clone(),
                shim: std::env::current_exe().context("cannot find this program's own file")?,
                grace: args.grace,
            };
            match gramwise_worker::run(options, meter, interrupt.clone()).await {
                Ok(()) if interrupt.is_cancelled() => {}
                Ok(()) => say("a sweep is over; waiting for the next"),
                Err(error @ Error::Refused(_)) => {
                    eprintln!("warning: {error}; beginning anew");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(Failure::error(run::failed_as(&error), error.to_string())),
            }
        }
        watching.abort();
        Ok(Exit::Success)
    })
}
