use std::time::Duration;

use crate::types::{Interval, Priority, Version};

/// Skew_Time = ((256 - Priority) * Active_Adver_Interval) / 256 (RFC 9568 section 6.1), kept to the nanosecond:
/// whole units would take away the spread between backups of similar priority. In version 2 it is
/// (256 - Priority) / 256 seconds, whatever the interval (RFC 3768 section 6.1).
pub fn skew_time(version: Version, priority: Priority, active_adver_interval: Interval) -> Duration {
    let of = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => active_adver_interval.duration(),
    };
    let nanos = of.as_nanos() as u64;
    Duration::from_nanos((256 - u64::from(priority.get())) * nanos / 256)
}

/// Active_Down_Interval = (3 * Active_Adver_Interval) + Skew_Time (RFC 9568 section 6.1).
pub fn active_down_interval(version: Version, priority: Priority, active_adver_interval: Interval) -> Duration {
    active_adver_interval.duration() * 3 + skew_time(version, priority, active_adver_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: Version, priority: u8, centiseconds: u16) -> (Duration, Duration) {
        let priority = Priority::new(priority).unwrap();
        let interval = Interval::from_centiseconds(centiseconds).unwrap();
        (skew_time(version, priority, interval), active_down_interval(version, priority, interval))
    }

    fn case(priority: u8, centiseconds: u16) -> (Duration, Duration) {
        of(Version::V3, priority, centiseconds)
    }

    #[test]
    fn the_skew_of_version_2_does_not_depend_on_the_interval() {
        // (256 - 100) / 256 s = 609.375 ms, at 1 s and at 5 s.
        let skew = Duration::from_micros(609_375);
        assert_eq!(of(Version::V2, 100, 100), (skew, Duration::from_micros(3_609_375)));
        assert_eq!(of(Version::V2, 100, 500), (skew, Duration::from_micros(15_609_375)));
        assert_eq!(of(Version::V3, 100, 500).1, Duration::from_micros(18_046_875));
    }

    #[test]
    fn literals_worked_out_by_hand() {
        // 1 s: (256 - 100) / 256 s = 609.375 ms.
        assert_eq!(case(100, 100), (Duration::from_micros(609_375), Duration::from_micros(3_609_375)));
        // 10 ms: (256 - 254) / 256 * 10 ms = 78.125 us.
        assert_eq!(case(254, 1), (Duration::from_nanos(78_125), Duration::from_nanos(30_078_125)));
        // 40.95 s: 255 / 256 * 40.95 s = 40.790039062 s.
        assert_eq!(case(1, 4095), (Duration::from_nanos(40_790_039_062), Duration::from_nanos(163_640_039_062)));
        // The owner: 1 / 256 s.
        assert_eq!(case(255, 100).0, Duration::from_nanos(3_906_250));
    }
}
