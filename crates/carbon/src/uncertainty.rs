//! How wrong a sum of energy or grams may be.

use serde::{Deserialize, Serialize};

use crate::{Amount, CarbonFactors, Component, Energy, IntensityKind, Provenance};

/// A low and a high bound around a figure, in the figure's own unit. Meant as a 95 % interval (k = 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// How far the truth may lie from a figure, as factors of it: below by `low`, above by `high`, at about 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// 1 at most.
    pub low: f64,
    /// 1 at least.
    pub high: f64,
}

impl Spread {
    /// A PUE that nobody stated: from no facility at all (1, which is then assumed) to that of a usual one (1.56 on average in the
    /// Uptime Institute's survey of 2024).
    pub const UNKNOWN_PUE: Self = Self { low: 1.0, high: 1.6 };
    /// A yearly mean of grid intensity used for less than a day: 2.5th and 97.5th percentile of the means of 4 hours over the
    /// yearly mean, hourly data of 2023. Spain's, the widest of four (California 0.49 to 1.48, Brazil 0.63 to 1.42, Norway 0.73 to
    /// 1.71).
    pub const YEARLY_INTENSITY: Self = Self { low: 0.46, high: 1.75 };
    /// The intensity of the hour as it was forecast, or estimated without all data (forecasts for Great Britain are off by 24 g/kWh
    /// on average, 11 to 28 % by the day).
    pub const FORECAST_INTENSITY: Self = Self { low: 0.75, high: 1.25 };
    /// The actual intensity of the hour: what publishers count differs still.
    pub const ACTUAL_INTENSITY: Self = Self { low: 0.9, high: 1.1 };
    /// No doubt.
    pub const NONE: Self = Self { low: 1.0, high: 1.0 };

    /// A relative error to both sides.
    pub fn symmetric(relative: f64) -> Self {
        Self { low: (1.0 - relative).max(0.0), high: 1.0 + relative }
    }

    /// Of grams: of their energy, of the PUE if nobody stated it, and of the intensity.
    pub fn of(energy: &Energy, factors: &CarbonFactors) -> Self {
        Self::with_grid(energy, factors, Self::of_intensity(factors.kind))
    }

    /// The same with another spread of the intensity.
    pub fn with_grid(energy: &Energy, factors: &CarbonFactors, grid: Self) -> Self {
        let pue = if factors.pue_stated { Self::NONE } else { Self::UNKNOWN_PUE };
        Self::of_energy(energy).and(pue).and(grid)
    }

    /// Of a grid's intensity.
    pub fn of_intensity(kind: IntensityKind) -> Self {
        match kind {
            IntensityKind::Yearly => Self::YEARLY_INTENSITY,
            IntensityKind::Forecast | IntensityKind::Estimated => Self::FORECAST_INTENSITY,
            IntensityKind::Actual => Self::ACTUAL_INTENSITY,
        }
    }

    /// Of one component's energy of one provenance. Measured: NVML and RAPL state about 5 %, RAPL's DRAM is worse, a meter of the node
    /// better. Modelled: a share of a card, CPU time x TDP, installed memory. Estimated: from TDP alone, or filled into a gap.
    pub fn of_part(component: Component, provenance: Provenance) -> Self {
        Self::symmetric(match (provenance, component) {
            (Provenance::Measured, Component::Gpu | Component::Cpu) => 0.05,
            (Provenance::Measured, Component::Memory) => 0.1,
            (Provenance::Measured, Component::Rest) => 0.03,
            (Provenance::Modelled, Component::Gpu) => 0.25,
            (Provenance::Modelled, Component::Cpu | Component::Rest) => 0.4,
            (Provenance::Modelled, Component::Memory) => 0.5,
            (Provenance::Estimated, _) => 0.6,
        })
    }

    /// Of one component's energy: its parts share their causes, so their spreads add up in proportion.
    fn of_component(component: Component, amount: &Amount) -> Self {
        let Amount { measured, modelled, estimated } = amount;
        let part = |of: Provenance| Self::of_part(component, of);
        Self::mix(&[
            (measured.get() as f64, part(Provenance::Measured)),
            (modelled.get() as f64, part(Provenance::Modelled)),
            (estimated.get() as f64, part(Provenance::Estimated)),
        ])
    }

