//! What an event cost, reckoned from the capture alone.

use std::time::Duration;

use super::client::Pause;
use super::observer::{Record, Stamp};
use crate::types::MacAddr;

/// From one event's beginning to the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Stamp,
    pub(super) to: Stamp,
}

/// What the client paid for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cost {
    /// Echoes sent.
    pub(super) sent: u64,
    /// Echoes among them that were never answered.
    pub(super) lost: u64,
    /// Longest time between two replies on the client's cable.
    pub(super) gap: Duration,
    /// How long this machine did not run the client within that gap.
    pub(super) paused_in_gap: Duration,
    /// Who answered last.
    pub(super) holder: Option<MacAddr>,
}

/// The cost of one window.
pub(super) fn cost(record: &Record, pauses: &[Pause], window: Window) -> Cost {
    let gap = longest_gap(record, window);
    let (sent, lost) = echoes(record, window);
    let before_end = record.replies.partition_point(|(stamp, ..)| *stamp < window.to);
    Cost {
        sent,
        lost,
        gap: Duration::from_nanos(gap.to.saturating_sub(gap.from)),
        paused_in_gap: pauses.iter().map(|pause| overlap(*pause, gap)).sum(),
        holder: record.replies.get(..before_end).and_then(<[_]>::last).map(|(_, _, mac)| *mac),
    }
}

/// Echoes sent and lost. Those that the client could not even put on the wire are known by their numbers.
fn echoes(record: &Record, window: Window) -> (u64, u64) {
    let inside = |stamp: Stamp| (window.from..window.to).contains(&stamp);
    let mut numbers = record.requests.iter().filter(|(stamp, _)| inside(*stamp)).map(|(_, number)| *number);
    let Some(first) = numbers.next() else { return (0, 0) };
    let last = numbers.next_back().unwrap_or(first);
    // A reply counts whenever it came, and once.
    let mut answered: Vec<u64> =
        record.replies.iter().map(|(_, number, _)| *number).filter(|number| (first..=last).contains(number)).collect();
    answered.sort_unstable();
    answered.dedup();
    let sent = last - first + 1;
    (sent, sent.saturating_sub(answered.len() as u64))
}

/// The longest time without a reply that touches the window: it may have begun before, with the last reply then.
fn longest_gap(record: &Record, window: Window) -> Window {
    let stamps = || record.replies.iter().map(|(stamp, ..)| *stamp);
    let begin = stamps().take_while(|stamp| *stamp < window.from).last().unwrap_or(window.from);
    let inside = stamps().skip_while(|stamp| *stamp < window.from).take_while(|stamp| *stamp < window.to);
    let mut longest = Window { from: begin, to: begin };
    let mut previous = begin;
    for stamp in inside.chain([window.to]) {
        if stamp.saturating_sub(previous) > longest.to - longest.from {
            longest = Window { from: previous, to: stamp };
        }
        previous = stamp;
    }
    longest
}

fn overlap(pause: Pause, window: Window) -> Duration {
    Duration::from_nanos(pause.to.min(window.to).saturating_sub(pause.from.max(window.from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const LB1: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const LB2: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    /// Requests each millisecond from 1 to 100; lb1 answers up to 40, nobody up to 70, then lb2.
    fn failover() -> Record {
        let mut record = Record::default();
        for number in 1..=100 {
            record.requests.push((number * MS, number));
            match number {
                1..=40 => record.replies.push((number * MS + 10, number, LB1)),
                41..=70 => {}
                _ => record.replies.push((number * MS + 30, number, LB2)),
            }
        }
        record
    }

    #[test]
    fn a_failover_costs_its_unanswered_echoes_and_the_time_between_two_replies() {
        let cost = cost(&failover(), &[], Window { from: 41 * MS, to: 95 * MS });
        assert_eq!((cost.sent, cost.lost), (54, 30));
        assert_eq!(cost.gap, Duration::from_nanos(31 * MS + 20));
        assert_eq!(cost.holder, Some(LB2));
    }

    #[test]
    fn windows_side_by_side_count_each_echo_once() {
        let record = failover();
        let costs = [(1, 50), (50, 60), (60, 101)]
            .map(|(from, to)| cost(&record, &[], Window { from: from * MS, to: to * MS }));
        assert_eq!(costs.iter().map(|cost| cost.sent).sum::<u64>(), 100);
        assert_eq!(costs.iter().map(|cost| cost.lost).sum::<u64>(), 30);
        // The middle one saw no reply at all: the silence lasted from before it to its end.
        assert_eq!(costs[1].gap, Duration::from_nanos(20 * MS - 10));
    }

    #[test]
    fn echoes_that_never_reached_the_wire_are_lost_too() {
        let mut record = failover();
        record.requests.retain(|(_, number)| !(45..=70).contains(number));
        let cost = cost(&record, &[], Window { from: 41 * MS, to: 95 * MS });
        assert_eq!((cost.sent, cost.lost), (54, 30));
    }

    #[test]
    fn a_late_reply_is_no_loss_and_a_second_one_no_gain() {
        let mut record = failover();
        record.replies.push((99 * MS + 40, 50, LB2));
        record.replies.push((99 * MS + 50, 50, LB2));
        assert_eq!(cost(&record, &[], Window { from: 41 * MS, to: 95 * MS }).lost, 29);
    }

    #[test]
    fn only_the_part_of_a_pause_that_lies_in_the_gap_is_held_against_the_machine() {
        let pauses = [Pause { from: 10 * MS, to: 45 * MS }, Pause { from: 80 * MS, to: 90 * MS }];
        let cost = cost(&failover(), &pauses, Window { from: 41 * MS, to: 95 * MS });
        assert_eq!(cost.paused_in_gap, Duration::from_nanos(5 * MS - 10));
    }

    #[test]
    fn an_empty_capture_costs_nothing_and_names_nobody() {
        let cost = cost(&Record::default(), &[], Window { from: 1, to: 5 });
        assert_eq!((cost.sent, cost.lost, cost.holder), (0, 0, None));
    }
}
