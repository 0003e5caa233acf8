//! One thread owns the state and the write connection: decide, apply, write, send.
//!
//! Waiting commands are drained together, each decided on the state that the ones before it left, and all their facts are
//! committed in one transaction, so that one disk flush serves many reports. Replies are held back until then: an
//! acknowledgement is an effect too. Should the write fail, the state is dropped with the driver and nobody was told of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gramwise_carbon::CarbonFactors;
use gramwise_model::{AttemptId, SweepId, SweepSpec, Timestamp, TrialId, WorkerId};
use gramwise_search::strategy::EarlierTrial;
use gramwise_search::{
    Command, Dismissal, Effect, Fact, Fit, Replication, State, SweepPhase, apply, assigned, decide,
    discardable, effect, fits_due, instructions, next_rested, recall, replicate,
};
use gramwise_store::{Journal, Reader};
use gramwise_trust::Access;

use crate::clock::Clock;
use crate::handle::{DriverHandle, Error, LeaseAnswer, Message, Question, Reply, ReportAnswer};

/// The longest the driver sleeps: budgets and leases are looked at this often.
const TICK: Duration = Duration::from_millis(100);
/// ... and while no sweep runs, only calls for work wait.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// A call for work without an answer is told to ask again after this time.
const LONG_POLL: Duration = Duration::from_secs(5);
/// Commands waiting at most. A caller beyond that waits its turn; each worker has at most two calls open.
const INBOX: usize = 1024;
/// Commands committed together at most, so that the first of them is not kept waiting for the last.
const GROUP: usize = 256;

/// A sweep that is over is let go of when nothing was heard of its workers for so long; a late word brings it back.
const QUIET: Duration = Duration::from_secs(600);

/// A sweep is kept as a whole after so many facts, and when the coordinator stops after fewer. Reading them takes two tenths of a second;
/// keeping it holds everyone up for one.
const KEPT: usize = 60_000;
const KEPT_AT_STOP: usize = 1_000;

/// What the sweeps did that a new one is to learn from.
fn warm_start(
    journal: &Journal,
    spec: &SweepSpec,
    factors: &CarbonFactors,
) -> Result<Vec<EarlierTrial>, Error> {
    let mut earlier = Vec::new();
    if spec.warm_start.is_empty() {
        return Ok(earlier);
    }
    let reader = Reader::open(journal.path())?;
    let most = (EarlierTrial::MOST / spec.warm_start.len()).max(1);
    for (number, name) in (1..).zip(&spec.warm_start) {
        let sweep = reader.find(name)?.ok_or_else(|| {
            Error::WarmStart(format!(
                "no sweep `{name}` in the database\nhint: `gramwise ls` lists the sweeps"
            ))
        })?;
        let mut trials = Vec::new();
        for trial in reader.trials(sweep.id)? {
            let steps = reader.steps(sweep.id, trial.id)?;
            trials.push((trial, steps));
        }
        let recalled = recall(spec, factors, &trials, most).map_err(|why| {
            Error::WarmStart(format!(
                "nothing can be learnt from sweep {} ({}): {why}",
                sweep.id, sweep.spec.name
            ))
        })?;
        earlier.extend(recalled.into_iter().map(|one| EarlierTrial { sweep: number, ..one }));
    }
    Ok(earlier)
}

/// The sweep that runs the best trials of a sweep (by name or number; the newest where none is named) again.
pub fn replicas(reader: &Reader, sweep: Option<&str>, asked: Replication) -> Result<SweepSpec, Error> {
    let found = match sweep {
        Some(name) => reader.find(name)?,
        None => reader.newest()?,
    };
    let hint = "hint: `gramwise ls` lists the sweeps";
    let found = found.ok_or_else(|| {
        let what = sweep.map_or("no sweep in this database".to_owned(), |name| format!("no sweep `{name}`"));
        Error::Replicate(format!("{what}\n{hint}"))
    })?;
    let (trials, spent) = (reader.trials(found.id)?, reader.total(found.id)?);
    replicate(&found, &trials, &spent, &reader.replicates(found.id)?, asked).map_err(Error::Replicate)
}

