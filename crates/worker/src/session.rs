//! One life of a worker: ask for trials, run them, tell what they did and burnt, until the sweep is over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gramwise_meter::{ConsumerId, HostSnapshot, MeterHandle};
use gramwise_model::AttemptId;
use gramwise_model::work::{Assignment, AttemptEnd, EndKind, Instruction, Plan, Report};
use gramwise_wire::convert::{Malformed, assignment_from_wire, instructions_from_wire, report_to_wire};
use gramwise_wire::token::Bearer;
use gramwise_wire::v1;
use gramwise_wire::v1::lease_reply::Answer;
use gramwise_wire::v1::work_client::WorkClient;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::cgroup;
use crate::farewell;
use crate::journal::{Journal, Record};
use crate::outbox::Outbox;
use crate::supervise::{self, News, Surroundings, Wish};
use crate::{Client, Options};

/// Totals are told at least this often: the heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A worker that leaves tries for so long to tell its last report; after that its journal keeps it for the next life.
const GOODBYE: Duration = Duration::from_secs(5);
/// News are gathered this long before they are told, so that fast trials do not make a report for each step.
const GATHER: Duration = Duration::from_millis(10);
/// The pause before a call that found nobody is tried again.
pub(crate) const RETRY: Duration = Duration::from_millis(500);
/// News waiting at most; a trial that reports faster waits for the session.
const NEWS: usize = 256;

/// Why a worker ended otherwise than by the end of its sweep.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The coordinator's address is none.
    #[error("the coordinator's address `{address}` is not usable: {source}")]
    Address {
        /// What was given.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The coordinator refused for good.
    #[error("the coordinator refused: {0}")]
    Refused(String),
    /// The token is not the coordinator's.
    #[error("{0}")]
    Token(String),
    /// The coordinator broke the protocol.
    #[error("the coordinator sent a malformed message: {0}")]
    Malformed(#[from] Malformed),
    /// The folder for checkpoints, outputs and the journal cannot be written in.
    #[error("cannot write in {}: {source}\nhint: trials need a folder with room; the same command resumes the sweep", folder.display())]
    Files {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The sweep's setup failed.
    #[error("{0}")]
    Setup(String),
    /// The meter's thread is gone.
    #[error("the meter stopped")]
    Meter,
}

/// What the session's tasks have to say to it.
enum Event {
    /// A call for work came back.
    Leased(Box<Result<Answer, tonic::Status>>),
    /// A report came back.
    Reported(Box<Report>, Box<Result<v1::ReportReply, tonic::Status>>),
    /// An attempt has news.
    News(ConsumerId, News),
    /// `setup` is over.
    SetUp(Result<(), String>),
}

/// A running worker.
struct Session {
    options: Arc<Options>,
    meter: MeterHandle,
    client: Client,
    outbox: Outbox,
    events: mpsc::Sender<Event>,
    tasks: JoinSet<()>,
    wishes: BTreeMap<ConsumerId, watch::Sender<Wish>>,
    leased_gpus: BTreeMap<ConsumerId, Vec<String>>,
    /// What the last assignment needed: without so many free, asking is of no use.
    gpus_per_trial: usize,
    setup: Setup,
    /// Assignments that wait for `setup`.
    ready: Vec<(ConsumerId, Assignment)>,
    slots: usize,
    request: u64,
    consumers: u64,
    asking: bool,
    is_known: bool,
    telling: bool,
    stage: Stage,
    failure: Option<Error>,
    /// When its last report did not come through for the first time.
    leaving_since: Option<Instant>,
    journal: Arc<Mutex<Journal>>,
}

/// How far a session is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Asks for trials and runs them.
    Working,
    /// The sweep is over: the trials that still run are being stopped by the coordinator.
    Ended,
    /// All trials are told to end; the last report is to be told.
    Leaving,
    /// There is nobody to tell.
    Left,
    /// Everything is told and safe.
    Told,
}

/// Where `setup` is.
enum Setup {
    NotNeededYet,
    Running(watch::Sender<Wish>),
    Done,
}

/// Works until the sweep is over, or `interrupt` is cancelled: then the trials are ended, and everything they burnt is told
/// before this returns.
pub async fn run(options: Options, meter: MeterHandle, interrupt: CancellationToken) -> Result<(), Error> {
    let bad_address = |source| Error::Address { address: options.coordinator.clone(), source };
    let endpoint = Endpoint::from_shared(options.coordinator.clone()).map_err(bad_address)?;
    let mut client: Client =
        WorkClient::with_interceptor(endpoint.connect_lazy(), Bearer(options.token.clone()))
            .max_decoding_message_size(gramwise_wire::LARGEST_MESSAGE);
    tokio::select! {
        () = farewell::settle(&options, &meter, &mut client) => {}
        () = interrupt.cancelled() => return Ok(()),
    }
    cgroup::sweep_up();
    // Where nothing can be written, each trial would fail, and none of them for a fault of its own.
    let unwritable = |source| Error::Files { folder: options.files.clone(), source };
    let journal = Journal::begin(&options.files, &options.name).map_err(unwritable)?;
    let (events, mut inbox) = mpsc::channel(NEWS);
    let slots = slots(&options, &meter);
    let outbox = Outbox::new(options.name.clone());
    let mut session = Session {
        options: Arc::new(options),
        meter,
        client,
        outbox,
        events,
        tasks: JoinSet::new(),
        wishes: BTreeMap::new(),
        leased_gpus: BTreeMap::new(),
        gpus_per_trial: 0,
        setup: Setup::NotNeededYet,
        ready: Vec::new(),
        slots,
        request: 0,
        consumers: 0,
        asking: false,
        is_known: false,
        telling: false,
        stage: Stage::Working,
        failure: None,
        leaving_since: None,
        journal: Arc::new(Mutex::new(journal)),
    };
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        session.ask();
        let quiet = session.outbox.has_news() && !session.telling;
        tokio::select! {
            Some(event) = inbox.recv() => session.take(event).await?,
            _ = heartbeat.tick() => session.tell().await?,
            () = tokio::time::sleep(GATHER), if quiet => session.tell().await?,
            () = interrupt.cancelled(), if session.stage < Stage::Leaving => session.leave(Wish::Interrupt),
        }
        if session.stage == Stage::Ended && session.is_idle() {
            session.leave(Wish::Stop);
        }
        match session.stage {
            Stage::Left | Stage::Told => break,
            Stage::Leaving if session.is_idle() && !session.telling => session.tell().await?,
            Stage::Working | Stage::Ended | Stage::Leaving => {}
        }
    }
    if session.stage == Stage::Told || !session.is_known {
        session.journal.lock().iter().for_each(|journal| journal.end());
    }
    session.failure.map_or(Ok(()), Err)
}

