//! What follows from a command: the only place where anything is decided.

mod ask;
mod enqueue;
mod failure;
mod judge;
mod replicates;
mod report;
mod share;
#[cfg(test)]
mod site;
#[cfg(test)]
pub(crate) use site::Site;

pub use ask::next_rested;
use gramwise_carbon::Footprint;
use gramwise_model::rows::{Account, Outcome, Verdict};
use gramwise_model::{AttemptId, Because, SweepId, Timestamp, WorkerId};

use crate::command::{Command, Refused};
use crate::fact::{Dismissal, Fact, Next};
use crate::money;
use crate::state::{Phase, State, Sweep, SweepPhase, Worker};

/// What follows from a command at this moment. Looks, and changes nothing: the facts are applied by [`crate::apply`]
/// once they are on disk. An empty answer means that the command changes nothing (it was heard before, or there is
/// nothing to do).
pub fn decide(state: &State, command: &Command, now: Timestamp) -> Result<Vec<Fact>, Refused> {
    match command {
        Command::Submit { spec, factors, earlier, by } => {
            let sweep = SweepId(state.last_sweep + 1);
            let mut facts = vec![Fact::SweepSubmitted {
                sweep,
                spec: spec.clone(),
                factors: factors.clone(),
                earlier: earlier.clone(),
                by: by.clone(),
                at: now,
            }];
            facts.extend(replicates::proposals(sweep, spec));
            Ok(facts)
        }
        Command::Resume { sweep } => {
            let sweep = known(state, *sweep)?;
            let workers = state.workers.values().filter(|worker| worker.sweep == sweep.id);
            // It was left when it was last heard of.
            let left = workers.map(|worker| worker.heard_at).max().unwrap_or(sweep.submitted_at);
            let away_ms = u64::try_from(now.since(left).as_millis()).unwrap_or(u64::MAX);
            Ok(vec![Fact::SweepResumed { sweep: sweep.id, away_ms, at: Some(now) }])
        }
        Command::StateIntensity { sweep, stated } => {
            let sweep = known(state, *sweep)?;
            let is_news =
                sweep.factors.stated() != *stated && !matches!(sweep.phase, SweepPhase::Ended { .. });
            let fact = Fact::IntensityStated { sweep: sweep.id, stated: stated.clone(), at: now };
            Ok(if is_news { vec![fact] } else { Vec::new() })
        }
        Command::Ask { worker, host, request, free_gpus } => {
            let question = ask::Question { worker, host, request: *request, free_gpus };
            ask::decide_ask(state, &question, now)
        }
        Command::Report(report) => report::decide_report(state, report, now),
        Command::Judge { worker } => Ok(judge::decide_judge(state, worker, now)),
        Command::Fitted { sweep, objective, parameters } => {
            let sweep = known(state, *sweep)?;
            let fitted =
                Fact::ModelFitted { sweep: sweep.id, objective: *objective, parameters: parameters.clone() };
            // A fit that comes after the end is of no use, nor is one that failed.
            let is_of_use =
                sweep.phase == SweepPhase::Running && parameters.iter().all(|log| log.is_finite());
            Ok(if is_of_use { vec![fitted] } else { Vec::new() })
        }
        Command::Settle { sweep } => Ok(ask::decide_settle(state, known(state, *sweep)?, now)),
        Command::Tick => Ok(decide_tick(state, now)),
        Command::WorkerGone { worker } => {
            let known = state.workers.get(worker).ok_or_else(|| Refused::UnknownWorker(worker.clone()))?;
            Ok(if known.gone { Vec::new() } else { worker_gone(state, worker, &Outcome::Lost, now) })
        }
        Command::Hold { sweep, held, by } => {
            let sweep = known(state, *sweep)?;
            if sweep.phase != SweepPhase::Running {
                return Err(Refused::Over(sweep.id));
            }
            let mut facts = Vec::new();
            if sweep.held != *held {
                facts.push(Fact::SweepHeld { sweep: sweep.id, held: *held, by: by.clone() });
            }
            if !held {
                // Somebody looked at it: hosts that were left alone have another chance.
                let readmitted = |host: &String| Fact::HostReadmitted { sweep: sweep.id, host: host.clone() };
                facts.extend(sweep.excluded.keys().map(readmitted));
            }
            Ok(facts)
        }
        Command::End { sweep, why, let_finish } => {
            let sweep = known(state, *sweep)?;
            if matches!(sweep.phase, SweepPhase::Ended { .. }) {
                return Err(Refused::Over(sweep.id));
            }
            Ok(end_sweep(sweep, why, End::Asked { let_finish: *let_finish }))
        }
        Command::Enqueue { sweep, config, by } => enqueue::decide_enqueue(state, *sweep, config, by),
        Command::Drain { worker } => {
            let known = state.workers.get(worker).ok_or_else(|| Refused::UnknownWorker(worker.clone()))?;
            let is_news = !known.gone && known.dismissed != Some(Dismissal::Drained);
            Ok(if is_news { vec![dismiss((worker, known), Dismissal::Drained, now)] } else { Vec::new() })
        }
    }
}

/// A sweep that is loaded; others of those that ever were are over.
fn known(state: &State, id: SweepId) -> Result<&Sweep, Refused> {
    let other =
        if (1..=state.last_sweep).contains(&id.0) { Refused::Over(id) } else { Refused::UnknownSweep(id) };
    state.sweep(id).ok_or(other)
}