/// A call for work that has no answer yet.
struct Waiting {
    question: Question,
    reply: Reply<LeaseAnswer>,
    until: Instant,
}

/// An answer that may leave once the group is committed; it is told whether that worked.
type Held = Box<dyn FnOnce(bool) + Send>;

/// Which sweeps a coordinator takes up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweeps {
    /// This one, or none. Its workers lived in the process that is gone: what they held is interrupted.
    One(Option<SweepId>),
    /// All that have not ended. Their workers are processes of their own and may still run: they have a whole lease to be heard of.
    All,
}

/// A started driver: the way to it, the sweeps it resumed, and its thread.
pub(crate) type Started =
    (DriverHandle, Vec<(SweepId, SweepSpec)>, std::thread::JoinHandle<Result<(), Error>>);

/// The state, the journal, and who waits.
pub(crate) struct Driver {
    state: State,
    journal: Journal,
    access: Access,
    clock: Clock,
    waiting: Vec<Waiting>,
    /// Facts decided and applied, not yet written.
    pending: Vec<Fact>,
    /// What those facts make leave.
    effects: Vec<Effect>,
    /// Replies that wait for those facts.
    held: Vec<Held>,
    /// Something happened since the open calls for work were last put.
    news: bool,
    /// Something happened since it was last looked for fits.
    fresh: bool,
    /// A fit is being computed.
    fitting: bool,
    /// Facts of each sweep since it was last kept as a whole.
    unkept: BTreeMap<SweepId, usize>,
    /// The open calls are put again at this time: a trial that failed has had its pause.
    wake_at: Option<Timestamp>,
}

impl Driver {
    /// Replays the journal, gives up the workers of earlier processes where they lived in those, and starts the thread.
    pub(crate) fn start(
        journal: Journal,
        access: Access,
        sweeps: Sweeps,
        lease: Duration,
    ) -> Result<Started, Error> {
        let resume = match sweeps {
            Sweeps::One(sweep) => sweep.iter().copied().collect(),
            Sweeps::All => journal.all_unfinished()?,
        };
        let last_moment = journal.last_moment()?;
        let mut state = State { last_sweep: journal.last_sweep()?.0, lease, ..State::default() };
        for sweep in &resume {
            journal.replay(*sweep, &mut state)?;
        }
        let mut driver = Self {
            state,
            journal,
            access,
            clock: Clock::start(last_moment),
            waiting: Vec::new(),
            pending: Vec::new(),
            effects: Vec::new(),
            held: Vec::new(),
            news: false,
            fitting: false,
            fresh: true,
            unkept: BTreeMap::new(),
            wake_at: None,
        };
        // Given up first: what they held ended when they were last heard of, not now.
        if matches!(sweeps, Sweeps::One(_)) {
            driver.give_up_workers()?;
        }
        for sweep in &resume {
            driver.carry_out(&Command::Resume { sweep: *sweep })?;
        }
        driver.commit()?;
        let spec = |sweep: &SweepId| Some((*sweep, driver.state.sweep(*sweep)?.spec.clone()));
        let resumed = resume.iter().filter_map(spec).collect();
        let (inbox, messages) = tokio::sync::mpsc::channel(INBOX);
        let runtime = tokio::runtime::Handle::current();
        let fitted = inbox.downgrade();
        let thread = std::thread::Builder::new()
            .name("driver".to_owned())
            .spawn(move || driver.run(&runtime, messages, &fitted))
            .map_err(Error::Thread)?;
        Ok((DriverHandle { inbox }, resumed, thread))
    }

    fn give_up_workers(&mut self) -> Result<(), Error> {
        let left: Vec<WorkerId> =
            self.state.workers.iter().filter(|(_, worker)| !worker.gone).map(|(id, _)| id.clone()).collect();
        for worker in left {
            self.carry_out(&Command::WorkerGone { worker })?;
        }
        Ok(())
    }

