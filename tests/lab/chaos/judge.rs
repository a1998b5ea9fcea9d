//! What may be seen from outside while such faults are in force, and what may not.

use std::collections::BTreeSet;

use super::plan::{Cast, Fault, Kind};
use super::stage::Done;
use crate::clock::{MS, Moment, SECOND, in_ms};
use crate::holders::Change;

/// The advert interval.
const A: u64 = SECOND;
/// What the machine may add to a time that is measured in seconds.
const MARGIN: u64 = 600 * MS;
/// A planned move may have two holders for so long, machine included: 50 ms by design where the winner is Active already,
/// 100 ms where the successor's announcement is waited for.
const MOVE: u64 = 250 * MS;
/// A lease of 4 s, renewed for the last time before its agent died, and what the kernel adds at most.
const LEASE: u64 = 5_050 * MS + MARGIN / 2;
/// For so long may the dead hold beside another one, whoever that is.
const DEAD: u64 = 2 * SECOND;
/// An address that somebody removed is away for so long at most.
const AWAY: u64 = 300 * MS;
/// A client must be right about the one holder within this.
const RIGHT: u64 = SECOND + MARGIN / 2;
/// A fault that took this much longer than planned is not the one that was meant.
const SLIP: u64 = 700 * MS;

/// A stall of the machine that may make an agent late for something.
pub const STILL: u64 = 300 * MS;

pub type Span = (Moment, Moment);

/// All that was seen of a round, and what was done in it.
pub struct Record {
    pub cast: Cast,
    pub kind: Kind,
    pub from: Moment,
    /// From when on all had to be as before.
    pub settled: Moment,
    pub to: Moment,
    pub done: Vec<Done>,
    /// Since the lab was made.
    pub changes: Vec<Change>,
    /// Whom the client believed, and from when until when it was asked.
    pub beliefs: Vec<(Span, Option<usize>)>,
    /// When echoes were sent that nobody answered.
    pub lost: Vec<Moment>,
    /// When the machine stood still.
    pub stalls: Vec<Span>,
    /// When its kernel was slow to do its own work.
    pub slow: Vec<Span>,
}

/// What should not have been seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub at: Span,
    pub what: String,
}

