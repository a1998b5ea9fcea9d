use std::time::Duration;

/// How long the kernel keeps an address that nobody renews: whole seconds, at least one.
///
/// It ends after this time and up to [`Lifetime::LATE`] later, and at most a fiftieth of a second before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(u32);

impl Lifetime {
    /// How much later than it should the kernel may end one: measured, of both families.
    pub const LATE: Duration = Duration::from_millis(1_050);

    /// The shortest one that covers a span.
    pub fn covering(span: Duration) -> Self {
        let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
        // The greatest number stands for an address that never expires.
        Lifetime(u32::try_from(seconds).unwrap_or(u32::MAX).clamp(1, u32::MAX - 1))
    }

    /// In seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// The same as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_and_at_least_one() {
        let seconds = |millis| Lifetime::covering(Duration::from_millis(millis)).seconds();
        assert_eq!([0, 40, 1_000, 1_001, 4_000, 163_800].map(seconds), [1, 1, 1, 2, 4, 164]);
        assert_eq!(Lifetime::covering(Duration::MAX).seconds(), u32::MAX - 1);
        assert_eq!(Lifetime::covering(Duration::from_secs(4)).duration(), Duration::from_secs(4));
    }
}
