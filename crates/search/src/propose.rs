//! The next configuration by the cheap samplers: random, Sobol, grid. Each point has an address, so the sampler keeps
//! no state but how far it got.

use gramwise_model::{Because, Config, Method, Space, TrialId};
use gramwise_surrogate::{MAX_DIMENSIONS, Sobol};
use rand::RngExt;

use crate::rng::{Purpose, rng};
use crate::state::Sweep;
use crate::unit_cube::{listed, value_at};

/// So many points in a row that are forbidden or known already, and a random sampler has nothing new.
const PATIENCE: u64 = 1000;

/// A new configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Proposal {
    pub(crate) config: Config,
    /// How far the sampler's sequence is used, this one included.
    pub(crate) drawn: u64,
    pub(crate) because: Because,
}

/// The next allowed configuration that no trial has yet; `None` when there is none.
pub(crate) fn propose(sweep: &Sweep) -> Option<Proposal> {
    let space = &sweep.spec.space;
    let method = sweep.spec.method;
    let last = match method {
        Method::Grid => grid_size(space),
        Method::Random | Method::Sobol => sweep.drawn.saturating_add(PATIENCE),
    };
    (sweep.drawn..last).find_map(|index| {
        let config = match method {
            Method::Grid => grid_point(space, index),
            Method::Random => Some(random_point(space, sweep.spec.seed, index)),
            Method::Sobol => Some(sobol_point(space, sweep.spec.seed, index)),
        }?;
        let fresh = space.allows(&config) && !sweep.trials.values().any(|trial| trial.config == config);
        let because = Because::Sampled { sampler: name(method).to_owned(), index };
        fresh.then_some(Proposal { config, drawn: index + 1, because })
    })
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Sobol => "sobol",
        Method::Random => "random",
        Method::Grid => "grid",
    }
}

fn random_point(space: &Space, seed: u64, index: u64) -> Config {
    let address = TrialId(u32::try_from(index).unwrap_or(u32::MAX));
    let mut generator = rng(seed, address, Purpose::Sample);
    let coordinates: Vec<f64> = space.parameters().iter().map(|_| generator.random()).collect();
    space.build(|position, parameter| value_at(&parameter.distribution, coordinates[position]))
}

/// Spaces beyond the Sobol table's dimensions are drawn at random; so are points beyond 2^32.
fn sobol_point(space: &Space, seed: u64, index: u64) -> Config {
    let dimensions = space.parameters().len();
    let sobol = Sobol::new(seed, dimensions.min(MAX_DIMENSIONS)).filter(|_| dimensions <= MAX_DIMENSIONS);
    match (sobol, u32::try_from(index)) {
        (Some(sobol), Ok(index)) => {
            let coordinates = sobol.point(index);
            space.build(|position, parameter| value_at(&parameter.distribution, coordinates[position]))
        }
        (None, _) | (_, Err(_)) => random_point(space, seed, index),
    }
}

fn grid_size(space: &Space) -> u64 {
    let sizes = space
        .parameters()
        .iter()
        .map(|parameter| listed(&parameter.distribution).map_or(0, |values| values.len() as u64));
    sizes.fold(1, u64::saturating_mul)
}

/// The combination at an index, the last hyperparameter varying fastest. `None` where an inactive hyperparameter is
/// not at its first value: the same configuration was met before.
fn grid_point(space: &Space, index: u64) -> Option<Config> {
    let values: Vec<_> = space
        .parameters()
        .iter()
        .map(|parameter| listed(&parameter.distribution).unwrap_or_default())
        .collect();
    let mut digits = vec![0usize; values.len()];
    let mut rest = index;
    for (digit, values) in digits.iter_mut().zip(&values).rev() {
        let base = values.len().max(1) as u64;
        *digit = usize::try_from(rest % base).ok()?;
        rest /= base;
    }
    let config = space.build(|position, _| values[position][digits[position]].clone());
    let canonical = space
        .parameters()
        .iter()
        .zip(&digits)
        .all(|(parameter, digit)| *digit == 0 || config.contains_key(&parameter.name));
    canonical.then_some(config)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gramwise_carbon::CarbonFactors;
    use gramwise_model::{SweepId, SweepSpec, Timestamp, Value};

    use super::*;
    use crate::state::Trial;

    fn sweep(method: &str, rest: &str) -> Sweep {
        let yaml = format!(
            "command: [train, \"${{args}}\"]\nobjectives: [{{name: loss, goal: minimize}}]\n\
             method: {method}\nbudget: {{trials: 100}}\nseed: 3\n{rest}"
        );
        let (spec, _) = SweepSpec::from_yaml(&yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let factors = CarbonFactors::yearly(None, None).unwrap();
        Sweep::submitted(SweepId(1), &spec, &factors, Timestamp(0))
    }

    /// Proposes until there is nothing new, at most `most`.
    fn proposals(mut sweep: Sweep, most: usize) -> Vec<Config> {
        let mut configs = Vec::new();
        while let (true, Some(proposal)) = (configs.len() < most, propose(&sweep)) {
            let id = TrialId(u32::try_from(configs.len()).unwrap() + 1);
            sweep.drawn = proposal.drawn;
            sweep.trials.insert(id, Trial::proposed(id, proposal.config.clone(), 0));
            configs.push(proposal.config);
        }
        configs
    }

    const CHOICES: &str = "parameters:\n  opt: {values: [sgd, adam]}\n  batch: {values: [16, 32, 64]}\n  \
                           momentum: {distribution: q_uniform, q: 0.5, min: 0, max: 1, when: {opt: sgd}}\n\
                           forbidden: [{opt: adam, batch: 16}]\n";

    #[test]
    fn a_grid_is_every_allowed_combination_once() {
        let configs = proposals(sweep("grid", CHOICES), 1000);
        // sgd: 3 batches x 3 momenta; adam: 2 batches, and no momentum.
        assert_eq!(configs.len(), 9 + 2);
        let texts: BTreeSet<String> = configs.iter().map(|config| format!("{config:?}")).collect();
        assert_eq!(texts.len(), configs.len());
        assert!(configs.iter().all(|config| config.contains_key("momentum") == (config["opt"] == Value::Text("sgd".into()))));
    }

    #[test]
    fn a_small_space_is_exhausted_and_not_repeated() {
        for method in ["random", "sobol"] {
            let configs =
                proposals(sweep(method, "parameters: {a: {values: [1, 2]}, b: {values: [x, y]}}\n"), 1000);
            assert_eq!(configs.len(), 4, "{method}");
        }
        let none = sweep("sobol", "parameters: {a: {values: [1, 2]}}\nforbidden: [{a: 1}, {a: 2}]\n");
        assert!(proposals(none, 10).is_empty());
    }

    #[test]
    fn draws_depend_on_the_seed_and_on_nothing_else() {
        let space = "parameters: {lr: {distribution: log_uniform_values, min: 0.001, max: 1.0}}\n";
        for method in ["random", "sobol"] {
            let first = proposals(sweep(method, space), 20);
            assert_eq!(first, proposals(sweep(method, space), 20), "{method}");
            let mut other = sweep(method, space);
            other.spec.seed = 4;
            assert_ne!(first, proposals(other, 20), "{method}");
            assert!(first.iter().all(|config| (0.001..=1.0).contains(&config["lr"].number().unwrap())));
        }
    }
}
