use std::ops::Range;
use std::time::Duration;

use crate::types::Instant;

/// After a claim, when every address is announced again: frames get lost, switches learn late.
const REPEATS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5)];
/// And slowly ever after.
const REFRESH: Duration = Duration::from_secs(60);
/// Rounds that something provokes begin at most this often. Who is not heard cannot know since when it is: its last round
/// may have been lost, and the next one must come soon enough for caches to be right within a second.
const PROVOKED_GAP: Duration = Duration::from_millis(750);
/// A round is sent in pieces so that it neither bursts into the LAN nor delays an advert.
const CHUNK: usize = 64;
const CHUNK_GAP: Duration = Duration::from_millis(1);

/// Decides when which addresses are announced: every one once before any twice.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    schedule: Option<Schedule>,
    /// When the last round began.
    round_at: Option<Instant>,
    rounds: u64,
}

#[derive(Debug)]
struct Schedule {
    /// What the repeats count from.
    from: Instant,
    /// Repeats done since then.
    repeats: usize,
    /// When the next round, or the next piece of this one, is due.
    due_at: Instant,
    /// Addresses already announced in this round; zero between rounds.
    cursor: usize,
}

impl Announcer {
    /// Everything has just been announced, or announces itself as it is added.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.round_at = Some(now);
        self.rounds += 1;
        self.schedule = Some(Schedule { from: now, repeats: 0, due_at: now + repeat(0), cursor: 0 });
    }

    /// As `begin`, but the first round is still to be sent.
    pub(crate) fn begin_unannounced(&mut self, now: Instant) {
        self.schedule = Some(Schedule { from: now, repeats: 0, due_at: now, cursor: 0 });
    }

    /// A round is called for now, or as soon as the last one is long enough ago, and its repeats after it.
    pub(crate) fn provoke(&mut self, now: Instant) {
        let due_at = self.round_at.map_or(now, |round_at| now.max(round_at + PROVOKED_GAP));
        match &mut self.schedule {
            // A round is under way or as near: it will do.
            Some(schedule) if schedule.cursor > 0 || schedule.due_at <= due_at => schedule.restart(),
            Some(_) | None => self.schedule = Some(Schedule { from: due_at, repeats: 0, due_at, cursor: 0 }),
        }
    }

    pub(crate) fn stop(&mut self) {
        self.schedule = None;
    }

    /// Rounds begun so far.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.schedule.as_ref().map(|schedule| schedule.due_at)
    }

    /// Which of `count` addresses are to be announced now.
    pub(crate) fn due(&mut self, now: Instant, count: usize) -> Option<Range<usize>> {
        let schedule = self.schedule.as_mut().filter(|schedule| schedule.due_at <= now)?;
        if schedule.cursor == 0 {
            self.round_at = Some(now);
            self.rounds += 1;
        }
        let end = count.min(schedule.cursor + CHUNK);
        let piece = schedule.cursor.min(end)..end;
        if end < count {
            schedule.cursor = end;
            schedule.due_at = now + CHUNK_GAP;
        } else {
            schedule.next_round(now);
        }
        Some(piece)
    }
}

impl Schedule {
    fn restart(&mut self) {
        self.from = self.due_at;
        self.repeats = 0;
    }

    fn next_round(&mut self, now: Instant) {
        self.cursor = 0;
        let mut due_at = self.from + repeat(self.repeats);
        // The round that was provoked itself stands at `from`; repeats that lateness has overtaken fall away.
        while due_at <= now {
            self.repeats += 1;
            due_at = if self.repeats < REPEATS.len() { self.from + repeat(self.repeats) } else { now + REFRESH };
        }
        self.due_at = due_at;
    }
}

fn repeat(number: usize) -> Duration {
    REPEATS.get(number).copied().unwrap_or(REFRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// The times in milliseconds, relative to 100 s, at which rounds come due until the given one.
    fn rounds(announcer: &mut Announcer, count: usize, until: u64) -> Vec<u64> {
        let mut times = Vec::new();
        while let Some(due) = announcer.deadline().filter(|due| *due <= at(100_000 + until)) {
            if announcer.due(due, count).is_some_and(|piece| piece.start == 0) {
                times.push(due.as_nanos() / 1_000_000 - 100_000);
            }
        }
        times
    }

    #[test]
    fn after_a_claim_at_1_2_and_5_seconds_and_each_minute() {
        let mut announcer = Announcer::default();
        announcer.begin(at(100_000));
        assert_eq!(rounds(&mut announcer, 3, 130_000), [1_000, 2_000, 5_000, 65_000, 125_000]);
    }

    #[test]
    fn provoked_rounds_are_750_ms_apart_and_repeat() {
        let mut announcer = Announcer::default();
        announcer.begin(at(100_000));
        assert_eq!(rounds(&mut announcer, 1, 10_000), [1_000, 2_000, 5_000]);
        for millis in [20_000, 20_001, 20_500] {
            announcer.provoke(at(100_000 + millis));
            announcer.due(at(100_000 + millis), 1);
        }
        assert_eq!(announcer.rounds(), 5);
        assert_eq!(rounds(&mut announcer, 1, 40_000), [20_750, 21_750, 22_750, 25_750]);
    }

    #[test]
    fn many_addresses_go_out_in_pieces_each_once_a_round() {
        let mut announcer = Announcer::default();
        announcer.begin(at(100_000));
        let mut seen = Vec::new();
        while let Some(due) = announcer.deadline().filter(|due| *due < at(102_000)) {
            seen.extend(announcer.due(due, 1_000).unwrap());
        }
        assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
    }
}
