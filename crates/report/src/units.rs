//! Numbers for people: a unit by size, three significant digits.

use std::time::Duration;

use gramwise_carbon::{GramsCo2e, Microjoules};

/// Units of energy in joules, ascending. From one watt-hour on, in what electricity is bought in.
const ENERGY: [(f64, &str); 7] =
    [(1e-6, "µJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (3.6e3, "Wh"), (3.6e6, "kWh"), (3.6e9, "MWh")];

/// Units of mass in grams, ascending, from the ledger's own.
const MASS: [(f64, &str); 6] =
    [(1e-9, "ng"), (1e-6, "µg"), (1e-3, "mg"), (1.0, "g"), (1e3, "kg"), (1e6, "t")];

/// An amount of energy with its unit: `4.20 J`, `1.23 kWh`.
pub fn energy(amount: Microjoules) -> String {
    with_unit(amount.joules().get(), &ENERGY, "J")
}

/// A mass of `CO2e` with its unit: `3.10 mg`, `1.20 kg`. Without the word `CO2e`, which the heading says.
pub fn grams(mass: GramsCo2e) -> String {
    with_unit(mass.get(), &MASS, "g")
}

/// The unit that masses up to this many grams are shown in: its size in grams, and its name.
pub(crate) fn mass_unit(most: f64) -> (f64, &'static str) {
    MASS.iter().rev().copied().find(|(size, _)| most >= *size).unwrap_or(MASS[0])
}

/// A number without a unit: up to four significant digits, thousands apart, `2 350`, `0.0183`, `2.1e-9`.
/// Infinities are `∞`, what is not a number is `unknown`.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "unknown".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "-∞" }.to_owned();
    }
    if value == 0.0 {
        // Also the negative zero, which is what an empty sum of floats is.
        return "0".to_owned();
    }
    let (mantissa, exponent) = decimal(value, 4);
    if !(-5..7).contains(&exponent) {
        return format!("{}e{exponent}", without_zeros(&mantissa));
    }
    let decimals = usize::try_from(3 - exponent).unwrap_or(0);
    grouped(without_zeros(&format!("{value:.decimals$}")))
}

/// A share as a percentage with one decimal: `12.5 %`; `-` of nothing.
pub fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", part / whole * 100.0) } else { "-".to_owned() }
}

/// A length of time by its two largest units: `12 min 03 s`, `2 h 05 min`.
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", (length.as_secs_f64() * 10.0).floor() / 10.0),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The largest unit that leaves at least 1 after rounding; so 999.9 g is 1.00 kg and not 1000 g.
fn with_unit(value: f64, units: &[(f64, &str)], zero: &str) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    if value == 0.0 {
        return format!("0 {zero}");
    }
    let (size, name) = units
        .iter()
        .rev()
        .find(|(size, _)| rounded(value.abs() / size) >= 1.0)
        .or(units.first())
        .expect("a list of units is not empty");
    format!("{} {name}", three_digits(value / size))
}

fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Three significant digits, zeros kept: they say how precise the figure is.
fn three_digits(value: f64) -> String {
    let (_, exponent) = decimal(value, 3);
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// Mantissa and decimal exponent after rounding to so many significant digits.
fn decimal(value: f64, digits: usize) -> (String, i32) {
    let text = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').expect("scientific notation has an exponent");
    (mantissa.to_owned(), exponent.parse().expect("an exponent is a whole number"))
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Thousands apart by a space from four digits on; the decimals stay together.
fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, decimals) = rest.find('.').map_or((rest, ""), |dot| rest.split_at(dot));
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out + decimals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joules(value: f64) -> String {
        energy(gramwise_carbon::Joules::new(value).to_exact())
    }

    #[test]
    fn energy_takes_its_unit_by_size() {
        let shown: Vec<String> =
            [0.0, 4e-6, 0.0042, 4.2, 1800.0, 3600.0, 5e6, 4e9].into_iter().map(joules).collect();
        assert_eq!(
            shown,
            ["0 J", "4.00 µJ", "4.20 mJ", "4.20 J", "1.80 kJ", "1.00 Wh", "1.39 kWh", "1.11 MWh"]
        );
    }

    #[test]
    fn grams_round_before_they_choose_their_unit() {
        let shown: Vec<String> = [0.0, 2e-9, 3.1e-3, 12.0, 999.4, 999.6, 1_234_567.0, -0.5]
            .into_iter()
            .map(|value| grams(GramsCo2e::new(value)))
            .collect();
        assert_eq!(shown, ["0 g", "2.00 ng", "3.10 mg", "12.0 g", "999 g", "1.00 kg", "1.23 t", "-500 mg"]);
        assert_eq!(grams(GramsCo2e::new(f64::NAN)), "unknown");
    }

    #[test]
    fn numbers_keep_four_digits_and_no_idle_zeros() {
        let shown: Vec<String> =
            [-0.0, 0.00021, 0.0183, 109.0, 2350.0, 1_234_567.0, 12_345_678.0, 2.1e-9, -0.5, f64::INFINITY]
                .into_iter()
                .map(number)
                .collect();
        assert_eq!(
            shown,
            ["0", "0.00021", "0.0183", "109", "2 350", "1 234 567", "1.235e7", "2.1e-9", "-0.5", "∞"]
        );
        assert_eq!(number(f64::NAN), "unknown");
    }

    #[test]
    fn durations_and_shares() {
        let shown =
            [420, 59_990, 723_000, 7_500_000, 360_000_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(shown, ["0.4 s", "59.9 s", "12 min 03 s", "2 h 05 min", "4 d 4 h"]);
        assert_eq!(share(1.0, 8.0), "12.5 %");
        assert_eq!(share(0.0, 0.0), "-");
    }
}
