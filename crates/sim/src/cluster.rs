//! The loop: time goes by, workers ask and tell, the core decides, faults happen.

use gramwise_carbon::CarbonFactors;
use gramwise_model::work::{Assignment, Host};
use gramwise_model::{SweepSpec, Timestamp};
use gramwise_search::{
    Command, Fact, Fit, Phase, Refused, State, SweepPhase, apply, assigned, audit, decide, fits_due,
    instructions,
};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::worker::SimWorker;

/// Virtual milliseconds between two rounds.
const ROUND_MS: u64 = 500;
/// A world that is not over by then never will be.
const ROUNDS: u64 = 20_000;

/// How often things go wrong, each a probability per round (and per worker where it is about one).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// A reply to a report is lost after the report was taken in.
    pub reply_lost: f64,
    /// A report arrives twice.
    pub report_repeated: f64,
    /// An answer to a question is lost after it was decided.
    pub answer_lost: f64,
    /// A worker's process dies; another life of it begins at once.
    pub worker_dies: f64,
    /// The coordinator dies and starts again from its journal.
    pub coordinator_restarts: f64,
}

impl Weather {
    /// Every fault, often.
    pub const STORM: Self = Self {
        reply_lost: 0.1,
        report_repeated: 0.1,
        answer_lost: 0.1,
        worker_dies: 0.01,
        coordinator_restarts: 0.02,
    };
}

/// Everything that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The journal.
    pub facts: Vec<Fact>,
    /// What it amounts to.
    pub state: State,
    /// How often the coordinator was started again.
    pub restarts: u64,
}

/// A coordinator and its workers.
#[derive(Debug)]
pub struct Cluster {
    state: State,
    facts: Vec<Fact>,
    now: Timestamp,
    workers: Vec<SimWorker>,
    lives: u64,
    weather: Weather,
    dice: ChaCha8Rng,
    restarts: u64,
    /// Fits that are being computed: what they find comes a round later.
    fitting: Vec<Fit>,
}

impl Cluster {
    /// A cluster of so many workers with two slots each; `seed` is the faults' seed, not the sweep's.
    pub fn new(seed: u64, workers: u64, weather: Weather) -> Self {
        let mut cluster = Self {
            state: State::default(),
            facts: Vec::new(),
            now: Timestamp(1_000),
            workers: Vec::new(),
            lives: 0,
            weather,
            dice: ChaCha8Rng::seed_from_u64(seed),
            restarts: 0,
            fitting: Vec::new(),
        };
        for _ in 0..workers {
            let worker = cluster.new_life();
            cluster.workers.push(worker);
        }
        cluster
    }

    /// Runs a sweep to its end. `Err` names the invariant that broke, and when.
    pub fn run(mut self, spec: SweepSpec, factors: CarbonFactors) -> Result<History, String> {
        self.command(&Command::Submit {
            spec: Box::new(spec),
            factors,
            earlier: Vec::new(),
            by: "sim@sim".to_owned(),
        })?;
        for _ in 0..ROUNDS {
            self.now = Timestamp(self.now.0 + ROUND_MS);
            for index in 0..self.workers.len() {
                self.worker_round(index)?;
            }
            self.command(&Command::Tick)?;
            self.fit()?;
            if self.happens(self.weather.coordinator_restarts) {
                self.restart()?;
            }
            let over = |phase: &SweepPhase| matches!(phase, SweepPhase::Ended { .. });
            if self.state.sweeps.values().all(|sweep| over(&sweep.phase)) {
                return Ok(History { facts: self.facts, state: self.state, restarts: self.restarts });
            }
        }
        Err(format!(
            "not over after {ROUNDS} rounds: {:?}",
            self.state.sweeps.values().map(|sweep| &sweep.phase)
        ))
    }

    /// Takes in what the last round's fits found, and begins those that are due now.
    fn fit(&mut self) -> Result<(), String> {
        for fit in std::mem::take(&mut self.fitting) {
            self.command(&fit.solve())?;
        }
        self.fitting = fits_due(&self.state, self.workers.iter().any(SimWorker::has_room));
        Ok(())
    }

    fn worker_round(&mut self, index: usize) -> Result<(), String> {
        if self.happens(self.weather.worker_dies) {
            let dead = std::mem::replace(&mut self.workers[index], SimWorker::new(String::new(), 0));
            self.workers[index] = self.new_life();
            return self.command(&Command::WorkerGone { worker: dead.id });
        }
        self.workers[index].work(ROUND_MS);
        let answer = if self.workers[index].has_room() { self.ask(index)? } else { None };
        if let Some(assignment) = answer {
            let checkpoint = self.checkpoint(&assignment);
            self.workers[index].take(&assignment, checkpoint);
        }
        self.tell(index)
    }

    fn ask(&mut self, index: usize) -> Result<Option<Assignment>, String> {
        let (worker, request) = (self.workers[index].id.clone(), self.workers[index].request);
        self.command(&Command::Ask {
            worker: worker.clone(),
            host: Host { name: worker.0.clone(), ..Host::default() },
            request,
            free_gpus: Vec::new(),
        })?;
        let answer = assigned(&self.state, &worker, request);
        Ok(if self.happens(self.weather.answer_lost) { None } else { answer })
    }

    /// A trial goes on after the last step that its sweep knows of, if it keeps checkpoints.
    fn checkpoint(&self, assignment: &Assignment) -> u64 {
        let sweep = self.state.sweep(assignment.attempt.sweep);
        let trial = sweep.filter(|sweep| sweep.spec.resource.checkpoint);
        trial
            .and_then(|sweep| sweep.trials.get(&assignment.attempt.trial))
            .map_or(0, gramwise_search::Trial::last_step)
    }

    fn tell(&mut self, index: usize) -> Result<(), String> {
        let report = self.workers[index].report();
        let times = if self.happens(self.weather.report_repeated) { 2 } else { 1 };
        for _ in 0..times {
            self.command(&Command::Report(report.clone()))?;
            self.command(&Command::Judge { worker: report.worker.clone() })?;
        }
        if self.happens(self.weather.reply_lost) {
            return Ok(());
        }
        let held: Vec<_> = report.attempts.iter().map(|told| told.attempt).collect();
        let instructions = instructions(&self.state, &report.worker, &held);
        self.workers[index].acknowledged(&report);
        self.workers[index].instructed(&instructions);
        Ok(())
    }

    /// Decides, keeps, applies, and walks the invariants.
    fn command(&mut self, command: &Command) -> Result<(), String> {
        let facts = match decide(&self.state, command, self.now) {
            Ok(facts) => facts,
            // A worker that died before it ever asked is not known; nothing is lost with it.
            Err(Refused::UnknownWorker(_)) => return Ok(()),
            Err(refused) => return Err(format!("refused at {}: {refused}", self.now.0)),
        };
        for fact in &facts {
            apply(&mut self.state, fact);
        }
        self.facts.extend(facts);
        audit(&self.state).map_err(|fault| format!("at {} ms after {command:?}: {fault}", self.now.0))
    }

    /// Forgets the state and replays the journal.
    fn restart(&mut self) -> Result<(), String> {
        let mut replayed = State::default();
        for fact in &self.facts {
            apply(&mut replayed, fact);
        }
        if replayed != self.state {
            return Err("replaying the journal gives another state".to_owned());
        }
        self.state = replayed;
        self.fitting.clear();
        self.restarts += 1;
        Ok(())
    }

    fn new_life(&mut self) -> SimWorker {
        self.lives += 1;
        SimWorker::new(format!("sim-{}", self.lives), 2)
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.dice.random::<f64>() < probability
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
