use super::{Mode, Router, World};
use crate::proto::election::State;
use crate::proto::holding::{Asked, Departure, Holding};
use crate::report::{Reason, RouterState};
use crate::types::{AddressOutcome, InterfaceName, IpNet, LeaseOutcome};

/// What becomes of a router whose addresses the kernel, or somebody else, has taken away.
impl Router {
    /// What became of additions.
    pub(crate) fn added(&mut self, world: &mut World<'_>, outcomes: Vec<(IpNet, AddressOutcome)>) {
        let came = self.hold(world, |holding, ground| holding.added(ground, outcomes));
        if came.late {
            return self.lapse(world);
        }
        if let Some(address) = came.fought {
            self.troubles.address_fought(world.now, address);
        }
        if let Some((address, error)) = came.failed {
            self.troubles.address_failed(world.now, address, error);
        }
        if self.troubles.reason().is_some() {
            self.review(world);
        }
    }

    /// Addresses are gone that no effect removed.
    pub(crate) fn addresses_gone(&mut self, world: &mut World<'_>, interface: InterfaceName, gone: &[IpNet]) {
        // A lapse is no attack: what the kernel has taken from us may be another host's by now.
        self.lapse_if_due(world);
        self.hold(world, |holding, ground| holding.gone(ground, interface, gone));
    }

    /// Everything there is was listed anew.
    pub(crate) fn compare(&mut self, world: &mut World<'_>) {
        self.lapse_if_due(world);
        self.hold(world, Holding::compare);
    }

    /// An interface has other addresses than before.
    pub(crate) fn stand_alone(&mut self, world: &mut World<'_>, interface: InterfaceName) {
        self.hold(world, |holding, ground| holding.stand_alone(ground, interface));
    }

    /// What became of a renewal.
    pub(crate) fn renewed(&mut self, world: &mut World<'_>, asked: Asked, outcome: LeaseOutcome) {
        if self.hold(world, |holding, ground| holding.renewed(ground, asked, outcome)) {
            self.lapse(world);
        }
    }

    /// Before anything else is made of an input: whoever could not renew in time is not Active any more.
    pub(super) fn lapse_if_due(&mut self, world: &mut World<'_>) {
        if self.holding.has_lapsed(world.now) {
            self.lapse(world);
        }
    }

    /// Backup, and one advert interval to hear who has followed. No resignation: nobody has heard of us for so long that
    /// whoever is there has followed already.
    pub(super) fn lapse(&mut self, world: &mut World<'_>) {
        let unsent = self.sending.failure().map(str::to_owned);
        self.resign_again_at = None;
        self.drop_claim();
        self.counters.leases_lapsed += 1;
        self.hold(world, Holding::lapse);
        // One that was giving way has told nobody who did not hear it.
        self.leftover |= matches!(self.election.state(), State::Backup(_));
        if let Some(error) = unsent {
            return self.fall_silent(world, error, Departure::AtOnce, None);
        }
        match self.election.state() {
            State::Active { .. } => {
                self.election.lapse(world.now);
                self.enter(world, RouterState::Backup, Reason::LeaseLapsed);
            }
            State::Backup(_) if self.mode != Mode::Ended => self.explain(world, Reason::LeaseLapsed),
            State::Initialize | State::Backup(_) => {}
        }
    }
}
