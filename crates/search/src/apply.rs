//! How one fact changes the state. Nothing is decided here, and nothing can go wrong: a journal that names what no
//! earlier fact created was not written by this program.

use std::sync::Arc;
use std::time::Duration;

use gramwise_carbon::Footprint;
use gramwise_model::rows::{Account, Verdict};
use gramwise_model::work::Host;
use gramwise_model::{AttemptId, Because, Guard};

use crate::fact::{Fact, Next};
use crate::state::{Attempt, Phase, State, Step, Sweep, SweepPhase, Trial, Worker};
use crate::strategy::Fate;
use crate::sweep_strategy::{index, seen, strategy};

const CREATED: &str = "a fact names what an earlier fact created";

/// Changes the state by one fact.
///
/// # Panics
/// On a fact that names a sweep, trial, attempt or worker that no earlier fact created.
#[expect(clippy::too_many_lines, reason = "one arm a fact: splitting it would hide that all are there")]
pub fn apply(state: &mut State, fact: &Fact) {
    match fact {
        Fact::SweepSubmitted { sweep, spec, factors, earlier, by: _, at } => {
            state.last_sweep = state.last_sweep.max(sweep.0);
            let strategy = strategy(spec, factors, earlier.clone());
            state.sweeps.insert(*sweep, Sweep::submitted(*sweep, (spec, factors), strategy, *at));
        }
        Fact::SweepResumed { sweep, away_ms, at } => {
            state.sweeps.get_mut(sweep).expect(CREATED).away += Duration::from_millis(*away_ms);
            for worker in state.workers.values_mut().filter(|worker| worker.sweep == *sweep) {
                worker.heard_at = worker.heard_at.max(at.unwrap_or_default());
            }
        }
        Fact::IntensityStated { sweep, stated, at: _ } => {
            let sweep = state.sweeps.get_mut(sweep).expect(CREATED);
            sweep.factors = sweep.factors.with(stated);
        }
        Fact::SweepHeld { sweep, held, by: _ } => state.sweeps.get_mut(sweep).expect(CREATED).held = *held,
        Fact::HostExcluded { sweep, host, why } => {
            state.sweeps.get_mut(sweep).expect(CREATED).excluded.insert(host.clone(), why.clone());
        }
        Fact::HostReadmitted { sweep, host } => {
            state.sweeps.get_mut(sweep).expect(CREATED).excluded.remove(host);
        }
        Fact::WorkerJoined { sweep, worker, description: _, gpus, host, place, cpus, memory, at } => {
            let host = Host {
                name: host.clone(),
                description: String::new(),
                gpus: gpus.clone(),
                cpus: *cpus,
                memory: *memory,
                place: place.clone(),
            };
            state.workers.insert(worker.clone(), Worker::joined(*sweep, host, *at));
            state.shifted_at = state.shifted_at.max(*at);
        }
        Fact::WorkerDismissed { sweep: _, worker, dismissal, at } => {
            state.workers.get_mut(worker).expect(CREATED).dismissed = Some(*dismissal);
            state.shifted_at = state.shifted_at.max(*at);
        }
        Fact::WorkerGone { sweep: _, worker } => {
            let worker = state.workers.get_mut(worker).expect(CREATED);
            worker.gone = true;
            state.shifted_at = state.shifted_at.max(worker.heard_at);
        }
        Fact::TrialProposed { sweep, trial, config, seed, because } => {
            let sweep = state.sweeps.get_mut(sweep).expect(CREATED);
            let config = Arc::new(config.clone());
            sweep.strategy.started(config.clone());
            let mut proposed = Trial::proposed(*trial, config, *seed);
            if let Because::Enqueued { by } = because {
                proposed.enqueued_by = Some(by.clone());
            }
            sweep.trials.insert(*trial, proposed);
            sweep.waiting.insert(*trial);
        }
        Fact::ModelFitted { sweep, objective, parameters } => {
            state.sweeps.get_mut(sweep).expect(CREATED).strategy.fitted(*objective, parameters);
        }
        Fact::AttemptLeased { attempt, worker, request, gpus, reserved, launch, because: _, at } => {
            let held_by = state.workers.get_mut(worker).expect(CREATED);
            held_by.live.insert(*attempt);
            held_by.last_request = Some((*request, *attempt));
            held_by.heard_at = held_by.heard_at.max(*at);
            let sweep = state.sweeps.get_mut(&attempt.sweep).expect(CREATED);
            sweep.live.insert(*attempt);
            sweep.waiting.remove(&attempt.trial);
            if let Some(launch) = launch {
                sweep.strategy.launched(index(attempt.trial), *launch);
            }
            let trial = trial_mut(state, *attempt);
            trial.phase = Phase::Running;
            trial.attempts.push(Attempt {
                worker: worker.clone(),
                request: *request,
                gpus: gpus.clone(),
                reserved: *reserved,
                leased_at: *at,
                total: Footprint::ZERO,
                account: Account::Trial,
                first_step: None,
                last_step: None,
                outcome: None,
                ended_at: None,
            });
        }
        Fact::StepReported { attempt, step, metrics, footprint, at: _ } => {
            let trial = trial_mut(state, *attempt);
            trial.record(attempt.number, *step, Step { metrics: metrics.clone(), footprint: *footprint });
            tell(state, *attempt, false);
        }
        Fact::EmissionBooked { attempt, account, added, total } => {
            let sweep = state.sweeps.get_mut(&attempt.sweep).expect(CREATED);
            *sweep.accounts.entry(*account).or_default() += *added;
            let burning = attempt_mut(state, *attempt);
            burning.total = *total;
            let worker = burning.worker.clone();
            state.workers.get_mut(&worker).expect(CREATED).booked += added.energy.total();
        }
        Fact::EmissionMoved { attempt, from, to, amount } => {
            let sweep = state.sweeps.get_mut(&attempt.sweep).expect(CREATED);
            let relieved = sweep.accounts.entry(*from).or_default();
            *relieved = relieved.since(amount).expect("no more is moved than was booked");
            *sweep.accounts.entry(*to).or_default() += *amount;
            attempt_mut(state, *attempt).account = *to;
        }
        Fact::HostMetered {
            sweep,
            worker,
            seq,
            idle,
            overhead,
            total,
            other,
            idle_total,
            overhead_total,
            at,
        } => {
            let sweep = state.sweeps.get_mut(sweep).expect(CREATED);
            *sweep.accounts.entry(Account::Idle).or_default() += *idle;
            *sweep.accounts.entry(Account::Overhead).or_default() += *overhead;
            let worker = state.workers.get_mut(worker).expect(CREATED);
            worker.acked_through = *seq;
            worker.heard_at = worker.heard_at.max(*at);
            worker.total = *total;
            worker.other = *other;
            worker.idle = *idle_total;
            worker.overhead = *overhead_total;
        }
        Fact::Decided { attempt, step, verdict, launch, because, next } => {
            if let Some((launch, reserved)) = launch {
                let held = attempt_mut(state, *attempt);
                held.reserved = *reserved;
                let strategy = &mut state.sweeps.get_mut(&attempt.sweep).expect(CREATED).strategy;
                if matches!(because, Because::Guarded { guard: Guard::Audit, .. }) {
                    strategy.audited(index(attempt.trial));
                }
                strategy.launched(index(attempt.trial), *launch);
            }
            let trial = trial_mut(state, *attempt);
            trial.judged_at = *step;
            if let Some(next) = next {
                trial.phase = Phase::Stopping(next.clone());
            }
            debug_assert_eq!(next.is_none(), matches!(verdict, Verdict::Continue | Verdict::Promote));
        }
        Fact::AttemptEnded { attempt, outcome, next, at } => {
            let over = attempt_mut(state, *attempt);
            over.outcome = Some(outcome.clone());
            over.ended_at = Some(*at);
            tell_end(state, *attempt, next);
            let trial = trial_mut(state, *attempt);
            trial.phase = match next {
                Next::Complete => Phase::Completed,
                Next::Prune => Phase::Pruned,
                Next::Pause => Phase::Paused,
                Next::Wait => Phase::Waiting,
                Next::Fail { message } => Phase::Failed { message: message.clone() },
            };
            let (worker, gpu_ms) = {
                let over = trial.attempts.last().expect(CREATED);
                let held = at.since(over.leased_at).as_millis();
                (over.worker.clone(), u64::try_from(held).unwrap_or(u64::MAX) * over.gpus.len() as u64)
            };
            let sweep = state.sweeps.get_mut(&attempt.sweep).expect(CREATED);
            sweep.live.remove(attempt);
            match next {
                Next::Wait => drop(sweep.waiting.insert(attempt.trial)),
                Next::Pause => {}
                Next::Complete | Next::Prune | Next::Fail { .. } => {
                    let primary = sweep.spec.primary().clone();
                    sweep.trials.get_mut(&attempt.trial).expect(CREATED).condense(&primary);
                }
            }
            sweep.gpu_ms += gpu_ms;
            state.workers.get_mut(&worker).expect(CREATED).live.remove(attempt);
        }
        Fact::SweepEnding { sweep, why, budget: _, let_finish } => {
            let phase = SweepPhase::Ending { why: why.clone(), let_finish: *let_finish };
            state.sweeps.get_mut(sweep).expect(CREATED).phase = phase;
        }
        // Only kept: nobody runs it here.
        Fact::SweepImported { .. } => {}
        Fact::SweepEnded { sweep, at: _ } => {
            let sweep = state.sweeps.get_mut(sweep).expect(CREATED);
            let why = match &sweep.phase {
                SweepPhase::Ending { why, .. } | SweepPhase::Ended { why } => why.clone(),
                SweepPhase::Running => String::new(),
            };
            sweep.phase = SweepPhase::Ended { why };
        }
    }
}

