//! `WattTime`: five minutes of a region, direct; average (`co2_aoer`) or marginal (`co2_moer`).

use gramwise_carbon::{GramsPerKwh, IntensityKind, Publisher, Signal, utc};
use serde::Deserialize;

use crate::Reading;
use crate::http::{self, Error, Proof};

pub(crate) const VARIABLE: &str = "WATTTIME_USER and WATTTIME_PASSWORD";
/// Grams per kWh for a pound per `MWh`: the international pound is 453.59237 g.
const GRAMS_PER_KWH: f64 = 0.453_592_37;
/// What it publishes by, where its answer does not say.
const PERIOD_S: u64 = 300;

#[derive(Debug, Deserialize)]
struct Login {
    token: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Vec<Point>,
    meta: Option<Meta>,
}

#[derive(Debug, Deserialize)]
struct Point {
    point_time: String,
    value: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    units: Option<String>,
    data_point_period_seconds: Option<u64>,
}

/// Asks for all points of a time, after logging in.
pub(crate) fn fetch(
    agent: &ureq::Agent,
    base: &str,
    account: Option<(&str, &str)>,
    (region, signal): (&str, Signal),
    (from, to): (u64, u64),
) -> Result<Vec<Reading>, Error> {
    let (user, password) =
        account.ok_or(Error::NoKey { publisher: Publisher::WattTime, variable: VARIABLE })?;
    let basic = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
    let login: Login = http::get(
        agent,
        Publisher::WattTime,
        &format!("{base}/login"),
        Proof::Secret("authorization", &basic),
    )?;
    let kind = match signal {
        Signal::Average => "co2_aoer",
        Signal::Marginal => "co2_moer",
    };
    let url = format!(
        "{base}/v3/historical?region={region}&signal_type={kind}&start={}&end={}",
        utc::minute(from),
        utc::minute(to)
    );
    let bearer = format!("Bearer {}", login.token);
    let answer: Answer =
        http::get(agent, Publisher::WattTime, &url, Proof::Header("authorization", &bearer))?;
    let malformed = |what: String| Error::Malformed { publisher: Publisher::WattTime, what };
    let units = answer.meta.as_ref().and_then(|meta| meta.units.clone());
    if let Some(units) = units.filter(|units| units != "lbs_co2_per_mwh") {
        return Err(malformed(format!("units `{units}` where `lbs_co2_per_mwh` was expected")));
    }
    let period = answer.meta.and_then(|meta| meta.data_point_period_seconds).unwrap_or(PERIOD_S);
    if !(1..=86_400).contains(&period) {
        return Err(malformed(format!("a period of {period} s")));
    }
    let readings = answer.data.iter().filter_map(|point| {
        let pounds = point.value?;
        let reading = || {
            let from = utc::parse(&point.point_time)
                .ok_or_else(|| malformed(format!("`{}` is no time", point.point_time)))?;
            let intensity = GramsPerKwh::new(pounds * GRAMS_PER_KWH)
                .map_err(|_| malformed(format!("{pounds} lb/MWh")))?;
            Ok(Reading { from, to: from + period * 1000, intensity, kind: IntensityKind::Actual })
        };
        Some(reading())
    });
    readings.collect()
}

/// RFC 4648, for one header.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]);
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
