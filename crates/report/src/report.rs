//! What one sweep cost and what it found: the stable JSON of `gramwise report`.

use std::collections::BTreeMap;

use gramwise_carbon::{Interval, Microjoules, Quality, Spread};
use gramwise_model::rows::{HostRow, SweepRecord, SweepState, TrialRow};
use gramwise_model::{Objective, SweepId, Timestamp, TrialId, WorkerId};
use serde::Serialize;

use crate::accounts::{Accounts, ByComponent, ByProvenance, total};
use crate::counts::{AttemptCounts, TrialCounts};
use crate::gains::{Gains, gains};
use crate::grid::{self, Grid};
use crate::hardware::{Hardware, hardware};
use crate::importance::{Importance, Trade, importance, trades};
use crate::json::{self, SCHEMA};
use crate::pareto;
use crate::pruning::{Pruning, pruning};
use crate::ties::{Ties, ties};

/// The answer to "what did it cost, and was it worth it". Its serialized form is an interface: keys are added,
/// never changed; what is not known is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// The sweep's number.
    pub sweep: SweepId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: SweepState,
    /// Who submitted it.
    pub submitted_by: String,
    /// When, in milliseconds since the Unix epoch.
    pub submitted_at_ms: Timestamp,
    /// When it ended; `null` while it has not.
    pub ended_at_ms: Option<Timestamp>,
    /// Why it ended, in words.
    pub ended_because: Option<String>,
    /// Trials by fate.
    pub trials: TrialCounts,
    /// Attempts by outcome.
    pub attempts: AttemptCounts,
    /// Training cycles run: distinct reports.
    pub steps: u64,
    /// IT energy of all accounts, in exact microjoules.
    pub energy_uj: u64,
    /// The same in joules.
    pub energy_j: f64,
    /// Operational `CO2e` of all accounts.
    pub co2e_g: f64,
    /// Lower bound at about 95 %.
    pub co2e_low_g: f64,
    /// Upper bound.
    pub co2e_high_g: f64,
    /// Embodied `CO2e` of graphics cards, for the time they were reserved: in none of the other figures. `null` where no card has a
    /// figure, or the sweep file says `embodied: false`.
    pub embodied_g: Option<f64>,
    /// The same with its band.
    pub embodied: Option<Hardware>,
    /// How the energy is known.
    pub quality: Quality,
    /// The energy by how it was obtained.
    pub energy_by_provenance: ByProvenance,
    /// The energy by what burnt it.
    pub energy_by_component: ByComponent,
    /// Who was charged. The accounts' `energy_uj` sum to the report's exactly.
    pub accounts: Accounts,
    /// What other users of the hosts burnt meanwhile: no cost of the sweep, in no account.
    pub other_tenants: OtherTenants,
    /// The hosts that served it.
    pub hosts: Vec<Host>,
    /// What was to be improved, the primary objective first.
    pub objectives: Vec<Objective>,
    /// The best trial by the primary objective, of those completed that keep the constraints.
    pub best: Option<TrialSummary>,
    /// The trials that none beats in every objective, by the primary one.
    pub front: Vec<TrialSummary>,
    /// The trials that cannot be told from the best; `null` while none may be called best.
    pub ties: Option<Ties>,
    /// What each improvement cost.
    pub gains: Gains,
    /// Which hyperparameters matter; `null` for too few trials.
    pub importance: Option<Importance>,
    /// What changes from each trial of the front to the next.
    pub trades: Vec<Trade>,
    /// What pruning saved.
    pub pruning: Pruning,
    /// Grid intensities applied.
    pub grid: Vec<Grid>,
    /// Power usage effectiveness applied.
    pub pue: f64,
    /// Was it stated by the user, rather than taken as 1?
    pub pue_stated: bool,
}

