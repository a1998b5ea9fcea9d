//! The clock of kernel time stamps.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970.
pub type Moment = u64;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;

/// How long anything that must happen is waited for before a test gives up.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_nanos()).expect("a clock before 2554")
}

/// Nanoseconds as milliseconds, for people.
pub fn in_ms(nanos: u64) -> f64 {
    nanos as f64 / MS as f64
}

/// Waits for something that no event tells of, by asking every few milliseconds.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {} s in vain: {what}", PATIENCE.as_secs());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
