use std::collections::{BTreeMap, BTreeSet};

use super::effect::Effect;
use super::eligibility::RETRY;
use super::interfaces::Interfaces;
use crate::config::RouterConfig;
use crate::types::{Channel, Family, Instant, InterfaceName};

/// What is open on which interface, and what ought to be.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// The channels as they were last asked for, with the index of the interface; those that failed are left out.
    open: BTreeMap<InterfaceName, (u32, BTreeSet<Channel>)>,
    /// When channels that could not be opened are tried anew.
    again_at: Option<Instant>,
}

impl Listening {
    /// Opens and closes channels so that those that the routers need are open, on the interfaces as they are now.
    pub(crate) fn settle<'c>(
        &mut self,
        routers: impl Iterator<Item = &'c RouterConfig>,
        interfaces: &Interfaces,
        effects: &mut Vec<Effect>,
    ) {
        let mut wanted: BTreeMap<InterfaceName, (u32, BTreeSet<Channel>)> = BTreeMap::new();
        for (interface, channel) in routers.flat_map(needs) {
            if let Some(facts) = interfaces.get(interface) {
                wanted.entry(interface).or_insert((facts.index, BTreeSet::new())).1.insert(channel);
            }
        }
        for &interface in self.open.keys().filter(|name| !wanted.contains_key(name)) {
            effects.push(Effect::Unlisten { interface });
        }
        for (&interface, (index, channels)) in &wanted {
            if self.open.get(&interface) != Some(&(*index, channels.clone())) {
                effects.push(Effect::Listen { interface, index: *index, channels: channels.clone() });
            }
        }
        self.open = wanted;
    }

    /// A channel could not be opened, or broke.
    pub(crate) fn failed(&mut self, now: Instant, interface: InterfaceName, channel: Channel) {
        if let Some((_, channels)) = self.open.get_mut(&interface) {
            channels.remove(&channel);
        }
        self.again_at = Some(now + RETRY);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.again_at
    }

    /// Whether what failed is to be tried anew now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.again_at.is_some_and(|at| at <= now);
        if due {
            self.again_at = None;
        }
        due
    }
}

/// The channels that one virtual router needs: adverts on its own interface, announcements wherever an address goes.
pub(crate) fn needs(config: &RouterConfig) -> impl Iterator<Item = (InterfaceName, Channel)> + '_ {
    let announced = config.addresses.iter().map(|address| {
        let family = Family::of(address.net.addr());
        (address.interface, Channel::Announcements(family))
    });
    std::iter::once((config.interface, Channel::Adverts(config.family))).chain(announced)
}
