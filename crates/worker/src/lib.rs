//! On the machine that trains: lease, run, meter, report, stop.
//!
//! To know: [`run`] (one worker until its sweep is over or it is told to stop), [`Options`], and [`shim`] (the same binary,
//! re-executed, that stands between the worker and each trial so that the whole tree of the trial's processes can be ended).
//! [`attend`] meters one command without any sweep. The worker knows no search: it does what [`gramwise_model::work`] says.

mod allocation;
mod asking;
pub mod attend;
mod calls;
mod cards;
mod cgroup;
mod checkpoints;
mod command;
mod environment;
mod error;
mod farewell;
mod hearing;
mod join;
mod journal;
mod outbox;
mod output;
mod place;
mod processes;
mod reports;
mod resume;
mod rotation;
mod session;
pub mod shim;
mod socket;
mod supervise;
mod tail;

use std::path::PathBuf;
use std::time::Duration;

use gramwise_meter::{HostSnapshot, MeterHandle};
use gramwise_trust::{Bearer, Peer};
use gramwise_wire::v1::work_client::WorkClient;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

pub use cgroup::finding as cgroup_finding;
pub use error::Error;
pub use join::{JoinError, join};
pub use session::{Over, run};

/// What the host burnt until now. `None` if the meter's thread is gone.
async fn snapshot(meter: &MeterHandle) -> Option<HostSnapshot> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    meter.snapshot(move |snapshot| drop(reply.send(snapshot)));
    answer.await.ok()
}

/// The way to a coordinator, with what it is shown.
pub(crate) type Client = WorkClient<InterceptedService<Channel, Bearer>>;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The coordinator, and what it is shown.
    pub peer: Peer,
    /// This life's name: host and something that no other life has.
    pub name: gramwise_model::WorkerId,
    /// What its machine is called: excluded and taken out of service by this name.
    pub host: String,
    /// Trials at once; `None`: as many as GPUs, or CPU cores, allow.
    pub slots: Option<u32>,
    /// Use GPUs also while others compute on them.
    pub use_busy_gpus: bool,
    /// Folder for checkpoints, outputs and reports of trials.
    pub files: PathBuf,
    /// The program that is re-executed as a shim: gramwise itself.
    pub shim: PathBuf,
    /// The time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Trials go on for so long without their worker, for its next life to adopt them; zero: they end with it, and what an earlier life
    /// left is settled, never adopted.
    pub orphaned: Duration,
    /// Hand what trials write over to the coordinator: it has other files.
    pub hand_over: bool,
    /// Once cancelled, no trials are taken any more; the worker ends when those that it has are through.
    pub drain: CancellationToken,
}
