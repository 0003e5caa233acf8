//! Tree-structured Parzen estimator: draw where good configurations are dense and bad ones are not.
//!
//! Bergstra, Bardenet, Bengio and Kegl (2011), "Algorithms for Hyper-Parameter Optimization", section 4, on the unit cube and
//! coordinate by coordinate: each point is a normal kernel, truncated to the interval, beside one uniform kernel.

/// Draws from the good among which the best ratio is chosen.
const DRAWS: usize = 24;

/// The next point: of 24 draws by the density of `good`, the one whose density relative to that of `bad` is highest. `draw`
/// gives uniform numbers from [0, 1). With nothing good, a uniform point of `dimensions` coordinates.
pub fn tpe_point(
    good: &[&[f64]],
    bad: &[&[f64]],
    dimensions: usize,
    mut draw: impl FnMut() -> f64,
) -> Vec<f64> {
    (0..dimensions)
        .map(|at| {
            let column = |points: &[&[f64]]| points.iter().map(|point| point[at]).collect::<Vec<f64>>();
            let (good, bad) = (Parzen::new(column(good)), Parzen::new(column(bad)));
            let mut best = (f64::NEG_INFINITY, 0.5);
            for _ in 0..DRAWS {
                let x = good.draw(&mut draw);
                let ratio = good.density(x) / bad.density(x);
                if ratio > best.0 {
                    best = (ratio, x);
                }
            }
            best.1
        })
        .collect()
}

/// A density on the unit interval.
struct Parzen {
    centres: Vec<f64>,
    width: f64,
}

impl Parzen {
    /// The width is that of Scott's rule for points spread evenly, held between a hundredth and a half.
    fn new(centres: Vec<f64>) -> Self {
        let width = (0.3 * (centres.len().max(1) as f64).powf(-0.2)).clamp(0.01, 0.5);
        Self { centres, width }
    }

    fn draw(&self, draw: &mut impl FnMut() -> f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below the number of kernels"
        )]
        let kernel = (draw() * (self.centres.len() as f64 + 1.0)) as usize;
        let Some(centre) = self.centres.get(kernel) else { return draw() };
        let (low, high) = (self.cdf(0.0, *centre), self.cdf(1.0, *centre));
        let z = crate::normal::normal_quantile(low + draw() * (high - low));
        (centre + self.width * z).clamp(0.0, 1.0 - f64::EPSILON)
    }

    fn density(&self, x: f64) -> f64 {
        let kernel = |centre: &f64| {
            let mass = self.cdf(1.0, *centre) - self.cdf(0.0, *centre);
            crate::normal::normal_density((x - centre) / self.width) / (self.width * mass)
        };
        (1.0 + self.centres.iter().map(kernel).sum::<f64>()) / (self.centres.len() as f64 + 1.0)
    }

    fn cdf(&self, x: f64, centre: f64) -> f64 {
        crate::normal::normal_cdf((x - centre) / self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weyl's sequence: even, without a generator.
    fn even() -> impl FnMut() -> f64 {
        let mut x = 0.0_f64;
        move || {
            x = (x + 0.618_033_988_749_894_9).fract();
            x
        }
    }

    #[test]
    fn points_are_drawn_where_good_ones_are() {
        let (good, bad): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (
            (0..10).map(|_| vec![0.2, 0.9]).collect(),
            (0..30).map(|i| vec![f64::from(i) / 30.0; 2]).collect(),
        );
        let (good, bad): (Vec<&[f64]>, Vec<&[f64]>) =
            (good.iter().map(Vec::as_slice).collect(), bad.iter().map(Vec::as_slice).collect());
        let point = tpe_point(&good, &bad, 2, even());
        assert!((point[0] - 0.2).abs() < 0.25 && (point[1] - 0.9).abs() < 0.25, "{point:?}");
        assert_eq!(tpe_point(&[], &[], 3, even()).len(), 3);
    }

    #[test]
    fn a_density_has_mass_one() {
        let density = Parzen::new(vec![0.05, 0.5, 0.98]);
        let mass: f64 = (0..10_000).map(|i| density.density((f64::from(i) + 0.5) / 1e4)).sum::<f64>() / 1e4;
        assert!((mass - 1.0).abs() < 1e-6, "{mass}");
    }
}