    /// The loop. `runtime` gives the thread a channel with a time limit; nothing else runs on it.
    fn run(
        mut self,
        runtime: &tokio::runtime::Handle,
        mut inbox: tokio::sync::mpsc::Receiver<Message>,
        fitted: &tokio::sync::mpsc::WeakSender<Message>,
    ) -> Result<(), Error> {
        loop {
            // What runs has leases and budgets, and what has ended is over.
            let works = self
                .state
                .sweeps
                .values()
                .any(|sweep| !sweep.live.is_empty() || matches!(sweep.phase, SweepPhase::Ending { .. }));
            let tick = if works { TICK } else { IDLE_TICK };
            let first = runtime.block_on(async { tokio::time::timeout(tick, inbox.recv()).await });
            let mut group: Vec<Message> = match first {
                Ok(Some(message)) => vec![message],
                Ok(None) => return Ok(()),
                Err(_elapsed) => Vec::new(),
            };
            // Looked at first: a message that is taken out must be answered.
            while group.len() < GROUP
                && let Ok(message) = inbox.try_recv()
            {
                group.push(message);
            }
            let mut stop = false;
            for message in group {
                stop |= self.take(message);
            }
            self.carry_out(&Command::Tick)?;
            self.ask_again();
            self.commit()?;
            self.keep(if stop { KEPT_AT_STOP } else { KEPT })?;
            self.let_go()?;
            self.fit(runtime, fitted);
            if stop {
                return Ok(());
            }
        }
    }

