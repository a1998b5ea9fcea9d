//! Which authenticated adverts are new. Who can hear the LAN can send again what he heard.
//!
//! A sender numbers its adverts with its wall clock; a receiver remembers what it has taken. Clocks are wrong at times
//! and are set, so neither side trusts one alone: see [`Outgoing::next`] and [`Incoming::judge`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::wall::Wall;
use crate::types::{Discard, Heard, Instant, KeyId, Mark, Sequence};

/// More senders and keys than any real group has; only who has a key becomes one. The one silent for longest goes.
const MAX_MARKS: usize = 32;
/// Clocks of one sender, ours among them; the one not used for longest goes.
const MAX_CLOCKS: usize = 4;
/// Numbers that are remembered one by one, of all senders together: more than an hour of adverts a second.
const MAX_AHEAD: usize = 4096;

/// The numbers of our own adverts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The last by each clock, in the order of sending; mostly one.
    pub(crate) sent: Vec<Sequence>,
}

impl Outgoing {
    /// The numbers under which copies of the next advert go out, one after the other; mostly one.
    ///
    /// The first is the wall clock's, or follows the last one if that would not grow; a last one more than the window
    /// ahead of the clock was a mistake, and the clock is taken. Where the clock was set by more than the window,
    /// another copy goes on as if it had not been: which of the clocks is right, the receivers know, and each takes what
    /// is new to it.
    pub(crate) fn next(&mut self, now: Instant, wall: &Wall, window: Duration) -> Vec<Sequence> {
        let (window, current) = (nanos(window), wall.current(now));
        let before = wall.former(now).filter(|former| former.abs_diff(current) > window.unsigned_abs());
        let clocks: Vec<u64> = std::iter::once(current).chain(before).collect();
        let mut numbers = Vec::new();
        for clock in clocks {
            let not_a_mistake = self.sent.iter().filter(|sent| sent.behind(clock) >= -window);
            let last = not_a_mistake.copied().reduce(|one, other| if other.is_after(one) { other } else { one });
            let number = following(last, clock);
            self.sent.retain(|sent| sent.behind(clock).abs() > window);
            if self.sent.len() >= MAX_CLOCKS {
                self.sent.remove(0);
            }
            self.sent.push(number);
            numbers.push(number);
        }
        numbers
    }
}

fn following(last: Option<Sequence>, clock: u64) -> Sequence {
    let at = Sequence::at(clock);
    match last {
        Some(last) if !at.is_after(last) => last.next(),
        Some(_) | None => at,
    }
}

/// What was accepted of whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Incoming {
    marks: BTreeMap<(IpAddr, KeyId), Accepted>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Accepted {
    /// The clocks its numbers were made with; more than one only after somebody has set it.
    clocks: Vec<Heard>,
    /// The greatest number of all.
    greatest: Sequence,
    /// Numbers that another clock, ours or its own, may come to yet.
    ahead: BTreeSet<Sequence>,
}

/// When a number was judged, by which wall clock, and how far from that it may lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) at: Instant,
    pub(crate) wall: &'a Wall,
    pub(crate) window: Duration,
}

/// Where a number lies, seen from our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Within the window, of the clock as it runs or as it ran before it was set.
    Within,
    Ahead,
    Behind,
}

impl Moment<'_> {
    fn place(&self, sequence: Sequence) -> Place {
        let window = nanos(self.window);
        let behind = || self.wall.readings(self.at).map(|clock| sequence.behind(clock));
        if behind().any(|behind| behind.abs() <= window) {
            Place::Within
        } else if behind().all(|behind| behind < 0) {
            Place::Ahead
        } else {
            Place::Behind
        }
    }

    /// By how much a number lies ahead of what a clock of its sender shows by now; negative if behind, in nanoseconds.
    fn ahead_of(&self, sequence: Sequence, heard: &Heard) -> i64 {
        sequence.ahead_of(heard.last).saturating_sub(nanos(self.at.since(heard.at)))
    }

    fn fits(&self, sequence: Sequence, heard: &Heard) -> bool {
        self.ahead_of(sequence, heard).abs() <= nanos(self.window)
    }
}

