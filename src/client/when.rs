//! Times in the arguments of `history`.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use switcher_actors::rfc_3339_millis;

/// A time in an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// RFC 3339 or seconds since 1970; the daemon parses it.
    At(String),
    /// An age in seconds.
    Ago(u64),
}

impl When {
    /// The time as a parameter of a query.
    pub fn resolve(&self, now: SystemTime) -> String {
        match self {
            Self::At(text) => text.clone(),
            Self::Ago(seconds) => {
                let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                let now = u64::try_from(now).unwrap_or(u64::MAX);
                rfc_3339_millis(now.saturating_sub(seconds.saturating_mul(1_000)))
            }
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let age = |unit: char, seconds: u64| {
            let count = text.strip_suffix(unit).filter(|count| is_number(count))?;
            count.parse::<u64>().ok()?.checked_mul(seconds)
        };
        let ages = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
        if let Some(seconds) = ages.into_iter().find_map(|(unit, seconds)| age(unit, seconds)) {
            return Ok(Self::Ago(seconds));
        }
        let (date, time) = text.split_once(['T', 't']).unwrap_or((text, "00:00:00Z"));
        let parts: Vec<&str> = date.split('-').collect();
        let is_date = parts.iter().map(|part| part.len()).eq([4, 2, 2])
            && parts.iter().all(|part| is_number(part));
        if is_date && time.contains(':') {
            return Ok(Self::At(format!("{date}T{time}")));
        }
        if is_number(text) {
            return Ok(Self::At(text.to_owned()));
        }
        Err("expected a time: 2026-11-28T10:00:00Z, 2026-11-28, seconds since 1970, 30m, 2h or 3d")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_absolute_or_an_age() {
        let now = UNIX_EPOCH + Duration::from_millis(1_764_324_000_007);
        for (text, resolved) in [
            ("2026-11-28", "2026-11-28T00:00:00Z"),
            ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z"),
            ("2026-11-28t10:00:00.5+08:00", "2026-11-28T10:00:00.5+08:00"),
            ("1764324000", "1764324000"),
            ("0s", "2025-11-28T10:00:00.007Z"),
            ("30m", "2025-11-28T09:30:00.007Z"),
            ("2h", "2025-11-28T08:00:00.007Z"),
            ("3d", "2025-11-25T10:00:00.007Z"),
            ("99999999999d", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(text.parse::<When>().unwrap().resolve(now), resolved, "{text}");
        }
        for bad in [
            "",
            "h",
            "-2h",
            "+2h",
            "2 h",
            "2w",
            "1.5h",
            "now",
            "2026-11",
            "26-11-28",
            "2026-11-28T",
            "2026-11-28 10:00",
            "2026-1-2",
            "99999999999999999999d",
            "二h",
        ] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }
}
