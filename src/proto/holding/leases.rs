//! Leases: the kernel takes an address away that is not renewed, so that the dead do not hold.

use std::time::Duration;

use super::slot::{Asked, Presence, Slot, Term};
use super::{Ground, Holding, Stage};
use crate::proto::effect::{Effect, Lease};
use crate::proto::interfaces::Interfaces;
use crate::report::{Event, Release};
use crate::types::{Instant, Interval, LeaseOutcome, LeftAddress, Lifetime, MarkedAddress};

/// The kernel may end a lease by this much too early: it rounds to a fiftieth of a second, and counts in ticks.
const EARLY: Duration = Duration::from_millis(50);

/// What is told of the past in the kernel's ticks may be off our clock by this much.
const TICKS: Duration = Duration::from_millis(250);

/// How long the kernel keeps an address whose agent is silent: a little longer than the last of its backups does.
pub(crate) fn lifetime(interval: Interval) -> Lifetime {
    Lifetime::covering(interval.duration() * 4)
}

/// For how long after a takeover the kernel of whoever held the addresses until then may still have them, and answer for
/// them: a whole lease, for one that we preempt has renewed them a moment ago, and its kernel may refuse to let go.
pub(crate) fn aftermath(interval: Interval) -> Duration {
    lifetime(interval).duration() + Lifetime::LATE
}

/// How an address stands that is added or renewed by a decision of now.
pub(super) fn term(now: Instant, lifetime: Option<Lifetime>) -> Term {
    lifetime.map_or(Term::Endless, |lifetime| Term::Until(now + lifetime.duration() - EARLY))
}

/// How an address stands that an earlier process added or renewed, as far as its mark tells.
pub(super) fn term_of_left(interfaces: &Interfaces, left: &LeftAddress, interval: Interval) -> Term {
    let marked = interfaces.get(left.interface).map(|facts| facts.marked.as_slice()).unwrap_or_default();
    match marked.iter().find(|marked| marked.net == left.net) {
        None => Term::Unknown,
        Some(MarkedAddress { left: None, .. }) => Term::Endless,
        Some(MarkedAddress { left: Some(_), renewed_at, .. }) => {
            Term::Until(*renewed_at + lifetime(interval).duration() - TICKS)
        }
    }
}

impl Holding {
    /// Has the leases renewed that need it, by the advert that has just been sent: those of which less than the backups'
    /// patience, or than half, would be left at the next one. Once one needs it all are renewed.
    pub(crate) fn renew(&mut self, ground: &mut Ground<'_>) {
        let renewable = match &self.stage {
            Stage::Nothing => false,
            Stage::Held => true,
            // Who lingers answers until the successor has it; who yields is gone in a moment.
            Stage::Leaving(leaving) => !leaving.yields(),
        };
        if renewable && self.slots.iter().any(|slot| is_due(slot, ground)) {
            self.ask_to_renew(ground, ground.lifetime, true);
        }
    }

    /// Keeps what is here while it is listened whether somebody has followed: the leases last till the next advert, and
    /// not much longer, for a host that stood still once may do so again.
    pub(crate) fn renew_to_listen(&mut self, ground: &mut Ground<'_>) {
        let heard_by = ground.now + ground.interval.duration() * 3 / 2;
        let ends = |slot: &Slot| slot.ends_at().is_some_and(|until| until < heard_by);
        if let (Some(_), Stage::Held, true) = (ground.lifetime, &self.stage, self.slots.iter().any(ends)) {
            self.ask_to_renew(ground, Some(Lifetime::covering(ground.interval.duration() * 2)), false);
        }
    }

