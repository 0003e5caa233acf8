//! What the facts so far amount to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gramwise_carbon::{CarbonFactors, Energy, Footprint, Microjoules};
use gramwise_model::rows::{Account, Outcome, TrialState};
use gramwise_model::work::Host;
use gramwise_model::{
    AttemptId, Config, Metric, Metrics, Objective, SweepId, SweepSpec, Timestamp, TrialId, WorkerId,
};
use serde::{Deserialize, Serialize};

use crate::curve::Curve;
use crate::fact::{Dismissal, Next, Reservation};
use crate::strategy::Strategy;

/// Everything the coordinator knows. Equal facts give equal states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Sweeps by number.
    pub sweeps: BTreeMap<SweepId, Sweep>,
    /// Workers by name, gone ones included: their late reports are still booked.
    pub workers: BTreeMap<WorkerId, Worker>,
    /// The highest sweep number given, also of sweeps that are not loaded.
    pub last_sweep: u32,
    /// A worker that is not heard from for so long has lost its attempts.
    pub lease: Duration,
    /// When a worker last came, went, or was dismissed: before another is dismissed for a fair share, that is to show.
    pub shifted_at: Timestamp,
}

/// The usual lease of a worker.
pub const LEASE: Duration = Duration::from_secs(30);

impl Default for State {
    fn default() -> Self {
        Self {
            sweeps: BTreeMap::new(),
            workers: BTreeMap::new(),
            last_sweep: 0,
            lease: LEASE,
            shifted_at: Timestamp(0),
        }
    }
}

/// One sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Its number.
    pub id: SweepId,
    /// What it is to do.
    pub spec: SweepSpec,
    /// How its energy becomes grams.
    pub factors: CarbonFactors,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// The time since then in which no coordinator ran it.
    pub away: Duration,
    /// Where it is.
    pub phase: SweepPhase,
    /// Its trials by number.
    pub trials: BTreeMap<TrialId, Trial>,
    /// The balances of its accounts.
    pub accounts: BTreeMap<Account, Footprint>,
    /// Attempts that are running or stopping.
    pub live: BTreeSet<AttemptId>,
    /// What it tries, goes on with and ends.
    pub strategy: Strategy,
    /// GPU-milliseconds of attempts that are over.
    pub gpu_ms: u64,
    /// No new trials for now.
    pub held: bool,
    /// Trials to be run, or run again.
    pub waiting: BTreeSet<TrialId>,
    /// Hosts that its trials are not run on, and why.
    pub excluded: BTreeMap<String, String>,
}

/// Where a sweep is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SweepPhase {
    /// Trials run.
    Running,
    /// No new ones.
    Ending {
        /// Why, in words.
        why: String,
        /// Running ones go on to their ends; else they are told to stop.
        let_finish: bool,
    },
    /// Over.
    Ended {
        /// Why, in words.
        why: String,
    },
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number.
    pub id: TrialId,
    /// Its configuration.
    pub config: Arc<Config>,
    /// The seed handed to its script.
    pub seed: u64,
    /// Where it is.
    pub phase: Phase,
    /// Its learning curve by step.
    pub curve: Curve,
    /// Its attempts in order; the number of one is its index plus 1.
    pub attempts: Vec<Attempt>,
    /// The step at which it was last judged; 0 before the first time.
    pub judged_at: u64,
    /// Who had it tried, where that was not the search.
    pub enqueued_by: Option<String>,
}

/// One point of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What was reported, plus `co2e`.
    pub metrics: Metrics,
    /// What the trial burnt to reach it.
    pub footprint: Footprint,
}

/// Where a trial is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// To be run, or run again.
    Waiting,
    /// On a worker.
    Running,
    /// Told to stop; still burning, and charged for it.
    Stopping(Next),
    /// Kept for later.
    Paused,
    /// Complete.
    Completed,
    /// Not worth its carbon.
    Pruned,
    /// Failed for good.
    Failed {
        /// What happened.
        message: String,
    },
}

/// One execution of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who runs it.
    pub worker: WorkerId,
    /// The question it answered.
    pub request: u64,
    /// GPUs leased.
    pub gpus: Vec<String>,
    /// What is set aside for it.
    pub reserved: Reservation,
    /// When it was leased.
    pub leased_at: Timestamp,
    /// What it burnt since its start.
    pub total: Footprint,
    /// The account that is charged.
    pub account: Account,
    /// The first step it reported.
    pub first_step: Option<u64>,
    /// The last step it reported.
    pub last_step: Option<u64>,
    /// How it ended; `None` while it is live.
    pub outcome: Option<Outcome>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// One life of a worker process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// The sweep it serves.
    pub sweep: SweepId,
    /// When it was last heard of.
    pub heard_at: Timestamp,
    /// Its reports are known through this number.
    pub acked_through: u64,
    /// Everything metered on its host.
    pub total: Energy,
    /// Burnt by other users of the host.
    pub other: Energy,
    /// Waiting.
    pub idle: Energy,
    /// gramwise itself.
    pub overhead: Energy,
    /// Its live attempts.
    pub live: BTreeSet<AttemptId>,
    /// What all attempts burnt that it ever had, live or not.
    pub booked: Microjoules,
    /// The last question and what it got.
    pub last_request: Option<(u64, AttemptId)>,
    /// It ended, or its lease lapsed.
    pub gone: bool,
    /// Its host, without its description.
    pub host: Host,
    /// It gets no more trials.
    pub dismissed: Option<Dismissal>,
}

