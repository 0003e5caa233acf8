//! Grid intensity over time, from a file: hourly or half-hourly actuals take the place of a yearly mean.

use crate::{GramsPerKwh, utc};

/// Columns that may hold the beginning of a row, and its end.
const FROM: [&str; 3] = ["from_utc", "datetime_utc", "from"];
const TO: [&str; 2] = ["to_utc", "to"];
/// Columns that may hold the intensity, the first that is there.
const VALUE: [&str; 4] = ["g_per_kwh", "gCO2e_per_kWh_lifecycle", "actual_gCO2_per_kWh", "carbonIntensity"];
/// Above any grid: a coal plant emits about 1,000 g/kWh.
pub const MOST_G_PER_KWH: f64 = 5_000.0;

/// Intensities of consecutive times. In order; none overlaps another.
#[derive(Debug, Clone, PartialEq)]
pub struct IntensitySeries {
    rows: Vec<Row>,
    /// The column that the values are from.
    pub column: String,
}

/// Milliseconds since 1970 (UTC), the end not included, and grams per kWh between them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    from: u64,
    to: u64,
    value: f64,
}

/// What an interval's intensity was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean over what the series covers of the interval, each moment with equal weight.
    pub intensity: GramsPerKwh,
    /// How much of the interval it covers, from 0 (exclusive) to 1.
    pub covered: f64,
}

/// Why a file is no series of intensities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SeriesError {
    /// The line, from 1.
    pub line: usize,
    /// What was found, what was expected, and what to try.
    pub what: String,
}

impl IntensitySeries {
    /// Reads a CSV with a header: a column of times in UTC (`from_utc` or `datetime_utc`, such as `2023-03-14T04:30Z`), perhaps one of
    /// ends (`to_utc`), and one of grams per kWh (`g_per_kwh`; `column` names another). Without ends a row lasts to the next one,
    /// and the last one as long as the one before it. A row without a value is a hole.
    pub fn parse(csv: &str, column: Option<&str>) -> Result<Self, SeriesError> {
        let mut lines = (1..).zip(csv.lines()).filter(|(_, line)| !line.trim().is_empty());
        let (at, header) = lines.next().ok_or_else(|| fault(1, "the file is empty"))?;
        let names: Vec<&str> = header.trim_start_matches('\u{feff}').split(',').map(str::trim).collect();
        let place = |wanted: &[&str]| wanted.iter().find_map(|name| names.iter().position(|one| one == name));
        let from = place(&FROM).ok_or_else(|| {
            fault(at, &format!("no column of times among `{}`; call it `from_utc`", names.join("`, `")))
        })?;
        let wanted: Vec<&str> = column.map_or(VALUE.to_vec(), |column| vec![column]);
        let value = place(&wanted).ok_or_else(|| {
            let wanted = wanted.join("` or `");
            fault(
                at,
                &format!(
                    "no column `{wanted}` among `{}`; name the one of grams per kWh",
                    names.join("`, `")
                ),
            )
        })?;
        let to = place(&TO);
        // A beginning, its end where it is stated, and a value where there is one.
        let mut read: Vec<(usize, u64, Option<u64>, Option<f64>)> = Vec::new();
        for (line, text) in lines {
            let cells: Vec<&str> = text.split(',').map(str::trim).collect();
            if cells.len() != names.len() {
                return Err(fault(
                    line,
                    &format!("{} cells where the header has {}", cells.len(), names.len()),
                ));
            }
            let time = |cell: &str| {
                utc::parse(cell).ok_or_else(|| {
                    fault(line, &format!("`{cell}` is no time in UTC, such as 2023-03-14T04:30Z"))
                })
            };
            let end = to.map(|to| cells[to]).filter(|cell| !cell.is_empty()).map(time).transpose()?;
            read.push((line, time(cells[from])?, end, grams(line, cells[value])?));
        }
        read.sort_by_key(|(_, from, _, _)| *from);
        let rows = rows(&read)?;
        if rows.is_empty() {
            return Err(fault(at, "no row below has a value"));
        }
        Ok(Self { rows, column: names[value].to_owned() })
    }

