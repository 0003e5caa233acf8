//! Who publishes grid intensities, as people write it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who publishes intensities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publisher {
    /// NESO's Carbon Intensity API: Great Britain by the half hour, direct emissions, no key. CC BY 4.0.
    Uk,
    /// Electricity Maps: most grids by the hour, life-cycle emissions of consumption, with a token.
    ElectricityMaps,
    /// `WattTime`: grids by five minutes, direct emissions, with an account.
    WattTime,
}

/// Whose emissions a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// All that is consumed: what a report states.
    Average,
    /// The plant that answers to one more kWh: for when to run, never for what it cost.
    Marginal,
}

/// A publisher and one of its regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Who is asked.
    pub publisher: Publisher,
    /// The region's name as the publisher spells it.
    pub region: String,
    /// Which of its figures.
    pub signal: Signal,
}

/// What is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownSource(String);

impl Publisher {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Uk, Self::ElectricityMaps, Self::WattTime];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uk => "uk",
            Self::ElectricityMaps => "electricity-maps",
            Self::WattTime => "watttime",
        }
    }

    /// For reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Uk => "NESO Carbon Intensity API",
            Self::ElectricityMaps => "Electricity Maps",
            Self::WattTime => "WattTime",
        }
    }

    /// What its average figures count, for reports.
    pub fn basis(self) -> &'static str {
        match self {
            Self::Uk => "generation and imports, direct",
            Self::ElectricityMaps => "consumption, life-cycle",
            Self::WattTime => "generation, direct",
        }
    }
}

impl Source {
    /// Reads `uk`, `electricity-maps:REGION` or `watttime:REGION`. A region that is not stated is `zone`, the code of the grid zone.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, UnknownSource> {
        let (name, region) = text.split_once(':').map_or((text, None), |(name, region)| (name, Some(region)));
        let publisher = Publisher::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| {
            let known = Publisher::ALL.map(Publisher::name).join("`, `");
            UnknownSource(format!("`{text}` publishes no intensities here; known are `{known}`"))
        })?;
        let region = region.map(str::trim).filter(|region| !region.is_empty()).or(zone);
        let region = match (publisher, region) {
            (Publisher::Uk, None | Some("GB" | "UK" | "gb" | "uk")) => "GB",
            (Publisher::Uk, Some(other)) => {
                return Err(UnknownSource(format!(
                    "`uk` publishes Great Britain, not `{other}`; write `zone: GB`"
                )));
            }
            (Publisher::ElectricityMaps, Some(region)) => region,
            (Publisher::ElectricityMaps, None) => {
                return Err(UnknownSource("say which region, as in `electricity-maps:DE`".to_owned()));
            }
            // Its names are no zones.
            (Publisher::WattTime, Some(region)) if text.contains(':') => region,
            (Publisher::WattTime, Some(_) | None) => {
                return Err(UnknownSource("say which region, as in `watttime:CAISO_NORTH`".to_owned()));
            }
        };
        let is_legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        if !region.chars().all(is_legal) {
            return Err(UnknownSource(format!("`{region}` is no region: letters, digits, `-` and `_`")));
        }
        Ok(Self { publisher, region: region.to_owned(), signal: Signal::Average })
    }
}

impl FromStr for Source {
    type Err = UnknownSource;
    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.publisher.name(), self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_publisher_and_a_region() {
        let text = |text: &str, zone| Source::parse(text, zone).map(|source| source.to_string());
        assert_eq!(text("uk", None).unwrap(), "uk:GB");
        assert_eq!(text("uk", Some("GB")).unwrap(), "uk:GB");
        assert_eq!(text("electricity-maps", Some("DE")).unwrap(), "electricity-maps:DE");
        assert_eq!(
            text("electricity-maps:US-CAL-CISO", Some("US-CA")).unwrap(),
            "electricity-maps:US-CAL-CISO"
        );
        assert_eq!(text("watttime:CAISO_NORTH", None).unwrap(), "watttime:CAISO_NORTH");
        for (wrong, zone, what) in [
            ("uk", Some("FR"), "Great Britain"),
            ("electricity-maps", None, "electricity-maps:DE"),
            ("watttime", Some("US-CA"), "watttime:CAISO_NORTH"),
            ("entsoe", None, "known are `uk`"),
            ("electricity-maps:a/../b", None, "no region"),
        ] {
            let error = Source::parse(wrong, zone).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
