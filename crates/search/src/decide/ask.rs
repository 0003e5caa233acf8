//! A worker asks for a trial.

use gramwise_model::work::Card;
use gramwise_model::{AttemptId, Because, Timestamp, WorkerId};
use rand::RngExt;

use super::end_sweep;
use crate::command::Refused;
use crate::fact::Fact;
use crate::money;
use crate::reasons;
use crate::rng::{Purpose, rng};
use crate::state::{Phase, State, Sweep, SweepPhase, Trial};
use crate::strategy::{self, Launch, What};
use crate::sweep_strategy::trial_id;

/// The question.
pub(super) struct Question<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) description: &'a str,
    pub(super) gpus: &'a [Card],
    pub(super) request: u64,
    pub(super) free_gpus: &'a [String],
}

/// What a worker could run next, and why.
struct Choice {
    trial: Trial,
    /// How far it is to run; `None` for what an earlier attempt left.
    launch: Option<Launch>,
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
            gpus: asked.gpus.to_vec(),
            at: now,
        });
    }
    let answered =
        known.and_then(|worker| worker.last_request).is_some_and(|(last, _)| last >= asked.request);
    let gpus = sweep.spec.resources.gpus as usize;
    if answered || sweep.phase != SweepPhase::Running || asked.free_gpus.len() < gpus {
        return Ok(facts);
    }
    match choose(sweep, now) {
        Ok(choice) => facts.extend(lease(sweep, choice, asked, now)),
        Err(Nothing::Now) => {}
        Err(Nothing::MoreAtAll(why, budget)) => facts.extend(end_sweep(sweep, &why, budget)),
    }
    Ok(facts)
}

/// Why there is nothing to run.
enum Nothing {
    /// Trials that run now may change that.
    Now,
    /// The sweep is at its end: why, and whether it is a budget's limit.
    MoreAtAll(String, bool),
}

fn choose(sweep: &Sweep, now: Timestamp) -> Result<Choice, Nothing> {
    let idle = sweep.live.is_empty();
    let choice = match interrupted(sweep) {
        Some(choice) => choice,
        None => wanted(sweep, sweep.strategy.choose(money::left(sweep, now)))?,
    };
    match money::admits(sweep, money::reservation(sweep, &choice.trial, choice.launch)) {
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
    Some(Choice { trial: trial.clone(), launch: None, because, before: Vec::new() })
}

/// What the strategy wants.
fn wanted(sweep: &Sweep, choice: strategy::Choice) -> Result<Choice, Nothing> {
    let because = reasons::of_choice(sweep, &choice);
    let launch = Some(choice.launch());
    match choice.what {
        What::New { config, .. } => {
            let id = trial_id(sweep.trials.len());
            // 53 bits, so that the seed survives languages whose numbers are doubles.
            let seed = rng(sweep.spec.seed, id, Purpose::TrialSeed).random::<u64>() >> 11;
            let trial = Trial::proposed(id, config.clone(), seed);
            let proposed =
                Fact::TrialProposed { sweep: sweep.id, trial: id, config, seed, because: because.clone() };
            Ok(Choice { trial, launch, because, before: vec![proposed] })
        }
        What::Resume(index) => {
            let trial = sweep.trials.get(&trial_id(index)).ok_or(Nothing::Now)?;
            Ok(Choice { trial: trial.clone(), launch, because, before: Vec::new() })
        }
        // A fit that is under way, or a trial.
        What::Refit => Err(Nothing::Now),
        What::Wait | What::Done(_) if !sweep.live.is_empty() => Err(Nothing::Now),
        What::Wait => Err(Nothing::MoreAtAll("nothing is left to wait for".to_owned(), false)),
        What::Done(why) => Err(Nothing::MoreAtAll(why, false)),
    }
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
        reserved: money::reservation(sweep, &choice.trial, choice.launch),
        launch: choice.launch,
        because: choice.because,
        at: now,
    });
    facts
}