/// What time alone brings about: lapsed leases, spent budgets, and the end of sweeps whose last attempt is over.
fn decide_tick(state: &State, now: Timestamp) -> Vec<Fact> {
    let lapsed =
        state.workers.iter().filter(|(_, worker)| !worker.gone && now.since(worker.heard_at) > state.lease);
    let mut facts: Vec<Fact> =
        lapsed.flat_map(|(id, _)| worker_gone(state, id, &Outcome::Lost, now)).collect();
    if !facts.is_empty() {
        return facts; // What they leave of each sweep is looked at by the next tick.
    }
    for sweep in state.sweeps.values() {
        match &sweep.phase {
            SweepPhase::Ending { .. } if sweep.live.is_empty() => {
                facts.push(Fact::SweepEnded { sweep: sweep.id, at: now });
            }
            SweepPhase::Running | SweepPhase::Ending { let_finish: true, .. } => {
                if let Some(why) = money::exhausted(sweep, now) {
                    facts.extend(end_sweep(sweep, &why, End::Budget));
                }
            }
            SweepPhase::Ending { .. } | SweepPhase::Ended { .. } => {}
        }
    }
    if facts.is_empty() { share::decide_share(state, now) } else { facts }
}

fn dismiss((id, worker): (&WorkerId, &Worker), dismissal: Dismissal, at: Timestamp) -> Fact {
    Fact::WorkerDismissed { sweep: worker.sweep, worker: id.clone(), dismissal, at }
}

/// Ends a worker and all that it holds; the grams of its attempts move to `lost`.
fn worker_gone(state: &State, id: &WorkerId, outcome: &Outcome, now: Timestamp) -> Vec<Fact> {
    let Some(worker) = state.workers.get(id) else { return Vec::new() };
    let mut facts = Vec::new();
    for attempt in &worker.live {
        if let Some((_, trial, held)) = state.attempt(*attempt) {
            // It held its devices for as long as is known.
            let at = worker.heard_at.max(held.leased_at).min(now);
            facts.extend(lose(*attempt, &trial.phase, (held.account, held.total), outcome, at));
        }
    }
    facts.push(Fact::WorkerGone { sweep: worker.sweep, worker: id.clone() });
    facts
}

/// Ends an attempt through no fault of its own. The trial waits to be run again and what the attempt burnt moves to
/// `lost`, unless it had been told to stop for good.
fn lose(
    id: AttemptId,
    phase: &Phase,
    (account, burnt): (Account, Footprint),
    outcome: &Outcome,
    now: Timestamp,
) -> Vec<Fact> {
    let next = match phase {
        Phase::Stopping(next) => next.clone(),
        Phase::Running
        | Phase::Waiting
        | Phase::Paused
        | Phase::Completed
        | Phase::Pruned
        | Phase::Failed { .. } => Next::Wait,
    };
    over(id, (account, burnt), outcome, next, now)
}

/// The facts of an attempt's end. What is to be done again was burnt for nothing: it moves to `lost`.
fn over(
    id: AttemptId,
    (account, burnt): (Account, Footprint),
    outcome: &Outcome,
    next: Next,
    now: Timestamp,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    if next == Next::Wait && account == Account::Trial {
        let (from, to) = (Account::Trial, Account::Lost);
        facts.push(Fact::EmissionMoved { attempt: id, from, to, amount: burnt });
    }
    facts.push(Fact::AttemptEnded { attempt: id, outcome: outcome.clone(), next, at: now });
    facts
}

/// Why a sweep ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A limit of its budget.
    Budget,
    /// There is nothing more to do.
    Done,
    /// Somebody said so. `let_finish`: running trials go on to their ends.
    Asked { let_finish: bool },
}

/// Ends a sweep: no new trials, and running ones are told to stop, or go on to their ends. What they learnt is kept; with a checkpoint
/// they could go on under a larger budget. A sweep that lets its trials finish can still be told to stop them.
fn end_sweep(sweep: &Sweep, why: &str, end: End) -> Vec<Fact> {
    let let_finish = end == End::Asked { let_finish: true };
    match sweep.phase {
        SweepPhase::Running => {}
        SweepPhase::Ending { let_finish: true, .. } if !let_finish => {}
        SweepPhase::Ending { .. } | SweepPhase::Ended { .. } => return Vec::new(),
    }
    let budget = end == End::Budget;
    let mut facts = vec![Fact::SweepEnding { sweep: sweep.id, why: why.to_owned(), budget, let_finish }];
    if let_finish {
        return facts;
    }
    let running = sweep.live.iter().filter_map(|id| Some((*id, sweep.trials.get(&id.trial)?)));
    for (attempt, trial) in running.filter(|(_, trial)| trial.phase == Phase::Running) {
        facts.push(Fact::Decided {
            attempt,
            step: trial.last_step(),
            verdict: Verdict::Stop,
            launch: None,
            because: Because::SweepEnding { why: why.to_owned() },
            next: Some(Next::Pause),
        });
    }
    facts
}

/// An attempt's end in a few words.
fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Finished => "finished".to_owned(),
        Outcome::Stopped => "stopped".to_owned(),
        Outcome::Failed { message } => format!("failed: {}", message.lines().next().unwrap_or_default()),
        Outcome::Interrupted => "interrupted".to_owned(),
        Outcome::Lost => "lost with its worker".to_owned(),
    }
}