    /// Carries out one message; its reply is held back until the commit. Is it the word to stop?
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Submit(spec, factors, by, reply) => {
                let done = warm_start(&self.journal, &spec, &factors)
                    .and_then(|earlier| self.carry_out(&Command::Submit { spec, factors, earlier, by }));
                let sweep = SweepId(self.state.last_sweep);
                self.hold(reply, done.map(|()| sweep));
            }
            Message::Replicas(sweep, asked, reply) => {
                let spec = Reader::open(self.journal.path())
                    .map_err(Error::from)
                    .and_then(|reader| replicas(&reader, sweep.as_deref(), asked));
                self.hold(reply, spec);
            }
            Message::Ask(question, reply) => {
                if let Err(error) = self.recall(&question.worker) {
                    self.hold(reply, Err::<LeaseAnswer, _>(error));
                    return false;
                }
                let until = Instant::now() + LONG_POLL;
                self.news = true;
                self.waiting.push(Waiting { question, reply, until });
            }
            Message::Report(report, kept, reply) => {
                let worker = report.worker.clone();
                let is_leaving = report.leaving;
                let attempts: Vec<AttemptId> = report.attempts.iter().map(|told| told.attempt).collect();
                let done = self
                    .recall(&worker)
                    .and_then(|()| self.carry_out(&Command::Report(*report)))
                    .and_then(|()| self.carry_out(&Command::Judge { worker: worker.clone() }));
                if is_leaving {
                    self.settle(self.state.workers.get(&worker).map(|worker| worker.sweep));
                }
                let known = self.state.workers.get(&worker);
                let answer = ReportAnswer {
                    acked_through: known.map_or(0, |worker| worker.acked_through),
                    instructions: instructions(&self.state, &worker, &attempts),
                    drained: known.is_some_and(|worker| worker.dismissed == Some(Dismissal::Drained)),
                    discard: discardable(&self.state, &worker, &kept),
                };
                self.hold(reply, done.map(|()| answer));
            }
            Message::Do(command, reply) => {
                let done = self.carry_out(&command);
                self.hold(reply, done);
            }
            Message::Enqueue(sweep, config, by, reply) => {
                let done = self.carry_out(&Command::Enqueue { sweep, config, by });
                let trial = self.state.sweep(sweep).and_then(|sweep| sweep.trials.last_key_value());
                let trial = trial.map_or(TrialId(0), |(id, _)| *id);
                self.hold(reply, done.map(|()| trial));
            }
            Message::IsOf(attempt, worker, reply) => {
                let recalled = self.recall(&worker);
                let known = self.state.attempt(attempt);
                let is_of = known.is_some_and(|(_, _, held)| held.worker == worker);
                self.hold(reply, recalled.map(|()| is_of));
            }
            Message::Drain(name, reply) => {
                let drained = self.drain(&name);
                self.hold(reply, drained);
            }
            Message::Intensity(sweep, stated, reply) => {
                let done = self.carry_out(&Command::StateIntensity { sweep, stated });
                let sweep = self.state.sweep(sweep);
                let runs = sweep.is_some_and(|sweep| !matches!(sweep.phase, SweepPhase::Ended { .. }));
                self.hold(reply, done.map(|()| runs));
            }
            Message::Fitted(commands) => {
                (self.fitting, self.fresh) = (false, true);
                for command in commands {
                    // A sweep that is gone needs no model.
                    drop(self.carry_out(&command));
                    if let Command::Fitted { sweep, .. } = command {
                        self.settle(Some(sweep));
                    }
                }
            }
            Message::Stop => return true,
        }
        false
    }

    /// Ends a sweep that is through, where nobody is left to ask for more.
    fn settle(&mut self, sweep: Option<SweepId>) {
        if let Some(sweep) = sweep {
            // One that is gone is settled.
            drop(self.carry_out(&Command::Settle { sweep }));
        }
    }

    /// Takes up again the sweep that a worker served, where that is over and was let go of: what the worker has still to tell is booked
    /// there. One that is not over and not here is another coordinator's.
    fn recall(&mut self, worker: &WorkerId) -> Result<(), Error> {
        if self.state.workers.contains_key(worker) {
            return Ok(());
        }
        let served = self.journal.ended_sweep_of(worker)?;
        if let Some(sweep) = served.filter(|sweep| self.state.sweep(*sweep).is_none()) {
            tracing::debug!(%sweep, worker = worker.0, "a late word of a sweep that is over");
            self.journal.replay(sweep, &mut self.state)?;
        }
        Ok(())
    }

    /// Lets go of what is over: a coordinator runs for months.
    fn let_go(&mut self) -> Result<(), Error> {
        let over = self.state.over_for(QUIET, self.clock.now());
        if over.is_empty() {
            return Ok(());
        }
        self.journal.keep(&over, &self.state)?;
        for sweep in over {
            self.unkept.remove(&sweep);
            self.state.forget(sweep);
        }
        Ok(())
    }

    /// Workers of a name or a host, those that serve a sweep and those that wait for one.
    fn drain(&mut self, name: &str) -> Result<Vec<WorkerId>, Error> {
        let is_meant = |id: &WorkerId, host: &str| id.0 == name || host == name;
        let serving = self.state.workers.iter().filter(|(_, worker)| !worker.gone);
        let mut drained: Vec<WorkerId> = serving
            .filter(|(id, worker)| is_meant(id, &worker.host.name))
            .map(|(id, _)| id.clone())
            .collect();
        for worker in drained.clone() {
            self.carry_out(&Command::Drain { worker })?;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let Question { worker, host, .. } = &waiting.question;
            if self.state.workers.contains_key(worker) || !is_meant(worker, &host.name) {
                self.waiting.push(waiting);
            } else {
                drained.push(worker.clone());
                self.hold(waiting.reply, Ok(LeaseAnswer::Drained));
            }
        }
        Ok(drained)
    }

    /// Decides on one command and applies what follows; it is written with the group.
    fn carry_out(&mut self, command: &Command) -> Result<(), Error> {
        let facts = decide(&self.state, command, self.clock.now())?;
        for fact in facts {
            tracing::debug!(kind = fact.kind(), "fact");
            self.effects.extend(effect(&self.state, &fact));
            // Energy that is burnt makes nothing more worth running.
            self.news |= !matches!(fact, Fact::HostMetered { .. } | Fact::EmissionBooked { .. });
            apply(&mut self.state, &fact);
            self.pending.push(fact);
        }
        Ok(())
    }

    /// Puts all open calls for work again, if anything happened since they were put last.
    fn ask_again(&mut self) {
        let now = self.clock.now();
        let is_rested = self.wake_at.is_some_and(|at| at <= now);
        if !std::mem::take(&mut self.news) && !is_rested {
            return;
        }
        // Who hung up asks again; who was let in when it asked, and would not be now, is refused when it does.
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        self.access.retain_admitted(&mut self.waiting, |waiting| &waiting.question.principal);
        for waiting in std::mem::take(&mut self.waiting) {
            let Question { worker, host, request, free_gpus, .. } = waiting.question.clone();
            let asked = Command::Ask { worker, host, request, free_gpus };
            match self.carry_out(&asked) {
                Ok(()) => self.waiting.push(waiting),
                Err(error) => self.hold(waiting.reply, Err(error)),
            }
        }
        self.wake_at = next_rested(&self.state, now);
    }

    /// Has the fits computed that are due, one lot at a time, on a thread of their own: nobody waits for them.
    fn fit(&mut self, runtime: &tokio::runtime::Handle, fitted: &tokio::sync::mpsc::WeakSender<Message>) {
        if self.fitting || !std::mem::take(&mut self.fresh) {
            return;
        }
        let fits = fits_due(&self.state, !self.waiting.is_empty());
        let Some(inbox) = fitted.upgrade().filter(|_| !fits.is_empty()) else { return };
        self.fitting = true;
        runtime.spawn_blocking(move || {
            let commands = fits.iter().map(Fit::solve).collect();
            // A driver that ended meanwhile needs no model.
            drop(inbox.blocking_send(Message::Fitted(commands)));
        });
    }

    /// Keeps sweeps as they are, of which so much happened since the last time that it would take long to read it again.
    fn keep(&mut self, least: usize) -> Result<(), Error> {
        let due = self.unkept.iter().filter(|(_, facts)| **facts >= least).map(|(sweep, _)| *sweep);
        let due: Vec<SweepId> = due.collect();
        if !due.is_empty() {
            self.journal.keep(&due, &self.state)?;
            self.unkept.retain(|sweep, _| !due.contains(sweep));
        }
        Ok(())
    }

    /// Writes the group, then lets replies and effects go.
    fn commit(&mut self) -> Result<(), Error> {
        let facts = std::mem::take(&mut self.pending);
        self.fresh |= !facts.is_empty();
        for fact in &facts {
            *self.unkept.entry(fact.sweep()).or_default() += 1;
        }
        let written = self.journal.append(&facts, self.clock.now());
        for reply in std::mem::take(&mut self.held) {
            reply(written.is_ok());
        }
        written?;
        self.answer_asks();
        Ok(())
    }

    /// Answers the calls for work that an effect answers, that were answered before, or that waited long enough.
    fn answer_asks(&mut self) {
        let effects = std::mem::take(&mut self.effects);
        let now = Instant::now();
        for waiting in std::mem::take(&mut self.waiting) {
            match self.answer(&waiting, &effects, now) {
                // A worker that hung up asks again with the same number and gets the same attempt.
                Some(answer) => drop(waiting.reply.send(Ok(answer))),
                None => self.waiting.push(waiting),
            }
        }
    }

    fn answer(&self, waiting: &Waiting, effects: &[Effect], now: Instant) -> Option<LeaseAnswer> {
        let Question { worker, request, .. } = &waiting.question;
        let fresh = effects.iter().find_map(|effect| match effect {
            Effect::Assign { worker: to, assignment } if to == worker => Some(assignment.clone()),
            Effect::Assign { .. } | Effect::Acknowledge { .. } | Effect::Ended { .. } => None,
        });
        if let Some(assignment) = fresh.or_else(|| assigned(&self.state, worker, *request)) {
            return Some(LeaseAnswer::Assigned(Box::new(assignment)));
        }
        let known = self.state.workers.get(worker);
        match known.and_then(|worker| worker.dismissed) {
            Some(Dismissal::Drained) => return Some(LeaseAnswer::Drained),
            Some(Dismissal::Shared | Dismissal::Excluded) => return Some(LeaseAnswer::Ended),
            None => {}
        }
        let served = known.and_then(|worker| self.state.sweep(worker.sweep));
        if served.is_some_and(|sweep| sweep.phase != SweepPhase::Running) {
            return Some(LeaseAnswer::Ended);
        }
        (now >= waiting.until).then_some(LeaseAnswer::Wait { joined: served.is_some() })
    }

    fn hold<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, Error>) {
        self.held.push(Box::new(move |written| {
            let answer = if written { answer } else { Err(Error::Gone) };
            drop(reply.send(answer)); // A caller that hung up needs no answer.
        }));
    }
}
