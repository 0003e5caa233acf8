//! Civil dates in UTC, without a clock or a time zone table.
//!
//! Both ways between days since 1970-01-01 and the Gregorian calendar are `days_from_civil` and `civil_from_days` of Hinnant,
//! "chrono-Compatible Low-Level Date Algorithms" (2013). Its year begins in March, so that the leap day is the last; its eras are
//! of 400 years.

const MS_PER_DAY: u64 = 86_400_000;

/// `2023-03-14T04:30Z`, with seconds or without, `+00:00` for `Z`, or a space for `T`: milliseconds since 1970.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, time) = text.split_once(['T', ' '])?;
    let mut parts = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u64>().ok()?);
    let second = parts.next().map_or(Some(0.0), |second| second.parse::<f64>().ok())?;
    let is_legal = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && (0.0..60.0).contains(&second);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 60,000")]
    let ms = (second * 1000.0) as u64;
    is_legal.then(|| ((day_of_unix(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + ms)
}

/// `2023-03-14T04:30Z`: seconds are left out.
pub fn minute(ms: u64) -> String {
    let ((year, month, day), minutes) = (civil(ms), ms % MS_PER_DAY / 60_000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}Z", minutes / 60, minutes % 60)
}

/// `2023-03-14 04:30:59`.
pub fn second(ms: u64) -> String {
    let ((year, month, day), seconds) = (civil(ms), ms % MS_PER_DAY / 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// The year of a moment in milliseconds since 1970.
pub fn year(ms: u64) -> u16 {
    u16::try_from(civil(ms).0).unwrap_or(u16::MAX)
}

/// Year, month and day of a moment in milliseconds since 1970.
pub fn civil(ms: u64) -> (u64, u64, u64) {
    let days = ms / MS_PER_DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days of a month.
fn days(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn day_of_unix(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_is_of_utc() {
        assert_eq!(second(1_678_795_241_000), "2023-03-14 12:00:41");
    }

    #[test]
    fn times_are_seconds_since_1970() {
        // As printed by `date -u -d DATE +%s`.
        for (text, seconds) in [
            ("1970-01-01T00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2000-03-01 00:00Z", 951_868_800),
            ("2026-03-01T14:02+00:00", 1_772_373_720),
            ("2025-12-31T23:59:59Z", 1_767_225_599),
        ] {
            assert_eq!(parse(text), Some(seconds * 1000), "{text}");
        }
        for wrong in [
            "2023-03-14T04:30",
            "2023-13-14T04:30Z",
            "2023-03-14",
            "2023-03-14T24:00Z",
            "2023-02-29T00:00Z",
            "",
            "x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(minutes in 0u64..2_000_000_000) {
            prop_assert_eq!(parse(&minute(minutes * 60_000)), Some(minutes * 60_000));
        }
    }
}
