use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::effect::Effect;
use super::eligibility::RETRY;
use super::interfaces::Interfaces;
use crate::config::{AuthMode, RouterConfig};
use crate::types::{AwaitedAdverts, Channel, Family, Instant, InterfaceName};

/// What is to be heard on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    index: u32,
    channels: BTreeSet<Channel>,
    /// The addresses that claims are heard to.
    addresses: BTreeSet<IpAddr>,
    awaited: Vec<AwaitedAdverts>,
}

/// What is open on which interface, and what ought to be.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// As it was last asked for; channels that failed are left out.
    open: BTreeMap<InterfaceName, Wanted>,
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
        let mut wanted: BTreeMap<InterfaceName, Wanted> = BTreeMap::new();
        for config in routers {
            for (interface, channel) in needs(config) {
                let Some(facts) = interfaces.get(interface) else { continue };
                let new = || Wanted {
                    index: facts.index,
                    channels: BTreeSet::new(),
                    addresses: BTreeSet::new(),
                    awaited: Vec::new(),
                };
                wanted.entry(interface).or_insert_with(new).channels.insert(channel);
            }
            wanted.get_mut(&config.interface).into_iter().for_each(|wanted| wanted.awaited.push(awaited(config)));
            for address in &config.addresses {
                let on_it = wanted.get_mut(&address.interface);
                on_it.map(|wanted| wanted.addresses.insert(address.net.addr()));
            }
        }
        for &interface in self.open.keys().filter(|name| !wanted.contains_key(name)) {
            effects.push(Effect::Unlisten { interface });
        }
        for (&interface, wanted) in wanted.iter().filter(|(name, wanted)| self.open.get(name) != Some(wanted)) {
            let Wanted { index, channels, addresses, awaited } = wanted.clone();
            effects.push(Effect::Listen { interface, index, channels, addresses, awaited });
        }
        self.open = wanted;
    }

    /// A channel could not be opened, or broke.
    pub(crate) fn failed(&mut self, now: Instant, interface: InterfaceName, channel: Channel) {
        if let Some(open) = self.open.get_mut(&interface) {
            open.channels.remove(&channel);
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

/// What a router may listen to; more than `admit` and authentication let in, never less.
fn awaited(config: &RouterConfig) -> AwaitedAdverts {
    let enforced = config.auth.as_ref().filter(|auth| auth.mode == AuthMode::Enforce);
    AwaitedAdverts {
        family: config.family,
        version: config.version,
        vrid: config.vrid,
        senders: config.unicast_peers.clone(),
        keys: enforced.map(|auth| auth.keys.keys().copied().collect()),
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
