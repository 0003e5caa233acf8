//! Running trials that have news are judged, each against all that is known.

use gramwise_model::rows::Verdict;
use gramwise_model::{AttemptId, Because, CO2E, Timestamp, WorkerId};

use crate::fact::{Fact, Next};
use crate::state::{Phase, State, Sweep, Trial};
use crate::strategy::Word;
use crate::sweep_strategy::index;
use crate::{money, reasons};

/// Judges every trial of a worker that reached a new step since it was last judged.
pub(super) fn decide_judge(state: &State, worker: &WorkerId, now: Timestamp) -> Vec<Fact> {
    let Some(worker) = state.workers.get(worker) else { return Vec::new() };
    let Some(sweep) = state.sweep(worker.sweep).filter(|sweep| sweep.judges()) else {
        return Vec::new();
    };
    let held = worker.live.iter().filter_map(|id| Some((*id, sweep.trials.get(&id.trial)?)));
    let has_news = |trial: &Trial| trial.phase == Phase::Running && trial.last_step() > trial.judged_at;
    held.filter(|(_, trial)| has_news(trial))
        .filter_map(|(id, trial)| decided(sweep, trial, id, now))
        .collect()
}

fn decided(sweep: &Sweep, trial: &Trial, attempt: AttemptId, now: Timestamp) -> Option<Fact> {
    let step = trial.last_step();
    let fact = |verdict, because, next| Fact::Decided { attempt, step, verdict, launch: None, because, next };
    if let Some((metric, found)) = missing_objective(sweep, trial) {
        let next = Next::Fail { message: no_objective(&metric, &found) };
        return Some(fact(Verdict::Stop, Because::NoObjective { metric, found }, Some(next)));
    }
    if step == sweep.spec.resource.max {
        return Some(fact(Verdict::Continue, Because::LastStep, None));
    }
    let judgement = sweep.strategy.judge(index(trial.id), money::left(sweep, now));
    let because = reasons::of_judgement(sweep, trial, &judgement)?;
    Some(match judgement.word {
        Word::Pause => fact(Verdict::Pause, because, Some(Next::Pause)),
        Word::Stop => fact(Verdict::Prune, because, Some(Next::Prune)),
        Word::Continue => {
            let further = |launch| (launch, money::reservation(sweep, trial, Some(launch)));
            let launch = judgement.launch.map(further);
            Fact::Decided { attempt, step, verdict: Verdict::Continue, launch, because, next: None }
        }
    })
}

/// The first objective that no step of the trial reported, and what they reported instead. A trial that did report it once may
/// leave it out at other steps.
pub(super) fn missing_objective(sweep: &Sweep, seen: &Trial) -> Option<(String, Vec<String>)> {
    let found = || {
        let names = seen.curve.values().flat_map(|point| point.metrics.keys());
        let mut names: Vec<String> = names.filter(|name| *name != CO2E).cloned().collect();
        names.sort();
        names.dedup();
        names
    };
    let mut reported = sweep.spec.objectives.iter().filter(|objective| !objective.is_co2e());
    let never = |name: &str| !seen.curve.values().any(|point| point.metrics.contains_key(name));
    reported.find(|objective| never(&objective.name)).map(|objective| (objective.name.clone(), found()))
}

pub(super) fn no_objective(metric: &str, found: &[String]) -> String {
    let instead = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    let line = format!("{{\"step\": 1, \"{metric}\": 0.5}}");
    format!(
        "the trial did not report its objective `{metric}`; it reported: {instead}\n{}",
        format_args!(
            "hint: append {line} as a line to $GRAMWISE_REPORT, or print it after `gramwise: ` on stdout"
        )
    )
}
