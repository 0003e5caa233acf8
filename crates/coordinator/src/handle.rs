//! The way to the driver: what it can be asked, and what it answers.

use gramwise_carbon::{CarbonFactors, StatedIntensity};
use gramwise_model::work::{Assignment, Host, Instruction, Report};
use gramwise_model::{AttemptId, Config, SweepId, SweepSpec, TrialId, WorkerId};
use gramwise_search::{Command, Refused, Replication};
use gramwise_trust::Principal;
use tokio::sync::oneshot;

/// Why a call to the coordinator did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The core refused; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The journal could not be written; the coordinator has stopped, and nothing that was not acknowledged happened.
    #[error("cannot write the journal: {0}")]
    Journal(#[from] gramwise_store::Error),
    /// An earlier sweep that a new one is to learn from is not there, or of no use.
    #[error("`warm_start`: {0}")]
    WarmStart(String),
    /// A sweep cannot be run again.
    #[error("{0}")]
    Replicate(String),
    /// The coordinator has stopped.
    #[error("the coordinator has stopped")]
    Gone,
    /// The certificates cannot be used.
    #[error("cannot encrypt: {0}")]
    Tls(tonic::transport::Error),
    /// The listener is unusable.
    #[error("cannot listen: {0}")]
    Socket(std::io::Error),
    /// The driver's thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What a call for work is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LeaseAnswer {
    Assigned(Box<Assignment>),
    /// Nothing now. Does the worker serve a sweep? Then it is to be heard of.
    Wait {
        joined: bool,
    },
    Ended,
    /// The machine is taken out of service.
    Drained,
}

/// What a report is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReportAnswer {
    pub(crate) acked_through: u64,
    pub(crate) instructions: Vec<(AttemptId, Instruction)>,
    /// The machine is taken out of service.
    pub(crate) drained: bool,
    /// Checkpoints of no more use.
    pub(crate) discard: Vec<TrialId>,
}

/// A call for work.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) worker: WorkerId,
    /// As whom it was let in.
    pub(crate) principal: Principal,
    pub(crate) host: Host,
    pub(crate) request: u64,
    pub(crate) free_gpus: Vec<String>,
}

/// A reply that waits for its facts to be committed.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the driver is told, each with the way back.
pub(crate) enum Message {
    Submit(Box<SweepSpec>, CarbonFactors, String, Reply<SweepId>),
    /// What would run a sweep, by name or number, again; the newest where none is named.
    Replicas(Option<String>, Replication, Reply<SweepSpec>),
    Ask(Question, Reply<LeaseAnswer>),
    /// With the trials whose checkpoints the worker has.
    Report(Box<Report>, Vec<TrialId>, Reply<ReportAnswer>),
    /// Anything that is answered by its being done.
    Do(Box<Command>, Reply<()>),
    Enqueue(SweepId, Config, String, Reply<TrialId>),
    Drain(String, Reply<Vec<WorkerId>>),
    IsOf(AttemptId, WorkerId, Reply<bool>),
    Intensity(SweepId, StatedIntensity, Reply<bool>),
    Fitted(Vec<Command>),
    Stop,
}

/// A cheap, cloneable way to the driver.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle {
    pub(crate) inbox: tokio::sync::mpsc::Sender<Message>,
}

impl DriverHandle {
    pub(crate) async fn submit(
        &self,
        spec: SweepSpec,
        factors: CarbonFactors,
        by: String,
    ) -> Result<SweepId, Error> {
        self.call(|reply| Message::Submit(Box::new(spec), factors, by, reply)).await
    }

    pub(crate) async fn replicas(
        &self,
        sweep: Option<String>,
        asked: Replication,
    ) -> Result<SweepSpec, Error> {
        self.call(|reply| Message::Replicas(sweep, asked, reply)).await
    }

    pub(crate) async fn ask(&self, question: Question) -> Result<LeaseAnswer, Error> {
        self.call(|reply| Message::Ask(question, reply)).await
    }

    pub(crate) async fn report(&self, report: Report, kept: Vec<TrialId>) -> Result<ReportAnswer, Error> {
        self.call(|reply| Message::Report(Box::new(report), kept, reply)).await
    }

    /// Holds or ends a sweep.
    pub(crate) async fn carry_out(&self, command: Command) -> Result<(), Error> {
        self.call(|reply| Message::Do(Box::new(command), reply)).await
    }

    pub(crate) async fn enqueue(&self, sweep: SweepId, config: Config, by: String) -> Result<TrialId, Error> {
        self.call(|reply| Message::Enqueue(sweep, config, by, reply)).await
    }

    /// Takes the workers of a name, or of a host, out of service.
    pub(crate) async fn drain(&self, worker: String) -> Result<Vec<WorkerId>, Error> {
        self.call(|reply| Message::Drain(worker, reply)).await
    }

    /// Was an attempt leased to a worker?
    pub(crate) async fn is_of(&self, attempt: AttemptId, worker: WorkerId) -> Result<bool, Error> {
        self.call(|reply| Message::IsOf(attempt, worker, reply)).await
    }

    /// Is the sweep still running after it?
    pub(crate) async fn state_intensity(
        &self,
        sweep: SweepId,
        stated: StatedIntensity,
    ) -> Result<bool, Error> {
        self.call(|reply| Message::Intensity(sweep, stated, reply)).await
    }

    pub(crate) async fn stop(&self) {
        let _ = self.inbox.send(Message::Stop).await;
    }

    /// Waits until the driver is gone, whatever ended it.
    pub(crate) async fn gone(&self) {
        self.inbox.closed().await;
    }

    async fn call<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(message(reply)).await.map_err(|_| Error::Gone)?;
        answer.await.map_err(|_| Error::Gone)?
    }
}