/// As many trials at once as the host has GPUs; without any, as CPU cores.
fn slots(options: &Options, meter: &MeterHandle) -> usize {
    let inventory = meter.inventory();
    let by_default = if inventory.gpus.is_empty() {
        usize::try_from(inventory.cpus).unwrap_or(1)
    } else {
        inventory.gpus.len()
    };
    options.slots.map_or(by_default, |slots| usize::try_from(slots).unwrap_or(1)).max(1)
}

impl Session {
    /// Asks for one trial if there is room for it. An attempt holds its slot and its GPUs until its end is acknowledged: the
    /// coordinator must never see one GPU with two holders.
    fn ask(&mut self) {
        if self.asking || self.stage != Stage::Working || self.outbox.len() >= self.slots {
            return;
        }
        let inventory = self.meter.inventory();
        let is_leased = |uuid: &String| self.leased_gpus.values().flatten().any(|leased| leased == uuid);
        let free_gpus: Vec<String> =
            inventory.gpus.iter().map(|gpu| gpu.uuid.clone()).filter(|uuid| !is_leased(uuid)).collect();
        if free_gpus.len() < self.gpus_per_trial {
            return;
        }
        self.asking = true;
        self.request += 1;
        let question = v1::LeaseRequest {
            worker: self.options.name.0.clone(),
            request: self.request,
            description: described(inventory),
            free_gpus,
            gpus: inventory
                .gpus
                .iter()
                .map(|gpu| v1::Gpu { uuid: gpu.uuid.clone(), model: gpu.name.clone() })
                .collect(),
        };
        let (mut client, events) = (self.client.clone(), self.events.clone());
        self.tasks.spawn(async move {
            let answer = loop {
                match client.lease(question.clone()).await {
                    Err(status) if is_transient(&status) => tokio::time::sleep(RETRY).await,
                    Err(status) => break Err(status),
                    // Asked again with the same number: an assignment that got lost on the way comes again.
                    Ok(reply) => match reply.into_inner().answer {
                        Some(Answer::Wait(false)) | None => {}
                        Some(answer) => break Ok(answer),
                    },
                }
            };
            let _ = events.send(Event::Leased(Box::new(answer))).await;
        });
    }

