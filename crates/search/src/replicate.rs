//! A sweep's best configurations, to be run again.

use gramwise_carbon::{Footprint, GramsCo2e};
use gramwise_model::rows::{SweepRow, SweepState, TrialRow, TrialState};
use gramwise_model::{Budget, Original, PruneSpec, Pruner, Replicates, Sampler, SweepSpec};

/// What is to be run again, and for how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replication {
    /// So many configurations, the best by the primary objective.
    pub top: u32,
    /// So often each.
    pub seeds: u32,
    /// Grams that it may take; `None` for what the sweep's own budget has left, if that was of grams or energy.
    pub co2e: Option<GramsCo2e>,
}

/// The sweep that runs the best completed trials of a sweep again, from their beginning, each with the same seeds, none of them pruned.
/// `spent` is what the sweep took; `earlier` are its replicates, with what they took: of those that ended, seeds are not run twice, and what
/// they took is not there to be spent again. `Err` says why there is none.
pub fn replicate(
    sweep: &SweepRow,
    trials: &[TrialRow],
    spent: &Footprint,
    earlier: &[(SweepRow, Footprint)],
    asked: Replication,
) -> Result<SweepSpec, String> {
    if let Some(replicates) = &sweep.spec.replicates {
        let of = replicates.of;
        return Err(format!(
            "sweep {} runs trials of sweep {of} again itself\nhint: `gramwise replicate {of}`",
            sweep.id
        ));
    }
    let cost = |trial: &TrialRow| sweep.spec.costs(&trial.metrics)?.first().copied();
    let completed = trials.iter().filter(|trial| trial.state == TrialState::Completed);
    let mut ranked: Vec<(f64, &TrialRow)> =
        completed.filter_map(|trial| Some((cost(trial)?, trial))).collect();
    // Of equals, the one that burnt less: it is the one that a report calls best.
    ranked.sort_by(|(a, one), (b, other)| {
        a.total_cmp(b).then_with(|| (one.booked.co2e, one.id).cmp(&(other.booked.co2e, other.id)))
    });
    let mut originals: Vec<Original> = Vec::new();
    for (_, trial) in ranked {
        if originals.len() < asked.top as usize && originals.iter().all(|known| known.config != trial.config)
        {
            originals.push(Original { trial: trial.id, config: trial.config.clone() });
        }
    }
    if originals.is_empty() {
        return Err(format!(
            "no trial of sweep {} has completed and kept the constraints: there is nothing to run again",
            sweep.id
        ));
    }
    // One that has not ended goes on if it is asked for again.
    let ended = || earlier.iter().filter(|(row, _)| row.state == SweepState::Ended);
    let through = |(row, _): &(SweepRow, Footprint)| {
        row.spec.replicates.as_ref().map_or(0, |replicates| replicates.after + replicates.seeds)
    };
    let after = ended().map(through).max().unwrap_or(0);
    let replicates = Replicates { of: sweep.id, originals, seeds: asked.seeds, after };
    let spent = ended().fold(*spent, |sum, (_, spent)| sum + *spent);
    let budget = budget(sweep, &spent, asked.co2e, replicates.trials())?;
    Ok(SweepSpec {
        name: format!("{} again", sweep.spec.name),
        method: Sampler::Random,
        budget,
        prune: PruneSpec { rule: Pruner::None, gain_per_kg: None, audit: 0.0, ..sweep.spec.prune.clone() },
        warm_start: Vec::new(),
        replicates: Some(replicates),
        ..sweep.spec.clone()
    })
}

fn budget(
    sweep: &SweepRow,
    spent: &Footprint,
    co2e: Option<GramsCo2e>,
    trials: u32,
) -> Result<Budget, String> {
    let own = Budget { trials: Some(trials), ..Budget::default() };
    if co2e.is_some() {
        return Ok(Budget { co2e, ..own });
    }
    let left = |limit: f64, spent: f64| (limit > spent).then_some(limit - spent);
    let Budget { co2e, energy, .. } = &sweep.spec.budget;
    let co2e = co2e.map(|limit| left(limit.get(), spent.co2e.grams().get()).map(GramsCo2e::new));
    let energy =
        energy.map(|limit| left(limit.get(), spent.energy.joules().get()).map(gramwise_carbon::Joules::new));
    if co2e == Some(None) || energy == Some(None) {
        return Err(format!(
            "the budget of sweep {} is spent\nhint: `--co2e 20g` allows its replicates a budget of their own",
            sweep.id
        ));
    }
    Ok(Budget { co2e: co2e.flatten(), energy: energy.flatten(), ..own })
}
