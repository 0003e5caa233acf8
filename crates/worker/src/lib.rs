//! On the machine that trains: lease, run, meter, report, stop.
//!
//! To know: [`run`] (one worker until its sweep is over or it is told to stop), [`Options`], and [`shim`] (the same binary,
//! re-executed, that stands between the worker and each trial so that the whole tree of the trial's processes can be ended).
//! [`attend`] meters one command without any sweep. The worker knows no search: it does what [`gramwise_model::work`] says.

pub mod attend;
mod cgroup;
mod command;
mod environment;
mod farewell;
mod journal;
mod outbox;
mod processes;
mod reports;
mod session;
pub mod shim;
mod socket;
mod supervise;
mod tail;

use std::path::PathBuf;
use std::time::Duration;

use gramwise_meter::{HostSnapshot, MeterHandle};
use gramwise_wire::token::{Bearer, Token};
use gramwise_wire::v1::work_client::WorkClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

pub use cgroup::finding as cgroup_finding;
pub use session::{Error, run};

/// What the host burnt until now. `None` if the meter's thread is gone.
async fn snapshot(meter: &MeterHandle) -> Option<HostSnapshot> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    meter.snapshot(move |snapshot| drop(reply.send(snapshot)));
    answer.await.ok()
}

/// The way to a coordinator, with its token.
pub(crate) type Client = WorkClient<InterceptedService<Channel, Bearer>>;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the coordinator is, as `http://host:port`.
    pub coordinator: String,
    /// What it lets in.
    pub token: Token,
    /// This life's name: host and something that no other life has.
    pub name: gramwise_model::WorkerId,
    /// Trials at once; `None`: as many as GPUs, or CPU cores, allow.
    pub slots: Option<u32>,
    /// Folder for checkpoints, outputs and reports of trials.
    pub files: PathBuf,
    /// The program that is re-executed as a shim: gramwise itself.
    pub shim: PathBuf,
    /// The time between SIGTERM and SIGKILL.
    pub grace: Duration,
}