    async fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Leased(answer) => {
                if !self.is_known && answer.is_ok() {
                    // What the host burnt before it served a sweep is no cost of it.
                    let now = self.snapshot().await?;
                    self.outbox.begin(now);
                }
                self.leased(*answer)
            }
            Event::Reported(report, reply) => self.reported(&report, *reply),
            Event::News(consumer, News::Steps(steps)) => {
                let snapshot = self.snapshot().await?;
                self.outbox.add_steps(consumer, steps, &snapshot);
                Ok(())
            }
            Event::News(consumer, News::Ended(end)) => {
                self.wishes.remove(&consumer);
                self.outbox.end(consumer, end);
                Ok(())
            }
            Event::SetUp(done) => {
                self.setup_is_over(done);
                Ok(())
            }
        }
    }

    fn setup_is_over(&mut self, done: Result<(), String>) {
        let was_stopped = !matches!(&self.setup, Setup::Running(wish) if *wish.borrow() == Wish::Run);
        self.setup = Setup::Done;
        let ready = std::mem::take(&mut self.ready);
        match done {
            Ok(()) => {
                for (consumer, assignment) in ready {
                    self.start(consumer, assignment);
                }
            }
            Err(why) => {
                for (consumer, _) in ready {
                    self.give_back(consumer, EndKind::Interrupted, "setup did not succeed");
                }
                if !was_stopped {
                    self.fail(Error::Setup(why));
                }
            }
        }
    }

    fn leased(&mut self, answer: Result<Answer, tonic::Status>) -> Result<(), Error> {
        self.asking = false;
        self.is_known |= answer.is_ok();
        match answer {
            Ok(Answer::Assignment(assignment)) => self.assigned(assignment_from_wire(assignment)?),
            Ok(Answer::Ended(_)) => self.stage = self.stage.max(Stage::Ended),
            Ok(Answer::Wait(_)) => {}
            Err(status) => self.fail(refused(&status)),
        }
        Ok(())
    }

    fn assigned(&mut self, assignment: Assignment) {
        let consumer = self.next_consumer();
        self.outbox.open(consumer, assignment.attempt);
        self.leased_gpus.insert(consumer, assignment.gpus.clone());
        self.gpus_per_trial = assignment.gpus.len();
        if self.stage >= Stage::Leaving {
            self.give_back(consumer, EndKind::Interrupted, "the worker is leaving");
            return;
        }
        match (&self.setup, &assignment.plan) {
            (Setup::Done, _) | (Setup::NotNeededYet, Plan { setup: None, .. }) => {
                self.setup = Setup::Done;
                self.start(consumer, assignment);
            }
            (Setup::NotNeededYet, Plan { setup: Some(command), .. }) => {
                self.set_up(command.clone());
                self.ready.push((consumer, assignment));
            }
            (Setup::Running(_), _) => self.ready.push((consumer, assignment)),
        }
    }

    fn set_up(&mut self, command: String) {
        let consumer = self.next_consumer();
        self.outbox.open_setup(consumer);
        let (wish, wished) = watch::channel(Wish::Run);
        self.setup = Setup::Running(wish);
        let (options, meter, events) = (self.options.clone(), self.meter.clone(), self.events.clone());
        self.tasks.spawn(async move {
            let surroundings = surroundings(&options, meter);
            let done = supervise::setup(&command, consumer, &surroundings, wished).await;
            let _ = events.send(Event::SetUp(done)).await;
        });
    }

    fn start(&mut self, consumer: ConsumerId, assignment: Assignment) {
        let (wish, wished) = watch::channel(Wish::Run);
        self.wishes.insert(consumer, wish);
        let (options, meter, events) = (self.options.clone(), self.meter.clone(), self.events.clone());
        self.tasks.spawn(async move {
            let (news, mut forward) = mpsc::channel(NEWS);
            let forwarding = tokio::spawn(async move {
                while let Some(one) = forward.recv().await {
                    let _ = events.send(Event::News(consumer, one)).await;
                }
            });
            supervise::attempt(&assignment, consumer, &surroundings(&options, meter), wished, &news).await;
            drop(news);
            let _ = forwarding.await;
        });
    }

    /// Gives an assignment back that was never started.
    fn give_back(&mut self, consumer: ConsumerId, kind: EndKind, why: &str) {
        self.outbox.end(consumer, AttemptEnd { kind, message: why.to_owned() });
    }

    /// Tells everything untold, unless a report is on its way.
    async fn tell(&mut self) -> Result<(), Error> {
        if self.telling || !(self.is_known || self.stage == Stage::Leaving) {
            return Ok(()); // The coordinator does not know a worker before it answered its first question.
        }
        self.telling = true;
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.meter.handover(move |snapshot, left| drop(reply.send((snapshot, left))));
        let (snapshot, left) = answer.await.map_err(|_| Error::Meter)?;
        let report = self
            .outbox
            .report(&snapshot, self.stage == Stage::Leaving && self.is_idle() && self.outbox.fits());
        let (mut client, events) = (self.client.clone(), self.events.clone());
        let message = report_to_wire(&report);
        let (journal, record) =
            (self.journal.clone(), self.outbox.record(&self.meter.inventory().hostname, left));
        self.tasks.spawn(async move {
            write_down(journal, record).await;
            let reply = client.report(message).await.map(tonic::Response::into_inner);
            if reply.is_err() {
                tokio::time::sleep(RETRY).await;
            }
            let _ = events.send(Event::Reported(Box::new(report), Box::new(reply))).await;
        });
        Ok(())
    }

    fn reported(
        &mut self,
        report: &Report,
        reply: Result<v1::ReportReply, tonic::Status>,
    ) -> Result<(), Error> {
        self.telling = false;
        let reply = match reply {
            Ok(reply) => reply,
            // Before the first answered call for work the coordinator does not know this worker.
            Err(status) if is_transient(&status) || status.code() == Code::NotFound => {
                let since = *self.leaving_since.get_or_insert_with(Instant::now);
                let is_hopeless = status.code() == Code::NotFound || since.elapsed() > GOODBYE;
                if !report.leaving {
                    self.leaving_since = None;
                } else if is_hopeless {
                    self.stage = Stage::Left;
                }
                return Ok(());
            }
            Err(status) => {
                if report.leaving {
                    self.stage = Stage::Left;
                }
                self.fail(refused(&status));
                return Ok(());
            }
        };
        if reply.acked_through >= report.seq {
            for (consumer, sum) in self.outbox.acknowledged(report) {
                self.meter.forget(consumer, sum);
            }
            self.leased_gpus.retain(|consumer, _| self.outbox.holds(*consumer));
            if report.leaving {
                self.stage = Stage::Told;
            }
        }
        for (attempt, instruction) in instructions_from_wire(reply.instructions)? {
            self.instructed(attempt, &instruction);
        }
        Ok(())
    }

    fn instructed(&mut self, attempt: AttemptId, instruction: &Instruction) {
        let Instruction::Stop { why } = instruction else { return };
        let Some(consumer) = self.outbox.consumer(attempt) else { return };
        if let Some(index) = self.ready.iter().position(|(waiting, _)| *waiting == consumer) {
            self.ready.remove(index);
            self.give_back(consumer, EndKind::Stopped, "stopped before it began");
            if let (true, Setup::Running(setup)) = (self.ready.is_empty(), &self.setup) {
                let _ = setup.send(Wish::Stop); // Nobody waits for it any more.
            }
        } else if let Some(wish) = self.wishes.get(&consumer).filter(|wish| *wish.borrow() == Wish::Run) {
            tracing::debug!(%attempt, why, "told to stop");
            let _ = wish.send(Wish::Stop);
        }
    }

    /// Ends what runs; the session ends when everything is told.
    fn leave(&mut self, wish: Wish) {
        self.stage = Stage::Leaving;
        if let Setup::Running(setup) = &self.setup {
            let _ = setup.send(wish);
        }
        for sender in self.wishes.values() {
            let _ = sender.send(wish);
        }
        if self.request == 0 {
            self.stage = Stage::Left;
        }
    }

    fn fail(&mut self, error: Error) {
        tracing::debug!(%error, "leaving");
        self.failure.get_or_insert(error);
        if self.stage < Stage::Leaving {
            self.leave(Wish::Interrupt);
        }
    }

    /// Is nothing running?
    fn is_idle(&self) -> bool {
        self.wishes.is_empty() && self.ready.is_empty() && !matches!(self.setup, Setup::Running(_))
    }

    async fn snapshot(&self) -> Result<HostSnapshot, Error> {
        crate::snapshot(&self.meter).await.ok_or(Error::Meter)
    }

    fn next_consumer(&mut self) -> ConsumerId {
        self.consumers += 1;
        ConsumerId(self.consumers)
    }
}