/// What other users of the hosts burnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OtherTenants {
    /// In exact microjoules.
    pub energy_uj: u64,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Host {
    /// The worker on it.
    pub worker: WorkerId,
    /// Host, processor and GPUs, for people.
    pub description: String,
    /// Everything metered while it served the sweep, other users included, in exact microjoules.
    pub energy_uj: u64,
    /// The part of other users.
    pub other_tenants_uj: u64,
    /// How the energy is known.
    pub quality: Quality,
}

/// One trial in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialSummary {
    /// Its number.
    pub trial: TrialId,
    /// Its hyperparameters.
    pub config: BTreeMap<String, serde_json::Value>,
    /// Its metrics at its last step: numbers, or `"diverged"`.
    pub metrics: BTreeMap<String, serde_json::Value>,
    /// That step.
    pub step: u64,
    /// What was booked for it, in exact microjoules.
    pub energy_uj: u64,
    /// Operational `CO2e` of that.
    pub co2e_g: f64,
    /// How the energy is known.
    pub quality: Quality,
}

/// Answers what a sweep cost and what it found, also while it runs.
pub fn report(record: &SweepRecord) -> Report {
    let sweep = &record.sweep;
    let total = total(&record.accounts);
    let grams = total.co2e.grams().get();
    let spread = Spread::with_grid(&total.energy, &sweep.factors, grid::spread(record));
    let bounds = Interval::around(grams, spread);
    let ties = ties(record);
    let hardware = sweep.spec.carbon.embodied.then(|| hardware(record)).flatten();
    Report {
        schema: SCHEMA,
        sweep: sweep.id,
        name: sweep.spec.name.clone(),
        state: sweep.state,
        submitted_by: sweep.submitted_by.clone(),
        submitted_at_ms: sweep.submitted_at,
        ended_at_ms: sweep.ended_at,
        ended_because: sweep.ended_because.clone(),
        trials: TrialCounts::of(record.trials.iter().map(|trial| (trial.state, 1))),
        attempts: AttemptCounts::of(&record.attempts),
        steps: record.steps_reported,
        energy_uj: total.energy.total().get(),
        energy_j: total.energy.joules().get(),
        co2e_g: grams,
        co2e_low_g: bounds.low,
        co2e_high_g: bounds.high,
        embodied_g: hardware.as_ref().map(|hardware| hardware.g),
        embodied: hardware,
        quality: total.energy.quality(),
        energy_by_provenance: ByProvenance::of(&total.energy),
        energy_by_component: ByComponent::of(&total.energy),
        accounts: Accounts::of(&record.accounts),
        other_tenants: OtherTenants {
            energy_uj: record.hosts.iter().map(|host| host.other.total()).sum::<Microjoules>().get(),
        },
        hosts: hosts(record),
        objectives: sweep.spec.objectives.clone(),
        best: pareto::best(record).map(TrialSummary::of),
        front: pareto::front(record).into_iter().map(TrialSummary::of).collect(),
        gains: gains(record, ties.as_ref()),
        ties,
        importance: importance(record),
        trades: trades(record),
        pruning: pruning(record),
        grid: grid::grids(record),
        pue: sweep.factors.pue.get(),
        pue_stated: sweep.factors.pue_stated,
    }
}

impl TrialSummary {
    pub(crate) fn of(trial: &TrialRow) -> Self {
        Self {
            trial: trial.id,
            config: json::config(&trial.config),
            metrics: json::metrics(&trial.metrics),
            step: trial.step,
            energy_uj: trial.booked.energy.total().get(),
            co2e_g: trial.booked.co2e.grams().get(),
            quality: trial.booked.energy.quality(),
        }
    }
}

fn hosts(record: &SweepRecord) -> Vec<Host> {
    let host = |row: &HostRow| Host {
        worker: row.worker.clone(),
        description: row.description.clone(),
        energy_uj: row.total.total().get(),
        other_tenants_uj: row.other.total().get(),
        quality: row.total.quality(),
    };
    record.hosts.iter().map(host).collect()
}