    /// Of a host's energy: its components are wrong for different reasons, so what each is off by adds in quadrature.
    pub fn of_energy(energy: &Energy) -> Self {
        let total = energy.total().get() as f64;
        let off = Component::ALL.map(|component| {
            let amount = energy.part(component);
            let (spread, weight) =
                (Self::of_component(component, amount), amount.total().get() as f64 / total.max(1.0));
            (weight * (1.0 - spread.low), weight * (spread.high - 1.0))
        });
        let (below, above) =
            off.iter().fold((0.0, 0.0), |(below, above), (low, high)| (low.hypot(below), high.hypot(above)));
        Self { low: 1.0 - below, high: 1.0 + above }
    }

    /// Of the ratio of two amounts of energy of one host: what both are wrong by alike cancels (a counter that shows 5 % too much shows
    /// it of both), and only where they are made of different parts does a part's error count, by the difference of its shares. What
    /// is left adds up as in [`Spread::of_energy`]. PUE and the grid of one hour cancel altogether.
    pub fn between(one: &Energy, other: &Energy) -> Self {
        let (all, all_other) = (one.total().get() as f64, other.total().get() as f64);
        if all <= 0.0 || all_other <= 0.0 {
            return Self { low: 0.0, high: f64::INFINITY };
        }
        let off = |component: Component| -> f64 {
            let part = |provenance: Provenance, of: fn(&Amount) -> f64| {
                let (a, b) = (of(one.part(component)) / all, of(other.part(component)) / all_other);
                (a - b) * (Self::of_part(component, provenance).high - 1.0)
            };
            part(Provenance::Measured, |amount| amount.measured.get() as f64)
                + part(Provenance::Modelled, |amount| amount.modelled.get() as f64)
                + part(Provenance::Estimated, |amount| amount.estimated.get() as f64)
        };
        let sum = Component::ALL.into_iter().map(off).fold(0.0, f64::hypot);
        Self { low: (-sum).exp(), high: sum.exp() }
    }

    /// Of a sum whose parts, by weight, are wrong to the same side.
    pub fn mix(parts: &[(f64, Self)]) -> Self {
        let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
        if total <= 0.0 {
            return Self::NONE;
        }
        let mean =
            |of: fn(&Self) -> f64| parts.iter().map(|(weight, part)| weight * of(part)).sum::<f64>() / total;
        Self { low: mean(|part| part.low), high: mean(|part| part.high) }
    }

    /// Of a product with something that is wrong for other reasons: logarithms in quadrature.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = |a: f64, b: f64| a.ln().hypot(b.ln());
        Self { low: (-both(self.low, other.low)).exp(), high: both(self.high, other.high).exp() }
    }
}

impl Interval {
    /// The interval of a value with a spread.
    pub fn around(value: f64, spread: Spread) -> Self {
        Self { low: value * spread.low, high: value * spread.high }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Joules, Microjoules, Pue};

    /// Means of 4 hours over the yearly mean in 2023, percentiles 1, 2.5, 5, 50, 95, 97.5 and 99: Brazil, Spain, Norway, California
    /// (Electricity Maps, hourly life-cycle intensities).
    const GRIDS: [[f64; 7]; 4] = [
        [0.61, 0.63, 0.66, 1.02, 1.34, 1.42, 1.51],
        [0.43, 0.46, 0.50, 0.95, 1.65, 1.75, 1.84],
        [0.71, 0.73, 0.75, 0.93, 1.57, 1.71, 1.84],
        [0.46, 0.49, 0.53, 1.02, 1.42, 1.48, 1.53],
    ];
    const AT: [f64; 7] = [0.01, 0.025, 0.05, 0.5, 0.95, 0.975, 0.99];

