//! Owen-scrambled Sobol points: even coverage of the unit cube, different for each seed, any point by its index.

use std::sync::LazyLock;

/// Dimensions that the shipped direction numbers cover.
pub const MAX_DIMENSIONS: usize = 128;
const BITS: usize = 32;

/// A scrambled Sobol sequence. Points are addressed by index, so no state is kept between draws.
#[derive(Debug, Clone, Copy)]
pub struct Sobol {
    seed: u64,
    dimensions: usize,
}

impl Sobol {
    /// A sequence in so many dimensions; `None` above [`MAX_DIMENSIONS`].
    pub fn new(seed: u64, dimensions: usize) -> Option<Self> {
        (dimensions <= MAX_DIMENSIONS).then_some(Self { seed, dimensions })
    }

    /// The point at `index`, each coordinate in [0, 1).
    pub fn point(&self, index: u32) -> Vec<f64> {
        (0..self.dimensions)
            .map(|dimension| {
                let salt = mix(self.seed ^ mix(dimension as u64 + 1));
                to_unit(scramble(raw(dimension, index), salt))
            })
            .collect()
    }
}

/// The unscrambled coordinate as a 32-bit fraction: the exclusive or of the direction numbers of the index's bits.
fn raw(dimension: usize, index: u32) -> u32 {
    static DIRECTIONS: LazyLock<Vec<[u32; BITS]>> = LazyLock::new(directions);
    let directions = &DIRECTIONS[dimension];
    (0..BITS).filter(|bit| index >> bit & 1 == 1).fold(0, |point, bit| point ^ directions[bit])
}

fn to_unit(fraction: u32) -> f64 {
    f64::from(fraction) / 4_294_967_296.0
}

/// Nested uniform scrambling by hashing (Burley, "Practical Hash-based Owen Scrambling", JCGT 9(4), 2020): in reversed
/// bits, every step lets each bit depend on lower bits only, so that halves, quarters and so on are swapped as wholes.
fn scramble(fraction: u32, salt: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "two halves of one hash")]
    let (low, high) = (salt as u32, (salt >> 32) as u32);
    let mut bits = fraction.reverse_bits().wrapping_add(low);
    for multiplier in [0x6c50_b47c_u32, 0xb82f_1e52, 0xc7af_e638, 0x8d22_f6e6] {
        bits ^= bits.wrapping_mul(multiplier);
    }
    bits = bits.wrapping_add(high);
    bits ^= bits.wrapping_mul((low | 1).wrapping_shl(1));
    bits.reverse_bits()
}

/// A bijection that spreads the bits of a word (`SplitMix64`'s finaliser, Steele et al. 2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Direction numbers by the recurrence of Joe and Kuo (2008), equation 2. The first dimension is van der Corput's.
fn directions() -> Vec<[u32; BITS]> {
    let table = include_str!("../data/joe_kuo.txt").lines().filter(|line| !line.starts_with('#'));
    let mut all = vec![std::array::from_fn(|bit| 1 << (BITS - 1 - bit))];
    all.extend(table.map(|line| {
        let numbers: Vec<u32> =
            line.split(' ').map(|word| word.parse().expect("the shipped table holds numbers")).collect();
        let (degree, coefficients, initial) = (numbers[1] as usize, numbers[2], &numbers[3..]);
        let mut directions = [0u32; BITS];
        for bit in 0..BITS {
            directions[bit] = if bit < degree {
                initial[bit] << (BITS - 1 - bit)
            } else {
                let oldest = directions[bit - degree];
                (1..degree).fold(oldest ^ (oldest >> degree), |word, k| {
                    let taken = coefficients >> (degree - 1 - k) & 1;
                    word ^ (taken * directions[bit - k])
                })
            };
        }
        directions
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unscrambled_points_are_those_of_the_reference() {
        // Reference: scipy.stats.qmc.Sobol(128, scramble=False), whose n-th point has index n ^ (n >> 1).
        let place = 1000_u32;
        let index = place ^ (place >> 1);
        for (dimension, expected) in [
            (0, 0.219_726_56),
            (1, 0.096_679_69),
            (20, 0.522_460_94),
            (63, 0.446_289_06),
            (127, 0.543_945_31),
        ] {
            assert!((to_unit(raw(dimension, index)) - expected).abs() < 1e-8, "dimension {dimension}");
        }
    }

    #[test]
    fn scrambling_keeps_one_point_in_every_slice() {
        let sobol = Sobol::new(42, MAX_DIMENSIONS).unwrap();
        let points: Vec<Vec<f64>> = (0..64).map(|index| sobol.point(index)).collect();
        for dimension in 0..MAX_DIMENSIONS {
            let mut slices: Vec<u8> = points
                .iter()
                .map(|point| {
                    (0..64u8).rev().find(|slice| f64::from(*slice) / 64.0 <= point[dimension]).unwrap()
                })
                .collect();
            slices.sort_unstable();
            assert_eq!(slices, (0..64).collect::<Vec<u8>>(), "dimension {dimension}");
        }
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let point = |seed| Sobol::new(seed, 8).unwrap().point(5);
        assert_eq!(point(1), point(1));
        assert_ne!(point(1), point(2));
        assert!(Sobol::new(1, MAX_DIMENSIONS + 1).is_none());
    }
}
