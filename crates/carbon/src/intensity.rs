//! Grid carbon intensity by zone, shipped as a table, and the factors that turn energy into grams.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{GramsPerKwh, Joules, Nanograms, Pue};

/// The code of the world average, used when no zone is stated.
pub const WORLD: &str = "WORLD";

/// One row of the shipped table: a yearly mean. See `crates/carbon/data/README.md` for sources and licences.
#[derive(Debug, Clone, PartialEq)]
pub struct GridZone {
    /// The code used in `zone:`, for example `FR`, `US-CA` or `CN-AH`.
    pub code: String,
    /// Country, and region where there is one.
    pub name: String,
    /// Yearly mean.
    pub intensity: GramsPerKwh,
    /// The year the mean is of.
    pub year: u16,
    /// Who published it.
    pub source: String,
    /// What is counted: generation or consumption, direct or life-cycle.
    pub basis: String,
}

/// How an intensity was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntensityKind {
    /// The mean of a whole year.
    Yearly,
    /// Of the hour, said before it.
    Forecast,
    /// Of the hour, computed without all of the data.
    Estimated,
    /// Of the hour, from what was generated.
    Actual,
}

impl IntensityKind {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yearly => "yearly",
            Self::Forecast => "forecast",
            Self::Estimated => "estimated",
            Self::Actual => "actual",
        }
    }
}

/// A zone that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown grid zone `{found}`")]
pub struct UnknownZone {
    /// What was asked for.
    pub found: String,
}

/// How energy becomes grams on one host, with where each factor comes from. A report prints all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CarbonFactors {
    /// Zone code.
    pub zone: String,
    /// Intensity applied.
    pub intensity: GramsPerKwh,
    /// Who published the intensity.
    pub source: String,
    /// The year it is of.
    pub year: u16,
    /// What it counts.
    pub basis: String,
    /// How it was obtained.
    pub kind: IntensityKind,
    /// Was the zone stated by the user, rather than taken as the world's mean?
    pub zone_stated: bool,
    /// Power usage effectiveness applied.
    pub pue: Pue,
    /// Was the PUE stated by the user?
    pub pue_stated: bool,
}

/// A grid's intensity as somebody stated it, in place of the yearly mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatedIntensity {
    /// The intensity.
    pub intensity: GramsPerKwh,
    /// How it was obtained.
    pub kind: IntensityKind,
    /// Who published it.
    pub source: String,
    /// What it counts.
    pub basis: String,
    /// The year it is of.
    pub year: u16,
}

impl CarbonFactors {
    /// The same with another intensity.
    #[must_use]
    pub fn with(&self, stated: &StatedIntensity) -> Self {
        let StatedIntensity { intensity, kind, source, basis, year } = stated.clone();
        Self { intensity, source, year, basis, kind, ..self.clone() }
    }

    /// The intensity with where it is from.
    pub fn stated(&self) -> StatedIntensity {
        let Self { intensity, kind, source, basis, year, .. } = self.clone();
        StatedIntensity { intensity, kind, source, basis, year }
    }

    /// The factors of a zone (world average when `None`) and a PUE (1, no facility, when `None`).
    pub fn yearly(zone_code: Option<&str>, pue: Option<Pue>) -> Result<Self, UnknownZone> {
        let row = zone(zone_code.unwrap_or(WORLD))?;
        Ok(Self {
            zone: row.code.clone(),
            intensity: row.intensity,
            source: row.source.clone(),
            year: row.year,
            basis: row.basis.clone(),
            kind: IntensityKind::Yearly,
            zone_stated: zone_code.is_some(),
            pue: pue.unwrap_or(Pue::ONE),
            pue_stated: pue.is_some(),
        })
    }

    /// The operational `CO2e` of an amount of energy, rounded to the nanogram.
    pub fn co2e(&self, energy: Joules) -> Nanograms {
        (energy * self.pue * self.intensity).to_exact()
    }
}

/// All zones of the shipped table, sorted by code.
pub fn zones() -> &'static [GridZone] {
    static TABLE: LazyLock<Vec<GridZone>> =
        LazyLock::new(|| parse(include_str!("../data/grid_intensity.csv")));
    &TABLE
}

/// Finds a zone by its code, ignoring case: two or three letters of a country, country-region, or a region of a cloud
/// (`aws:eu-west-3`, `azure:francecentral`, `gcp:europe-west9`).
pub fn zone(code: &str) -> Result<&'static GridZone, UnknownZone> {
    let wanted = of_cloud(code).unwrap_or(code).to_ascii_uppercase();
    zones()
        .iter()
        .find(|row| row.code == wanted)
        .or_else(|| {
            let two = iso2_of(&wanted)?;
            zones().iter().find(|row| row.code == two)
        })
        .ok_or_else(|| UnknownZone { found: code.to_owned() })
}

