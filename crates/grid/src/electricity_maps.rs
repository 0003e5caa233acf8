//! Electricity Maps: hours of a zone's consumption, life-cycle.

use gramwise_carbon::{GramsPerKwh, IntensityKind, Publisher, utc};
use serde::Deserialize;

use crate::Reading;
use crate::http::{self, Error, Proof};

const HOUR: u64 = 3_600_000;
pub(crate) const VARIABLE: &str = "ELECTRICITY_MAPS_TOKEN";

/// Ranges come as `data`, the last day as `history`, one hour alone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Answer {
    Range { data: Vec<Hour> },
    History { history: Vec<Hour> },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hour {
    datetime: String,
    carbon_intensity: Option<f64>,
    #[serde(default)]
    is_estimated: bool,
}

/// Asks for all hours that touch a time.
pub(crate) fn fetch(
    agent: &ureq::Agent,
    base: &str,
    token: Option<&str>,
    zone: &str,
    (from, to): (u64, u64),
) -> Result<Vec<Reading>, Error> {
    let token = token.ok_or(Error::NoKey { publisher: Publisher::ElectricityMaps, variable: VARIABLE })?;
    let (first, last) = (from / HOUR * HOUR, to.div_ceil(HOUR) * HOUR);
    let url = format!(
        "{base}/v3/carbon-intensity/past-range?zone={zone}&start={}&end={}",
        utc::minute(first),
        utc::minute(last)
    );
    let proof = Proof::Header("auth-token", token);
    let answer: Answer = http::get(agent, Publisher::ElectricityMaps, &url, proof)?;
    let hours = match &answer {
        Answer::Range { data: hours } | Answer::History { history: hours } => hours,
    };
    hours.iter().filter_map(|hour| reading(hour).transpose()).collect()
}

fn reading(hour: &Hour) -> Result<Option<Reading>, Error> {
    let malformed = |what: String| Error::Malformed { publisher: Publisher::ElectricityMaps, what };
    let from =
        utc::parse(&hour.datetime).ok_or_else(|| malformed(format!("`{}` is no time", hour.datetime)))?;
    let Some(value) = hour.carbon_intensity else { return Ok(None) };
    let intensity = GramsPerKwh::new(value).map_err(|_| malformed(format!("{value} g/kWh")))?;
    let kind = if hour.is_estimated { IntensityKind::Estimated } else { IntensityKind::Actual };
    Ok(Some(Reading { from, to: from + HOUR, intensity, kind }))
}
