//! A worker asks for a trial.

use std::sync::Arc;
use std::time::Duration;

use gramwise_model::work::Host;
use gramwise_model::{AttemptId, Because, Timestamp, TrialId, WorkerId};
use rand::RngExt;

use super::{End, end_sweep, failure};
use crate::command::Refused;
use crate::fact::Fact;
use crate::money;
use crate::reasons;
use crate::rng::{Purpose, rng};
use crate::state::{Phase, State, Sweep, Trial, Worker};
use crate::strategy::{Launch, What};
use crate::sweep_strategy::{index, trial_id};

/// A trial waits so long for the machine that has its checkpoint; then any may run it, from its beginning.
const PROMISED: Duration = Duration::from_secs(600);

/// The question.
pub(super) struct Question<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) host: &'a Host,
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
    let mut facts = Vec::new();
    let sweep = match known {
        Some(worker) => state.sweep(worker.sweep),
        None => state.sweep_for(asked.host).or_else(|| {
            let sweep = state.stranded_for(asked.host)?;
            facts.push(Fact::HostReadmitted { sweep: sweep.id, host: asked.host.name.clone() });
            Some(sweep)
        }),
    };
    let Some(sweep) = sweep else { return Ok(Vec::new()) };
    if known.is_none() {
        facts.push(Fact::WorkerJoined {
            sweep: sweep.id,
            worker: asked.worker.clone(),
            description: asked.host.description.clone(),
            gpus: asked.host.gpus.clone(),
            host: asked.host.name.clone(),
            place: asked.host.place.clone(),
            cpus: asked.host.cpus,
            memory: asked.host.memory,
            at: now,
        });
    }
    let answered =
        known.and_then(|worker| worker.last_request).is_some_and(|(last, _)| last >= asked.request);
    let gpus = sweep.spec.resources.gpus as usize;
    let dismissed = known.is_some_and(|worker| worker.dismissed.is_some());
    if answered || dismissed || !sweep.takes_trials() || asked.free_gpus.len() < gpus {
        return Ok(facts);
    }
    match choose(state, sweep, &asked.host.place, now) {
        Ok(choice) => facts.extend(lease(sweep, choice, asked, now)),
        Err(Nothing::Now) => {}
        Err(Nothing::MoreAtAll(why, end)) => facts.extend(end_sweep(sweep, &why, end)),
    }
    Ok(facts)
}

/// The end of a sweep that is through, where no worker is left to ask for more.
pub(super) fn decide_settle(state: &State, sweep: &Sweep, now: Timestamp) -> Vec<Fact> {
    let is_served = state.workers.values().any(|worker| worker.sweep == sweep.id && !worker.gone);
    if is_served || !sweep.takes_trials() || !sweep.live.is_empty() || !sweep.waiting.is_empty() {
        return Vec::new();
    }
    match choose(state, sweep, "", now) {
        Err(Nothing::MoreAtAll(why, end)) => end_sweep(sweep, &why, end),
        Ok(_) | Err(Nothing::Now) => Vec::new(),
    }
}

/// Why there is nothing to run.
enum Nothing {
    /// Trials that run now may change that.
    Now,
    /// The sweep is at its end.
    MoreAtAll(String, End),
}

fn choose(state: &State, sweep: &Sweep, place: &str, now: Timestamp) -> Result<Choice, Nothing> {
    let choice = match waiting(state, sweep, place, now) {
        Some(choice) => choice,
        None => wanted(state, sweep, place, now)?,
    };
    match money::admits(sweep, money::reservation(sweep, &choice.trial, choice.launch)) {
        Ok(()) => Ok(choice),
        Err(why) if sweep.live.is_empty() => Err(Nothing::MoreAtAll(why, End::Budget)),
        Err(_) => Err(Nothing::Now),
    }
}

/// A trial that somebody enqueued, that lost its worker, or that is to be tried again.
fn waiting(state: &State, sweep: &Sweep, place: &str, now: Timestamp) -> Option<Choice> {
    let trials = sweep.waiting.iter().filter_map(|id| sweep.trials.get(id));
    let is_rested = |trial: &Trial| rests_until(state, sweep, trial).is_none_or(|end| now >= end);
    let mut ready =
        trials.filter(|trial| is_rested(trial) && !is_elsewhere(state, sweep, trial, (place, now)));
    let trial = ready.next()?.clone();
    let Some(last) = trial.attempts.last() else {
        // Nobody predicts anything of it: it is looked at from the first rung on, as all are.
        let replicates = sweep.spec.replicates.as_ref();
        let because = match replicates.and_then(|replicates| replicates.original(trial.id)) {
            Some((original, seed)) => Because::Replicates { of: original.trial, seed },
            None => Because::Enqueued { by: trial.enqueued_by.clone().unwrap_or_default() },
        };
        return Some(Choice { trial, launch: Some(Launch::unpriced(0, false)), because, before: Vec::new() });
    };
    let ended = last.outcome.as_ref().map_or_else(String::new, super::describe);
    let because = Because::Again { after_attempt: trial.newest_attempt(), ended };
    Some(Choice { trial, launch: None, because, before: Vec::new() })
}

