//! What publishers said before, in a CSV per region that `gramwise restate` reads too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use gramwise_carbon::{GramsPerKwh, IntensityKind, Signal, Source, utc};

use crate::Reading;

/// An actual is revised for some days; what was said so long after its time is taken for final (NESO's changed within a day).
const FINAL_AFTER: u64 = 3 * 86_400_000;
const HEADER: &str = "from_utc,to_utc,g_per_kwh,kind,fetched_utc";

/// Readings by their beginning, each with the moment it was fetched.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    readings: BTreeMap<u64, (Reading, u64)>,
}

/// The file of a source.
pub(crate) fn file(folder: &Path, source: &Source) -> PathBuf {
    let marginal = if source.signal == Signal::Marginal { "-marginal" } else { "" };
    folder.join(format!("{}-{}{marginal}.csv", source.publisher.name(), source.region))
}

impl Cache {
    /// What a file holds. A file that is not there, or lines that are none, hold nothing: they are fetched again.
    pub(crate) fn read(file: &Path) -> Self {
        let mut cache = Self::default();
        let text = fs::read_to_string(file).unwrap_or_default();
        for (reading, fetched) in text.lines().skip(1).filter_map(parse) {
            cache.readings.insert(reading.from, (reading, fetched));
        }
        cache
    }

    /// Takes in what was fetched now; later words replace earlier ones.
    pub(crate) fn add(&mut self, readings: &[Reading], now: u64) {
        self.readings.extend(readings.iter().map(|reading| (reading.from, (*reading, now))));
    }

    /// All readings that touch a time.
    pub(crate) fn within(&self, from: u64, to: u64) -> Vec<Reading> {
        let all = self.readings.values().map(|(reading, _)| *reading);
        all.filter(|reading| reading.from < to && reading.to > from).collect()
    }

    /// The part of a time that is not known for good: from its first gap to its last.
    pub(crate) fn missing(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let is_final = |reading: &Reading, fetched: u64| {
            reading.kind == IntensityKind::Actual && reading.to + FINAL_AFTER <= fetched
        };
        let known = self.readings.values().filter(|(reading, fetched)| is_final(reading, *fetched));
        let (mut first, mut last, mut at) = (None, from, from);
        for (reading, _) in known.filter(|(reading, _)| reading.to > from && reading.from < to) {
            if reading.from > at {
                first = first.or(Some(at));
                last = reading.from;
            }
            at = at.max(reading.to);
        }
        if at < to {
            (first, last) = (first.or(Some(at)), to);
        }
        first.map(|first| (first, last))
    }

    /// Writes all, in place of the file, at once: a reader sees the old one or the new one.
    pub(crate) fn write(&self, file: &Path) -> std::io::Result<()> {
        let mut text = format!("{HEADER}\n");
        for (Reading { from, to, intensity, kind }, fetched) in self.readings.values() {
            let times = [from, to, fetched].map(|ms| utc::minute(*ms));
            let [from, to, fetched] = times;
            let _ = writeln!(text, "{from},{to},{},{},{fetched}", intensity.get(), kind.name());
        }
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        let beside = file.with_extension(format!("csv.{}", std::process::id()));
        fs::write(&beside, text)?;
        fs::rename(&beside, file)
    }
}

fn parse(line: &str) -> Option<(Reading, u64)> {
    let mut cells = line.split(',');
    let (from, to) = (utc::parse(cells.next()?)?, utc::parse(cells.next()?)?);
    let intensity = GramsPerKwh::new(cells.next()?.parse().ok()?).ok()?;
    let kind = match cells.next()? {
        "actual" => IntensityKind::Actual,
        "estimated" => IntensityKind::Estimated,
        "forecast" => IntensityKind::Forecast,
        _ => return None,
    };
    let fetched = utc::parse(cells.next()?)?;
    (from < to).then_some((Reading { from, to, intensity, kind }, fetched))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn reading(hour: u64, kind: IntensityKind) -> Reading {
        Reading {
            from: hour * HOUR,
            to: (hour + 1) * HOUR,
            intensity: GramsPerKwh::new(100.0).unwrap(),
            kind,
        }
    }

    #[test]
    fn only_what_is_not_final_is_asked_for_again() {
        let mut cache = Cache::default();
        assert_eq!(cache.missing(0, 4 * HOUR), Some((0, 4 * HOUR)));
        let week = 168 * HOUR;
        cache.add(
            &[
                reading(0, IntensityKind::Actual),
                reading(2, IntensityKind::Actual),
                reading(3, IntensityKind::Estimated),
            ],
            week,
        );
        assert_eq!(cache.missing(0, HOUR), None);
        assert_eq!(cache.missing(0, 3 * HOUR), Some((HOUR, 2 * HOUR)));
        assert_eq!(cache.missing(0, 4 * HOUR), Some((HOUR, 4 * HOUR)));
        // An actual that was told within its own hour may still change.
        cache.add(&[reading(1, IntensityKind::Actual)], 2 * HOUR);
        assert_eq!(cache.missing(0, 3 * HOUR), Some((HOUR, 2 * HOUR)));
        assert_eq!(cache.within(0, 3 * HOUR).len(), 3);
    }

    #[test]
    fn a_file_gives_back_what_was_written_and_broken_lines_are_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/uk-GB.csv");
        let mut cache = Cache::default();
        cache.add(&[reading(0, IntensityKind::Actual), reading(1, IntensityKind::Forecast)], 500 * HOUR);
        cache.write(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(gramwise_carbon::IntensitySeries::parse(&text, None).is_ok(), "{text}");
        fs::write(&file, format!("{text}1970-01-01T02:00Z,1970-\nrubbish\n")).unwrap();
        assert_eq!(Cache::read(&file).readings, cache.readings);
        assert!(Cache::read(folder.path()).readings.is_empty());
    }
}
