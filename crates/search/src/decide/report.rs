//! A worker tells what its trials and its host did.
//!
//! Grams are booked whatever else is wrong; metrics count only from the attempt that holds the lease. Running trials are judged
//! afterwards ([`super::judge`]), when all that the report told is known.

use std::collections::BTreeMap;

use gramwise_carbon::{Energy, Footprint, Microjoules};
use gramwise_model::rows::{Outcome, Verdict};
use gramwise_model::work::{AttemptEnd, AttemptReport, EndKind, Report};
use gramwise_model::{AttemptId, Because, CO2E, Metric, Timestamp};

use super::failure::{self, Remedy};
use super::judge::{missing_objective, no_objective};
use super::{dismiss, lose, over};
use crate::command::Refused;
use crate::fact::{Dismissal, Fact, Next};
use crate::state::{Attempt, Phase, State, Step, Sweep, Trial, Worker};

pub(super) fn decide_report(state: &State, report: &Report, now: Timestamp) -> Result<Vec<Fact>, Refused> {
    let worker =
        state.workers.get(&report.worker).ok_or_else(|| Refused::UnknownWorker(report.worker.clone()))?;
    if report.seq <= worker.acked_through {
        return Ok(Vec::new());
    }
    let sweep = state.sweep(worker.sweep).ok_or(Refused::UnknownSweep(worker.sweep))?;
    check_balance(state, worker, report)?;
    let mut facts = vec![host_metered(sweep, worker, report, now)?];
    for told in &report.attempts {
        facts.extend(decide_attempt(state, report, told, now)?);
    }
    if report.leaving && !worker.gone {
        facts.extend(leave(state, worker, report, now));
    }
    Ok(facts)
}

/// Every joule of the host must be in exactly one place.
fn check_balance(state: &State, worker: &Worker, report: &Report) -> Result<(), Refused> {
    // Its own attempts, each once, whatever a message repeats or claims.
    let mut told = BTreeMap::new();
    for AttemptReport { attempt: id, total, .. } in &report.attempts {
        if let Some((_, _, attempt)) = state.attempt(*id).filter(|(_, _, one)| one.worker == report.worker) {
            told.insert(*id, (total.total(), attempt.total.energy.total()));
        }
    }
    let of_attempts: Microjoules = told.values().map(|(now, _)| *now).sum();
    let known: Microjoules = told.values().map(|(_, known)| *known).sum();
    let earlier = worker.booked.checked_sub(known).unwrap_or_default();
    let parts = of_attempts + earlier + report.idle.total() + report.overhead.total() + report.other.total();
    if parts == report.total.total() {
        Ok(())
    } else {
        Err(Refused::Unbalanced {
            worker: report.worker.clone(),
            parts: parts.get(),
            total: report.total.total().get(),
        })
    }
}

fn host_metered(sweep: &Sweep, worker: &Worker, report: &Report, now: Timestamp) -> Result<Fact, Refused> {
    let fell = || Refused::TotalFell(format!("worker {}", report.worker));
    let grown = |later: Energy, earlier: Energy| {
        let added = later.since(&earlier).ok_or_else(fell)?;
        sweep.grown(&Footprint::ZERO, added).ok_or_else(fell)
    };
    report.total.since(&worker.total).ok_or_else(fell)?;
    report.other.since(&worker.other).ok_or_else(fell)?;
    Ok(Fact::HostMetered {
        sweep: sweep.id,
        worker: report.worker.clone(),
        seq: report.seq,
        idle: grown(report.idle, worker.idle)?,
        overhead: grown(report.overhead, worker.overhead)?,
        total: report.total,
        other: report.other,
        idle_total: report.idle,
        overhead_total: report.overhead,
        at: now,
    })
}