/// The zone that a cloud's region lies in.
fn of_cloud(code: &str) -> Option<&'static str> {
    let pairs = include_str!("../data/cloud_regions.csv").lines().filter_map(|line| line.split_once(','));
    pairs.into_iter().find(|(region, _)| code.eq_ignore_ascii_case(region)).map(|(_, zone)| zone)
}

/// What to write in place of a code that is unknown, in words.
pub fn zone_hint(code: &str) -> String {
    let near: Vec<String> = nearest(code).iter().map(|row| format!("{} ({})", row.code, row.name)).collect();
    if near.is_empty() {
        "use a country's two letters, country-region like `US-CA`, a cloud's region like `aws:eu-west-3`, or `WORLD`".to_owned()
    } else {
        format!("zones like it: {}", near.join(", "))
    }
}

/// Codes that begin like `code`, or whose name holds it. At most five.
fn nearest(code: &str) -> Vec<&'static GridZone> {
    let wanted = code.to_ascii_lowercase();
    let first: String = wanted.chars().take(1).collect();
    let by_name = zones().iter().filter(|row| row.name.to_ascii_lowercase().contains(&wanted));
    let by_letter = zones().iter().filter(|row| row.code.to_ascii_lowercase().starts_with(&first));
    by_name.chain(by_letter).take(5).collect()
}

/// Three letters of a country to its two, from the same table.
fn iso2_of(iso3: &str) -> Option<String> {
    static CODES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
        records(include_str!("../data/grid_intensity.csv"))
            .into_iter()
            .filter(|row| row[6].is_empty() && !row[1].is_empty())
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect()
    });
    CODES.iter().find(|(three, _)| three == iso3).map(|(_, two)| two.clone())
}

fn parse(csv: &str) -> Vec<GridZone> {
    let mut rows: Vec<GridZone> = records(csv).into_iter().map(|row| grid_zone(&row)).collect();
    rows.sort_by(|a, b| a.code.cmp(&b.code));
    rows
}

fn grid_zone(row: &[String]) -> GridZone {
    let [iso3, iso2, country, year, grams, source, region, basis, ..] = row else {
        panic!("a row of the shipped grid table has nine columns: {row:?}");
    };
    let country_code = if iso2.is_empty() { iso3 } else { iso2 };
    let code = match (iso3.as_str(), region.is_empty()) {
        ("WLD", _) => WORLD,
        (_, true) => country_code,
        (_, false) => region,
    };
    GridZone {
        code: code.to_ascii_uppercase(),
        name: country.clone(),
        intensity: GramsPerKwh::new(grams.parse().expect("shipped intensity is a number"))
            .expect("shipped intensity is legal"),
        year: year.parse().expect("shipped year is a number"),
        source: source.clone(),
        basis: basis.clone(),
    }
}

/// The table's records. It quotes fields that hold commas and has no escaped quotes; a test reads every row.
fn records(csv: &str) -> Vec<Vec<String>> {
    csv.lines().skip(1).filter(|line| !line.is_empty()).map(fields).collect()
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().expect("starts with one field").push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Component, Energy, Provenance};

    #[test]
    fn a_clouds_region_is_the_zone_it_lies_in() {
        assert_eq!(zone("gcp:europe-west9").unwrap().code, "FR");
        assert_eq!(zone("AWS:us-west-1").unwrap().code, "US-CA");
        assert_eq!(zone("azure:canadaeast").unwrap().code, "CA-QC");
        assert!(zone("aws:nowhere-1").is_err());
        for line in include_str!("../data/cloud_regions.csv").lines().skip(1) {
            let region = line.split(',').next().unwrap();
            assert!(zone(region).is_ok(), "{line}");
        }
    }

    #[test]
    fn every_shipped_row_is_legal_and_codes_are_unique() {
        let codes: std::collections::BTreeSet<_> = zones().iter().map(|row| &row.code).collect();
        assert_eq!(zones().len(), 307);
        assert_eq!(codes.len(), zones().len());
        assert!(zones().iter().all(|row| row.intensity.get() < 2000.0 && !row.source.is_empty()));
    }

    #[test]
    fn zones_are_found_by_two_or_three_letters_in_any_case() {
        assert_eq!(zone("fra").unwrap(), zone("FR").unwrap());
        assert_eq!(zone("FR").unwrap().name, "France");
        assert!((zone(WORLD).unwrap().intensity.get() - 473.0).abs() < 5.0);
        assert_eq!(zone("XX").unwrap_err().to_string(), "unknown grid zone `XX`");
        assert!(nearest("franc").iter().any(|row| row.code == "FR"));
    }

    #[test]
    fn grams_follow_the_formula() {
        let factors = CarbonFactors::yearly(Some("FR"), Some(Pue::new(1.2).unwrap())).unwrap();
        let energy = Energy::new(Component::Gpu, Joules::from_kwh(1.0).to_exact(), Provenance::Measured);
        let expected = 1.2 * zone("FR").unwrap().intensity.get();
        assert!((factors.co2e(energy.joules()).grams().get() - expected).abs() < 1e-6);
    }
}