impl State {
    /// The sweep of a number.
    pub fn sweep(&self, id: SweepId) -> Option<&Sweep> {
        self.sweeps.get(&id)
    }

    /// An attempt with its trial and sweep.
    pub fn attempt(&self, id: AttemptId) -> Option<(&Sweep, &Trial, &Attempt)> {
        let sweep = self.sweeps.get(&id.sweep)?;
        let trial = sweep.trials.get(&id.trial)?;
        Some((sweep, trial, trial.attempt(id.number)?))
    }

    /// The sweep that a new worker is put to: of those that its host can serve the one of the highest priority, of several the one
    /// with the fewest workers, the oldest of those.
    pub fn sweep_for(&self, host: &Host) -> Option<&Sweep> {
        let fit = self.sweeps.values().filter(|sweep| sweep.takes_trials() && sweep.can_use(host));
        fit.min_by_key(|sweep| (std::cmp::Reverse(sweep.spec.priority), self.serving(sweep.id).count()))
    }

    /// A sweep that leaves a host alone and has no other to run its trials: better there than nowhere.
    pub(crate) fn stranded_for(&self, host: &Host) -> Option<&Sweep> {
        let waits = |sweep: &&Sweep| {
            sweep.takes_trials()
                && sweep.excluded.contains_key(&host.name)
                && sweep.suits(host)
                && self.serving(sweep.id).next().is_none()
        };
        self.sweeps.values().filter(waits).max_by_key(|sweep| sweep.spec.priority)
    }

    /// The name of the host that runs, or ran, an attempt; empty where that is not known.
    pub(crate) fn host_of(&self, attempt: &Attempt) -> &str {
        self.workers.get(&attempt.worker).map_or("", |worker| worker.host.name.as_str())
    }

    /// How many attempts of a trial failed. What failed on a host that is left alone since says nothing of the trial.
    pub(crate) fn failures(&self, sweep: &Sweep, trial: &Trial) -> usize {
        let counts =
            |attempt: &&Attempt| attempt.has_failed() && !sweep.excluded.contains_key(self.host_of(attempt));
        trial.attempts.iter().filter(counts).count()
    }

    /// The workers of a sweep that can get trials.
    pub(crate) fn serving(&self, sweep: SweepId) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        let serves =
            move |worker: &Worker| worker.sweep == sweep && !worker.gone && worker.dismissed.is_none();
        self.workers.iter().filter(move |(_, worker)| serves(worker))
    }
}

impl Sweep {
    /// A sweep as it begins.
    pub(crate) fn submitted(
        id: SweepId,
        (spec, factors): (&SweepSpec, &CarbonFactors),
        strategy: Strategy,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            spec: spec.clone(),
            factors: factors.clone(),
            submitted_at: at,
            away: Duration::ZERO,
            phase: SweepPhase::Running,
            trials: BTreeMap::new(),
            accounts: BTreeMap::new(),
            live: BTreeSet::new(),
            strategy,
            gpu_ms: 0,
            held: false,
            waiting: BTreeSet::new(),
            excluded: BTreeMap::new(),
        }
    }

    /// Does it begin or go on with trials?
    pub fn takes_trials(&self) -> bool {
        self.phase == SweepPhase::Running && !self.held
    }

    /// Are its running trials judged? Those of a sweep that is told to stop are, as they go on.
    pub(crate) fn judges(&self) -> bool {
        matches!(self.phase, SweepPhase::Running | SweepPhase::Ending { let_finish: true, .. })
    }

    /// Has a host what one of its trials needs, and is it not left alone?
    pub fn can_use(&self, host: &Host) -> bool {
        self.suits(host) && !self.excluded.contains_key(&host.name)
    }

    /// Has a host what one of its trials needs?
    fn suits(&self, host: &Host) -> bool {
        let needs = &self.spec.resources;
        let enough = |needed: u64, found: u64| found == 0 || needed <= found;
        needs.gpus as usize <= host.gpus.len()
            && enough(needs.cpus.unwrap_or(0).into(), host.cpus.into())
            && enough(needs.memory.unwrap_or(0), host.memory)
    }

    /// The sum of all accounts.
    pub fn spent(&self) -> Footprint {
        self.accounts.values().fold(Footprint::ZERO, |sum, balance| sum + *balance)
    }

    /// A later total of something: what was burnt since an earlier one becomes grams by the intensity of now. `None` where any part
    /// of the energy fell. Each step is rounded to the nanogram by itself, to the nearest: a million of them are off by a microgram.
    pub fn grown(&self, earlier: &Footprint, total: Energy) -> Option<Footprint> {
        let added = total.since(&earlier.energy)?;
        Some(Footprint { energy: total, co2e: earlier.co2e + self.factors.co2e(added.joules()) })
    }

    /// The total at a moment near one that is known, before it or after.
    pub(crate) fn near(&self, known: &Footprint, total: Energy) -> Footprint {
        let less = || {
            let less = known.energy.since(&total)?;
            let co2e = known.co2e.checked_sub(self.factors.co2e(less.joules())).unwrap_or_default();
            Some(Footprint { energy: total, co2e })
        };
        self.grown(known, total).or_else(less).unwrap_or(*known)
    }

    /// Trials that ran to their end.
    pub fn completed(&self) -> impl Iterator<Item = &Trial> {
        self.trials.values().filter(|trial| trial.phase == Phase::Completed)
    }
}

