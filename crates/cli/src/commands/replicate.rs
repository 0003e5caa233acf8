//! `gramwise replicate`: are the best trials of a sweep different, or was the best one lucky?

use gramwise_carbon::GramsCo2e;
use gramwise_coordinator::replicas;
use gramwise_model::Replicates;
use gramwise_model::rows::TrialRow;
use gramwise_report::units::grams;
use gramwise_search::Replication;
use gramwise_store::Reader;
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
        let expected = Expected::of(&reader, replicates)?;
        drop(reader);
        let limit = spec.budget.co2e.map(GramsCo2e::get);
        if let Some(limit) = limit.filter(|limit| *limit < expected.seed_g) {
            let (limit, seed) = (grams(GramsCo2e::new(limit)), grams(GramsCo2e::new(expected.seed_g)));
            return Err(Failure::error(
                Exit::WrongInput,
                format!(
                    "{limit} are not enough for one seed of each: that takes about {seed}\nhint: `--co2e` allows more, `--top` takes fewer"
                ),
            ));
        }
        let told = expected.told(replicates, limit);
        if *dry_run {
            print(told)?;
            return Ok(Exit::Success);
        }
        say(common, told.trim_end());
    }
    run::here(common, here, spec)
}

/// What it will take if each run takes what the first one did, and waiting and overhead their share.
struct Expected {
    /// Of one seed of each configuration, in grams.
    seed_g: f64,
}

impl Expected {
    fn of(reader: &Reader, replicates: &Replicates) -> anyhow::Result<Self> {
        let trials = reader.trials(replicates.of)?;
        let grams = |trials: &mut dyn Iterator<Item = &TrialRow>| {
            trials.map(|trial| trial.booked.co2e.grams().get()).sum::<f64>()
        };
        let all = grams(&mut trials.iter());
        let is_original =
            |trial: &&TrialRow| replicates.originals.iter().any(|original| original.trial == trial.id);
        let once = grams(&mut trials.iter().filter(is_original));
        let whole = reader.total(replicates.of)?.co2e.grams().get();
        Ok(Self { seed_g: if all > 0.0 { once * whole / all } else { once } })
    }

    fn told(&self, replicates: &Replicates, limit: Option<f64>) -> String {
        let numbers: Vec<String> =
            replicates.originals.iter().map(|original| original.trial.to_string()).collect();
        let Replicates { of, seeds, .. } = replicates;
        let whole = self.seed_g * f64::from(*seeds);
        let budget = match limit {
            Some(limit) if limit < whole => format!(
                "; {} are enough for about {:.0} seeds",
                grams(GramsCo2e::new(limit)),
                (limit / self.seed_g).floor()
            ),
            Some(limit) => format!(", and no more than {}", grams(GramsCo2e::new(limit))),
            None => String::new(),
        };
        format!(
            "trials {} of sweep {of}, {seeds} seeds each: about {} CO2e in all{budget}\n",
            numbers.join(", "),
            grams(GramsCo2e::new(whole))
        )
    }
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
