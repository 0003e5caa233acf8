//! Dates as reports show them.

use gramwise_carbon::utc;
use gramwise_model::Timestamp;

/// `2026-03-01 14:02 UTC`.
pub(crate) fn minute(at: Timestamp) -> String {
    utc::minute(at.0).replace('T', " ").replace('Z', " UTC")
}

/// `2026-03`.
pub(crate) fn month(at: Timestamp) -> String {
    let (year, month, _) = utc::civil(at.0);
    format!("{year:04}-{month:02}")
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
