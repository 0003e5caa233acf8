//! The loop: time goes by, workers ask and tell, the core decides, faults happen.

use gramwise_carbon::CarbonFactors;
use gramwise_model::work::{Assignment, EndKind};
use gramwise_model::{Config, SweepId, SweepSpec, Timestamp, Value, WorkerId};
use gramwise_search::{Command, Fact, Fit, Phase, Refused, State, SweepPhase, Trial, fits_due};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::coordinator::{Coordinator, Kill, Reply};
use crate::network::{Answer, Message, Network};
use crate::weather::{Planted, Weather};
use crate::worker::SimWorker;

/// Virtual milliseconds between two rounds.
const ROUND_MS: u64 = 500;
/// A world that is not over by then never will be.
const ROUNDS: u64 = 20_000;
/// Rounds that a partition or an absence lasts at most: three leases.
const LONGEST: u64 = 180;
/// The coordinator's clock is so much off at most after a restart, in milliseconds.
const STEP_MS: i64 = 3_600_000;

/// Everything that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The journal.
    pub facts: Vec<Fact>,
    /// What it amounts to.
    pub state: State,
    /// How often the coordinator was started again.
    pub restarts: u64,
    /// How often it committed.
    pub commits: u64,
}

/// A coordinator and its workers.
#[derive(Debug)]
pub struct Cluster {
    coordinator: Coordinator,
    now: Timestamp,
    round: u64,
    network: Network,
    workers: Vec<SimWorker>,
    /// Lives that are over and have still to say so.
    farewells: Vec<SimWorker>,
    lives: u64,
    hosts: u64,
    weather: Weather,
    dice: ChaCha8Rng,
    /// Fits that are being computed: what they find comes a round later.
    fitting: Vec<Fit>,
    /// The coordinator is down before this round.
    down_until: u64,
    /// All that it decided before it went down is on disk.
    was_written: bool,
    commits: u64,
    /// It is killed at this commit, whatever the weather.
    kill_at: Option<(u64, Kill)>,
}

impl Cluster {
    /// A cluster of so many workers with two slots each; `seed` is the faults' seed, not the sweep's.
    pub fn new(seed: u64, workers: u64, weather: Weather) -> Self {
        let mut cluster = Self {
            coordinator: Coordinator::new(None),
            now: Timestamp(1_000),
            round: 0,
            network: Network::default(),
            workers: Vec::new(),
            farewells: Vec::new(),
            lives: 0,
            hosts: 0,
            weather,
            dice: ChaCha8Rng::seed_from_u64(seed),
            fitting: Vec::new(),
            down_until: 0,
            was_written: true,
            commits: 0,
            kill_at: None,
        };
        for _ in 0..workers {
            let worker = cluster.new_host();
            cluster.workers.push(worker);
        }
        cluster
    }

    /// The same with a fault built into its coordinator.
    #[must_use]
    pub fn planted(mut self, fault: Planted) -> Self {
        self.coordinator = Coordinator::new(Some(fault));
        self
    }

    /// The same, its coordinator killed at its n-th commit: before it is written, or after.
    #[must_use]
    pub fn killed_at(mut self, commit: u64, is_written: bool) -> Self {
        self.kill_at = Some((commit, if is_written { Kill::AfterWrite } else { Kill::BeforeWrite }));
        self
    }

    /// Runs a sweep to its end. `Err` names the invariant that broke, and when.
    pub fn run(self, spec: SweepSpec, factors: &CarbonFactors) -> Result<History, String> {
        self.run_all(vec![spec], factors)
    }

