//! Tells the driver the grid's intensity while a sweep runs.
//!
//! Nothing here may hold a sweep up: what a publisher does not tell, the last word stands in for, and after [`KEPT_MS`] the yearly mean
//! of the zone. Energy is never touched; `gramwise restate` corrects the grams when actuals are known.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gramwise_carbon::{CarbonFactors, IntensityKind, IntensitySeries, Source, StatedIntensity, utc};
use gramwise_grid::{Client, Fetched};
use gramwise_model::{IntensityFrom, SweepId, SweepSpec};

use crate::Error;
use crate::handle::DriverHandle;

/// The word of an hour stands for so long after that hour, in milliseconds.
const KEPT_MS: u64 = 3 * 3_600_000;

/// A sweep's beginning waits for the intensity of now for so long.
const PATIENCE: Duration = Duration::from_secs(3);
/// Publishers are not asked more often, whatever is asked for.
const OFTEN: Duration = Duration::from_millis(100);

/// Whom to ask, and how often.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Asks publishers.
    pub client: Client,
    /// The time from one question to the next. Publishers tell of half hours or hours.
    pub every: Duration,
}

/// Submits sweeps and follows their grids.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    driver: DriverHandle,
    grid: Grid,
}

impl Feed {
    pub(crate) fn new(driver: DriverHandle, grid: Grid) -> Self {
        Self { driver, grid }
    }

    /// Begins a sweep, by the intensity of now where its file names a publisher.
    pub(crate) async fn submit(
        &self,
        spec: SweepSpec,
        factors: CarbonFactors,
        by: String,
    ) -> Result<SweepId, Error> {
        let Some(from) = spec.carbon.intensity.clone() else {
            return self.driver.submit(spec, factors, by).await;
        };
        let follower = |yearly| Follower::new(self.grid.clone(), from.clone(), yearly);
        let yearly = factors.stated();
        // A publisher that is slow does not hold the sweep up: it begins by the yearly mean, and is told later.
        let looked = tokio::time::timeout(PATIENCE, follower(yearly.clone()).look()).await;
        let (follower, stated, first) = match looked {
            Ok((follower, stated)) => (follower, stated, self.grid.every),
            Err(_elapsed) => (follower(yearly.clone()), yearly, Duration::ZERO),
        };
        let sweep = self.driver.submit(spec, factors.with(&stated), by).await?;
        tokio::spawn(follower.follow(self.driver.clone(), sweep, first));
        Ok(sweep)
    }

    /// Goes on with a sweep that was taken up again.
    pub(crate) fn resume(&self, sweep: SweepId, spec: &SweepSpec, yearly: StatedIntensity) {
        if let Some(from) = spec.carbon.intensity.clone() {
            let follower = Follower::new(self.grid.clone(), from, yearly);
            tokio::spawn(follower.follow(self.driver.clone(), sweep, Duration::ZERO));
        }
    }
}

/// Follows one sweep's grid.
#[derive(Debug)]
struct Follower {
    grid: Grid,
    from: IntensityFrom,
    /// What stands in where nobody tells.
    yearly: StatedIntensity,
    /// The last word, and the end of its hour in milliseconds since 1970.
    last: Option<(StatedIntensity, u64)>,
    /// Was the trouble of now told already?
    complained: bool,
}

impl Follower {
    fn new(grid: Grid, from: IntensityFrom, yearly: StatedIntensity) -> Self {
        Self { grid, from, yearly, last: None, complained: false }
    }

    /// Asks until the sweep is over.
    async fn follow(mut self, driver: DriverHandle, sweep: SweepId, first: Duration) {
        let every = self.grid.every.max(OFTEN);
        tokio::time::sleep(first).await;
        loop {
            let stated;
            (self, stated) = self.look().await;
            if !matches!(driver.state_intensity(sweep, stated).await, Ok(true)) {
                return; // The sweep is over, or the coordinator is.
            }
            tokio::time::sleep(every).await;
        }
    }

    /// The intensity of now, on a thread that nobody waits for at the end: publishers take seconds.
    async fn look(self) -> (Self, StatedIntensity) {
        let yearly = self.yearly.clone();
        let spare = Self {
            grid: self.grid.clone(),
            from: self.from.clone(),
            yearly: yearly.clone(),
            last: self.last.clone(),
            ..self
        };
        let (answer, looked) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("grid".to_owned()).spawn(move || {
            let mut follower = self;
            let stated = follower.now(now_ms());
            drop(answer.send((follower, stated)));
        });
        if let Err(error) = thread {
            tracing::warn!(%error, "cannot start a thread to ask for the grid's intensity");
        }
        looked.await.unwrap_or((spare, yearly))
    }

