//! What is asked of the core, and how it refuses.

use gramwise_carbon::{CarbonFactors, StatedIntensity};
use gramwise_model::work::{Host, Report};
use gramwise_model::{Config, SweepId, SweepSpec, WorkerId};

use crate::strategy::EarlierTrial;

/// Something asked for.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most commands are reports, and one is held at a time")]
pub enum Command {
    /// Begin a sweep.
    Submit {
        /// What it is to do.
        spec: Box<SweepSpec>,
        /// How its energy becomes grams.
        factors: CarbonFactors,
        /// What earlier sweeps did that it is to learn from, by [`crate::recall`].
        earlier: Vec<EarlierTrial>,
        /// `user@host`.
        by: String,
    },
    /// Take a sweep up again that an earlier coordinator left.
    Resume {
        /// The sweep.
        sweep: SweepId,
    },
    /// Somebody told the grid's intensity.
    StateIntensity {
        /// The sweep.
        sweep: SweepId,
        /// The intensity and where it is from.
        stated: StatedIntensity,
    },
    /// A worker has a free slot and asks for one trial.
    Ask {
        /// The worker.
        worker: WorkerId,
        /// Its host.
        host: Host,
        /// The worker's number of this question, rising; asked again, the answer is the same.
        request: u64,
        /// GPUs not leased, by UUID.
        free_gpus: Vec<String>,
    },
    /// A worker tells what its trials and its host did.
    Report(Report),
    /// Judge what a worker's trials reported. Comes after its report: a trial is compared with all that is known by then.
    Judge {
        /// The worker.
        worker: WorkerId,
    },
    /// A model was fitted.
    Fitted {
        /// The sweep.
        sweep: SweepId,
        /// Which objective, from 0.
        objective: usize,
        /// Logarithms of the model's parameters.
        parameters: Vec<f64>,
    },
    /// A worker said goodbye, or a model was fitted: end the sweep if it is through and nobody is left to ask for more.
    Settle {
        /// The sweep.
        sweep: SweepId,
    },
    /// Time went by.
    Tick,
    /// A worker's process is known to be gone.
    WorkerGone {
        /// The worker.
        worker: WorkerId,
    },
    /// Hold a sweep, or let it go on.
    Hold {
        /// The sweep.
        sweep: SweepId,
        /// Held, or let go?
        held: bool,
        /// `user@host`.
        by: String,
    },
    /// End a sweep.
    End {
        /// The sweep.
        sweep: SweepId,
        /// Why, in words.
        why: String,
        /// Do running trials go on to their ends?
        let_finish: bool,
    },
    /// Try a configuration before any that the search chooses.
    Enqueue {
        /// The sweep.
        sweep: SweepId,
        /// The configuration: every active hyperparameter.
        config: Config,
        /// `user@host`.
        by: String,
    },
    /// Give a worker no more trials.
    Drain {
        /// The worker.
        worker: WorkerId,
    },
}

/// Why a command was not carried out. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The sweep is not here.
    #[error("no sweep {0}")]
    UnknownSweep(SweepId),
    /// The worker is not known; it must ask before it reports.
    #[error("worker {0} is not known: it must ask for work before it reports")]
    UnknownWorker(WorkerId),
    /// The worker's lease lapsed, or it said goodbye: it must start anew.
    #[error("worker {0} is gone: its lease lapsed, or it said goodbye; what it ran is others' now")]
    WorkerGone(WorkerId),
    /// A total fell: such a report is not a later one of the same series.
    #[error("the totals of {0} fell since its last report")]
    TotalFell(String),
    /// The sweep is over.
    #[error("sweep {0} is over, or ending")]
    Over(SweepId),
    /// A configuration that is none of the sweep's.
    #[error("{0}")]
    Configuration(String),
    /// The parts of the host's energy do not make up its total.
    #[error("the parts of the energy of {worker} sum to {parts} uJ, its total is {total} uJ")]
    Unbalanced {
        /// The worker.
        worker: WorkerId,
        /// The sum of the parts, in microjoules.
        parts: u64,
        /// The total, in microjoules.
        total: u64,
    },
}
