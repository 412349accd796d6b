//! Dates and timestamps as ISO 8601 text, for every value that 64 bits can hold.

use super::value::{MICROS, MILLIS};

const DAY: i64 = 86_400;

/// Year, month and day of a count of days since 1970-01-01 (proleptic Gregorian calendar).
///
/// The algorithm is Howard Hinnant's `civil_from_days`, in 128 bits so that no input overflows.
fn civil(days: i64) -> (i128, u32, u32) {
    let shifted = i128::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    (year, month as u32, day as u32)
}

/// `YYYY-MM-DD`.
pub fn date_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `YYYY-MM-DDTHH:MM:SS.fff`, with as many digits as the unit has, and `Z` for UTC.
pub fn timestamp_text(count: i64, unit: i32, utc: bool) -> String {
    let (per_second, digits) = match unit {
        MILLIS => (1_000, 3),
        MICROS => (1_000_000, 6),
        _ => (1_000_000_000, 9),
    };
    let seconds = count.div_euclid(per_second);
    let fraction = count.rem_euclid(per_second);
    let clock = seconds.rem_euclid(DAY);
    format!(
        "{}T{:02}:{:02}:{:02}.{fraction:0digits$}{}",
        date_text(seconds.div_euclid(DAY)),
        clock / 3_600,
        clock / 60 % 60,
        clock % 60,
        if utc { "Z" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(date_text(0), "1970-01-01");
        assert_eq!(date_text(-1), "1969-12-31");
        assert_eq!(date_text(11_016), "2000-02-29");
        assert_eq!(date_text(-719_528), "0000-01-01");
        date_text(i64::MAX);
        date_text(i64::MIN);
    }

    #[test]
    fn times_before_the_epoch() {
        assert_eq!(
            timestamp_text(-1, MICROS, false),
            "1969-12-31T23:59:59.999999"
        );
        timestamp_text(i64::MIN, MILLIS, true);
    }
}
