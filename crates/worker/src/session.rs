//! One life of a worker: ask for trials, run them, tell what they did and burnt, until the sweep is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gramwise_meter::{ConsumerId, Handover, HostSnapshot, MeterHandle};
use gramwise_model::AttemptId;
use gramwise_model::work::{Assignment, AttemptEnd, EndKind, Instruction, Plan, Report};
use gramwise_wire::convert::{assignment_from_wire, instructions_from_wire, report_to_wire};
use gramwise_wire::v1;
use gramwise_wire::v1::lease_reply::Answer;
use gramwise_wire::v1::work_client::WorkClient;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::asking::Asking;
use crate::calls::{self, RETRY, is_transient};
use crate::cgroup;
use crate::checkpoints::Checkpoints;
use crate::environment::Files;
use crate::error::Error;
use crate::hearing::Hearing;
use crate::journal::{self, Held, Journal, Record};
use crate::outbox::Outbox;
use crate::place::place;
use crate::resume;
use crate::shim::{Orphan, boot_ms};
use crate::supervise::{self, News, Surroundings, Wish};
use crate::{Client, Options, output};

/// Totals are told at least this often: the heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// News are gathered this long before they are told, so that fast trials do not make a report for each step.
const GATHER: Duration = Duration::from_millis(10);
/// News waiting at most; a trial that reports faster waits for the session.
const NEWS: usize = 256;

