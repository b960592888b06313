//! Durations and times in the log.

use std::time::Duration;

/// A duration for the log: seconds, rounded to 0.1 ms.
pub fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e4).round() / 1e4
}

/// A time in RFC 3339, in UTC, from seconds since 1970. Years beyond 9999 end as 9999.
pub fn rfc_3339(seconds: u64) -> String {
    let seconds = seconds.min(253_402_300_799);
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that a leap day ends its year: eras of 400 years, 365.2425 days each.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hours, minutes, seconds) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// Like [`rfc_3339`], from milliseconds since 1970, with three decimals.
pub fn rfc_3339_millis(millis: u64) -> String {
    let seconds = rfc_3339(millis / 1_000);
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), millis % 1_000)
}

#[cfg(test)]
mod tests {
    use super::{rfc_3339, rfc_3339_millis};

    #[test]
    fn a_time_is_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc_3339(seconds), text);
        }
        assert_eq!(rfc_3339_millis(1_709_210_096_007), "2024-02-29T12:34:56.007Z");
    }
}