    fn now(&mut self, now: u64) -> StatedIntensity {
        let told = match &self.from {
            IntensityFrom::Publisher(source) => published(&self.grid.client, source, now),
            IntensityFrom::File(file) => std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))
                .and_then(|text| of_file(&text, &file.display().to_string(), now)),
        };
        match told {
            Ok(told) => {
                self.complained = false;
                self.last = Some(told);
            }
            Err(why) if !self.complained => {
                tracing::warn!(
                    "the grid's intensity is not known: {why}; the last word stands in for it, then the yearly mean"
                );
                self.complained = true;
            }
            Err(_) => {}
        }
        let last = self.last.as_ref().filter(|(_, until)| now < until + KEPT_MS);
        last.map_or_else(|| self.yearly.clone(), |(stated, _)| stated.clone())
    }
}

/// The newest word about a time that is not long past, and the end of its hour.
fn published(client: &Client, source: &Source, now: u64) -> Result<(StatedIntensity, u64), String> {
    let Fetched { readings, problem } = client.fetch(source, (now.saturating_sub(KEPT_MS), now + 1), now);
    let newest = readings.iter().rev().find(|reading| reading.from <= now);
    let newest = newest.ok_or_else(|| {
        problem.map_or_else(
            || format!("{} has no figure of now", source.publisher.title()),
            |error| error.to_string(),
        )
    })?;
    let stated = StatedIntensity {
        intensity: newest.intensity,
        kind: newest.kind,
        source: format!("{}, {}", source.publisher.title(), source.region),
        basis: source.publisher.basis().to_owned(),
        year: utc::year(now),
    };
    Ok((stated, newest.to))
}

/// What a file says of now.
fn of_file(text: &str, name: &str, now: u64) -> Result<(StatedIntensity, u64), String> {
    let series = IntensitySeries::parse(text, None).map_err(|fault| format!("{name}, {fault}"))?;
    let mean = series.mean(now, now + 1).ok_or_else(|| {
        let (from, to) = series.span();
        format!("{name} tells of {} to {}, not of now", utc::minute(from), utc::minute(to))
    })?;
    let stated = StatedIntensity {
        intensity: mean.intensity,
        kind: IntensityKind::Estimated,
        source: format!("{name}, column {}", series.column),
        basis: "as the file counts".to_owned(),
        year: utc::year(now),
    };
    Ok((stated, now))
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::Pue;
    use gramwise_grid::Keys;

    use super::*;

    const NOON: u64 = 1_678_795_200_000;

    fn follower(from: IntensityFrom) -> Follower {
        let client = Client::new(Keys::default(), None, Some("http://127.0.0.1:9".to_owned()));
        let yearly = CarbonFactors::yearly(Some("GB"), Some(Pue::ONE)).unwrap().stated();
        let grid = Grid { client, every: Duration::from_secs(1) };
        Follower::new(grid, from, yearly)
    }

    #[test]
    fn the_last_word_stands_in_for_some_hours_and_then_the_yearly_mean() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("grid.csv");
        std::fs::write(&file, "from_utc,to_utc,g_per_kwh\n2023-03-14T12:00Z,2023-03-14T13:00Z,55\n").unwrap();
        let mut follower = follower(IntensityFrom::File(file.clone()));
        let grams = |stated: &StatedIntensity| stated.intensity.get();
        assert!((grams(&follower.now(NOON)) - 55.0).abs() < 1e-12);
        assert_eq!(follower.now(NOON + 1).kind, IntensityKind::Estimated);
        std::fs::write(&file, "rubbish").unwrap();
        let hour = 3_600_000;
        assert!((grams(&follower.now(NOON + 2 * hour)) - 55.0).abs() < 1e-12, "the last word");
        let later = follower.now(NOON + 4 * hour);
        assert_eq!((later.kind, &later), (IntensityKind::Yearly, &follower.yearly));
        assert!(follower.complained);
    }

    #[test]
    fn a_publisher_that_cannot_be_asked_leaves_the_yearly_mean() {
        let mut follower = follower(IntensityFrom::Publisher("uk".parse().unwrap()));
        assert_eq!(follower.now(NOON).kind, IntensityKind::Yearly);
    }
}