/// How a worker ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Its sweep has no more for it, or it was interrupted.
    Sweep,
    /// It was taken out of service.
    Drained,
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
    /// Those that hand over what trials write.
    handing_over: JoinSet<()>,
    wishes: BTreeMap<ConsumerId, watch::Sender<Wish>>,
    asking: Asking,
    /// The outputs that are followed: each ends when it is told so.
    outputs: BTreeMap<ConsumerId, watch::Sender<bool>>,
    /// All attempts that it ever had.
    taken: BTreeSet<AttemptId>,
    checkpoints: Checkpoints,
    setup: Setup,
    /// Assignments that wait for `setup`.
    ready: Vec<(ConsumerId, Assignment)>,
    consumers: u64,
    is_known: bool,
    telling: bool,
    stage: Stage,
    failure: Option<Error>,
    hearing: Hearing,
    over: Over,
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
/// before this returns. Goes on where an earlier life was killed.
pub async fn run(
    mut options: Options,
    meter: MeterHandle,
    interrupt: CancellationToken,
) -> Result<Over, Error> {
    let channel = options.peer.endpoint()?.connect_lazy();
    let mut client: Client = WorkClient::with_interceptor(channel, options.peer.bearer())
        .max_decoding_message_size(gramwise_wire::LARGEST_MESSAGE);
    // Where nothing can be written, each trial would fail, and none of them for a fault of its own.
    let folder = options.files.clone();
    let unwritable = |source| Error::Files { folder: folder.clone(), source };
    std::fs::create_dir_all(&folder).map_err(unwritable)?;
    let place = place(&folder).map_err(unwritable)?;
    let (resumed, left) = tokio::select! {
        resumed = resume::resume(&options, &meter, &mut client) => resumed,
        () = interrupt.cancelled() => return Ok(Over::Sweep),
    };
    cgroup::sweep_up();
    let (journal, outbox, earlier) = if let Some(life) = resumed {
        options.name = life.record.worker.clone();
        (life.journal, life.outbox, Some((life.record, life.attempts)))
    } else {
        let journal = Journal::begin(&options.files, &options.name).map_err(unwritable)?;
        (journal, Outbox::new(options.name.clone()), None)
    };
    let (events, mut inbox) = mpsc::channel(NEWS);
    let asking = Asking::of(&options, &meter, place);
    let drain = options.drain.clone();
    let mut session = Session {
        options: Arc::new(options),
        meter,
        client,
        outbox,
        events,
        tasks: JoinSet::new(),
        handing_over: JoinSet::new(),
        wishes: BTreeMap::new(),
        asking,
        outputs: BTreeMap::new(),
        taken: BTreeSet::new(),
        checkpoints: Checkpoints::default(),
        setup: Setup::NotNeededYet,
        ready: Vec::new(),
        consumers: 0,
        is_known: false,
        telling: false,
        stage: Stage::Working,
        failure: None,
        hearing: Hearing::default(),
        over: Over::Sweep,
        journal: Arc::new(Mutex::new(journal)),
    };
    if let Some((record, attempts)) = earlier {
        session.restore(&record, attempts);
    }
    if !left.is_empty() {
        let (options, meter, client) =
            (session.options.clone(), session.meter.clone(), session.client.clone());
        let settling = resume::settle_later(left, options, meter, client);
        session.tasks.spawn(settling);
    }
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        session.ask().await;
        // What is done is let go of: a worker lives for months.
        while session.tasks.try_join_next().is_some() || session.handing_over.try_join_next().is_some() {}
        let quiet = session.outbox.has_news() && !session.telling;
        tokio::select! {
            Some(event) = inbox.recv() => session.take(event).await?,
            _ = heartbeat.tick() => session.tell().await?,
            () = tokio::time::sleep(GATHER), if quiet => session.tell().await?,
            () = interrupt.cancelled(), if session.stage < Stage::Leaving => session.leave(Wish::Interrupt),
            () = drain.cancelled(), if session.stage == Stage::Working => session.drained(),
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
    session.outputs.clear();
    // Each of them gives up by itself.
    while session.handing_over.join_next().await.is_some() {}
    session.failure.map_or(Ok(session.over), Err)
}

impl Session {
    /// Asks for one trial if there is room for it.
    async fn ask(&mut self) {
        if self.stage != Stage::Working {
            return;
        }
        let question = self.asking.question(self.outbox.len(), &self.options, &self.meter).await;
        let Some(question) = question else { return };
        let (client, events) = (self.client.clone(), self.events.clone());
        let stranger = (!self.is_known).then(|| self.options.peer.address.clone());
        self.tasks.spawn(async move {
            let answer = calls::lease(&client, &question, stranger.as_ref()).await;
            let _ = events.send(Event::Leased(Box::new(answer))).await;
        });
    }

    async fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Leased(answer) => {
                if !self.is_known && makes_known(&answer) {
                    // What the host burnt before it served a sweep is no cost of it.
                    let now = self.snapshot().await?;
                    self.outbox.begin(now);
                }
                if matches!(*answer, Ok(Answer::Assignment(_))) {
                    // The next life is to know this one from its first trial on.
                    let (_, left) = self.handover().await?;
                    write_down(self.journal.clone(), self.record(left)).await;
                }
                self.leased(*answer)
            }
            Event::Reported(report, reply) => {
                let of_no_use =
                    reply.as_ref().as_ref().map(|reply| reply.discard.clone()).unwrap_or_default();
                let outbox = &self.outbox;
                let discarded =
                    self.checkpoints.discard(&of_no_use, &self.options.files, |trial| outbox.runs(trial));
                discarded.await;
                self.reported(&report, *reply)
            }
            Event::News(consumer, News::Steps(steps)) => {
                let snapshot = self.snapshot().await?;
                self.outbox.add_steps(consumer, steps, &snapshot);
                Ok(())
            }
            Event::News(consumer, News::Ended(end)) => {
                self.wishes.remove(&consumer);
                self.outputs.remove(&consumer);
                if let Some(attempt) = self.outbox.attempt(consumer) {
                    self.checkpoints.add(attempt);
                }
                if let (EndKind::Failure, Err(source)) = (end.kind, journal::room(&self.options.files)) {
                    self.without_room(consumer, source);
                } else {
                    self.outbox.end(consumer, end);
                }
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
        let ready = std::mem::take(&mut self.ready);
        self.setup = if done.is_ok() { Setup::Done } else { Setup::NotNeededYet };
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
        self.asking.is_open = false;
        self.is_known |= makes_known(&answer);
        match answer {
            Ok(Answer::Assignment(assignment)) => self.assigned(assignment_from_wire(assignment)?),
            Ok(Answer::Drained(_)) => self.drained(),
            Ok(Answer::Ended(_)) => self.stage = self.stage.max(Stage::Ended),
            Ok(Answer::Wait(_)) => {}
            Err(status) => self.fail(Error::refused(&status)),
        }
        Ok(())
    }

    /// Takes no more trials, and ends when those that it has are through.
    fn drained(&mut self) {
        self.over = Over::Drained;
        self.stage = self.stage.max(Stage::Ended);
    }

    fn holds(&mut self, consumer: ConsumerId, assignment: &Assignment) {
        self.checkpoints.are_discarded = assignment.plan.discards;
        self.asking.holds(consumer, assignment);
    }

    fn assigned(&mut self, assignment: Assignment) {
        if !self.taken.insert(assignment.attempt) {
            return; // An earlier life has begun it; by now it may be over.
        }
        let consumer = self.next_consumer();
        self.outbox.open(consumer, assignment.attempt);
        self.holds(consumer, &assignment);
        let held = Held {
            consumer,
            socket: Files::socket(assignment.attempt),
            taken_ms: boot_ms(),
            assignment: assignment.clone(),
        };
        if let Err(error) = self.journal.lock().map_or(Ok(()), |journal| journal.hold(&held)) {
            tracing::warn!(%error, "cannot write down what is held");
        }
        match (&self.setup, &assignment.plan) {
            (Setup::Done, _) | (Setup::NotNeededYet, Plan { setup: None, .. }) => {
                self.setup = Setup::Done;
                self.start(consumer, assignment);
            }
            _ if self.stage >= Stage::Leaving => {
                self.give_back(consumer, EndKind::Interrupted, "the worker is leaving");
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

    /// Nothing can be written: an attempt that failed, or would, does not tell of its configuration, and no other is of use here.
    fn without_room(&mut self, consumer: ConsumerId, source: std::io::Error) {
        self.give_back(consumer, EndKind::Interrupted, &format!("its worker cannot write: {source}"));
        self.fail(Error::Files { folder: self.options.files.clone(), source });
    }

    fn start(&mut self, consumer: ConsumerId, assignment: Assignment) {
        if self.stage >= Stage::Leaving {
            self.give_back(consumer, EndKind::Interrupted, "the worker is leaving");
            return;
        }
        if let Err(source) = journal::room(&self.options.files) {
            self.without_room(consumer, source);
            return;
        }
        self.hand_over_output(consumer, assignment.attempt);
        self.supervise(consumer, move |options, meter, wished, news| async move {
            let surroundings = surroundings(&options, meter);
            supervise::attempt(&assignment, consumer, &surroundings, wished, &news).await;
        });
    }

    /// Goes on with what an earlier life left.
    fn restore(&mut self, record: &Record, attempts: Vec<(Held, Option<Orphan>)>) {
        self.is_known = true;
        self.asking.request = record.request.saturating_sub(1);
        if record.is_set_up {
            self.setup = Setup::Done;
        }
        for (held, orphan) in attempts {
            let consumer = held.consumer;
            self.taken.insert(held.assignment.attempt);
            self.holds(consumer, &held.assignment);
            self.hand_over_output(consumer, held.assignment.attempt);
            self.supervise(consumer, move |options, meter, wished, news| async move {
                supervise::adopt(&held, orphan, &surroundings(&options, meter), wished, &news).await;
            });
        }
        self.consumers = resume::last_consumer(record, self.asking.cards.holders());
    }

    /// Has a task watch over an attempt, and passes its news on.
    fn supervise<Watching>(
        &mut self,
        consumer: ConsumerId,
        watch_over: impl FnOnce(Arc<Options>, MeterHandle, watch::Receiver<Wish>, mpsc::Sender<News>) -> Watching
        + Send
        + 'static,
    ) where
        Watching: Future<Output = ()> + Send,
    {
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
            watch_over(options, meter, wished, news).await;
            let _ = forwarding.await;
        });
    }

    fn hand_over_output(&mut self, consumer: ConsumerId, attempt: AttemptId) {
        if !self.options.hand_over {
            return;
        }
        let (over, is_over) = watch::channel(false);
        self.outputs.insert(consumer, over);
        let files = Files::of(&self.options.files, attempt);
        let (client, worker) = (self.client.clone(), self.options.name.clone());
        self.handing_over.spawn(output::hand_over(client, worker, attempt, files, is_over));
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
        let (snapshot, left) = self.handover().await?;
        let is_last = self.stage == Stage::Leaving && self.is_idle() && self.outbox.fits();
        let report = self.outbox.report(&snapshot, is_last);
        let (mut client, events) = (self.client.clone(), self.events.clone());
        let kept = self.checkpoints.names(is_last);
        let message = v1::ReportRequest { kept, ..report_to_wire(&report) };
        let (journal, record) = (self.journal.clone(), self.record(left));
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
            // Before the first answered call for work the coordinator does not know this worker: there is nothing to tell.
            Err(status) if status.code() == Code::NotFound && !self.is_known => {
                self.stage = Stage::Left;
                return Ok(());
            }
            Err(status) if is_transient(&status) => {
                self.hearing.unheard(&self.options.peer.address, &status);
                if self.stage == Stage::Leaving
                    && self.is_idle()
                    && (!self.is_known || self.hearing.is_hopeless())
                {
                    self.stage = Stage::Left;
                }
                return Ok(());
            }
            Err(status) => {
                self.fail(Error::refused(&status));
                if self.is_idle() {
                    self.stage = Stage::Left;
                }
                return Ok(());
            }
        };
        self.hearing.heard(&self.options.peer.address);
        if reply.drained {
            self.drained();
        }
        if reply.acked_through >= report.seq {
            for (consumer, sum) in self.outbox.acknowledged(report) {
                self.meter.forget(consumer, sum);
            }
            for consumer in self.asking.cards.keep(|consumer| self.outbox.holds(consumer)) {
                self.journal.lock().iter().for_each(|journal| journal.let_go(consumer));
            }
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
        if self.asking.request == 0 && !self.is_known {
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

    async fn handover(&self) -> Result<(HostSnapshot, Handover), Error> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.meter.handover(move |snapshot, left| drop(reply.send((snapshot, left))));
        answer.await.map_err(|_| Error::Meter)
    }

    /// What the next life is to know.
    fn record(&self, left: Handover) -> Record {
        let is_set_up = matches!(self.setup, Setup::Done);
        self.outbox.record(&self.meter.inventory().hostname, left, (is_set_up, self.asking.request))
    }

    async fn snapshot(&self) -> Result<HostSnapshot, Error> {
        crate::snapshot(&self.meter).await.ok_or(Error::Meter)
    }

    fn next_consumer(&mut self) -> ConsumerId {
        self.consumers += 1;
        ConsumerId(self.consumers)
    }
}

/// Does the coordinator know the worker from this answer on? One that serves no sweep yet is not known, also when it is drained.
fn makes_known(answer: &Result<Answer, tonic::Status>) -> bool {
    matches!(answer, Ok(Answer::Assignment(_) | Answer::Ended(_) | Answer::Wait(true)))
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
    Surroundings {
        shim: &options.shim,
        files: &options.files,
        grace: options.grace,
        orphaned: options.orphaned,
        meter,
    }
}