/// Can the same call succeed later? What a coordinator says itself is final; all else is the way to it, or its death.
pub(crate) fn is_transient(status: &tonic::Status) -> bool {
    !matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::Aborted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
            | Code::PermissionDenied
    )
}

fn refused(status: &tonic::Status) -> Error {
    let why = status.message().to_owned();
    if status.code() == Code::Unauthenticated { Error::Token(why) } else { Error::Refused(why) }
}

/// A reading is in the journal before it is told.
async fn write_down(journal: Arc<Mutex<Journal>>, record: Record) {
    let written = tokio::task::spawn_blocking(move || {
        // Held by one report at a time.
        journal.lock().map_or(Ok(()), |mut journal| journal.write(&record))
    });
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "cannot write the worker's journal");
    }
}

fn surroundings(options: &Options, meter: MeterHandle) -> Surroundings<'_> {
    Surroundings { shim: &options.shim, files: &options.files, grace: options.grace, meter }
}

/// The host in one line, for people.
fn described(inventory: &gramwise_meter::Inventory) -> String {
    let gpus = match inventory.gpus.as_slice() {
        [] => "no GPU".to_owned(),
        [gpu] => gpu.name.clone(),
        [gpu, ..] => format!("{} x {}", inventory.gpus.len(), gpu.name),
    };
    format!("{}: {} x {}, {gpus}", inventory.hostname, inventory.cpus, inventory.cpu_model)
}