impl Worker {
    /// A worker as it joins.
    pub(crate) fn joined(sweep: SweepId, host: Host, at: Timestamp) -> Self {
        Self {
            sweep,
            host,
            dismissed: None,
            heard_at: at,
            acked_through: 0,
            total: Energy::ZERO,
            other: Energy::ZERO,
            idle: Energy::ZERO,
            overhead: Energy::ZERO,
            live: BTreeSet::new(),
            booked: Microjoules::default(),
            last_request: None,
            gone: false,
        }
    }
}

impl Trial {
    /// A trial as it is proposed.
    pub(crate) fn proposed(id: TrialId, config: Arc<Config>, seed: u64) -> Self {
        Self {
            id,
            config,
            seed,
            phase: Phase::Waiting,
            curve: Curve::default(),
            attempts: Vec::new(),
            judged_at: 0,
            enqueued_by: None,
        }
    }

    /// Takes in one step of an attempt. The first step of an attempt ends what earlier attempts reported from there
    /// on: the trial took another course.
    pub(crate) fn record(&mut self, attempt: u32, step: u64, point: Step) {
        let index = attempt.checked_sub(1).expect("attempts are counted from 1") as usize;
        if let Some(attempt) = self.attempts.get_mut(index) {
            if attempt.first_step.is_none() {
                attempt.first_step = Some(step);
                self.curve.cut(step);
                self.judged_at = self.judged_at.min(step - 1);
            }
            attempt.last_step = Some(step);
        }
        self.curve.insert(step, point);
    }

    /// What the trial had burnt when a new attempt's first step was `first_step`: the part of earlier attempts that
    /// it resumed from.
    pub(crate) fn burnt_before(&self, first_step: u64) -> Footprint {
        first_step
            .checked_sub(1)
            .and_then(|step| self.at_or_before(step))
            .map_or(Footprint::ZERO, |(_, point)| point.footprint)
    }

    /// Forgets of a learning curve what nobody asks for once the trial is over: all but its best point by an objective, and its last.
    pub(crate) fn condense(&mut self, objective: &Objective) {
        let cost = |point: &Step| {
            let value = point.metrics.get(&objective.name).and_then(|metric: &Metric| metric.finite());
            value.map_or(f64::INFINITY, |value| objective.cost(value))
        };
        let best =
            self.curve.iter().min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b))).map(|(step, _)| step);
        let last = self.last_step();
        self.curve.condense(|step| step == last || Some(step) == best);
    }

    /// An attempt by its number, from 1.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The number of the newest attempt; 0 before the first.
    pub fn newest_attempt(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// The last step reported; 0 before the first.
    pub fn last_step(&self) -> u64 {
        self.curve.last().map_or(0, |(step, _)| step)
    }

    /// The largest reported step that is not after `step`, with its values.
    pub fn at_or_before(&self, step: u64) -> Option<(u64, &Step)> {
        self.curve.at_or_before(step)
    }

    /// Is it on a worker?
    pub fn is_live(&self) -> bool {
        match self.phase {
            Phase::Running | Phase::Stopping(_) => true,
            Phase::Waiting | Phase::Paused | Phase::Completed | Phase::Pruned | Phase::Failed { .. } => false,
        }
    }
}

impl Attempt {
    /// Did it end by a failure?
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Failed { .. }))
    }
}

impl Phase {
    /// The phase's name in rows.
    pub fn state(&self) -> TrialState {
        match self {
            Self::Waiting => TrialState::Waiting,
            Self::Running => TrialState::Running,
            Self::Stopping(_) => TrialState::Stopping,
            Self::Paused => TrialState::Paused,
            Self::Completed => TrialState::Completed,
            Self::Pruned => TrialState::Pruned,
            Self::Failed { .. } => TrialState::Failed,
        }
    }
}