fn decide_attempt(
    state: &State,
    report: &Report,
    told: &AttemptReport,
    now: Timestamp,
) -> Result<Vec<Fact>, Refused> {
    let own = state.attempt(told.attempt).filter(|(_, _, attempt)| attempt.worker == report.worker);
    let Some((sweep, trial, attempt)) = own else {
        // It is not known, or another's: there is nothing to book it to, and what it burnt made `check_balance` refuse.
        return Ok(Vec::new());
    };
    let fell = || Refused::TotalFell(told.attempt.to_string());
    let total = sweep.grown(&attempt.total, told.total).ok_or_else(fell)?;
    let added = total.since(&attempt.total).ok_or_else(fell)?;
    let mut facts = Vec::new();
    if !added.energy.is_zero() {
        facts.push(Fact::EmissionBooked { attempt: told.attempt, account: attempt.account, added, total });
    }
    if attempt.outcome.is_some() {
        return Ok(facts);
    }
    // The trial as it will be once its steps are applied.
    let mut seen = trial.clone();
    facts.extend(take_steps(sweep, &mut seen, (told, &attempt.total), now));
    if let Some(end) = &told.ended {
        let (mut outcome, mut next) = fate(sweep, &seen, end);
        if (end.kind, &seen.phase) == (EndKind::Failure, &Phase::Running) {
            let exclude;
            (next, exclude) = after_failure(state, sweep, &seen, &end.message);
            outcome = Outcome::Failed { message: end.message.clone() };
            if let Some(why) = exclude {
                facts.extend(exclude_host(state, sweep, state.host_of(attempt), &why, now));
            }
        }
        facts.extend(over(told.attempt, (attempt.account, total), &outcome, next, now));
    } else if trial.phase == Phase::Running && goes_beyond(sweep, told) {
        facts.push(Fact::Decided {
            attempt: told.attempt,
            step: seen.last_step(),
            verdict: Verdict::Stop,
            launch: None,
            because: Because::LastStep,
            next: Some(Next::Complete),
        });
    }
    Ok(facts)
}

fn goes_beyond(sweep: &Sweep, told: &AttemptReport) -> bool {
    told.steps.last().is_some_and(|step| step.step > sweep.spec.resource.max)
}

/// Records the steps not heard of before, with what the trial burnt to reach each.
fn take_steps(
    sweep: &Sweep,
    seen: &mut Trial,
    (told, booked): (&AttemptReport, &Footprint),
    now: Timestamp,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    // What a script does beyond the last step is burnt, but no result: trials are compared at the same step.
    for step in told.steps.iter().filter(|step| step.step <= sweep.spec.resource.max) {
        let (first, last) = seen.attempts.last().map_or((None, None), |one| (one.first_step, one.last_step));
        if last.is_some_and(|last| step.step <= last) {
            continue;
        }
        let footprint = seen.burnt_before(first.unwrap_or(step.step)) + sweep.near(booked, step.total);
        let mut metrics = step.metrics.clone();
        metrics.insert(CO2E.to_owned(), Metric::Finite(footprint.co2e.grams().get()));
        seen.record(told.attempt.number, step.step, Step { metrics: metrics.clone(), footprint });
        facts.push(Fact::StepReported {
            attempt: told.attempt,
            step: step.step,
            metrics,
            footprint,
            at: now,
        });
    }
    facts
}

/// How an attempt that is over ended, and what becomes of its trial.
fn fate(sweep: &Sweep, seen: &Trial, end: &AttemptEnd) -> (Outcome, Next) {
    let done = seen.last_step() >= sweep.spec.resource.max;
    match (end.kind, &seen.phase) {
        (EndKind::Success, Phase::Stopping(Next::Fail { message })) => {
            (Outcome::Failed { message: message.clone() }, Next::Fail { message: message.clone() })
        }
        // It was through before the word to stop reached it.
        (EndKind::Success, Phase::Stopping(_)) if done => (Outcome::Finished, Next::Complete),
        (EndKind::Success | EndKind::Failure | EndKind::Stopped, Phase::Stopping(next)) => {
            (Outcome::Stopped, next.clone())
        }
        (EndKind::Interrupted, Phase::Stopping(next)) => (Outcome::Interrupted, next.clone()),
        (EndKind::Interrupted | EndKind::Stopped, _) => (Outcome::Interrupted, Next::Wait),
        (EndKind::Success, _) => match missing_objective(sweep, seen) {
            None => (Outcome::Finished, Next::Complete),
            Some((metric, found)) => {
                let message = format!("{}\n({})", no_objective(&metric, &found), end.message);
                (Outcome::Failed { message: message.clone() }, Next::Fail { message })
            }
        },
        (EndKind::Failure, _) => {
            let message = end.message.clone();
            (Outcome::Failed { message: message.clone() }, Next::Fail { message })
        }
    }
}

