//! `gramwise worker`: one machine's share of sweeps, one life of the worker a sweep.

use std::time::Duration;

use anyhow::Context;
use etcetera::BaseStrategy;
use gramwise_meter::{HostMeter, MeterThread};
use gramwise_worker::{Error, JoinError, Options, Over};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{client, doctor, run, runtime};
use crate::args::{Common, WorkerArgs};
use crate::exit::{Exit, Failure};
use crate::output::say;
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
    let (address, token) = (client::address(common)?, token::shown(common)?);
    runtime()?.block_on(async {
        let (interrupt, drain) = (CancellationToken::new(), CancellationToken::new());
        let watching = tokio::spawn(run::interrupted(interrupt.clone()));
        let asked_to_drain = tokio::spawn(drained(drain.clone()));
        let hostname = args.name.clone().unwrap_or_else(run::hostname);
        let identity = files.join("identity");
        let joining = gramwise_worker::join(address.clone(), token.clone(), &identity, &hostname);
        let peer = tokio::select! {
            joined = joining => joined.map_err(|error| {
                let exit = if matches!(error, JoinError::Refused(_)) { Exit::Refused } else { Exit::WrongInput };
                Failure::error(exit, error.to_string())
            })?,
            () = interrupt.cancelled() => return Ok(Exit::Success),
        };
        let host = peer.worker().unwrap_or(&hostname).to_owned();
        say(common, &format!(
            "a worker of {address}; files in {}; Ctrl-C ends it and its trials, SIGUSR1 lets them finish first",
            files.display()
        ));
        while !interrupt.is_cancelled() && !drain.is_cancelled() {
            // A life of its own for each sweep: what the host burnt for one is no cost of another.
            let meter = HostMeter::probe(&doctor::options(&args.devices))?;
            let meter = MeterThread::spawn(meter).context("cannot start the meter")?;
            let options = Options {
                peer: peer.clone(),
                host: hostname.clone(),
                name: run::worker_name(&host),
                slots: args.slots,
                use_busy_gpus: args.devices.use_busy_gpus,
                files: files.clone(),
                shim: std::env::current_exe().context("cannot find this program's own file")?,
                grace: args.grace,
                orphaned: args.orphaned,
                hand_over: true,
                drain: drain.clone(),
            };
            match Box::pin(gramwise_worker::run(options, meter, interrupt.clone())).await {
                Ok(Over::Drained) => {
                    say(common, "taken out of service: nothing runs any more");
                    break;
                }
                Ok(Over::Sweep) if interrupt.is_cancelled() => {}
                Ok(Over::Sweep) => say(common, "a sweep is over here; waiting for the next"),
                Err(error @ Error::Refused(_)) => {
                    eprintln!("warning: {error}; beginning anew");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(Failure::error(run::failed_as(&error), error.to_string())),
            }
        }
        watching.abort();
        asked_to_drain.abort();
        Ok(Exit::Success)
    })
}

/// Cancels on SIGUSR1, which schedulers send before a machine's time is up.
async fn drained(drain: CancellationToken) {
    let Ok(mut usr1) = signal(SignalKind::user_defined1()) else { return };
    usr1.recv().await;
    drain.cancel();
}