    /// The quantile of a table at a probability, linear between its entries and flat beyond.
    fn quantile(grid: &[f64; 7], probability: f64) -> f64 {
        let next = AT.partition_point(|at| *at < probability).clamp(1, 6);
        let share = ((probability - AT[next - 1]) / (AT[next] - AT[next - 1])).clamp(0.0, 1.0);
        grid[next - 1] + share * (grid[next] - grid[next - 1])
    }

    /// The k-th of a sequence that fills the unit interval evenly, one for each dimension (Roberts 2018, "The Unreasonable
    /// Effectiveness of Quasirandom Sequences").
    fn even(k: u32, dimension: i32) -> f64 {
        (0.5 + f64::from(k) * 1.221_f64.powi(-dimension)).fract()
    }

    /// The standard normal's quantile, by the logistic's (within 0.02 where it matters here).
    fn normal(probability: f64) -> f64 {
        (probability.max(1e-9) / (1.0 - probability).max(1e-9)).ln() / 1.702
    }

    /// Hourly intensities over their yearly mean, one list a file of the folder that `GRAMWISE_TRACES` names, where it does.
    #[expect(clippy::disallowed_methods, reason = "a campaign over files that are not shipped")]
    fn traces() -> Vec<Vec<f64>> {
        let Ok(folder) = std::env::var("GRAMWISE_TRACES") else { return Vec::new() };
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| {
            file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("grid_hourly_"))
        });
        files.sort();
        let trace = |file: &std::path::PathBuf| {
            let text = std::fs::read_to_string(file).unwrap();
            let values: Vec<f64> =
                text.lines().skip(1).filter_map(|line| line.split(',').nth(1)?.parse().ok()).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|value| value / mean).collect()
        };
        files.iter().map(trace).collect()
    }

    /// `GRAMWISE_TRACES=DIR cargo test -p gramwise-carbon the_truth -- --nocapture` takes the grids from hourly traces: a trial of 1 to
    /// 24 hours, at any time of the year.
    #[test]
    fn the_truth_lies_inside_in_95_of_100_hosts() {
        let traces = traces();
        let yearly = |k: u32| {
            let Some(trace) = traces.get(k as usize / 7 % traces.len().max(1)) else {
                return quantile(&GRIDS[(k / 7 % 4) as usize], even(k, 5));
            };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hours of a year")]
            let whole = |hours: f64| hours as usize;
            let hours = 1 + whole(even(k, 12) * 24.0);
            let from = whole(even(k, 5) * (trace.len() - hours) as f64);
            trace[from..from + hours].iter().sum::<f64>() / hours as f64
        };
        let mut inside = 0;
        let hosts = 4_000;
        for k in 1..=hosts {
            // A host: what burnt how much, how much of that is known how, in which facility and grid it stands.
            let share = even(k, 1);
            let amount = |part: f64| Joules::new(part * 1e3).to_exact();
            let known = |part: f64| match k % 3 {
                0 => Amount {
                    measured: amount(part * share),
                    modelled: amount(part * (1.0 - share)),
                    ..Amount::ZERO
                },
                1 => Amount {
                    modelled: amount(part * share),
                    estimated: amount(part * (1.0 - share)),
                    ..Amount::ZERO
                },
                _ => Amount { measured: amount(part), ..Amount::ZERO },
            };
            let of_gpu = if k % 2 == 0 { 0.0 } else { even(k, 6) };
            let energy = Energy {
                gpu: known(of_gpu),
                cpu: known((1.0 - of_gpu) * 0.8),
                memory: known((1.0 - of_gpu) * 0.15),
                rest: known((1.0 - of_gpu) * 0.05),
            };
            let true_pue = if even(k, 2) < 0.4 { 1.0 } else { 1.05 + 0.55 * even(k, 3) };
            let stated = (k % 2 == 0).then(|| Pue::new(true_pue).unwrap());
            let mut factors = CarbonFactors::yearly(None, stated).unwrap();
            factors.kind =
                [IntensityKind::Yearly, IntensityKind::Forecast, IntensityKind::Actual][k as usize / 5 % 3];
            // What is true of it: two deviations are a part's stated spread, in the same direction for all parts of a component.
            let true_energy: f64 = (0i32..)
                .zip(Component::ALL)
                .map(|(place, component)| {
                    let deviation = normal(even(k, 7 + place)) / 1.96;
                    let wrong = |part: Microjoules, provenance: Provenance| {
                        let spread = Spread::of_part(component, provenance);
                        let edge: f64 = if deviation < 0.0 { spread.low } else { spread.high };
                        part.get() as f64 * edge.powf(deviation.abs())
                    };
                    let Amount { measured, modelled, estimated } = *energy.part(component);
                    wrong(measured, Provenance::Measured)
                        + wrong(modelled, Provenance::Modelled)
                        + wrong(estimated, Provenance::Estimated)
                })
                .sum();
            let grid = match factors.kind {
                IntensityKind::Yearly => yearly(k),
                kind => Spread::of_intensity(kind).high.powf(normal(even(k, 5)) / 1.96),
            };
            let facility = if stated.is_some() { 1.0 } else { true_pue };
            let truth = true_energy / energy.total().get() as f64 * facility * grid;
            let bounds = Interval::around(1.0, Spread::of(&energy, &factors));
            inside += u32::from((bounds.low..=bounds.high).contains(&truth));
        }
        let share = f64::from(inside) / f64::from(hosts);
        println!("{share} of {hosts} hosts, {} hourly traces", traces.len());
        assert!((0.95..0.995).contains(&share), "{share} of {hosts} hosts");
    }

    #[test]
    fn a_host_is_better_known_than_its_components() {
        let half = |provenance| Amount::new(Joules::new(50.0).to_exact(), provenance);
        let energy =
            Energy { gpu: half(Provenance::Measured), cpu: half(Provenance::Modelled), ..Energy::ZERO };
        let spread = Spread::of_energy(&energy);
        // Half of 5 % and half of 40 %, in quadrature.
        assert!((spread.high - 1.0 - 0.025_f64.hypot(0.2)).abs() < 1e-12, "{spread:?}");
        assert_eq!(Spread::of_energy(&Energy::ZERO), Spread::NONE);
        let alone = Energy { gpu: half(Provenance::Measured) + half(Provenance::Estimated), ..Energy::ZERO };
        assert!((Spread::of_energy(&alone).low - 0.675).abs() < 1e-12, "in proportion inside a component");
    }

    #[test]
    fn what_two_trials_are_wrong_by_alike_cancels() {
        let part = |joules: f64, provenance| Amount::new(Joules::new(joules).to_exact(), provenance);
        let of = |gpu: f64, cpu: f64| Energy {
            gpu: part(gpu, Provenance::Measured),
            cpu: part(cpu, Provenance::Modelled),
            ..Energy::ZERO
        };
        assert_eq!(
            Spread::between(&of(80.0, 20.0), &of(160.0, 40.0)),
            Spread::NONE,
            "the same, twice as long"
        );
        // A tenth of it moved from a GPU (5 %) to a CPU (40 %).
        let moved = Spread::between(&of(80.0, 20.0), &of(70.0, 30.0));
        assert!((moved.high.ln() - 0.005_f64.hypot(0.04)).abs() < 1e-12, "{moved:?}");
        assert!(moved.high < Spread::of_energy(&of(70.0, 30.0)).high, "less than of each alone");
        assert!(Spread::between(&Energy::ZERO, &of(1.0, 1.0)).high.is_infinite());
    }

    proptest! {
        #[test]
        fn more_doubt_is_wider(a in 0.0..0.9f64, b in 0.0..0.9f64) {
            let (a, b) = (Spread::symmetric(a), Spread::symmetric(b));
            let both = a.and(b);
            prop_assert!(both.low <= a.low.min(b.low) + 1e-12 && both.high >= a.high.max(b.high) - 1e-12);
            let mixed = Spread::mix(&[(1.0, a), (3.0, b)]);
            prop_assert!(mixed.low >= a.low.min(b.low) - 1e-12 && mixed.high <= a.high.max(b.high) + 1e-12);
            prop_assert_eq!(a.and(Spread::NONE), Spread { low: a.low.ln().exp(), high: a.high.ln().exp() });
        }
    }
}