/// Leaves a host alone from here on.
fn exclude_host(state: &State, sweep: &Sweep, host: &str, why: &str, now: Timestamp) -> Vec<Fact> {
    let mut facts = vec![Fact::HostExcluded { sweep: sweep.id, host: host.to_owned(), why: why.to_owned() }];
    let on_it = state.serving(sweep.id).filter(|(_, worker)| worker.host.name == host);
    facts.extend(on_it.map(|worker| dismiss(worker, Dismissal::Excluded, now)));
    facts
}

/// Is a failed trial tried again, and is its host left alone from here on (why, in words)? A host is only where the sweep has others.
fn after_failure(state: &State, sweep: &Sweep, seen: &Trial, message: &str) -> (Next, Option<String>) {
    let host = seen.attempts.last().map_or("", |attempt| state.host_of(attempt));
    let has_others = state.serving(sweep.id).any(|(_, worker)| worker.host.name != host);
    let first_line = message.lines().next().unwrap_or_default();
    let remedy = failure::remedy(&sweep.spec.retry, message);
    if remedy == Remedy::Elsewhere && has_others {
        return (Next::Wait, Some(first_line.to_owned()));
    }
    if remedy != Remedy::Give && has_others && all_fail_on(state, sweep, (seen, host)) {
        return (
            Next::Wait,
            Some(format!("{} trials in a row failed on it: {first_line}", failure::IN_A_ROW)),
        );
    }
    let again = remedy != Remedy::Give && state.failures(sweep, seen) < sweep.spec.retry.max as usize;
    (if again { Next::Wait } else { Next::Fail { message: message.to_owned() } }, None)
}

/// Did the last attempts on a host fail, each of another trial, while others went well elsewhere?
fn all_fail_on(state: &State, sweep: &Sweep, (seen, host): (&Trial, &str)) -> bool {
    let others = sweep.trials.values().filter(|trial| trial.id != seen.id);
    let ended = others.filter_map(|trial| trial.attempts.iter().rev().find(|one| one.outcome.is_some()));
    let (mut here, elsewhere): (Vec<&Attempt>, Vec<&Attempt>) =
        ended.partition(|one| state.host_of(one) == host);
    here.sort_by_key(|attempt| std::cmp::Reverse(attempt.ended_at));
    let in_a_row = 1 + here.iter().take_while(|attempt| attempt.has_failed()).count();
    let went_well =
        |attempt: &&Attempt| matches!(attempt.outcome, Some(Outcome::Finished | Outcome::Stopped));
    in_a_row >= failure::IN_A_ROW && elsewhere.iter().any(went_well)
}

/// A worker says goodbye: what it still holds is interrupted.
fn leave(state: &State, worker: &Worker, report: &Report, now: Timestamp) -> Vec<Fact> {
    let told = |id: &AttemptId| report.attempts.iter().find(|told| told.attempt == *id);
    let mut facts = Vec::new();
    for id in worker.live.iter().filter(|id| told(id).is_none_or(|told| told.ended.is_none())) {
        if let Some((sweep, trial, attempt)) = state.attempt(*id) {
            let burnt =
                told(id).and_then(|told| sweep.grown(&attempt.total, told.total)).unwrap_or(attempt.total);
            facts.extend(lose(*id, &trial.phase, (attempt.account, burnt), &Outcome::Interrupted, now));
        }
    }
    facts.push(Fact::WorkerGone { sweep: worker.sweep, worker: report.worker.clone() });
    facts
}

#[cfg(test)]
mod tests {
    use gramwise_model::{SweepId, WorkerId};

    use crate::Command;
    use crate::decide::Site;
    use crate::fact::Fact;
    use crate::state::{Phase, SweepPhase};

    const BROKEN: &str = "CUDA error: uncorrectable ECC error encountered";
    const SWEEP: SweepId = SweepId(1);

