//! What happened. Facts are the only thing that is kept; everything else is a view of them.

use gramwise_carbon::{CarbonFactors, Energy, Footprint, GramsCo2e, Joules, StatedIntensity};
use gramwise_model::rows::{Account, Outcome, Verdict};
use gramwise_model::work::Card;
use gramwise_model::{AttemptId, Because, Config, Metrics, SweepId, SweepSpec, Timestamp, TrialId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::strategy::{EarlierTrial, Launch};

/// One thing that happened. Serialized into the journal by its variant's name: variants and fields are never renamed
/// or removed, and a new field has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "most facts are of the largest kind, and few are held at a time"
)]
pub enum Fact {
    /// A sweep began.
    SweepSubmitted {
        /// Its number.
        sweep: SweepId,
        /// What it is to do.
        spec: Box<SweepSpec>,
        /// How its energy becomes grams.
        factors: CarbonFactors,
        /// What earlier sweeps did that it is to learn from.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        earlier: Vec<EarlierTrial>,
        /// `user@host`.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A coordinator took the sweep up again.
    SweepResumed {
        /// The sweep.
        sweep: SweepId,
        /// Milliseconds since it was last heard of: they do not count as its wall time.
        away_ms: u64,
        /// When; its workers have a whole lease from here to be heard of again.
        #[serde(default)]
        at: Option<Timestamp>,
    },
    /// No new trials for now, or trials again.
    SweepHeld {
        /// The sweep.
        sweep: SweepId,
        /// Held, or let go.
        held: bool,
        /// `user@host`.
        by: String,
    },
    /// Trials of the sweep are not run on a host any more.
    HostExcluded {
        /// The sweep.
        sweep: SweepId,
        /// The host.
        host: String,
        /// Why, in words.
        why: String,
    },
    /// Trials of the sweep are run on a host again that was excluded.
    HostReadmitted {
        /// The sweep.
        sweep: SweepId,
        /// The host.
        host: String,
    },
    /// The grid's intensity changed, as far as is known: what is burnt from here on becomes grams by it.
    IntensityStated {
        /// The sweep.
        sweep: SweepId,
        /// The intensity and where it is from.
        stated: StatedIntensity,
        /// When.
        at: Timestamp,
    },
    /// A worker asked for work for the first time.
    WorkerJoined {
        /// The sweep it serves.
        sweep: SweepId,
        /// The worker.
        worker: WorkerId,
        /// Its host, processor and GPUs, for people.
        description: String,
        /// Its graphics cards.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gpus: Vec<Card>,
        /// Its host.
        #[serde(default)]
        host: String,
        /// Where its checkpoints are.
        #[serde(default)]
        place: String,
        /// CPU cores that it may use; 0 where that is not known.
        #[serde(default)]
        cpus: u32,
        /// Memory that it may use, in bytes; 0 where that is not known.
        #[serde(default)]
        memory: u64,
        /// When.
        at: Timestamp,
    },
    /// A worker gets no more trials of the sweep; those that it has go on.
    WorkerDismissed {
        /// The sweep it serves.
        sweep: SweepId,
        /// The worker.
        worker: WorkerId,
        /// Why.
        dismissal: Dismissal,
        /// When.
        at: Timestamp,
    },
    /// A worker ended, or was not heard from for a lease's length. Its attempts are ended by facts of their own.
    WorkerGone {
        /// The sweep it served.
        sweep: SweepId,
        /// The worker.
        worker: WorkerId,
    },
    /// A configuration was chosen.
    TrialProposed {
        /// The sweep.
        sweep: SweepId,
        /// The new trial's number.
        trial: TrialId,
        /// Its configuration.
        config: Config,
        /// The seed handed to the training script.
        seed: u64,
        /// Why this one.
        because: Because,
    },
    /// A model of an objective was fitted to what was known when the fit began.
    ModelFitted {
        /// The sweep.
        sweep: SweepId,
        /// Which objective, from 0.
        objective: usize,
        /// Logarithms of the model's parameters.
        parameters: Vec<f64>,
    },
    /// A worker got the right to run a trial.
    AttemptLeased {
        /// The attempt.
        attempt: AttemptId,
        /// The worker.
        worker: WorkerId,
        /// The worker's number of the question this answers: asked again, it gets the same attempt.
        request: u64,
        /// GPUs, by UUID.
        gpus: Vec<String>,
        /// What is set aside of the budget until the attempt ends.
        reserved: Reservation,
        /// How far it is to run at least; `None` where an attempt only takes up what an earlier one left.
        launch: Option<Launch>,
        /// Why this trial.
        because: Because,
        /// When.
        at: Timestamp,
    },
    /// A trial reached a step.
    StepReported {
        /// The attempt that reported it.
        attempt: AttemptId,
        /// The step, from 1.
        step: u64,
        /// What it reported, plus `co2e`: grams to this step.
        metrics: Metrics,
        /// What the trial burnt to reach this step, earlier attempts that it resumed from included.
        footprint: Footprint,
        /// When it was heard of.
        at: Timestamp,
    },
    /// An attempt burnt more since it was last heard of.
    EmissionBooked {
        /// The attempt.
        attempt: AttemptId,
        /// The account charged.
        account: Account,
        /// The growth: what is booked now.
        added: Footprint,
        /// The attempt's total since its start, after this.
        total: Footprint,
    },
    /// The grams of an attempt changed account.
    EmissionMoved {
        /// The attempt.
        attempt: AttemptId,
        /// The account relieved.
        from: Account,
        /// The account charged.
        to: Account,
        /// All that the attempt burnt so far.
        amount: Footprint,
    },
    /// A worker's host metered more since it was last heard of. Also the worker's heartbeat.
    HostMetered {
        /// The sweep it serves.
        sweep: SweepId,
        /// The worker.
        worker: WorkerId,
        /// The number of the worker's report.
        seq: u64,
        /// Growth booked to account `idle`.
        idle: Footprint,
        /// Growth booked to account `overhead`.
        overhead: Footprint,
        /// Totals since the worker started: everything metered.
        total: Energy,
        /// Totals since the worker started: burnt by other users of the host.
        other: Energy,
        /// Totals since the worker started: idle.
        idle_total: Energy,
        /// Totals since the worker started: overhead.
        overhead_total: Energy,
        /// When it was heard of.
        at: Timestamp,
    },
    /// A running trial was judged.
    Decided {
        /// The attempt judged.
        attempt: AttemptId,
        /// At which step; 0 before the first.
        step: u64,
        /// What was decided.
        verdict: Verdict,
        /// How far it runs now, and what is set aside for that, if it goes on beyond what it was launched for.
        launch: Option<(Launch, Reservation)>,
        /// Why.
        because: Because,
        /// What becomes of the trial once a stopped attempt has ended; `None` if it goes on.
        next: Option<Next>,
    },
    /// An attempt is over.
    AttemptEnded {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        outcome: Outcome,
        /// What becomes of the trial.
        next: Next,
        /// When.
        at: Timestamp,
    },
    /// No new trials; running ones are told to stop.
    SweepEnding {
        /// The sweep.
        sweep: SweepId,
        /// Why, in words.
        why: String,
        /// Was it a hard or soft limit of the budget (rather than running out of trials, or the user)?
        budget: bool,
        /// Do running trials go on to their ends?
        #[serde(default)]
        let_finish: bool,
    },
    /// The last attempt of an ending sweep is over.
    SweepEnded {
        /// The sweep.
        sweep: SweepId,
        /// When.
        at: Timestamp,
    },
    /// The sweep is another database's: what follows is what happened there.
    SweepImported {
        /// Its number here.
        sweep: SweepId,
        /// What tells it from all other sweeps: who submitted it, when, and its number where it was run.
        origin: String,
        /// When it was first taken over.
        at: Timestamp,
    },
}

/// Why a worker gets no more trials of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dismissal {
    /// Its machine is taken out of service.
    Drained,
    /// Another sweep has a better right to it.
    Shared,
    /// Its host is excluded.
    Excluded,
}

