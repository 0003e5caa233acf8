//! `gramwise replicate`: are the best trials of a sweep different, or was the best one lucky?

use gramwise_carbon::GramsCo2e;
use gramwise_coordinator::replicas;
use gramwise_model::rows::TrialRow;
use gramwise_model::{Replicates, SweepSpec};
use gramwise_report::units::{energy, grams};
use gramwise_search::Replication;
use gramwise_wire::v1::ReplicateRequest;

use super::{client, run, runtime};
use crate::args::{Common, ReplicateArgs};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::{print, say};

/// Runs them here, or hands them to a coordinator.
pub(super) fn replicate(common: &Common, args: &ReplicateArgs) -> anyhow::Result<Exit> {
    let ReplicateArgs { sweep, top, seeds, co2e, dry_run, here } = args;
    if common.coordinator.is_some() {
        if *dry_run {
            let message = "`--dry-run` reads a database at hand; `--coordinator` names one afar";
            return Err(Failure::error(Exit::WrongInput, message));
        }
        return afar(common, args);
    }
    let reader = database::reader(common)?;
    let asked = Replication { top: *top, seeds: *seeds, co2e: *co2e };
    let spec = replicas(&reader, sweep.sweep.as_deref(), asked)
        .map_err(|error| Failure::error(Exit::WrongInput, error.to_string()))?;
    if let Some(replicates) = &spec.replicates {
        let expected = expected(&reader.trials(replicates.of)?, replicates, &spec);
        drop(reader);
        if *dry_run {
            print(expected)?;
            return Ok(Exit::Success);
        }
        say(common, expected.trim_end());
    }
    run::here(common, here, spec)
}

/// What it will take if each run takes what the first one did.
fn expected(trials: &[TrialRow], replicates: &Replicates, spec: &SweepSpec) -> String {
    let of = |id| trials.iter().find(|trial| trial.id == id).map(|trial| trial.booked);
    let once = replicates
        .originals
        .iter()
        .filter_map(|original| of(original.trial))
        .fold(gramwise_carbon::Footprint::ZERO, |sum, one| sum + one);
    let seeds = f64::from(replicates.seeds);
    let co2e = GramsCo2e::new(once.co2e.grams().get() * seeds);
    let joules = gramwise_carbon::Microjoules::new(once.energy.total().get() * u64::from(replicates.seeds));
    let numbers: Vec<String> =
        replicates.originals.iter().map(|original| original.trial.to_string()).collect();
    let limit =
        spec.budget.co2e.map_or(String::new(), |limit| format!(", and no more than {}", grams(limit)));
    format!(
        "trials {} of sweep {}, {} seeds each: about {} CO2e, {}, beside idle hosts{limit}\n",
        numbers.join(", "),
        replicates.of,
        replicates.seeds,
        grams(co2e),
        energy(joules)
    )
}

fn afar(common: &Common, args: &ReplicateArgs) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        let mut client = client::sweeps(common).await?;
        let asked = ReplicateRequest {
            sweep: args.sweep.sweep.clone().unwrap_or_default(),
            top: args.top,
            seeds: args.seeds,
            co2e_g: args.co2e.map(GramsCo2e::get),
            by: run::whoami(),
        };
        let answer = client.replicate(asked).await.map_err(|status| client::refused(&status))?;
        let sweep = answer.into_inner().sweep;
        print(format!("{sweep}\n"))?;
        say(
            common,
            &format!("sweep {sweep} is submitted; then `gramwise report` of the first says what differs"),
        );
        Ok(Exit::Success)
    })
}