    #[test]
    fn a_host_that_is_left_alone_serves_again_when_no_other_does_and_what_failed_on_it_counts_for_nothing() {
        let mut site = Site::new();
        site.submit("retry: {max: 1}");
        let bad = site.ask("bad/1", 0, 1).unwrap();
        let good = site.ask("good/1", 0, 1).unwrap();
        site.end("bad/1", bad, Some(BROKEN), true);
        let sweep = site.state.sweep(SWEEP).unwrap();
        assert!(sweep.excluded.contains_key("bad"));
        assert_eq!(site.state.failures(sweep, &sweep.trials[&bad.trial]), 0);
        assert_eq!(site.ask("bad/2", 0, 1), None, "there is another");
        site.end("good/1", good, None, true);
        assert!(site.ask("bad/3", 0, 1).is_some());
        assert!(site.state.sweep(SWEEP).unwrap().excluded.is_empty());
        // Where there is no other it is one chance more, as the sweep says, and no endless loop.
        for attempt in 0..9 {
            site.now = site.now.plus(std::time::Duration::from_secs(100));
            let Some(again) = site.ask("bad/3", 0, 10 + attempt) else { break };
            site.end("bad/3", again, Some(BROKEN), false);
        }
        let failed = |site: &Site| {
            let trials = site.state.sweep(SWEEP).unwrap().trials.values();
            trials.filter(|trial| matches!(trial.phase, Phase::Failed { .. })).count()
        };
        assert!(failed(&site) > 0);
    }

    #[test]
    fn a_trial_waits_for_the_machine_of_its_checkpoint_and_not_for_ever() {
        let mut site = Site::new();
        site.submit("budget: {trials: 1}\nprune: {rule: none}\nretry: {max: 5}");
        site.state.sweeps.values_mut().for_each(|sweep| sweep.spec.resource.checkpoint = true);
        let first = site.ask("a", 0, 1).unwrap();
        site.step("a", first, 3);
        site.end("a", first, Some("exit code 1"), false);
        site.now = site.now.plus(std::time::Duration::from_secs(60));
        assert_eq!(site.ask("b", 0, 1), None, "its checkpoint is with `a`, which still works");
        site.now = site.now.plus(std::time::Duration::from_secs(600));
        assert!(site.ask("b", 0, 2).is_some());
    }

    #[test]
    fn resuming_gives_excluded_hosts_another_chance() {
        let mut site = Site::new();
        site.submit("");
        let bad = site.ask("bad/1", 0, 1).unwrap();
        site.join("good/1", 0);
        site.end("bad/1", bad, Some(BROKEN), true);
        assert_eq!(site.ask("bad/2", 0, 1), None);
        site.tell(&Command::Hold { sweep: SWEEP, held: false, by: String::new() });
        assert!(site.ask("bad/2", 0, 1).is_some());
    }

    #[test]
    fn a_sweep_that_is_through_ends_when_its_last_worker_is_taken_out_of_service() {
        let mut site = Site::new();
        site.submit("budget: {trials: 1}");
        let only = site.ask("a", 0, 1).unwrap();
        site.tell(&Command::Drain { worker: WorkerId("a".to_owned()) });
        site.end("a", only, None, true);
        // Nobody waits, and yet the model is fitted to all that is known before that is believed.
        let mut facts = Vec::new();
        for fit in crate::fits_due(&site.state, false) {
            facts.extend(site.tell(&fit.solve()));
            facts.extend(site.tell(&Command::Settle { sweep: SWEEP }));
        }
        assert!(facts.iter().any(|fact| matches!(fact, Fact::SweepEnding { .. })), "{facts:?}");
        site.tell(&Command::Tick);
        assert!(matches!(site.state.sweep(SWEEP).unwrap().phase, SweepPhase::Ended { .. }));
        // One that is not goes on waiting for others.
        let mut site = Site::new();
        site.submit("budget: {trials: 2}");
        let only = site.ask("a", 0, 1).unwrap();
        site.end("a", only, None, true);
        assert_eq!(site.state.sweep(SWEEP).unwrap().phase, SweepPhase::Running);
    }

    #[test]
    fn what_is_over_cannot_be_ended_again_and_is_not_unknown() {
        let mut site = Site::new();
        site.submit("");
        let end = Command::End { sweep: SWEEP, why: String::new(), let_finish: false };
        site.tell(&end);
        site.tell(&Command::Tick);
        assert_eq!(crate::decide(&site.state, &end, site.now), Err(crate::Refused::Over(SWEEP)));
        assert_eq!(site.state.over_for(std::time::Duration::ZERO, site.now), [SWEEP]);
        site.state.forget(SWEEP);
        assert_eq!(crate::decide(&site.state, &end, site.now), Err(crate::Refused::Over(SWEEP)));
        let never = Command::End { sweep: SweepId(2), why: String::new(), let_finish: false };
        assert_eq!(
            crate::decide(&site.state, &never, site.now),
            Err(crate::Refused::UnknownSweep(SweepId(2)))
        );
    }
}
