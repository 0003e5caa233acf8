//! `gramwise run`: coordinator and worker in one process, from the file to the report.
//!
//! They talk gRPC over a loopback socket, as they would across machines: one way of doing things, tested by every run.

use std::path::Path;

use anyhow::Context;
use gramwise_carbon::CarbonFactors;
use gramwise_coordinator::{Answers, Coordinator, Error, Grid, Sweeps};
use gramwise_meter::{HostMeter, MeterHandle, MeterThread};
use gramwise_model::rows::{SweepRecord, SweepState, TrialState};
use gramwise_model::{SweepId, SweepSpec, WorkerId};
use gramwise_search::LEASE;
use gramwise_store::{Journal, Reader};
use gramwise_trust::{Access, Peer, Role, Token};
use gramwise_worker::{Options, Over};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{check, doctor, grid, report, runtime};
use crate::args::{Common, RunArgs, RunHere};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::{print, say, terminal};
use crate::progress::Progress;

/// Runs a sweep to its end, or until Ctrl-C; then the same command resumes it.
pub(super) fn run(common: &Common, args: &RunArgs) -> anyhow::Result<Exit> {
    let spec = check::overruled(check::read(&args.file, common.quiet)?, &args.methods)?;
    here(common, &args.here, spec)
}

/// Runs a sweep on this machine.
pub(super) fn here(common: &Common, args: &RunHere, spec: SweepSpec) -> anyhow::Result<Exit> {
    let spec = grid::overruled(spec, &args.carbon)?;
    let factors = CarbonFactors::yearly(spec.carbon.zone.as_deref(), spec.carbon.pue)?;
    let meter = HostMeter::probe(&doctor::options(&args.devices))?;
    enough_devices(&spec, &meter)?;
    let path = database::path(common)?;
    let journal = Journal::open(&path)?;
    let resumed = if args.new { None } else { journal.unfinished(&spec)? };
    let meter = MeterThread::spawn(meter).context("cannot start the meter")?;
    let runtime = runtime()?;
    let work = Work { common, args, spec, factors, path: &path, resumed };
    runtime.block_on(work.run(journal, meter))
}

/// A sweep that could never lease what a trial needs is refused at once.
fn enough_devices(spec: &SweepSpec, meter: &HostMeter) -> anyhow::Result<()> {
    let (wanted, found) = (spec.resources.gpus, meter.inventory().gpus.len());
    if wanted as usize <= found {
        return Ok(());
    }
    let message = format!("a trial needs {wanted} GPUs (`resources: gpus`), this machine has {found}");
    Err(Failure::error(Exit::WrongInput, format!("{message}\nhint: `gramwise doctor` says what was found")))
}

/// What one run needs.
struct Work<'a> {
    common: &'a Common,
    args: &'a RunHere,
    spec: SweepSpec,
    factors: CarbonFactors,
    path: &'a Path,
    resumed: Option<SweepId>,
}

