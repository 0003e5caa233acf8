//! Training that follows a formula.

use gramwise_carbon::{Component, Energy, Microjoules, Provenance};
use gramwise_model::{Config, Metric, Metrics, Value};

/// How one configuration trains: error `floor + height * step^-rate`, at a constant power.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Training {
    floor: f64,
    height: f64,
    rate: f64,
    /// Milliseconds per step.
    pub(crate) step_ms: u64,
    uj_per_step: u64,
    diverges_at: Option<u64>,
}

impl Training {
    /// Derived from the configuration alone, as real training would be: numbers move the curve, words do too.
    pub(crate) fn of(config: &Config) -> Self {
        let (mut mixed, mut sum) = (0xcbf2_9ce4_8422_2325_u64, 0.0);
        for (name, value) in config {
            for byte in name.bytes().chain(value.to_string().bytes()) {
                mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            sum += match value {
                Value::Float(value) => value.abs().ln_1p(),
                Value::Int(value) => (*value as f64).abs().ln_1p(),
                Value::Bool(_) | Value::Text(_) | Value::Null => 0.3,
            };
        }
        let digit = |place: u64| (mixed >> (8 * place) & 0xff) as f64 / 255.0;
        Self {
            floor: 0.02 + 0.3 * digit(0) * sum.fract(),
            height: 0.3 + 0.6 * digit(1),
            rate: 0.2 + digit(2),
            step_ms: 200 + 20 * (mixed >> 24 & 0xff),
            uj_per_step: 1_000_000 + 40_000 * (mixed >> 32 & 0xff),
            diverges_at: ((mixed >> 40).trailing_zeros() >= 5).then_some(3),
        }
    }

    /// What it reports at a step.
    pub(crate) fn metrics(&self, step: u64) -> Metrics {
        let error = self.floor + self.height * (step as f64).powf(-self.rate);
        let metric = if self.diverges_at == Some(step) { Metric::Diverged } else { Metric::Finite(error) };
        [("error".to_owned(), metric)].into()
    }

    /// What it burns in `steps` steps.
    pub(crate) fn energy(&self, steps: u64) -> Energy {
        Energy::new(Component::Gpu, Microjoules::new(self.uj_per_step * steps), Provenance::Measured)
    }
}
