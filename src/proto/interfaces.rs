use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::links::Links;
use crate::config::RouterConfig;
use crate::report::Reason;
use crate::types::{Family, Instant, InterfaceFacts, InterfaceName, IpNet, MacAddr};

/// What newly learned facts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// They differ from those before.
    pub(crate) changed: bool,
    /// Caches of others may be wrong now: switches have forgotten us, the carrier having been away while the interface
    /// was up, or its MAC address is another.
    pub(crate) unknown_again: bool,
}

/// What is known of the host's interfaces, and which addresses are virtual and so never the host's own.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    known: BTreeMap<InterfaceName, InterfaceFacts>,
    /// How their links came and went.
    pub(crate) links: Links,
    virtual_addresses: BTreeSet<IpAddr>,
    /// Addresses that an earlier process of ours has left: virtual ones, whatever the configuration says now.
    left: BTreeSet<(InterfaceName, IpAddr)>,
    /// Subnets in which the host has or had an address of its own.
    host_subnets: BTreeSet<(InterfaceName, IpNet)>,
}

impl Interfaces {
    /// The newest facts of one interface; what is new about them.
    pub(crate) fn learn(&mut self, now: Instant, name: InterfaceName, facts: Option<InterfaceFacts>) -> News {
        let before = self.known.get(&name);
        let changed = before != facts.as_ref();
        let renumbered = before.zip(facts.as_ref()).is_some_and(|(before, after)| before.mac != after.mac);
        let is_there =
            |address| facts.as_ref().is_some_and(|facts| facts.addresses.iter().any(|net| net.addr() == address));
        self.left.retain(|(interface, address)| *interface != name || is_there(*address));
        let unknown_again = self.links.learn(now, name, facts.as_ref()) || renumbered;
        match facts {
            Some(facts) => {
                self.known.insert(name, facts);
            }
            None => {
                self.known.remove(&name);
                self.host_subnets.retain(|(interface, _)| *interface != name);
            }
        }
        self.remember_host_subnets();
        News { changed, unknown_again }
    }

    /// All addresses that virtual routers move, so that none is taken for one of the host's own.
    pub(crate) fn set_virtual(&mut self, addresses: BTreeSet<IpAddr>) {
        self.virtual_addresses = addresses;
        self.remember_host_subnets();
    }

    /// Addresses that are virtual beside the configured ones for as long as they are there.
    pub(crate) fn set_left(&mut self, left: BTreeSet<(InterfaceName, IpAddr)>) {
        self.left = left;
    }

    fn is_virtual(&self, address: IpAddr) -> bool {
        self.virtual_addresses.contains(&address) || self.left.iter().any(|(_, left)| *left == address)
    }

    fn remember_host_subnets(&mut self) {
        for (name, facts) in &self.known {
            let own = facts.addresses.iter().filter(|net| !self.is_virtual(net.addr()));
            let subnets: Vec<_> = own.map(|net| (*name, net.trunc())).collect();
            self.host_subnets.extend(subnets);
        }
    }

    pub(crate) fn get(&self, name: InterfaceName) -> Option<&InterfaceFacts> {
        self.known.get(&name)
    }

    pub(crate) fn mac(&self, name: InterfaceName) -> Option<MacAddr> {
        self.known.get(&name)?.mac
    }

    /// Whether an interface of this host has that hardware address.
    pub(crate) fn is_own(&self, mac: MacAddr) -> bool {
        self.known.values().any(|facts| facts.mac == Some(mac))
    }

    /// What keeps an interface from carrying addresses, if anything does. A carrier that was lost after `lost_before`
    /// may come back.
    pub(crate) fn trouble(&self, name: InterfaceName, lost_before: Instant) -> Option<Reason> {
        match self.known.get(&name) {
            None => Some(Reason::InterfaceMissing(name)),
            Some(facts) if !facts.up => Some(Reason::InterfaceDown(name)),
            Some(_) if !self.has_link(name, lost_before) => Some(Reason::NoCarrier(name)),
            Some(facts) if facts.mac.is_none() => Some(Reason::NoHardwareAddress(name)),
            Some(_) => None,
        }
    }

    /// Whether it is up with a carrier, or with one that was lost after `lost_before` and may come back.
    pub(crate) fn has_link(&self, name: InterfaceName, lost_before: Instant) -> bool {
        let lately = || self.links.lost_at(name).is_some_and(|at| at > lost_before);
        self.known.get(&name).is_some_and(|facts| facts.up && (facts.running || lately()))
    }

