//! Amounts with units, as people write them: `1.5 kg`, `2 kWh`, `1h 30m`, `8 GiB`.

use std::time::Duration;

use gramwise_carbon::{GramsCo2e, Joules};

use super::fields::{Field, meant};
use crate::document::{Content, Findings};

/// Units by name with what one of them is in the base unit.
type Units = &'static [(&'static str, f64)];

const MASS: Units = &[("g", 1.0), ("kg", 1e3), ("t", 1e6), ("mg", 1e-3), ("ug", 1e-6), ("µg", 1e-6)];
const ENERGY: Units = &[("kWh", 3.6e6), ("Wh", 3.6e3), ("MWh", 3.6e9), ("J", 1.0), ("kJ", 1e3), ("MJ", 1e6)];
const TIME: Units = &[("h", 3600.0), ("m", 60.0), ("min", 60.0), ("s", 1.0), ("d", 86_400.0)];
const MEMORY: Units = &[
    ("GiB", 1_073_741_824.0),
    ("MiB", 1_048_576.0),
    ("KiB", 1024.0),
    ("TiB", 1_099_511_627_776.0),
    ("GB", 1e9),
    ("MB", 1e6),
    ("kB", 1e3),
    ("TB", 1e12),
    ("B", 1.0),
];

/// A mass of `CO2e` above zero.
pub(super) fn mass(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<GramsCo2e> {
    amount(findings, field, MASS, "a mass with its unit", "200 g").map(GramsCo2e::new)
}

/// An energy above zero.
pub(super) fn energy(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<Joules> {
    amount(findings, field, ENERGY, "an energy with its unit", "2 kWh").map(Joules::new)
}

/// A time above zero.
pub(super) fn duration(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<Duration> {
    let seconds = amount(findings, field, TIME, "a time with its unit", "1h 30m")?;
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    if time.is_none() {
        field.wrong(findings, "a time that a clock can count", "");
    }
    time
}

/// A size in bytes above zero.
pub(super) fn memory(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<u64> {
    let bytes = amount(findings, field, MEMORY, "a size with its unit", "8 GiB")?;
    if !(1.0..=9e18).contains(&bytes) {
        field.wrong(findings, "a size between 1 B and 8 EiB", "");
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    Some(bytes.round() as u64)
}

/// A time of day like `18:00`, in minutes since midnight.
pub(super) fn time_of_day(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<u32> {
    let minutes = field.node.text().and_then(|text| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let part = |digits: &str, limit: u32| {
            let legal = matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|value| legal && *value < limit)
        };
        Some(part(hours, 24)? * 60 + part(minutes, 60)?)
    });
    if minutes.is_none() {
        field.wrong(findings, "a time of day", "write it as \"18:00\"");
    }
    minutes
}

/// A mass of `CO2e` as sweep files write it, such as `200 g`; above zero. `Err` says what was expected.
pub fn co2e_of(text: &str) -> Result<GramsCo2e, String> {
    let factor = |unit: &str| MASS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    let total = parts(text).and_then(|parts| {
        let amounts = parts.iter().map(|(number, unit)| Some(number * factor(unit)?));
        amounts.sum::<Option<f64>>()
    });
    let total = total.filter(|total| *total > 0.0 && total.is_finite()).map(GramsCo2e::new);
    total.ok_or_else(|| format!("expected a mass with its unit such as 200 g, found `{text}`"))
}

/// A sum of amounts, in the base unit, above zero.
fn amount(
    findings: &mut Findings<'_>,
    field: &Field<'_>,
    units: Units,
    expected: &str,
    example: &str,
) -> Option<f64> {
    let text = match &field.node.content {
        Content::Int(_, number) | Content::Float(_, number) if !number.contains(['x', 'o', 'n']) => {
            field.wrong(findings, expected, &format!("write `{number} {}` if that is meant", units[0].0));
            return None;
        }
        _ => field.node.text(),
    };
    let Some(parts) = text.and_then(parts) else {
        field.wrong(findings, expected, &format!("for example `{example}`"));
        return None;
    };
    let mut total = 0.0;
    for (number, unit) in parts {
        let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
            unknown_unit(findings, field, units, unit);
            return None;
        };
        total += number * factor;
    }
    if total > 0.0 && total.is_finite() {
        return Some(total);
    }
    field.wrong(findings, "above zero", &format!("for example `{example}`"));
    None
}

fn unknown_unit(findings: &mut Findings<'_>, field: &Field<'_>, units: Units, unit: &str) {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let same = names.iter().find(|name| name.eq_ignore_ascii_case(unit)).copied();
    let hint = match same.or_else(|| meant(unit, &names).filter(|_| unit.len() > 1)) {
        Some(name) => format!("did you mean `{name}`? Known units: {}", names.join(", ")),
        None => format!("known units: {}", names.join(", ")),
    };
    let message = format!("`{}` has an unknown unit: `{unit}`", field.path);
    findings.error(&field.node.span, message, hint);
}

/// Numbers and the words after them; `None` when the text is anything else.
fn parts(text: &str) -> Option<Vec<(f64, &str)>> {
    let mut rest = text.trim();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !(letter.is_ascii_digit() || ".+-".contains(letter)))?;
        let number: f64 = rest[..end].parse().ok()?;
        let after = rest[end..].trim_start();
        let end = after.find(|letter: char| !letter.is_alphabetic()).unwrap_or(after.len());
        let unit = &after[..end];
        if unit.is_empty() {
            return None;
        }
        parts.push((number, unit));
        rest = after[end..].trim_start();
    }
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::compose;

    /// Reads a scalar as a field named `x`.
    fn read<T>(text: &str, reader: impl Fn(&mut Findings<'_>, &Field<'_>) -> Option<T>) -> Result<T, String> {
        let mut findings = Findings::new(text);
        let node = compose(&mut findings).unwrap();
        let field = Field { path: "x".to_owned(), key_span: 0..1, node: &node };
        let value = reader(&mut findings, &field);
        let errors = findings.finish().0;
        assert_eq!(value.is_none(), errors.0.len() == 1, "one problem or a value: {errors}");
        value.ok_or_else(|| errors.to_string())
    }

    #[test]
    fn amounts_are_read_in_their_units() {
        assert_eq!(read("1.5 kg", mass).unwrap(), GramsCo2e::new(1500.0));
        assert_eq!(read("2kWh", energy).unwrap(), Joules::from_kwh(2.0));
        assert_eq!(read("1h 30m", duration).unwrap(), Duration::from_secs(5400));
        assert_eq!(read("0.5h", duration).unwrap(), Duration::from_secs(1800));
        assert_eq!(read("8 GiB", memory).unwrap(), 8 << 30);
        assert_eq!(read("\"18:05\"", time_of_day).unwrap(), 18 * 60 + 5);
    }

    #[test]
    fn a_missing_or_unknown_unit_is_named() {
        assert_eq!(co2e_of("1 kg 500g"), Ok(GramsCo2e::new(1500.0)));
        assert!(["200", "0 g", "-1 g", "g", "1 kWh", ""].iter().all(|text| co2e_of(text).is_err()));
        assert!(read("200", mass).unwrap_err().contains("write `200 g`"));
        assert!(read("2 kwh", energy).unwrap_err().contains("did you mean `kWh`?"));
        assert!(read("2 hours", energy).unwrap_err().contains("unknown unit: `hours`"));
        assert!(read("soon", duration).unwrap_err().contains("for example `1h 30m`"));
        assert!(read("1h 30", duration).is_err());
        assert!(read("-2 g", mass).unwrap_err().contains("above zero"));
        assert!(read("[1]", memory).unwrap_err().contains("found a list"));
        assert!(read("99999999999999999999999d", duration).is_err());
        assert!(read("24:00", time_of_day).is_err());
    }
}
