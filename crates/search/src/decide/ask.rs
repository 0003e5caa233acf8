//! A worker asks for a trial.

use gramwise_model::{AttemptId, Because, Timestamp, TrialId, WorkerId};
use rand::RngExt;

use super::end_sweep;
use crate::command::Refused;
use crate::fact::Fact;
use crate::halving::promotable;
use crate::money;
use crate::propose::propose;
use crate::rng::{Purpose, rng};
use crate::state::{Phase, State, Sweep, SweepPhase, Trial};

/// The question.
pub(super) struct Question<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) description: &'a str,
    pub(super) request: u64,
    pub(super) free_gpus: &'a [String],
}

/// What a worker could run next, and why.
struct Choice {
    trial: Trial,
    because: Because,
    /// Facts that must come first: the proposal of a new trial.
    before: Vec<Fact>,
}

pub(super) fn decide_ask(state: &State, asked: &Question<'_>, now: Timestamp) -> Result<Vec<Fact>, Refused> {
    let known = state.workers.get(asked.worker);
    if known.is_some_and(|worker| worker.gone) {
        return Err(Refused::WorkerGone(asked.worker.clone()));
    }
    let sweep = match known {
        Some(worker) => state.sweep(worker.sweep),
        None => state.running_sweep(),
    };
    let Some(sweep) = sweep else { return Ok(Vec::new()) };
    let mut facts = Vec::new();
    if known.is_none() {
        facts.push(Fact::WorkerJoined {
            sweep: sweep.id,
            worker: asked.worker.clone(),
            description: asked.description.to_owned(),
            at: now,
        });
    }
    let answered =
        known.and_then(|worker| worker.last_request).is_some_and(|(last, _)| last >= asked.request);
    let gpus = sweep.spec.resources.gpus as usize;
    if answered || sweep.phase != SweepPhase::Running || asked.free_gpus.len() < gpus {
        return Ok(facts);
    }
    match choose(sweep) {
        Ok(choice) => facts.extend(lease(sweep, choice, asked, now)),
        Err(Nothing::Now) => {}
        Err(Nothing::New) => facts.push(Fact::SpaceExhausted { sweep: sweep.id }),
        Err(Nothing::MoreAtAll(why, budget)) => facts.extend(end_sweep(sweep, &why, budget)),
    }
    Ok(facts)
}

/// Why there is nothing to run.
enum Nothing {
    /// Trials that run now may change that.
    Now,
    /// The sampler has nothing new; what that means for the sweep is decided once it is known.
    New,
    /// The sweep is at its end: why, and whether it is a budget's limit.
    MoreAtAll(String, bool),
}

fn choose(sweep: &Sweep) -> Result<Choice, Nothing> {
    let choice = interrupted(sweep).or_else(|| promotion(sweep)).or_else(|| fresh(sweep));
    let idle = sweep.live.is_empty();
    let Some(choice) = choice else {
        if !sweep.exhausted && !is_full(sweep) {
            return Err(Nothing::New);
        }
        let why = match (sweep.trials.len(), sweep.exhausted) {
            (0, _) => "`forbidden` leaves no configuration to try".to_owned(),
            (trials, true) => format!("the space has no configuration beyond the {trials} that were tried"),
            (trials, false) => format!("all {trials} trials were run"),
        };
        return Err(if idle { Nothing::MoreAtAll(why, false) } else { Nothing::Now });
    };
    match money::admits(sweep, money::reservation(sweep, &choice.trial)) {
        Ok(()) => Ok(choice),
        Err(why) => Err(if idle { Nothing::MoreAtAll(why, true) } else { Nothing::Now }),
    }
}

/// A trial that lost its worker, or is to be tried again.
fn interrupted(sweep: &Sweep) -> Option<Choice> {
    let trial = sweep.trials.values().find(|trial| trial.phase == Phase::Waiting)?;
    let ended = trial.attempts.last().and_then(|attempt| attempt.outcome.as_ref());
    let ended = ended.map_or_else(|| "not run yet".to_owned(), super::describe);
    let because = Because::Again { after_attempt: trial.newest_attempt(), ended };
    Some(Choice { trial: trial.clone(), because, before: Vec::new() })
}

/// A paused trial that has come among the best of its rung.
fn promotion(sweep: &Sweep) -> Option<Choice> {
    let (id, comparison) = promotable(sweep)?;
    let trial = sweep.trials.get(&id)?.clone();
    Some(Choice { trial, because: Because::Rung(comparison), before: Vec::new() })
}

/// Are there as many trials as the budget allows?
fn is_full(sweep: &Sweep) -> bool {
    sweep.spec.budget.trials.is_some_and(|limit| count(sweep) >= limit)
}

fn count(sweep: &Sweep) -> u32 {
    u32::try_from(sweep.trials.len()).unwrap_or(u32::MAX)
}

/// A new configuration.
fn fresh(sweep: &Sweep) -> Option<Choice> {
    if sweep.exhausted || is_full(sweep) {
        return None;
    }
    let count = count(sweep);
    let proposal = propose(sweep)?;
    let id = TrialId(count + 1);
    // 53 bits, so that the seed survives languages whose numbers are doubles.
    let seed = rng(sweep.spec.seed, id, Purpose::TrialSeed).random::<u64>() >> 11;
    let trial = Trial::proposed(id, proposal.config.clone(), seed);
    let proposed = Fact::TrialProposed {
        sweep: sweep.id,
        trial: id,
        config: proposal.config,
        seed,
        drawn: proposal.drawn,
        because: proposal.because.clone(),
    };
    Some(Choice { trial, because: proposal.because, before: vec![proposed] })
}

fn lease(sweep: &Sweep, choice: Choice, asked: &Question<'_>, now: Timestamp) -> Vec<Fact> {
    let mut facts = choice.before;
    facts.push(Fact::AttemptLeased {
        attempt: AttemptId {
            sweep: sweep.id,
            trial: choice.trial.id,
            number: choice.trial.newest_attempt() + 1,
        },
        worker: asked.worker.clone(),
        request: asked.request,
        gpus: asked.free_gpus[..sweep.spec.resources.gpus as usize].to_vec(),
        reserved: money::reservation(sweep, &choice.trial),
        because: choice.because,
        at: now,
    });
    facts
}
