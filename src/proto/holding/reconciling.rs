//! What somebody else, or the kernel, did to addresses that are held.

use std::collections::BTreeSet;

use super::slot::Presence;
use super::{Ground, Holding, Stage, addition, leases};
use crate::proto::effect::Effect;
use crate::report::Release;
use crate::types::{InterfaceName, IpNet};

impl Holding {
    /// Addresses are gone, and not by our doing as far as the kernel says: what is held comes back. The caller has seen
    /// to it that no lease has lapsed.
    pub(crate) fn gone(&mut self, ground: &mut Ground<'_>, interface: InterfaceName, gone: &[IpNet]) {
        let Some(facts) = ground.interfaces.get(interface) else { return };
        let held = matches!(self.stage, Stage::Held);
        let mut additions = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.address.interface == interface) {
            if !slot.ours().is_some_and(|net| gone.contains(&net)) {
                continue;
            }
            match slot.presence {
                // Whether it was this one or one before it shows when the addition is answered.
                Presence::Adding(prefix, _) => slot.presence = Presence::Adding(prefix, true),
                Presence::Ours(_) if held => {
                    let prefix = ground.interfaces.prefix_for(interface, slot.address.net);
                    let Some(addition) = addition(ground.interfaces, slot.address, prefix) else { continue };
                    slot.presence = Presence::Again(prefix);
                    slot.asked = None;
                    slot.term = leases::term(ground.now, ground.lifetime);
                    additions.push(addition);
                }
                Presence::Ours(_) => slot.forget(),
                Presence::Absent | Presence::Again(_) | Presence::Foreign => {}
            }
        }
        if !additions.is_empty() {
            let (router, index, lifetime) = (ground.router.clone(), facts.index, ground.lifetime);
            let (until, again) = (ground.now + ground.patience, true);
            let add = Effect::AddAddresses { router, interface, index, additions, lifetime, until, again };
            ground.effects.push(add);
        }
        self.gone_of_others(ground, interface, gone);
        if let (Stage::Leaving(leaving), false) = (&self.stage, self.slots.iter().any(|slot| slot.is_here())) {
            let began = leaving.began();
            self.finish(ground, Release::Gone, began);
        }
    }

    /// Where the host has got an address of its own in the subnet of one of ours, for the kernel it is a secondary of ours
    /// and would go with it, also when nobody is left to put it back. So ours is added anew by itself, and only then goes.
    pub(crate) fn stand_alone(&mut self, ground: &mut Ground<'_>, interface: InterfaceName) {
        let Some(facts) = ground.interfaces.get(interface) else { return };
        let (mut additions, mut removals) = (Vec::new(), Vec::new());
        for slot in self.slots.iter_mut().filter(|slot| slot.address.interface == interface) {
            let Some(held) = slot.held().filter(|net| net.addr().is_ipv4()) else { continue };
            let alone = held.max_prefix_len();
            if held.prefix_len() < alone && ground.interfaces.stands_alone(interface, slot.address.net) {
                let Some(addition) = addition(ground.interfaces, slot.address, alone) else { continue };
                slot.presence = Presence::Adding(alone, false);
                slot.asked = None;
                slot.term = leases::term(ground.now, ground.lifetime);
                additions.push(addition);
                removals.push(held);
            }
        }
        if !additions.is_empty() {
            let (router, index, lifetime) = (ground.router.clone(), facts.index, ground.lifetime);
            let (until, again, of) = (ground.now + ground.patience, true, router.clone());
            let add = Effect::AddAddresses { router: of, interface, index, additions, lifetime, until, again };
            let restore = Vec::new();
            ground.effects.extend([add, Effect::RemoveAddresses { router, interface, index, removals, restore }]);
        }
    }

    /// What somebody else had set is not there any more: it is ours to hold. The owner's addresses are not moved, and
    /// whoever takes one from it means to.
    fn gone_of_others(&mut self, ground: &mut Ground<'_>, interface: InterfaceName, gone: &[IpNet]) {
        let mut vacant = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.presence == Presence::Foreign && !ground.owner) {
            if slot.address.interface == interface && gone.iter().any(|net| net.addr() == slot.address.net.addr()) {
                slot.forget();
                vacant = true;
            }
        }
        if let (true, Stage::Held) = (vacant, &self.stage) {
            self.add_missing(ground);
        }
    }

    /// Everything was listed anew: what is missing comes back, and what we have let go of goes.
    pub(crate) fn compare(&mut self, ground: &mut Ground<'_>) {
        for interface in self.carriers() {
            let Some(facts) = ground.interfaces.get(interface) else { continue };
            let present: BTreeSet<IpNet> = facts.addresses.iter().copied().collect();
            let (mut missing, mut removals) = (Vec::new(), Vec::new());
            for slot in self.slots.iter().filter(|slot| slot.address.interface == interface) {
                missing.extend(slot.held().filter(|net| !present.contains(net)));
                let address = slot.address.net.addr();
                if slot.presence == Presence::Foreign && !present.iter().any(|net| net.addr() == address) {
                    missing.push(slot.address.net);
                }
                if slot.presence == Presence::Absent {
                    let marked = facts.marked.iter().map(|marked| marked.net);
                    removals.extend(marked.filter(|net| net.addr() == slot.address.net.addr()));
                }
            }
            let index = facts.index;
            self.gone(ground, interface, &missing);
            if !removals.is_empty() {
                let (router, restore) = (ground.router.clone(), Vec::new());
                ground.effects.push(Effect::RemoveAddresses { router, interface, index, removals, restore });
            }
        }
    }
}
