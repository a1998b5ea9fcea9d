//! What is known of links and their addresses, kept current message by message. No socket.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use netlink_packet_route::address::AddressMessage;

use super::message::{self, Change, Link};
use crate::types::{InterfaceFacts, InterfaceName};

/// Everything at one moment, as the kernel listed it.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All links.
    pub links: Vec<Link>,
    /// All IPv4 addresses, those of one interface in the kernel's order.
    pub addresses: Vec<AddressMessage>,
}

/// Links and addresses, and which of them somebody has yet to be told of.
#[derive(Debug, Default)]
pub struct Table {
    interfaces: BTreeMap<u32, Interface>,
    by_name: BTreeMap<InterfaceName, u32>,
    /// Names whose facts may differ from those told last.
    touched: BTreeSet<InterfaceName>,
    told: BTreeMap<InterfaceName, Option<InterfaceFacts>>,
}

#[derive(Debug, Default)]
struct Interface {
    link: Option<Link>,
    addresses: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    net: IpNet,
    secondary: bool,
    scope: u8,
}

impl Table {
    /// Takes a whole listing over in place of what was known.
    pub fn replace(&mut self, snapshot: Snapshot) {
        self.touched.extend(self.by_name.keys().copied());
        self.interfaces.clear();
        self.by_name.clear();
        for link in snapshot.links {
            self.apply(Change::Link(link));
        }
        for message in snapshot.addresses {
            // Listed in the kernel's order: nothing to work out.
            if let Some(address) = Address::of(&message) {
                self.interfaces.entry(message.header.index).or_default().addresses.push(address);
            }
        }
    }

    /// Takes one change over. Doing so twice, or after a listing that has it already, changes nothing more.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Link(link) => self.link(link),
            Change::LinkGone(index) => {
                self.forget_name(index);
                self.interfaces.remove(&index);
            }
            Change::Address(message) => {
                let Some(address) = Address::of(&message) else { return };
                let interface = self.interfaces.entry(message.header.index).or_default();
                interface.insert(address);
                self.touched.extend(interface.name());
            }
            Change::AddressGone(message) => {
                let (Some(net), Some(interface)) =
                    (message::address_of(&message), self.interfaces.get_mut(&message.header.index))
                else {
                    return;
                };
                interface.addresses.retain(|address| address.net != net);
                self.touched.extend(interface.name());
            }
        }
    }

    fn link(&mut self, link: Link) {
        let index = link.index;
        let before = self.interfaces.get(&index).and_then(Interface::name);
        if before != link.name {
            self.forget_name(index);
        }
        if let Some(name) = link.name {
            self.by_name.insert(name, index);
            self.touched.insert(name);
        }
        self.interfaces.entry(index).or_default().link = Some(link);
    }

    /// The interface of this index no longer goes by its name; another one may already.
    fn forget_name(&mut self, index: u32) {
        if let Some(name) = self.interfaces.get(&index).and_then(Interface::name) {
            if self.by_name.get(&name) == Some(&index) {
                self.by_name.remove(&name);
            }
            self.touched.insert(name);
        }
    }

    /// The newest facts of those `wanted` interfaces whose facts differ from those told last, `None` for one that
    /// does not exist. `promotes` says how the kernel treats the secondaries of an interface.
    pub fn news(
        &mut self,
        wanted: &BTreeSet<InterfaceName>,
        promotes: impl Fn(&InterfaceName) -> bool,
    ) -> Vec<(InterfaceName, Option<InterfaceFacts>)> {
        let mut news = Vec::new();
        for name in wanted {
            if !self.touched.contains(name) && self.told.contains_key(name) {
                continue;
            }
            let facts = self.facts(name, &promotes);
            if self.told.get(name) != Some(&facts) {
                self.told.insert(*name, facts.clone());
                news.push((*name, facts));
            }
        }
        self.touched.clear();
        // What nobody asks for now is told anew when it is asked for again.
        self.told.retain(|name, _| wanted.contains(name));
        news
    }

    fn facts(&self, name: &InterfaceName, promotes: impl Fn(&InterfaceName) -> bool) -> Option<InterfaceFacts> {
        let interface = self.interfaces.get(self.by_name.get(name)?)?;
        let link = interface.link.as_ref()?;
        Some(InterfaceFacts {
            index: link.index,
            up: link.up,
            running: link.running,
            mac: link.mac,
            addresses: interface.addresses.iter().map(|address| address.net).collect(),
            promote_secondaries: promotes(name),
            mtu: link.mtu,
        })
    }
}

impl Interface {
    fn name(&self) -> Option<InterfaceName> {
        self.link.as_ref().and_then(|link| link.name)
    }

    /// Puts an address where the kernel puts it: a secondary last of all, a primary behind the last primary of
    /// its scope or a wider one.
    fn insert(&mut self, address: Address) {
        if let Some(known) = self.addresses.iter().position(|known| known.net == address.net) {
            if self.addresses.get(known) == Some(&address) {
                return;
            }
            // A secondary that became primary moves.
            self.addresses.remove(known);
        }
        let place = if address.secondary {
            self.addresses.len()
        } else {
            let before = |known: &Address| !known.secondary && address.scope <= known.scope;
            self.addresses.iter().rposition(before).map_or(0, |last| last + 1)
        };
        self.addresses.insert(place, address);
    }
}

impl Address {
    fn of(message: &AddressMessage) -> Option<Self> {
        Some(Address {
            net: message::address_of(message)?,
            secondary: message::is_secondary(message),
            scope: message.header.scope.into(),
        })
    }
}