    /// Runs several, the first submitted at once and the others one after the other.
    pub fn run_all(mut self, specs: Vec<SweepSpec>, factors: &CarbonFactors) -> Result<History, String> {
        let mut specs = specs.into_iter();
        for _ in 0..ROUNDS {
            self.now = Timestamp(self.now.0 + ROUND_MS);
            self.round += 1;
            if self.round % 20 == 1
                && self.round > self.down_until
                && let Some(spec) = specs.next()
            {
                let (spec, by) = (Box::new(spec), "sim@sim".to_owned());
                let submitted = Command::Submit { spec, factors: factors.clone(), earlier: Vec::new(), by };
                self.command(&submitted)?;
                self.commit(None);
            }
            for index in 0..self.workers.len() {
                self.worker_round(index);
            }
            self.say_goodbye();
            if self.round >= self.down_until {
                self.coordinator_round()?;
            } else if self.round + 1 == self.down_until {
                let stepped = if self.happens(0.5) { self.dice.random_range(-STEP_MS..STEP_MS) } else { 0 };
                self.coordinator.restart(self.was_written, self.now, stepped)?;
                self.fitting.clear();
            } else {
                self.network.arrived(self.round, |message| !matches!(message, Message::Reply(..)));
            }
            self.replies_arrive();
            let over = |phase: &SweepPhase| matches!(phase, SweepPhase::Ended { .. });
            let sweeps = &self.coordinator.state.sweeps;
            if specs.len() == 0
                && self.round >= self.down_until
                && sweeps.values().all(|sweep| over(&sweep.phase))
            {
                self.coordinator.kept()?;
                return Ok(History {
                    restarts: self.coordinator.restarts,
                    commits: self.commits,
                    facts: self.coordinator.disk,
                    state: self.coordinator.state,
                });
            }
        }
        let State { sweeps, workers, .. } = &self.coordinator.state;
        let here = workers.iter().filter(|(_, worker)| !worker.gone);
        let open = |sweep: &&gramwise_search::Sweep| !matches!(sweep.phase, SweepPhase::Ended { .. });
        let stuck: Vec<String> = sweeps
            .values()
            .filter(open)
            .map(|sweep| {
                let trials = sweep.trials.values().map(|trial| (trial.id, &trial.phase));
                format!(
                    "sweep {}: {:?}, held {}, live {:?}, waiting {:?}, excluded {:?}, {:?}",
                    sweep.id,
                    sweep.phase,
                    sweep.held,
                    sweep.live,
                    sweep.waiting,
                    sweep.excluded,
                    trials.collect::<Vec<_>>()
                )
            })
            .collect();
        let workers: Vec<String> = here
            .map(|(id, worker)| {
                format!("{id} serves {}, {:?}, {:?}", worker.sweep, worker.live, worker.dismissed)
            })
            .collect();
        Err(format!("not over after {ROUNDS} rounds: {stuck:#?} {workers:#?}"))
    }

    /// Takes in what arrived, decides, writes, and lets replies go; or is killed at it.
    fn coordinator_round(&mut self) -> Result<(), String> {
        for message in self.network.arrived(self.round, |message| !matches!(message, Message::Reply(..))) {
            match message {
                Message::Ask(worker, request, process) => {
                    let known = self.workers.iter().find(|one| one.id == worker);
                    let Some(host) = known.map(|one| one.host.clone()) else { continue };
                    let ask = Command::Ask { worker, host, request, free_gpus: Vec::new() };
                    self.coordinator.ask(&ask, process, self.now)?;
                }
                Message::Report(report, process) => self.coordinator.report(*report, process, self.now)?,
                Message::Reply(..) => {}
            }
        }
        self.command(&Command::Tick)?;
        self.meddle()?;
        for fit in std::mem::take(&mut self.fitting) {
            self.command(&fit.solve())?;
        }
        self.fitting = fits_due(&self.coordinator.state, self.workers.iter().any(SimWorker::has_room));
        let by_weather = if self.happens(self.weather.disk_full) {
            Some(Kill::BeforeWrite)
        } else if self.happens(self.weather.coordinator_killed) {
            Some(if self.happens(0.5) { Kill::BeforeWrite } else { Kill::AfterWrite })
        } else {
            None
        };
        let planned = self.kill_at.filter(|(at, _)| *at == self.commits).map(|(_, kill)| kill);
        self.commit(planned.or(by_weather));
        Ok(())
    }