impl Record {
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = self.two_holders();
        found.extend(self.no_holder());
        found.extend(self.wrong_belief());
        found.extend(self.moved_for_nothing());
        found
    }

    /// Whether the machine, not an agent, may be to blame for something: its kernel neither ends leases nor processes
    /// while it is slow.
    pub fn is_machines(&self, violation: &Violation) -> bool {
        let (from, to) = (violation.at.0.saturating_sub(6 * SECOND), violation.at.1);
        let touched = |span: &&Span| overlap(**span, (from, to)) > 0;
        let long = self.stalls.iter().filter(touched).any(|stall| length(*stall) > STILL);
        long || self.slow.iter().any(|slow| overlap(*slow, (from, to)) > 0)
    }

    /// Whether what was done took so long that it was something else.
    pub fn has_slipped(&self) -> bool {
        let slipped = |done: &Done| length(span(done)) > done.fault.span() * MS + SLIP;
        self.done.iter().any(slipped)
    }

    fn stood_still(&self, within: Span) -> u64 {
        self.stalls.iter().map(|stall| overlap(*stall, within)).sum()
    }

    /// Who held the address from when until when, within the round.
    pub fn holdings(&self) -> Vec<(Span, BTreeSet<usize>)> {
        let (mut held, mut last) = (BTreeSet::new(), self.from);
        let mut found = Vec::new();
        for change in &self.changes {
            let at = change.at.clamp(self.from, self.to);
            if at > last {
                found.push(((last, at), held.clone()));
                last = at;
            }
            if change.held {
                held.insert(change.host)
            } else {
                held.remove(&change.host)
            };
        }
        found.push(((last, self.to), held));
        found
    }

    /// Adjacent times that fit, each as one.
    fn while_held(&self, fits: impl Fn(usize) -> bool) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for (span, _) in self.holdings().into_iter().filter(|(_, held)| fits(held.len())) {
            match spans.last_mut() {
                Some(last) if last.1 == span.0 => last.1 = span.1,
                _ => spans.push(span),
            }
        }
        spans
    }

    fn two_holders(&self) -> Vec<Violation> {
        let parted: Vec<Span> = self.done.iter().filter(|done| done.fault.parts()).map(healed).collect();
        let dead: Vec<Span> = self.done.iter().filter_map(dead).collect();
        let mut found = Vec::new();
        for several in self.while_held(|count| count > 1) {
            for left in without(several, &parted) {
                let of_the_dead = length(left) - without(left, &dead).into_iter().map(length).sum::<u64>();
                if of_the_dead > DEAD + self.stood_still(left) {
                    let what = format!("a dead one and another held it for {} ms", in_ms(of_the_dead));
                    found.push(Violation { at: left, what });
                }
                for at in without(left, &dead).into_iter().filter(|at| length(*at) > MOVE + self.stood_still(*at)) {
                    let what = format!("two held it for {} ms, and nothing explains it", in_ms(length(at)));
                    found.push(Violation { at, what });
                }
            }
        }
        found
    }

    fn no_holder(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for gap in self.while_held(|count| count == 0) {
            for host in 1..=self.cast.hosts() {
                let (disabled, recovering) = self.disabled(host);
                for able in without(gap, &disabled) {
                    let most = down(host) + MARGIN + if recovering(able.0) { A } else { 0 };
                    if length(able) > most + self.stood_still(able) {
                        let ms = in_ms(length(able));
                        let what = format!("nobody held it for {ms} ms, though host {host} was able to");
                        found.push(Violation { at: able, what });
                    }
                }
            }
        }
        found
    }

    /// When a host cannot be expected to claim, and whether it has only just become able to.
    fn disabled(&self, host: usize) -> (Vec<Span>, impl Fn(Moment) -> bool + use<>) {
        let ours = host <= self.cast.ours;
        let mine = |done: &&Done| match done.fault {
            Fault::FreezeAll { .. } => ours,
            _ => done.fault.host() == Some(host),
        };
        let recovery = |done: &Done| {
            let (from, to) = span(done);
            let after = match done.fault {
                Fault::Kill { .. } | Fault::Leave { .. } | Fault::Stop { .. } | Fault::Unhealthy { .. } => SECOND,
                Fault::Freeze { .. } | Fault::FreezeAll { .. } => 0,
                Fault::Firewall { .. } => 3 * SECOND,
                // How long a new link is listened to where nothing is heard.
                Fault::Cable { .. } => 10 * SECOND,
                Fault::Reload { .. }
                | Fault::Broken { .. }
                | Fault::Replace { .. }
                | Fault::Unaddress
                | Fault::Unprimary { .. }
                | Fault::Part { .. }
                | Fault::Mute { .. }
                | Fault::Deaf { .. }
                | Fault::Lossy { .. }
                | Fault::Claimant => return None,
            };
            Some((from, to.saturating_add(after)))
        };
        let spans: Vec<Span> = self.done.iter().filter(mine).filter_map(recovery).collect();
        let ends: Vec<Moment> = spans.iter().map(|span| span.1).collect();
        (spans, move |at| ends.contains(&at))
    }

    fn wrong_belief(&self) -> Vec<Violation> {
        let mut excused: Vec<Span> = Vec::new();
        let alone = self.done.len() == 1;
        for done in &self.done {
            let (from, to) = span(done);
            match done.fault {
                // Who is frozen contradicts nobody.
                Fault::Claimant => excused.push((from, to + if alone { RIGHT } else { 12 * SECOND })),
                Fault::Unprimary { .. } => excused.push((from, to.saturating_add(RIGHT))),
                _ if done.fault.parts() => excused.push((from, to.saturating_add(A + MARGIN + RIGHT))),
                _ => {}
            }
        }
        let mut found = Vec::new();
        for ((from, to), held) in self.holdings() {
            let Some(&holder) = held.first().filter(|_| held.len() == 1) else { continue };
            let wrong = |(asked, believed): &&(Span, Option<usize>)| {
                let due = asked.0 >= from + RIGHT && asked.1 <= to;
                due && !excused.iter().any(|(a, b)| *a <= asked.1 && asked.0 <= *b)
                    && believed.is_some_and(|believed| believed != holder)
            };
            if let Some(((at, _), Some(believed))) = self.beliefs.iter().find(wrong) {
                let ms = in_ms(at - from);
                let what = format!("host {holder} has held it alone for {ms} ms, and the client believes {believed}");
                found.push(Violation { at: (from, *at), what });
            }
        }
        found
    }

    fn moved_for_nothing(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut tell = |at: Span, what: String| found.push(Violation { at, what });
        let changes = |from: Moment| self.changes.iter().filter(move |change| change.at >= from);
        if let Some(change) = changes(self.settled).next() {
            tell((change.at, change.at), format!("it moved when nothing was done any more: {change:?}"));
        }
        match self.kind {
            Kind::Rough => {}
            Kind::Quiet if self.has_slipped() => {}
            Kind::Quiet => {
                if let Some(change) = changes(self.from).next() {
                    tell((change.at, change.at), format!("it moved for nothing: {change:?}"));
                }
                if let (Some(first), Some(last)) = (self.lost.first(), self.lost.last()) {
                    tell((*first, *last), format!("{} echoes were lost for nothing", self.lost.len()));
                }
            }
            Kind::Touch => {
                let hosts: BTreeSet<usize> = changes(self.from).map(|change| change.host).collect();
                let gaps = self.while_held(|count| count == 0);
                if let Some(gap) = gaps.iter().find(|gap| length(**gap) > AWAY + self.stood_still(**gap)) {
                    tell(*gap, format!("it was away for {} ms", in_ms(length(*gap))));
                }
                if hosts.len() > 1 {
                    tell((self.from, self.to), format!("it moved between hosts {hosts:?}"));
                }
            }
        }
        found
    }
}

