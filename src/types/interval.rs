use std::fmt;
use std::time::Duration;

/// An advert interval: 1 to 4095 centiseconds (RFC 9568 section 5.2.7), so 10 ms to 40.95 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u16);

/// Why a number is no advert interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Below 10 ms or above 40.95 s.
    #[error("an advert interval lies between 10ms and 40.95s")]
    Range,
    /// Not a whole number of centiseconds.
    #[error("an advert interval is a whole number of centiseconds (10ms)")]
    Grain,
}

impl Interval {
    /// One second, the default of RFC 9568 section 6.1.
    pub const DEFAULT: Interval = Interval(100);

    /// From centiseconds, the unit on the wire.
    pub fn from_centiseconds(centiseconds: u16) -> Result<Self, IntervalError> {
        match centiseconds {
            1..=4095 => Ok(Interval(centiseconds)),
            0 | 4096.. => Err(IntervalError::Range),
        }
    }

    /// From any span that is a whole number of centiseconds within the range.
    pub fn from_duration(span: Duration) -> Result<Self, IntervalError> {
        const CENTISECOND: u128 = 10_000_000;
        let nanos = span.as_nanos();
        if !(CENTISECOND..=4095 * CENTISECOND).contains(&nanos) {
            return Err(IntervalError::Range);
        }
        if !nanos.is_multiple_of(CENTISECOND) {
            return Err(IntervalError::Grain);
        }
        u16::try_from(nanos / CENTISECOND).map_err(|_| IntervalError::Range).and_then(Self::from_centiseconds)
    }

    /// In centiseconds, as on the wire.
    pub const fn centiseconds(self) -> u16 {
        self.0
    }

    /// In seconds, as version 2 has it on the wire; `None` if it is not a whole number of them.
    pub const fn whole_seconds(self) -> Option<u8> {
        if self.0.is_multiple_of(100) { Some((self.0 / 100) as u8) } else { None }
    }

    /// The same span as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match (whole, part) {
            (0, _) => write!(f, "{}ms", u32::from(part) * 10),
            (_, 0) => write!(f, "{whole}s"),
            (_, _) => write!(f, "{whole}.{part:02}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_that_of_twelve_bits_without_zero() {
        assert_eq!(Interval::from_centiseconds(0), Err(IntervalError::Range));
        assert_eq!(Interval::from_centiseconds(4096), Err(IntervalError::Range));
        assert_eq!(Interval::from_duration(Duration::from_millis(40_950)).map(Interval::centiseconds), Ok(4095));
        assert_eq!(Interval::from_duration(Duration::from_millis(10)).map(Interval::centiseconds), Ok(1));
        assert_eq!(Interval::from_duration(Duration::from_millis(9)), Err(IntervalError::Range));
        assert_eq!(Interval::from_duration(Duration::from_millis(15)), Err(IntervalError::Grain));
    }

    #[test]
    fn a_second_is_a_hundred_centiseconds() {
        assert_eq!(Interval::DEFAULT.centiseconds(), 100);
        assert_eq!(Interval::DEFAULT.duration(), Duration::from_secs(1));
        assert_eq!(Interval::from_centiseconds(4095).map(|i| i.to_string()), Ok("40.95s".to_owned()));
        assert_eq!(Interval::from_centiseconds(5).map(|i| i.to_string()), Ok("50ms".to_owned()));
    }
}