    fn commit(&mut self, kill: Option<Kill>) {
        self.commits += 1;
        for (reply, process) in self.coordinator.commit(kill) {
            self.network.send(&Message::Reply(reply, process), self.round, &self.weather, &mut self.dice);
        }
        if let Some(kill) = kill {
            self.was_written = kill == Kill::AfterWrite;
            self.down_until = self.round + 2 + self.dice.random_range(0..20);
        }
    }

    fn worker_round(&mut self, index: usize) {
        self.workers[index].work(ROUND_MS);
        if self.happens(self.weather.worker_killed) {
            self.kill(index);
        }
        if self.happens(self.weather.partitioned) {
            self.workers[index].away_until = self.round + self.dice.random_range(1..LONGEST);
        }
        if self.happens(self.weather.trial_fails) {
            self.workers[index].fail_one("uncorrectable ECC error");
        }
        if self.workers[index].over {
            let host = self.workers[index].host.name.clone();
            self.workers[index] = self.new_life(&host);
        }
        let worker = &mut self.workers[index];
        if worker.away_until > self.round {
            return;
        }
        let process = worker.process;
        let question = worker.has_room().then(|| Message::Ask(worker.id.clone(), worker.request, process));
        let report = Message::Report(Box::new(worker.report()), process);
        for message in question.into_iter().chain([report]) {
            self.network.send(&message, self.round, &self.weather, &mut self.dice);
        }
    }

    /// The process dies. What was on its way to it is lost, what it had not told is on its disk.
    fn kill(&mut self, index: usize) {
        let fate: f64 = self.dice.random();
        let away = self.round + self.dice.random_range(1..LONGEST);
        if fate < 0.5 {
            // Its next life goes on with its trials; it may have asked more often than it remembers.
            let forgotten = self.dice.random_range(0..3);
            let worker = &mut self.workers[index];
            worker.request = worker.request.saturating_sub(forgotten).max(1);
            worker.away_until = away;
            worker.process += 1;
            return;
        }
        let host = self.workers[index].host.name.clone();
        let next = if fate < 0.8 { self.new_life(&host) } else { self.new_host() };
        let mut dead = std::mem::replace(&mut self.workers[index], next);
        dead.end_all(EndKind::Interrupted, "its worker was killed");
        dead.leaving = true;
        dead.away_until = away;
        dead.process += 1;
        // Of a machine that never comes back nothing is heard.
        if fate < 0.8 {
            self.farewells.push(dead);
        }
    }

    fn say_goodbye(&mut self) {
        for index in 0..self.farewells.len() {
            let dead = &mut self.farewells[index];
            if dead.away_until <= self.round {
                let report = Message::Report(Box::new(dead.report()), dead.process);
                self.network.send(&report, self.round, &self.weather, &mut self.dice);
            }
        }
        self.farewells.retain(|dead| !dead.over);
    }

    fn replies_arrive(&mut self) {
        for message in self.network.arrived(self.round, |message| matches!(message, Message::Reply(..))) {
            let Message::Reply(reply, process) = message else { continue };
            let checkpoint = match &reply {
                Reply::Answer { answer: Answer::Assigned(assignment), .. } => self.checkpoint(assignment),
                _ => 0,
            };
            let all = self.workers.iter_mut().chain(&mut self.farewells);
            let reached = |one: &SimWorker| {
                one.id == *to(&reply) && one.process == process && one.away_until <= self.round
            };
            if let Some(worker) = all.into_iter().find(|one| reached(one)) {
                take(worker, &reply, checkpoint);
            }
        }
    }

    /// A trial goes on after the last step that its sweep knows of, if it keeps checkpoints.
    fn checkpoint(&self, assignment: &Assignment) -> u64 {
        let sweep = self.coordinator.state.sweep(assignment.attempt.sweep);
        let trial = sweep.filter(|sweep| sweep.spec.resource.checkpoint);
        trial.and_then(|sweep| sweep.trials.get(&assignment.attempt.trial)).map_or(0, Trial::last_step)
    }