/// The end of a trial's pause, if it failed last.
fn rests_until(state: &State, sweep: &Sweep, trial: &Trial) -> Option<Timestamp> {
    let last = trial.attempts.last().filter(|last| last.has_failed())?;
    Some(last.ended_at?.plus(failure::back_off(state.failures(sweep, trial))))
}

/// When the next trial has had its pause after a failure, if one has not: until then nothing but news changes an answer.
pub fn next_rested(state: &State, now: Timestamp) -> Option<Timestamp> {
    let waiting = state.sweeps.values().filter(|sweep| sweep.takes_trials());
    let trials = waiting
        .flat_map(|sweep| sweep.waiting.iter().filter_map(move |id| Some((sweep, sweep.trials.get(id)?))));
    trials.filter_map(|(sweep, trial)| rests_until(state, sweep, trial)).filter(|end| *end > now).min()
}

/// Is a trial's checkpoint on another machine that still works for the sweep? Then it goes on there, unless that machine lets it wait for
/// long: others may compute on its GPUs.
fn is_elsewhere(state: &State, sweep: &Sweep, trial: &Trial, (place, now): (&str, Timestamp)) -> bool {
    let held_by =
        trial.attempts.last().filter(|last| sweep.spec.resource.checkpoint && last.last_step.is_some());
    let is_waited_for = |ended: Option<Timestamp>| ended.is_none_or(|at| now.since(at) < PROMISED);
    let held_by = held_by.filter(|last| is_waited_for(last.ended_at));
    let Some(of) = held_by.and_then(|last| state.workers.get(&last.worker)) else { return false };
    let serves = |worker: &Worker| {
        worker.host.place == of.host.place && !sweep.excluded.contains_key(&worker.host.name)
    };
    of.host.place != place && state.serving(sweep.id).any(|(_, worker)| serves(worker))
}

/// What the strategy wants of what can be run at a place. A paused trial that it wants most goes on where its checkpoint is, as soon as
/// that place asks; who asks elsewhere gets the best of the others.
fn wanted(state: &State, sweep: &Sweep, place: &str, now: Timestamp) -> Result<Choice, Nothing> {
    let left = money::left(sweep, now);
    let is_away = |trial: &Trial| is_elsewhere(state, sweep, trial, (place, now));
    let mut choice = sweep.strategy.choose(left);
    let resumed = match choice.what {
        What::Resume(at) => sweep.trials.get(&trial_id(at)),
        What::New { .. } | What::Wait | What::Refit | What::Done(_) => None,
    };
    let is_promised = resumed.is_some_and(is_away);
    if is_promised {
        let paused = sweep.trials.values().filter(|trial| trial.phase == Phase::Paused && is_away(trial));
        choice = sweep.strategy.without(paused.map(|trial| index(trial.id))).choose(left);
    }
    // What is promised, rests, or runs may change the answer.
    let is_open = is_promised || !(sweep.live.is_empty() && sweep.waiting.is_empty());
    let because = reasons::of_choice(sweep, &choice);
    let launch = Some(choice.launch());
    match choice.what {
        What::New { config, .. } => {
            let id = trial_id(sweep.trials.len());
            let seed = seed_of(sweep, id);
            let trial = Trial::proposed(id, Arc::new(config.clone()), seed);
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
        What::Wait | What::Done(_) if is_open => Err(Nothing::Now),
        What::Wait => Err(Nothing::MoreAtAll("nothing is left to wait for".to_owned(), End::Done)),
        What::Done(why) => Err(Nothing::MoreAtAll(why, End::Done)),
    }
}

/// What is handed to a trial's script.
pub(super) fn seed_of(sweep: &Sweep, trial: TrialId) -> u64 {
    script_seed(sweep.spec.seed, trial, Purpose::TrialSeed)
}

/// The seed of a script at an address.
pub(super) fn script_seed(seed: u64, trial: TrialId, purpose: Purpose) -> u64 {
    // 53 bits, so that the seed survives languages whose numbers are doubles.
    rng(seed, trial, purpose).random::<u64>() >> 11
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