    /// Where a router's adverts come from: the configured address, where there is one; else the interface's first
    /// IPv4 address, or its link-local IPv6 address, that no virtual router moves (RFC 9568 section 7.2). The owner
    /// of an address may use that one. To unicast peers beyond the link a global IPv6 address goes.
    pub(crate) fn source(&self, config: &RouterConfig) -> Option<IpAddr> {
        let facts = self.known.get(&config.interface)?;
        let mut fitting: Vec<IpAddr> =
            facts.addresses.iter().map(IpNet::addr).filter(|address| is_source(*address, config)).collect();
        match config.family {
            // In the kernel's order: the primary address of the interface comes first.
            Family::Ipv4 => {}
            // The kernel's order says nothing of them; the choice must not change from one reading to the next.
            Family::Ipv6 => fitting.sort(),
        }
        let own = fitting.iter().find(|address| !self.is_virtual(**address));
        own.or_else(|| fitting.first().filter(|_| config.priority.is_owner())).copied()
    }

    /// The prefix length an address is added with.
    ///
    /// Where the kernel removes the secondaries of a subnet with their primary, and the host has or had an
    /// address in the subnet, ours goes in with a full-length prefix: neither then takes the other along. In IPv6
    /// the addresses of a subnet share its route instead, which would end with a lifetime of ours.
    pub(crate) fn prefix_for(&self, name: InterfaceName, address: IpNet) -> u8 {
        let facts = self.known.get(&name);
        let there = facts.and_then(|facts| facts.addresses.iter().find(|net| net.addr() == address.addr()));
        if let Some(there) = there {
            // With another length the kernel would have it twice instead of saying that it is there already.
            return there.prefix_len();
        }
        if self.stands_alone(name, address) { address.max_prefix_len() } else { address.prefix_len() }
    }

    /// Whether an address goes in with a full-length prefix. In IPv6 the addresses of a subnet share its route, which
    /// ours would make end with them.
    pub(crate) fn stands_alone(&self, name: InterfaceName, address: IpNet) -> bool {
        let promotes = self.known.get(&name).is_some_and(|facts| facts.promote_secondaries);
        let tied = address.addr().is_ipv6() || !promotes;
        tied && self.host_subnets.contains(&(name, address.trunc()))
    }

    /// Whether the host has or had an address of its own in this IPv6 subnet, whose route must not end with ours.
    pub(crate) fn keeps_route(&self, name: InterfaceName, net: IpNet) -> bool {
        net.addr().is_ipv6() && self.host_subnets.contains(&(name, net.trunc()))
    }

    /// Addresses of the host's own in the same subnet, which the kernel may remove along with ours.
    pub(crate) fn host_neighbours(&self, name: InterfaceName, removed: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let all = self.known.get(&name).map(|facts| facts.addresses.as_slice()).unwrap_or_default();
        all.iter().copied().filter(move |net| {
            same_subnet(*net, removed) && !self.is_virtual(net.addr()) && net.addr() != removed.addr()
        })
    }

    /// Whether the kernel lists this address on the interface, whatever its prefix length.
    pub(crate) fn has(&self, name: InterfaceName, address: IpAddr) -> bool {
        self.known.get(&name).is_some_and(|facts| facts.addresses.iter().any(|net| net.addr() == address))
    }
}

/// Whether the kernel ties the life of two addresses of an interface together: same subnet, same length, and IPv4.
pub(crate) fn same_subnet(one: IpNet, other: IpNet) -> bool {
    matches!(one, IpNet::V4(_)) && one.prefix_len() == other.prefix_len() && one.trunc() == other.trunc()
}

/// Whether adverts of this router can come from an address, if the host has it.
fn is_source(address: IpAddr, config: &RouterConfig) -> bool {
    if let Some(source) = config.source {
        return address == source;
    }
    match (address, config.family) {
        (IpAddr::V4(_), Family::Ipv4) => true,
        (IpAddr::V6(address), Family::Ipv6) => address.is_unicast_link_local() == config.is_link_local(),
        (IpAddr::V4(_), Family::Ipv6) | (IpAddr::V6(_), Family::Ipv4) => false,
    }
}