fn span(done: &Done) -> Span {
    (done.from, done.to.unwrap_or(Moment::MAX))
}

/// A fault that parts hosts, with what they need to agree afterwards.
fn healed(done: &Done) -> Span {
    let (from, to) = span(done);
    (from, to.saturating_add(A + MARGIN))
}

/// While one that is dead may hold beside another: until it lives and has seen what is, or its lease has ended.
fn dead(done: &Done) -> Option<Span> {
    let (from, to) = span(done);
    let awake = match done.fault {
        Fault::Kill { .. } | Fault::Leave { .. } => SECOND,
        Fault::Freeze { .. } | Fault::FreezeAll { .. } => MARGIN,
        _ => return None,
    };
    Some((from, to.saturating_add(awake).min(from + LEASE)))
}

/// Active_Down_Interval of a host by its priority, 200, 100 or 50: 3 s and (256 - priority) / 256 s.
fn down(host: usize) -> u64 {
    match host {
        1 => 3_218_750_000,
        2 => 3_609_375_000,
        _ => 3_804_687_500,
    }
}

fn length((from, to): Span) -> u64 {
    to.saturating_sub(from)
}

fn overlap(one: Span, other: Span) -> u64 {
    one.1.min(other.1).saturating_sub(one.0.max(other.0))
}

/// What is left of a time without others.
fn without(whole: Span, others: &[Span]) -> Vec<Span> {
    let mut left = vec![whole];
    for (from, to) in others {
        let cut = |(a, b): Span| [(a, b.min(*from)), (a.max(*to), b)];
        left = left.into_iter().flat_map(cut).filter(|(a, b)| a < b).collect();
    }
    left
}

#[cfg(test)]
#[path = "judge_itself.rs"]
mod judge_itself;