/// What becomes of a trial when its attempt is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// It is complete.
    Complete,
    /// It is not worth going on.
    Prune,
    /// It is kept for later.
    Pause,
    /// It is to be run again.
    Wait,
    /// It failed for good.
    Fail {
        /// What happened.
        message: String,
    },
}

/// What an attempt may still need, set aside so that several trials in flight cannot overstep a budget together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Reservation {
    /// Grams.
    pub co2e: GramsCo2e,
    /// Energy.
    pub energy: Joules,
}

/// Where a fact names its sweep, to be looked at or, with `mut`, changed.
macro_rules! sweep_of {
    ($fact:expr $(, $mutable:tt)?) => {
        match $fact {
            Fact::SweepSubmitted { sweep, .. }
            | Fact::SweepResumed { sweep, .. }
            | Fact::IntensityStated { sweep, .. }
            | Fact::WorkerJoined { sweep, .. }
            | Fact::SweepHeld { sweep, .. }
            | Fact::HostExcluded { sweep, .. }
            | Fact::HostReadmitted { sweep, .. }
            | Fact::WorkerDismissed { sweep, .. }
            | Fact::WorkerGone { sweep, .. }
            | Fact::TrialProposed { sweep, .. }
            | Fact::ModelFitted { sweep, .. }
            | Fact::HostMetered { sweep, .. }
            | Fact::SweepEnding { sweep, .. }
            | Fact::SweepEnded { sweep, .. }
            | Fact::SweepImported { sweep, .. } => sweep,
            Fact::AttemptLeased { attempt, .. }
            | Fact::StepReported { attempt, .. }
            | Fact::EmissionBooked { attempt, .. }
            | Fact::EmissionMoved { attempt, .. }
            | Fact::Decided { attempt, .. }
            | Fact::AttemptEnded { attempt, .. } => &$($mutable)? attempt.sweep,
        }
    };
}

impl Fact {
    /// The sweep the fact belongs to.
    pub fn sweep(&self) -> SweepId {
        *sweep_of!(self)
    }

    /// The same fact of a sweep that has another number.
    #[must_use]
    pub fn renumbered(mut self, to: SweepId) -> Self {
        *sweep_of!(&mut self, mut) = to;
        self
    }

    /// The variant's name as the journal spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SweepSubmitted { .. } => "sweep_submitted",
            Self::SweepResumed { .. } => "sweep_resumed",
            Self::IntensityStated { .. } => "intensity_stated",
            Self::WorkerJoined { .. } => "worker_joined",
            Self::SweepHeld { .. } => "sweep_held",
            Self::HostExcluded { .. } => "host_excluded",
            Self::HostReadmitted { .. } => "host_readmitted",
            Self::WorkerDismissed { .. } => "worker_dismissed",
            Self::WorkerGone { .. } => "worker_gone",
            Self::TrialProposed { .. } => "trial_proposed",
            Self::ModelFitted { .. } => "model_fitted",
            Self::AttemptLeased { .. } => "attempt_leased",
            Self::StepReported { .. } => "step_reported",
            Self::EmissionBooked { .. } => "emission_booked",
            Self::EmissionMoved { .. } => "emission_moved",
            Self::HostMetered { .. } => "host_metered",
            Self::Decided { .. } => "decided",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::SweepEnding { .. } => "sweep_ending",
            Self::SweepEnded { .. } => "sweep_ended",
            Self::SweepImported { .. } => "sweep_imported",
        }
    }
}