    /// Of intervals in milliseconds since 1970 (UTC), from and to, with grams per kWh; `column` says in words what they are. Where
    /// two overlap, the one that begins later counts from there on. `None` without any.
    pub fn of(mut intervals: Vec<(u64, u64, GramsPerKwh)>, column: String) -> Option<Self> {
        intervals.retain(|(from, to, _)| from < to);
        intervals.sort_by_key(|(from, _, _)| *from);
        let mut rows: Vec<Row> = Vec::with_capacity(intervals.len());
        for (from, to, value) in intervals {
            if let Some(before) = rows.last_mut() {
                before.to = before.to.min(from);
            }
            rows.push(Row { from, to, value: value.get() });
        }
        rows.retain(|row| row.from < row.to);
        (!rows.is_empty()).then_some(Self { rows, column })
    }

    /// The mean over an interval in milliseconds since 1970 (UTC); of a moment where both are the same. `None` where none of it is
    /// covered.
    pub fn mean(&self, from: u64, to: u64) -> Option<Mean> {
        let to = to.max(from + 1);
        let first = self.rows.partition_point(|row| row.to <= from);
        let (mut covered, mut sum) = (0u64, 0.0);
        for row in self.rows[first..].iter().take_while(|row| row.from < to) {
            let overlap = row.to.min(to) - row.from.max(from);
            covered += overlap;
            sum += overlap as f64 * row.value;
        }
        let intensity = GramsPerKwh::new(sum / covered as f64).ok().filter(|_| covered > 0)?;
        Some(Mean { intensity, covered: covered as f64 / (to - from) as f64 })
    }

    /// The first moment that it tells of and the last, in milliseconds since 1970 (UTC).
    pub fn span(&self) -> (u64, u64) {
        (self.rows[0].from, self.rows[self.rows.len() - 1].to)
    }
}

/// Rows with their ends, those without a value left out.
fn rows(read: &[(usize, u64, Option<u64>, Option<f64>)]) -> Result<Vec<Row>, SeriesError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut length = None;
    for (index, &(line, from, end, value)) in read.iter().enumerate() {
        let next = read.get(index + 1).map(|(_, next, _, _)| *next);
        let to = end.or(next).or(length.map(|length| from + length));
        let to = to.ok_or_else(|| fault(line, "one row alone needs a column `to_utc`"))?;
        if to <= from {
            return Err(fault(line, "it ends before it begins, or its time is there twice"));
        }
        if next.is_some_and(|next| next < to) {
            return Err(fault(line, "it overlaps the next row"));
        }
        length = Some(to - from);
        rows.extend(value.map(|value| Row { from, to, value }));
    }
    Ok(rows)
}

fn grams(line: usize, cell: &str) -> Result<Option<f64>, SeriesError> {
    if cell.is_empty() || cell == "null" {
        return Ok(None);
    }
    let value = cell.parse::<f64>().ok().filter(|value| (0.0..=MOST_G_PER_KWH).contains(value));
    value
        .map(Some)
        .ok_or_else(|| fault(line, &format!("`{cell}` is no intensity from 0 to {MOST_G_PER_KWH} g/kWh")))
}

