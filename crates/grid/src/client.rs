//! Asks publishers, and remembers.

use std::path::PathBuf;
use std::time::Duration;

use gramwise_carbon::{MOST_G_PER_KWH, Publisher, Source};

use crate::cache::{self, Cache};
use crate::http::{self, Error};
use crate::{Reading, electricity_maps, uk, watttime};

/// What proves to publishers who asks.
#[derive(Clone, Default)]
pub struct Keys {
    /// Electricity Maps' token.
    pub electricity_maps: Option<String>,
    /// `WattTime`'s user and password.
    pub watttime: Option<(String, String)>,
}

/// Secrets are not shown.
impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Keys")
            .field("electricity_maps", &self.electricity_maps.is_some())
            .field("watttime", &self.watttime.is_some())
            .finish()
    }
}

/// The longest that one question takes, connecting included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks publishers for intensities.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    keys: Keys,
    cache: Option<PathBuf>,
    base: Option<String>,
}

/// What is known of a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// In order; holes where nothing is known.
    pub readings: Vec<Reading>,
    /// What went wrong, if the publisher could not be asked for all of it; the readings are then from earlier answers.
    pub problem: Option<Error>,
}

impl Client {
    /// `cache` is the folder that answers are kept in; `base` takes the place of the publisher's address (a mirror, a test).
    pub fn new(keys: Keys, cache: Option<PathBuf>, base: Option<String>) -> Self {
        let base = base.map(|base| base.trim_end_matches('/').to_owned());
        Self { agent: http::agent(TIMEOUT), keys, cache, base }
    }

    /// The same with another limit for one question, connecting included.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { agent: http::agent(timeout), ..self }
    }

    /// The intensities of a time in milliseconds since 1970 (UTC), as they are known at `now`. Blocks for ten seconds a call at
    /// most. Never fails: what went wrong is told beside what is known.
    pub fn fetch(&self, source: &Source, (from, to): (u64, u64), now: u64) -> Fetched {
        let file = self.cache.as_ref().map(|folder| cache::file(folder, source));
        let mut known = file.as_deref().map(Cache::read).unwrap_or_default();
        let mut problem = None;
        if let Some((mut at, end)) = known.missing(from, to) {
            let mut news = false;
            while at < end && problem.is_none() {
                let until = end.min(at + longest(source.publisher));
                match self.ask(source, at, until).and_then(|readings| credible(source.publisher, readings)) {
                    Ok(readings) => {
                        known.add(&readings, now);
                        news |= !readings.is_empty();
                    }
                    Err(error) => problem = Some(error),
                }
                at = until;
            }
            if let Some(file) = file.filter(|_| news)
                && let Err(error) = known.write(&file)
            {
                tracing::warn!(file = %file.display(), %error, "cannot keep intensities");
            }
        }
        Fetched { readings: known.within(from, to), problem }
    }

    fn ask(&self, source: &Source, from: u64, to: u64) -> Result<Vec<Reading>, Error> {
        let base = self.base.as_deref().unwrap_or_else(|| home(source.publisher));
        match source.publisher {
            Publisher::Uk => uk::fetch(&self.agent, base, from, to),
            Publisher::ElectricityMaps => {
                let token = self.keys.electricity_maps.as_deref();
                electricity_maps::fetch(&self.agent, base, token, &source.region, (from, to))
            }
            Publisher::WattTime => {
                let account = self.keys.watttime.as_ref().map(|(user, password)| (&**user, &**password));
                watttime::fetch(&self.agent, base, account, (&source.region, source.signal), (from, to))
            }
        }
    }
}

/// Refuses what no grid can be. One figure that is taken for true, and is not, would be in sums for ever.
fn credible(publisher: Publisher, readings: Vec<Reading>) -> Result<Vec<Reading>, Error> {
    match readings.iter().find(|reading| reading.intensity.get() > MOST_G_PER_KWH) {
        Some(odd) => Err(Error::Malformed {
            publisher,
            what: format!("{} g/kWh, more than any grid emits", odd.intensity.get()),
        }),
        None => Ok(readings),
    }
}

/// A publisher's address.
fn home(publisher: Publisher) -> &'static str {
    match publisher {
        Publisher::Uk => "https://api.carbonintensity.org.uk",
        Publisher::ElectricityMaps => "https://api.electricitymaps.com",
        Publisher::WattTime => "https://api.watttime.org",
    }
}

/// The longest time that one question may be about, in milliseconds.
fn longest(publisher: Publisher) -> u64 {
    let days = match publisher {
        Publisher::Uk => 14,
        Publisher::ElectricityMaps => 9, // It allows ten, and is asked for whole hours.
        Publisher::WattTime => 31,
    };
    days * 86_400_000
}