    fn ask_to_renew(&mut self, ground: &mut Ground<'_>, lifetime: Option<Lifetime>, with_advert: bool) {
        // An answer that never comes (a router has been renamed meanwhile) must not be waited for until they end.
        let soon = lifetime.map_or(Duration::ZERO, |lifetime| lifetime.duration() / 8);
        if self.asked.is_some_and(|asked| ground.now < asked + soon) {
            return;
        }
        for interface in self.carriers() {
            for other_kind in [false, true] {
                let chosen = |slot: &Slot| {
                    slot.address.interface == interface && is_of_other_kind(slot, ground.lifetime) == other_kind
                };
                let Some(index) = ground.interfaces.get(interface).map(|facts| facts.index) else { continue };
                let (mut leases, mut until) = (Vec::new(), None);
                for slot in self.slots.iter_mut().filter(|slot| chosen(slot)) {
                    let Some(net) = slot.held() else { continue };
                    slot.asked = Some((Asked { at: ground.now, interface, other_kind }, lifetime));
                    until = [until, slot.ends_at()].into_iter().flatten().min();
                    leases.push(Lease { net, borrows_route: ground.interfaces.keeps_route(interface, net) });
                }
                if !leases.is_empty() {
                    self.asked = Some(ground.now);
                    ground.effects.push(Effect::RenewLeases {
                        router: ground.router.clone(),
                        interface,
                        index,
                        leases,
                        lifetime,
                        asked: ground.now,
                        until,
                        other_kind,
                        with_advert,
                    });
                }
            }
        }
    }

    /// What became of a renewal. True if it came too late.
    pub(crate) fn renewed(&mut self, ground: &mut Ground<'_>, asked: Asked, outcome: LeaseOutcome) -> bool {
        if self.asked == Some(asked.at) {
            self.asked = None;
        }
        let mut known = false;
        for slot in &mut self.slots {
            let Some((_, lifetime)) = slot.asked.filter(|(of, _)| *of == asked) else { continue };
            known = true;
            match outcome {
                LeaseOutcome::Renewed => slot.term = term(asked.at, lifetime),
                LeaseOutcome::Lapsed | LeaseOutcome::Failed(_) => slot.asked = None,
            }
        }
        match outcome {
            LeaseOutcome::Renewed => self.refused = false,
            LeaseOutcome::Failed(error) if known && !self.refused => {
                self.refused = true;
                let (router, what) = (Some(ground.router.clone()), "renew the leases of its addresses".to_owned());
                ground.effects.push(Effect::Tell(Event::SystemRefused { router, what, error }));
            }
            LeaseOutcome::Failed(_) => {}
            LeaseOutcome::Lapsed => return known,
        }
        false
    }

    /// The advert that was to renew the leases did not leave.
    pub(crate) fn not_renewed(&mut self) {
        self.asked = None;
    }

    /// When the kernel may have taken the first address away, unless something is heard before.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.slots.iter().filter_map(Slot::ends_at).min()
    }

    /// Whether the kernel may have taken an address away by now, since we were too late to renew it.
    pub(crate) fn has_lapsed(&self, now: Instant) -> bool {
        !self.is_empty() && self.ends_at().is_some_and(|at| at <= now)
    }

    /// Lets go of everything, the kernel having done so already or being about to.
    pub(crate) fn lapse(&mut self, ground: &mut Ground<'_>) {
        if !self.is_empty() {
            let began = ground.now;
            self.finish(ground, Release::Lapsed, began);
        }
    }
}

/// Whether it must be renewed by now, or the kernel keeps it in another way, or longer, than it should.
fn is_due(slot: &Slot, ground: &Ground<'_>) -> bool {
    let Presence::Ours(_) = slot.presence else { return false };
    match (slot.term, ground.lifetime) {
        (Term::Endless, None) => false,
        (Term::Endless, Some(_)) | (Term::Until(_), None) | (Term::Unknown, _) => true,
        (Term::Until(until), Some(lifetime)) => {
            let enough = ground.longest_wait().max(lifetime.duration() / 2);
            let too_long = until > ground.now + lifetime.duration();
            too_long || until < ground.now + ground.interval.duration() + enough
        }
    }
}

fn is_of_other_kind(slot: &Slot, lifetime: Option<Lifetime>) -> bool {
    match (slot.term, lifetime) {
        (Term::Endless, None) | (Term::Until(_), Some(_)) => false,
        (Term::Endless, Some(_)) | (Term::Until(_), None) | (Term::Unknown, _) => true,
    }
}

impl Ground<'_> {
    /// The longest Active_Down_Interval that a backup with our interval can have, and a little more.
    fn longest_wait(&self) -> Duration {
        self.interval.duration() * 4
    }
}