impl Accepted {
    fn is_fresh(&self, moment: Moment<'_>, sequence: Sequence) -> bool {
        if self.ahead.contains(&sequence) {
            return false;
        }
        let mut fitting = self.clocks.iter().filter(|heard| moment.fits(sequence, heard)).peekable();
        if fitting.peek().is_some() {
            return fitting.all(|heard| sequence.is_after(heard.last));
        }
        match moment.place(sequence) {
            Place::Within => {
                let mut others = self.clocks.iter().filter(|heard| moment.place(heard.last) != Place::Ahead);
                others.all(|heard| sequence.is_after(heard.last))
            }
            Place::Ahead => sequence.is_after(self.greatest),
            Place::Behind => {
                let heard_of_late = self.clocks.iter().any(|heard| moment.at.since(heard.at) <= moment.window);
                sequence.is_after(self.greatest) && heard_of_late
            }
        }
    }

    fn accept(&mut self, moment: Moment<'_>, sequence: Sequence) {
        let window = nanos(moment.window);
        let ahead_of_us = moment.wall.readings(moment.at).any(|clock| sequence.behind(clock) < -window);
        if ahead_of_us || self.clocks.iter().any(|heard| moment.ahead_of(sequence, heard) > window) {
            self.ahead.insert(sequence);
        }
        self.clocks.retain(|heard| !moment.fits(sequence, heard));
        if self.clocks.len() >= MAX_CLOCKS {
            // In the order of hearing.
            self.clocks.remove(0);
        }
        self.clocks.push(Heard { last: sequence, at: moment.at });
        if sequence.is_after(self.greatest) {
            self.greatest = sequence;
        }
    }

    fn heard_at(&self) -> Instant {
        self.clocks.iter().map(|heard| heard.at).max().unwrap_or_default()
    }
}

impl Incoming {
    /// Whether a genuine advert is a new one.
    ///
    /// - One that fits a clock its sender was heard with: greater than the last of that clock.
    /// - Else, within the window of our clock: greater than all before, but for those that were ahead of our clock. So a
    ///   sender whose clock was ahead and is put right is heard at once.
    /// - Ahead of our clock: from a known sender, greater than all before.
    /// - Behind it: the same, and that sender's adverts have not ceased. One that was silent for longer than the window
    ///   may be dead, and these what somebody recorded.
    ///
    /// What could come up again under another clock is remembered one by one.
    ///
    /// # Errors
    /// [`Discard::AuthStale`] or [`Discard::AuthReplayed`].
    pub(crate) fn judge(&self, moment: Moment<'_>, sender: (IpAddr, KeyId), sequence: Sequence) -> Result<(), Discard> {
        let place = moment.place(sequence);
        let fresh = match self.marks.get(&sender) {
            None => place == Place::Within,
            Some(mark) => mark.is_fresh(moment, sequence),
        };
        match (fresh, place) {
            (true, _) => Ok(()),
            (false, Place::Within) => Err(Discard::AuthReplayed),
            (false, Place::Ahead | Place::Behind) => Err(Discard::AuthStale),
        }
    }

    /// Remembers an advert that was judged to be new.
    pub(crate) fn accept(&mut self, moment: Moment<'_>, sender: (IpAddr, KeyId), sequence: Sequence) {
        if !self.marks.contains_key(&sender) && self.marks.len() >= MAX_MARKS {
            let oldest = self.marks.iter().min_by_key(|(_, mark)| mark.heard_at()).map(|(sender, _)| *sender);
            oldest.map(|sender| self.marks.remove(&sender));
        }
        let first = || Accepted { greatest: sequence, ..Accepted::default() };
        self.marks.entry(sender).or_insert_with(first).accept(moment, sequence);
        if self.marks.values().map(|mark| mark.ahead.len()).sum::<usize>() > MAX_AHEAD {
            // Whoever fills it loses his own.
            let fullest = self.marks.values_mut().max_by_key(|mark| mark.ahead.len());
            fullest.and_then(|mark| mark.ahead.pop_first());
        }
    }

    /// What must not be forgotten over a restart.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let mark = |(&(source, key), mark): (&(IpAddr, KeyId), &Accepted)| Mark {
            source,
            key,
            clocks: mark.clocks.clone(),
            greatest: mark.greatest,
            ahead: mark.ahead.iter().copied().collect(),
        };
        self.marks.iter().map(mark).collect()
    }

    /// Takes over what an agent before us remembered.
    pub(crate) fn restore(&mut self, marks: &[Mark]) {
        let mut room = MAX_AHEAD;
        for mark in marks.iter().take(MAX_MARKS) {
            let clocks = mark.clocks.iter().take(MAX_CLOCKS).copied().collect();
            let ahead: BTreeSet<Sequence> = mark.ahead.iter().take(room).copied().collect();
            room -= ahead.len();
            self.marks.insert((mark.source, mark.key), Accepted { clocks, greatest: mark.greatest, ahead });
        }
    }
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
