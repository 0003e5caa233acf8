//! What leaves the coordinator, once its facts are committed.

use gramwise_model::work::{Assignment, Instruction, Plan};
use gramwise_model::{AttemptId, Keep, SweepId, WorkerId};

use crate::fact::{Fact, Next};
use crate::state::{Phase, State, Sweep, Trial};

/// Something to be sent because of one fact. Verdicts are not among them: they are the reply to the report that brought
/// them about ([`instructions`]).
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A worker may run a trial.
    Assign {
        /// To whom.
        worker: WorkerId,
        /// What.
        assignment: Assignment,
    },
    /// A report is safe on disk.
    Acknowledge {
        /// To whom.
        worker: WorkerId,
        /// Reports are known through this number.
        through: u64,
    },
    /// A sweep is over: workers may go.
    Ended {
        /// Which.
        sweep: SweepId,
    },
}

/// What leaves because of a fact; `before` is the state just before it is applied.
pub fn effect(before: &State, fact: &Fact) -> Option<Effect> {
    match fact {
        Fact::AttemptLeased { attempt, worker, gpus, .. } => {
            let sweep = before.sweep(attempt.sweep)?;
            let trial = sweep.trials.get(&attempt.trial)?;
            let assignment = assignment(sweep, trial, *attempt, gpus.clone());
            Some(Effect::Assign { worker: worker.clone(), assignment })
        }
        Fact::HostMetered { worker, seq, .. } => {
            Some(Effect::Acknowledge { worker: worker.clone(), through: *seq })
        }
        Fact::SweepEnded { sweep, .. } => Some(Effect::Ended { sweep: *sweep }),
        Fact::SweepSubmitted { .. }
        | Fact::SweepImported { .. }
        | Fact::SweepResumed { .. }
        | Fact::IntensityStated { .. }
        | Fact::SweepHeld { .. }
        | Fact::HostExcluded { .. }
        | Fact::HostReadmitted { .. }
        | Fact::WorkerJoined { .. }
        | Fact::WorkerDismissed { .. }
        | Fact::WorkerGone { .. }
        | Fact::TrialProposed { .. }
        | Fact::ModelFitted { .. }
        | Fact::StepReported { .. }
        | Fact::EmissionBooked { .. }
        | Fact::EmissionMoved { .. }
        | Fact::Decided { .. }
        | Fact::AttemptEnded { .. }
        | Fact::SweepEnding { .. } => None,
    }
}

/// What a worker is to do with each attempt it says it holds. Computed from the state rather than from facts, so
/// that an instruction lost on the way is given again with the next reply.
pub fn instructions(state: &State, worker: &WorkerId, held: &[AttemptId]) -> Vec<(AttemptId, Instruction)> {
    held.iter().map(|attempt| (*attempt, instruction(state, worker, *attempt))).collect()
}

fn instruction(state: &State, worker: &WorkerId, id: AttemptId) -> Instruction {
    let stop = |why: &str| Instruction::Stop { why: why.to_owned() };
    let Some((_, trial, attempt)) = state.attempt(id) else { return stop("unknown attempt") };
    let current =
        trial.newest_attempt() == id.number && attempt.outcome.is_none() && attempt.worker == *worker;
    if !current {
        return stop("stale attempt");
    }
    match &trial.phase {
        Phase::Running => Instruction::GoOn,
        Phase::Stopping(Next::Prune) => stop("pruned"),
        Phase::Stopping(Next::Pause) => stop("paused"),
        Phase::Stopping(Next::Complete) => stop("complete"),
        Phase::Stopping(Next::Fail { .. }) => stop("failed"),
        Phase::Stopping(Next::Wait) => stop("interrupted"),
        Phase::Waiting | Phase::Paused | Phase::Completed | Phase::Pruned | Phase::Failed { .. } => {
            stop("the trial is over")
        }
    }
}

/// What a worker that asked again had been given, if it still holds it.
pub fn assigned(state: &State, worker: &WorkerId, request: u64) -> Option<Assignment> {
    let (_, id) = state.workers.get(worker)?.last_request.filter(|(last, _)| *last == request)?;
    let (sweep, trial, attempt) = state.attempt(id)?;
    attempt.outcome.is_none().then(|| assignment(sweep, trial, id, attempt.gpus.clone()))
}

fn assignment(sweep: &Sweep, trial: &Trial, attempt: AttemptId, gpus: Vec<String>) -> Assignment {
    let spec = &sweep.spec;
    Assignment {
        attempt,
        config: (*trial.config).clone(),
        seed: trial.seed,
        gpus,
        up_to_step: spec.resource.max,
        plan: Plan {
            setup: spec.setup.clone(),
            command: spec.command.clone(),
            timeout: spec.resources.timeout,
            cpus: spec.resources.cpus,
            memory: spec.resources.memory,
            discards: spec.resource.keep == Keep::Best,
        },
    }
}