impl Work<'_> {
    async fn run(self, journal: Journal, meter: MeterHandle) -> anyhow::Result<Exit> {
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback interface")?;
        let grid = Grid { client: grid::client(&self.args.grid), every: self.args.intensity_every };
        // Others on this machine can reach the port as well.
        let token = Token::random(Role::Owner, None)?;
        let files = database::files(self.path)?;
        let options = gramwise_coordinator::Options {
            sweeps: Sweeps::One(self.resumed),
            grid,
            lease: LEASE,
            access: Access::only(&token),
            authority: None,
            files: files.clone(),
            answers: Answers::none(),
        };
        let coordinator = Coordinator::start(journal, listener, options)?;
        let sweep = match self.resumed {
            Some(sweep) => sweep,
            None => match self.submit(&coordinator).await {
                Ok(sweep) => sweep,
                Err(error) => {
                    // Why it stopped says more than that it did.
                    coordinator.stop().await?;
                    return Err(error);
                }
            },
        };
        say(self.common, &self.opening(sweep));
        let interrupt = CancellationToken::new();
        let watching = tokio::spawn(interrupted(interrupt.clone()));
        let options = Options {
            peer: Peer::by_token(coordinator.address().to_string().parse()?, token),
            host: hostname(),
            name: worker_name(&meter.inventory().hostname),
            slots: self.args.slots,
            use_busy_gpus: self.args.devices.use_busy_gpus,
            files,
            shim: std::env::current_exe().context("cannot find this program's own file")?,
            grace: self.args.grace,
            // In one process with the coordinator: it has nobody else to be adopted by, and its files are the same.
            orphaned: std::time::Duration::ZERO,
            hand_over: false,
            drain: CancellationToken::new(),
        };
        let progress = Progress::start(self.path, sweep, self.common.quiet);
        // Without a journal nothing may go on: dropping the worker ends its trials, because their shims notice.
        let worked = tokio::select! {
            worked = gramwise_worker::run(options, meter, interrupt.clone()) => worked,
            () = coordinator.failed() => Ok(Over::Sweep),
        };
        let was_interrupted = interrupt.is_cancelled();
        progress.stop().await;
        watching.abort();
        coordinator.stop().await?;
        let reader = Reader::open(self.path)?;
        let record = reader.record(sweep)?.context("the sweep is not in its database")?;
        if let Err(error) = worked {
            return Err(Failure::error(failed_as(&error), format!("{error}")));
        }
        if was_interrupted && record.sweep.state != SweepState::Ended {
            say(
                self.common,
                &format!(
                    "interrupted: {} trials are in the database; the same command resumes sweep {sweep}",
                    record.trials.len()
                ),
            );
            return Ok(Exit::Interrupted);
        }
        print(report::rendered(&reader, &record, self.args.output.form.into(), terminal())?)?;
        Ok(verdict(&record))
    }

    async fn submit(&self, coordinator: &Coordinator) -> anyhow::Result<SweepId> {
        let submitted = coordinator.submit(self.spec.clone(), self.factors.clone(), whoami()).await;
        submitted.map_err(|error| {
            if matches!(error, Error::WarmStart(_)) {
                Failure::error(Exit::WrongInput, error.to_string())
            } else {
                error.into()
            }
        })
    }

    fn opening(&self, sweep: SweepId) -> String {
        let does = match (self.resumed, self.spec.warm_start.as_slice()) {
            (Some(_), _) => "resumes".to_owned(),
            (None, []) => "begins".to_owned(),
            (None, from) => format!("begins, with what sweep {} taught", from.join(" and ")),
        };
        let name = &self.spec.name;
        format!(
            "sweep {sweep} ({name}) {does}; database {}; Ctrl-C stops it, the same command resumes it",
            self.path.display()
        )
    }
}

/// The code for an ended sweep.
fn verdict(record: &SweepRecord) -> Exit {
    let count = |state| record.trials.iter().filter(|trial| trial.state == state).count();
    let by_budget = record.sweep.ended_because.as_deref().is_some_and(|why| why.starts_with("budget"));
    if count(TrialState::Completed) > 0 {
        Exit::Success
    } else if by_budget && count(TrialState::Failed) == 0 {
        Exit::BudgetSpent
    } else {
        Exit::SweepFailed
    }
}

pub(super) fn failed_as(error: &gramwise_worker::Error) -> Exit {
    use gramwise_worker::Error;
    match error {
        Error::Setup(_) => Exit::SweepFailed,
        Error::Files { .. } => Exit::WrongInput,
        Error::Address { .. } => Exit::NoCoordinator,
        Error::Refused(_) | Error::Token(_) => Exit::Refused,
        Error::Malformed(_) | Error::Meter => Exit::Internal,
    }
}

/// Cancels on the first SIGINT, SIGTERM or SIGHUP (the terminal closed); ends the program on the second (each trial's
/// shim then ends its trial).
pub(super) async fn interrupted(token: CancellationToken) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut int), Ok(mut term), Ok(mut hup)] = kinds.map(signal) else {
        return;
    };
    for urgency in 0.. {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
        if urgency > 0 {
            std::process::exit(Exit::Interrupted as i32);
        }
        token.cancel();
    }
}

/// One life of this process: a later one on the same host has another name.
pub(super) fn worker_name(hostname: &str) -> WorkerId {
    WorkerId(format!("{hostname}-{}-{}", std::process::id(), database::now().0))
}

/// `user@host`, as far as the environment tells.
pub(super) fn whoami() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    format!("{}@{}", user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string()), hostname())
}

/// What this machine is called.
pub(super) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
