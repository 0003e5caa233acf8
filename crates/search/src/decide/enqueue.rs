//! A configuration that somebody wants tried.

use gramwise_model::{Because, Config, Space, SweepId};

use super::ask::seed_of;
use crate::command::Refused;
use crate::fact::Fact;
use crate::state::{State, SweepPhase};
use crate::sweep_strategy::trial_id;

pub(super) fn decide_enqueue(
    state: &State,
    sweep: SweepId,
    config: &Config,
    by: &str,
) -> Result<Vec<Fact>, Refused> {
    let sweep = super::known(state, sweep)?;
    if sweep.phase != SweepPhase::Running {
        return Err(Refused::Over(sweep.id));
    }
    let config = completed(&sweep.spec.space, config).map_err(Refused::Configuration)?;
    if sweep.trials.values().any(|trial| *trial.config == config) {
        let same = sweep.trials.values().find(|trial| *trial.config == config).map_or(0, |trial| trial.id.0);
        return Err(Refused::Configuration(format!("trial {same} has this configuration already")));
    }
    let trial = trial_id(sweep.trials.len());
    Ok(vec![Fact::TrialProposed {
        sweep: sweep.id,
        trial,
        config,
        seed: seed_of(sweep, trial),
        because: Because::Enqueued { by: by.to_owned() },
    }])
}

/// The configuration with the constants that it need not name. `Err` says what is wrong with it.
fn completed(space: &Space, config: &Config) -> Result<Config, String> {
    use gramwise_model::Distribution::Constant;
    let known = || space.parameters().iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = config.keys().find(|name| space.parameters().iter().all(|one| one.name != **name)) {
        return Err(format!("the sweep has no hyperparameter `{name}`\nhint: it has {}", known()));
    }
    let mut wrong = Vec::new();
    let whole = space.build(|_, parameter| match (config.get(&parameter.name), &parameter.distribution) {
        (Some(value), distribution) if distribution.holds(value) => distribution.typed(value),
        (Some(value), distribution) => {
            wrong.push(format!("`{}` cannot be {value}: it is {}", parameter.name, distribution.describe()));
            value.clone()
        }
        (None, Constant(value)) => value.clone(),
        (None, distribution) => {
            wrong.push(format!("`{}` is missing: it is {}", parameter.name, distribution.describe()));
            gramwise_model::Value::Null
        }
    });
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    if let Some(name) = config.keys().find(|name| !whole.contains_key(*name)) {
        return Err(format!("`{name}` is not active here: its `when` does not hold"));
    }
    if space.allows(&whole) { Ok(whole) } else { Err("`forbidden` rules this configuration out".to_owned()) }
}