    /// Somebody does something to a sweep.
    fn meddle(&mut self) -> Result<(), String> {
        let sweeps: Vec<SweepId> = self.coordinator.state.sweeps.keys().copied().collect();
        if self.weather.meddled <= 0.0 || sweeps.is_empty() {
            return Ok(());
        }
        let sweep = sweeps[self.dice.random_range(0..sweeps.len())];
        if !self.happens(self.weather.meddled) {
            // Nobody holds a sweep for ever.
            let held = self.coordinator.state.sweep(sweep).is_some_and(|sweep| sweep.held);
            return if held && self.happens(0.1) { self.hold(sweep, false) } else { Ok(()) };
        }
        match self.dice.random_range(0..3) {
            0 => self.hold(sweep, true),
            1 => {
                let lr = Value::Float(self.dice.random_range(0.001..0.9));
                let config: Config =
                    [("lr".to_owned(), lr), ("opt".to_owned(), Value::Text("adam".to_owned()))].into();
                self.command(&Command::Enqueue { sweep, config, by: "sim@sim".to_owned() })
            }
            _ => {
                let at = self.dice.random_range(0..self.workers.len());
                self.command(&Command::Drain { worker: self.workers[at].id.clone() })
            }
        }
    }

    fn hold(&mut self, sweep: SweepId, held: bool) -> Result<(), String> {
        self.command(&Command::Hold { sweep, held, by: "sim@sim".to_owned() })
    }

    /// What is refused changes nothing; in a storm some of it is.
    fn command(&mut self, command: &Command) -> Result<(), String> {
        match self.coordinator.carry_out(command, self.now)? {
            Ok(()) | Err(Refused::UnknownWorker(_) | Refused::Over(_) | Refused::Configuration(_)) => Ok(()),
            Err(refused) => Err(format!("refused at {}: {refused}", self.now.0)),
        }
    }

    fn new_host(&mut self) -> SimWorker {
        self.hosts += 1;
        self.new_life(&format!("host-{}", self.hosts))
    }

    fn new_life(&mut self, host: &str) -> SimWorker {
        self.lives += 1;
        SimWorker::new(format!("{host}-{}", self.lives), host, 2)
    }

    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.dice.random::<f64>() < probability
    }
}

/// Whom a reply is for.
fn to(reply: &Reply) -> &WorkerId {
    match reply {
        Reply::Answer { worker, .. } => worker,
        Reply::Verdict { report, .. } | Reply::Refused { report, .. } => &report.worker,
    }
}

/// A worker does as it is told.
fn take(worker: &mut SimWorker, reply: &Reply, checkpoint: u64) {
    match reply {
        Reply::Answer { request, answer, .. } if *request == worker.request => match answer {
            Answer::Assigned(assignment) => worker.take(assignment, checkpoint),
            Answer::Nothing => {}
            Answer::Ended | Answer::Drained => worker.leaving = true,
            Answer::Gone => {
                worker.end_all(EndKind::Interrupted, "the worker lost its lease");
                worker.leaving = true;
            }
        },
        Reply::Verdict { report, instructions } => {
            worker.acknowledged(report);
            worker.instructed(instructions);
        }
        // It never asked: nobody knows it, and nothing of it is lost.
        Reply::Refused { report, why: Refused::UnknownWorker(_) } => worker.over |= report.leaving,
        // Also an answer to a question that was answered before.
        Reply::Answer { .. } | Reply::Refused { .. } => {}
    }
}

impl History {
    /// Trials by what became of them: completed, pruned, paused, failed.
    pub fn fates(&self) -> [usize; 4] {
        let mut fates = [0; 4];
        for trial in self.state.sweeps.values().flat_map(|sweep| sweep.trials.values()) {
            match trial.phase {
                Phase::Completed => fates[0] += 1,
                Phase::Pruned => fates[1] += 1,
                Phase::Paused => fates[2] += 1,
                Phase::Failed { .. } => fates[3] += 1,
                Phase::Waiting | Phase::Running | Phase::Stopping(_) => {}
            }
        }
        fates
    }
}
