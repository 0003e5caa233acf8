//! NESO's Carbon Intensity API: half hours of Great Britain, with a forecast and, hours later, an actual.

use gramwise_carbon::{GramsPerKwh, IntensityKind, Publisher, utc};
use serde::Deserialize;

use crate::Reading;
use crate::http::{self, Error, Proof};

#[derive(Debug, Deserialize)]
struct Answer {
    data: Vec<Slot>,
}

#[derive(Debug, Deserialize)]
struct Slot {
    from: String,
    to: String,
    intensity: Intensity,
}

#[derive(Debug, Deserialize)]
struct Intensity {
    forecast: Option<f64>,
    actual: Option<f64>,
}

/// Asks for all half hours that touch a time.
pub(crate) fn fetch(agent: &ureq::Agent, base: &str, from: u64, to: u64) -> Result<Vec<Reading>, Error> {
    let url = format!("{base}/intensity/{}/{}", utc::minute(from), utc::minute(to));
    let answer: Answer = http::get(agent, Publisher::Uk, &url, Proof::Nothing)?;
    answer.data.iter().filter_map(|slot| reading(slot).transpose()).collect()
}

/// `None` where the slot has no figure yet.
fn reading(slot: &Slot) -> Result<Option<Reading>, Error> {
    let malformed = |what: String| Error::Malformed { publisher: Publisher::Uk, what };
    let time = |text: &str| utc::parse(text).ok_or_else(|| malformed(format!("`{text}` is no time")));
    let (from, to) = (time(&slot.from)?, time(&slot.to)?);
    let actual = slot.intensity.actual.map(|value| (value, IntensityKind::Actual));
    let Some((value, kind)) =
        actual.or(slot.intensity.forecast.map(|value| (value, IntensityKind::Forecast)))
    else {
        return Ok(None);
    };
    let intensity = GramsPerKwh::new(value).map_err(|_| malformed(format!("{value} g/kWh")))?;
    Ok((from < to).then_some(Reading { from, to, intensity, kind }))
}