fn fault(line: usize, what: &str) -> SeriesError {
    SeriesError { line, what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF_HOURS: &str = "from_utc,forecast_gCO2_per_kWh,actual_gCO2_per_kWh\n\
                              2023-03-14T04:30Z,74,84\n2023-03-14T05:00Z,78,\n2023-03-14T05:30Z,88,86\n";

    #[test]
    fn a_mean_is_exact_over_the_edges_of_rows_and_says_what_it_covers() {
        let series = IntensitySeries::parse(HALF_HOURS, None).unwrap();
        assert_eq!(series.column, "actual_gCO2_per_kWh");
        let minute = |minute: u64| utc::parse("2023-03-14T04:30Z").unwrap() + minute * 60_000;
        assert_eq!(series.span(), (minute(0), minute(90)));
        let mean =
            |from, to| series.mean(minute(from), minute(to)).map(|mean| (mean.intensity.get(), mean.covered));
        assert_eq!(mean(0, 30), Some((84.0, 1.0)));
        assert_eq!(mean(20, 30), Some((84.0, 1.0)));
        // Ten minutes at 84, thirty in the hole, twenty at 86.
        assert_eq!(mean(20, 80), Some(((10.0 * 84.0 + 20.0 * 86.0) / 30.0, 0.5)));
        assert_eq!(mean(30, 60), None);
        assert_eq!(mean(90, 99), None);
        assert_eq!(mean(5, 5), Some((84.0, 1.0)), "a moment");
        let forecast = IntensitySeries::parse(HALF_HOURS, Some("forecast_gCO2_per_kWh")).unwrap();
        assert_eq!(forecast.mean(minute(30), minute(60)).unwrap().intensity.get().to_bits(), 78f64.to_bits());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (csv, line, what) in [
            ("", 1, "empty"),
            ("a,b\n", 1, "no column of times among `a`, `b`"),
            ("from_utc,x\n", 1, "no column `g_per_kwh`"),
            ("from_utc,g_per_kwh\n", 1, "no row below has a value"),
            ("from_utc,g_per_kwh\nyesterday,1\n", 2, "`yesterday` is no time"),
            ("from_utc,g_per_kwh\n2023-01-01T00:00Z,-1\n", 2, "`-1` is no intensity"),
            ("from_utc,g_per_kwh\n2023-01-01T00:00Z,NaN\n", 2, "`NaN` is no intensity"),
            ("from_utc,g_per_kwh\n2023-01-01T00:00Z\n", 2, "1 cells where the header has 2"),
            ("from_utc,g_per_kwh\n2023-01-01T00:00Z,5\n", 2, "one row alone"),
            ("from_utc,g_per_kwh\n2023-01-01T00:00Z,5\n\n2023-01-01T00:00Z,5\n", 2, "there twice"),
            (
                "from_utc,to_utc,g_per_kwh\n2023-01-01T00:00Z,2023-01-01T02:00Z,5\n2023-01-01T01:00Z,2023-01-01T02:00Z,5\n",
                2,
                "overlaps",
            ),
        ] {
            let fault = IntensitySeries::parse(csv, None).unwrap_err();
            assert_eq!(fault.line, line, "{fault}");
            assert!(fault.what.contains(what), "{fault}");
        }
    }

    #[test]
    fn where_intervals_overlap_the_later_one_counts() {
        let value = |grams| GramsPerKwh::new(grams).unwrap();
        let series = IntensitySeries::of(
            vec![(10, 20, value(2.0)), (0, 15, value(1.0)), (5, 5, value(9.0))],
            String::new(),
        );
        assert_eq!(
            series.unwrap().mean(0, 20).map(|mean| (mean.intensity.get(), mean.covered)),
            Some((1.5, 1.0))
        );
        assert_eq!(IntensitySeries::of(Vec::new(), String::new()), None);
    }

    proptest! {
        /// Parts weigh as much as they last: the mean of the whole is that of its parts.
        #[test]
        fn the_whole_is_the_sum_of_its_parts(
            values in prop::collection::vec(0.0..900.0f64, 2..30), from in 0u64..5_000, first in 1u64..4_000, second in 1u64..4_000
        ) {
            let rows = (0u64..).zip(&values).map(|(at, value)| Row { from: at * 300, to: (at + 1) * 300, value: *value });
            let series = IntensitySeries { rows: rows.collect(), column: String::new() };
            let sum = |from, to| series.mean(from, to).map_or(0.0, |mean| mean.intensity.get() * mean.covered * (to - from) as f64);
            let (middle, end) = (from + first, from + first + second);
            let (whole, parts) = (sum(from, end), sum(from, middle) + sum(middle, end));
            prop_assert!((whole - parts).abs() <= 1e-9 * whole.max(1.0), "{whole} and {parts}");
        }
    }
}
