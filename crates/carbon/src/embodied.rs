//! What it took to make the hardware, shared out over the years it is used.
//!
//! SCI (ISO/IEC 21031:2024): M = TE x (time reserved / expected life) x (resources reserved / all resources). The last
//! factor is 1 for a whole card, and its share of the card for a MIG part.

use std::sync::LazyLock;
use std::time::Duration;

use crate::GramsCo2e;

/// How long a card is taken to be in use, in years.
pub const LIFE_YEARS: f64 = 5.0;
/// A Julian year in seconds.
const YEAR_S: f64 = 365.25 * 86_400.0;

/// Emissions of making something, with the band that published figures lie in.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Embodied {
    /// The figure.
    pub mass: GramsCo2e,
    /// The band's edges, in grams.
    pub low: f64,
    /// The band's upper edge, in grams.
    pub high: f64,
}

impl Embodied {
    fn scaled(&self, by: f64) -> Self {
        Self { mass: GramsCo2e::new(self.mass.get() * by), low: self.low * by, high: self.high * by }
    }
}

impl std::ops::Add for Embodied {
    type Output = Self;
    /// Bands of cards share their causes (one model made them all), so they add up.
    fn add(self, other: Self) -> Self {
        Self {
            mass: GramsCo2e::new(self.mass.get() + other.mass.get()),
            low: self.low + other.low,
            high: self.high + other.high,
        }
    }
}

/// The share of a card's embodied emissions that reserving it for a time takes; `None` where its model is not in the shipped table.
pub fn embodied(model: &str, reserved: Duration) -> Option<Embodied> {
    let normal = normalised(model);
    // A part of a card: "... MIG 3 of 7".
    let (wanted, part) = match normal.split_once(" mig ") {
        Some((whole, part)) => (whole, share(part)?),
        None => (normal.as_str(), 1.0),
    };
    let exact = cards().iter().find(|card| card.name == *wanted);
    // Drivers add words, never take some away.
    let longest = || {
        let inside = cards().iter().filter(|card| wanted.starts_with(&format!("{} ", card.name)));
        inside.max_by_key(|card| card.name.len())
    };
    let card = exact.or_else(longest)?;
    Some(card.made.scaled(part * reserved.as_secs_f64() / (LIFE_YEARS * YEAR_S)))
}

/// `3 of 7`.
fn share(part: &str) -> Option<f64> {
    let (size, of) = part.split_once(" of ")?;
    let (size, of): (f64, f64) = (size.parse().ok()?, of.parse().ok()?);
    (of > 0.0 && size <= of).then(|| size / of)
}

#[derive(Debug)]
struct Card {
    name: String,
    made: Embodied,
}

fn cards() -> &'static [Card] {
    static TABLE: LazyLock<Vec<Card>> = LazyLock::new(|| {
        let lines = include_str!("../data/gpu_embodied.csv").lines().skip(1);
        lines
            .map(|line| card(line).expect("each row of the shipped table has a name and three masses"))
            .collect()
    });
    &TABLE
}

fn card(line: &str) -> Option<Card> {
    let mut cells = line.split(',');
    let name = normalised(cells.next()?);
    let mut grams = || Some(cells.next()?.parse::<f64>().ok()? * 1000.0);
    let made = Embodied { mass: GramsCo2e::new(grams()?), low: grams()?, high: grams()? };
    Some(Card { name, made })
}

fn normalised(name: &str) -> String {
    name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_a_card_is_its_share_of_five_years() {
        let hour = Duration::from_secs(3600);
        let a100 = embodied("NVIDIA A100-SXM4-40GB", hour).unwrap();
        assert!((a100.mass.get() - 319_300.0 / (5.0 * 8766.0)).abs() < 1e-9, "{a100:?}");
        assert!(a100.low < a100.mass.get() && a100.mass.get() < a100.high);
        let part = embodied("nvidia  a100-sxm4-40gb MIG 3 of 7", hour).unwrap();
        assert!((part.mass.get() - a100.mass.get() * 3.0 / 7.0).abs() < 1e-9);
        assert_eq!(embodied("NVIDIA A100-SXM4-40GB MIG 1g.5gb", hour), None, "nobody knows how much of it");
        assert_eq!(embodied("NVIDIA A100-SXM4-40GB something", hour), Some(a100));
        assert_eq!(embodied("GeForce 256", hour), None);
        assert_eq!(embodied("", hour), None);
        // A longer name that is another card.
        assert_ne!(embodied("NVIDIA H100 PCIe", hour), embodied("NVIDIA H100 80GB HBM3", hour));
        assert_eq!(embodied("NVIDIA A100-SXM4-400GB", hour), None);
    }
}
