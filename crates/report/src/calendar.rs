//! Civil dates in UTC, without a clock or a time zone table.

use gramwise_model::Timestamp;

/// `2026-03-01 14:02 UTC`.
pub(crate) fn minute(at: Timestamp) -> String {
    let (year, month, day) = civil(at.0 / MS_PER_DAY);
    let minutes = at.0 % MS_PER_DAY / 60_000;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// `2026-03`.
pub(crate) fn month(at: Timestamp) -> String {
    let (year, month, _) = civil(at.0 / MS_PER_DAY);
    format!("{year:04}-{month:02}")
}

const MS_PER_DAY: u64 = 86_400_000;

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar: `civil_from_days` of
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013). Its year begins in March, so that the leap
/// day is the last; its eras are of 400 years.
fn civil(day_of_unix: u64) -> (u64, u64, u64) {
    let days = day_of_unix + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_around_leap_days_and_year_ends() {
        // Seconds as printed by `date -u -d DATE +%s`.
        let shown =
            [0, 951_782_400, 951_868_800, 1_767_225_599, 1_772_373_720].map(|s| minute(Timestamp(s * 1000)));
        assert_eq!(
            shown,
            [
                "1970-01-01 00:00 UTC",
                "2000-02-29 00:00 UTC",
                "2000-03-01 00:00 UTC",
                "2025-12-31 23:59 UTC",
                "2026-03-01 14:02 UTC"
            ]
        );
        assert_eq!(month(Timestamp(1_772_373_720_000)), "2026-03");
    }
}