/// Tells the strategy of a trial's newest step.
fn tell(state: &mut State, attempt: AttemptId, is_over: bool) {
    let sweep = state.sweeps.get_mut(&attempt.sweep).expect(CREATED);
    let trial = sweep.trials.get(&attempt.trial).expect(CREATED);
    if let Some(seen) = seen(&sweep.spec, trial, is_over) {
        sweep.strategy.seen(index(attempt.trial), &seen);
    }
}

/// Tells the strategy what became of a trial. One that is to be run again runs on, as far as it is concerned.
fn tell_end(state: &mut State, attempt: AttemptId, next: &Next) {
    let fate = match next {
        Next::Complete => Fate::Complete,
        Next::Prune => Fate::Stopped,
        Next::Pause => Fate::Paused,
        Next::Fail { .. } => Fate::Failed,
        Next::Wait => return,
    };
    if fate == Fate::Complete {
        tell(state, attempt, true);
    }
    state.sweeps.get_mut(&attempt.sweep).expect(CREATED).strategy.ended(index(attempt.trial), fate);
}

fn trial_mut(state: &mut State, attempt: AttemptId) -> &mut Trial {
    let sweep = state.sweeps.get_mut(&attempt.sweep).expect(CREATED);
    sweep.trials.get_mut(&attempt.trial).expect(CREATED)
}

fn attempt_mut(state: &mut State, attempt: AttemptId) -> &mut Attempt {
    let index = attempt.number.checked_sub(1).expect("attempts are counted from 1") as usize;
    trial_mut(state, attempt).attempts.get_mut(index).expect(CREATED)
}
