use std::ops::Range;
use std::time::Duration;

use crate::types::Instant;

/// How long an answer is waited for.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// Probes are sent in pieces so that they neither burst into the LAN nor delay an advert.
const CHUNK: usize = 64;
const CHUNK_GAP: Duration = Duration::from_millis(1);

/// Decides when other hosts are asked whether they have our addresses too.
///
/// The kernel's own search over IPv6 (RFC 4862 section 5.4) would keep an address from serving for a second or two, so ours
/// is held afterwards. Over IPv4 (RFC 5227) it finds whoever has an address and never says so but when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Prober {
    /// Nobody is asked, and no answer counts.
    #[default]
    Idle,
    /// Everybody is to be asked for the addresses from `cursor` on.
    Asking { due_at: Instant, cursor: usize },
    /// Answers count until then.
    Listening { until: Instant },
}

impl Prober {
    /// Addresses were claimed just now. Whoever had them until then may still answer for them within `aftermath`.
    pub(crate) fn begin(now: Instant, aftermath: Duration) -> Self {
        Prober::Asking { due_at: now + aftermath, cursor: 0 }
    }

    /// Whether an answer that comes now is one to a question of ours.
    pub(crate) fn heeds(self) -> bool {
        match self {
            Prober::Idle => false,
            Prober::Asking { cursor, .. } => cursor > 0,
            Prober::Listening { .. } => true,
        }
    }

    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Prober::Idle => None,
            Prober::Asking { due_at, .. } => Some(due_at),
            Prober::Listening { until } => Some(until),
        }
    }

    /// Which of `count` addresses to ask for now.
    pub(crate) fn due(&mut self, now: Instant, count: usize) -> Option<Range<usize>> {
        let (range, next) = match *self {
            Prober::Asking { due_at, cursor } if due_at <= now => {
                let end = count.min(cursor + CHUNK);
                let next = if end < count {
                    Prober::Asking { due_at: now + CHUNK_GAP, cursor: end }
                } else {
                    Prober::Listening { until: now + ANSWERED_WITHIN }
                };
                (Some(cursor.min(end)..end), next)
            }
            Prober::Listening { until } if until <= now => (None, Prober::Idle),
            Prober::Idle | Prober::Asking { .. } | Prober::Listening { .. } => (None, *self),
        };
        *self = next;
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn each_address_is_asked_for_once_when_nobody_can_be_left_and_answers_count_for_a_second() {
        let mut prober = Prober::begin(at(10_000), Duration::from_secs(2));
        assert_eq!(prober.due(at(11_999), 100), None);
        assert!(!prober.heeds());
        assert_eq!(prober.due(at(12_000), 100), Some(0..64));
        assert_eq!((prober.deadline(), prober.heeds()), (Some(at(12_001)), true));
        assert_eq!(prober.due(at(12_001), 100), Some(64..100));
        assert_eq!((prober.deadline(), prober.heeds()), (Some(at(13_001)), true));
        assert_eq!(prober.due(at(13_000), 100), None);
        assert!(prober.heeds());
        assert_eq!(prober.due(at(13_001), 100), None);
        assert_eq!(prober, Prober::Idle);
    }
}
