use crate::types::Instant;

/// One reading of both clocks, to tell people when something on our clock happened on theirs.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    /// Our clock at the reading.
    pub at: Instant,
    /// Nanoseconds since 1970 (UTC) at the same moment.
    pub unix_nanos: u64,
}

impl WallClock {
    /// The moment of the reading, as [`Self::rfc3339`] writes it.
    pub fn date(&self) -> String {
        self.rfc3339(self.at)
    }

    /// `instant` as RFC 3339 in UTC with milliseconds: `2026-11-21T10:22:05.123Z`.
    pub fn rfc3339(&self, instant: Instant) -> String {
        let nanos = if instant >= self.at {
            self.unix_nanos.saturating_add(instant.as_nanos() - self.at.as_nanos())
        } else {
            self.unix_nanos.saturating_sub(self.at.as_nanos() - instant.as_nanos())
        };
        let (secs, millis) = (nanos / 1_000_000_000, nanos % 1_000_000_000 / 1_000_000);
        let (year, month, day) = civil(secs / 86_400);
        let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of a count of days since 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from March so that the leap day is the last of its year; day 0 is 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let clock = |unix_nanos| WallClock { at: Instant::from_nanos(5_000_000_000), unix_nanos };
        // From `date -u -d @N`.
        assert_eq!(clock(0).rfc3339(Instant::from_nanos(5_000_000_000)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            clock(951_782_400_000_000_000).rfc3339(Instant::from_nanos(5_000_000_000)),
            "2000-02-29T00:00:00.000Z"
        );
        assert_eq!(
            clock(1_795_256_525_250_000_000).rfc3339(Instant::from_nanos(4_000_000_000)),
            "2026-11-21T10:22:04.250Z"
        );
    }
}
