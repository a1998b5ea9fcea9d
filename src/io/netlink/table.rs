//! What is known of links and their addresses, kept current message by message. No socket.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_route::address::AddressMessage;

use super::message::{self, Change, Link};
use crate::io::record::Added;
use crate::types::{Instant, InterfaceFacts, InterfaceName, LeftAddress, MarkedAddress};

/// Everything at one moment, as the kernel listed it.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: Instant,
    /// The same on the clock that the kernel counts lifetimes by, which stands still during suspend.
    pub uptime: Duration,
    /// All links.
    pub links: Vec<Link>,
    /// All addresses, those of one interface in the kernel's order.
    pub addresses: Vec<AddressMessage>,
}

impl Snapshot {
    /// Those of `added` that are here and bear our mark, with the index of their interface. Where the kernel knows no
    /// marks, that they were added is all there is to know.
    pub fn left(&self, added: &[Added], kernel_marks: bool) -> Vec<LeftAddress> {
        let mut here = BTreeMap::new();
        for message in &self.addresses {
            let link = self.links.iter().find(|link| link.index == message.header.index);
            let ours = match message::mark_of(message) {
                Some(mark) => mark == message::MARK,
                None => !kernel_marks,
            };
            if let (Some(name), Some(net), true) = (link.and_then(|link| link.name), message::address_of(message), ours)
            {
                here.insert((name, net), message.header.index);
            }
        }
        let found = added.iter().filter_map(|Added { router, interface, net }| {
            let index = *here.get(&(*interface, *net))?;
            Some(LeftAddress { router: router.clone(), interface: *interface, index, net: *net })
        });
        found.collect()
    }
}

/// What an administrator can set of an interface beside link and addresses (sysctl).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// The kernel keeps the secondaries of a primary that is removed.
    pub promote_secondaries: bool,
    /// It forwards IPv6 packets.
    pub forwards_ipv6: bool,
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
    /// As they were listed, without those that are gone since.
    marked: Vec<MarkedAddress>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    net: IpNet,
    secondary: bool,
    scope: u8,
    usable: bool,
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
                let marked = marked(&message, address.net, snapshot.taken, snapshot.uptime);
                let interface = self.interfaces.entry(message.header.index).or_default();
                interface.marked.extend(marked);
                interface.addresses.push(address);
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
                if !message::is_marked(&message) {
                    interface.marked.retain(|marked| marked.net != address.net);
                }
                interface.insert(address);
                self.touched.extend(interface.name());
            }
            Change::Switched(index) => {
                self.touched.extend(self.interfaces.get(&index).and_then(Interface::name));
            }
            Change::AddressGone(message) => {
                let (Some(net), Some(interface)) =
                    (message::address_of(&message), self.interfaces.get_mut(&message.header.index))
                else {
                    return;
                };
                interface.addresses.retain(|address| address.net != net);
                interface.marked.retain(|marked| marked.net != net);
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

    /// The name of the interface of an index.
    pub fn name_of(&self, index: u32) -> Option<InterfaceName> {
        self.interfaces.get(&index).and_then(Interface::name)
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
    /// does not exist. `switches` says how an interface is set.
    pub fn news(
        &mut self,
        wanted: &BTreeSet<InterfaceName>,
        switches: impl Fn(&InterfaceName) -> Switches,
    ) -> Vec<(InterfaceName, Option<InterfaceFacts>)> {
        let mut news = Vec::new();
        for name in wanted {
            if !self.touched.contains(name) && self.told.contains_key(name) {
                continue;
            }
            let facts = self.facts(name, &switches);
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

    fn facts(&self, name: &InterfaceName, switches: impl Fn(&InterfaceName) -> Switches) -> Option<InterfaceFacts> {
        let interface = self.interfaces.get(self.by_name.get(name)?)?;
        let link = interface.link.as_ref()?;
        let Switches { promote_secondaries, forwards_ipv6 } = switches(name);
        Some(InterfaceFacts {
            index: link.index,
            up: link.up,
            running: link.running,
            mac: link.mac,
            addresses: interface.addresses.iter().filter(|known| known.usable).map(|known| known.net).collect(),
            marked: interface.marked.clone(),
            promote_secondaries,
            forwards_ipv6,
            mtu: link.mtu,
        })
    }
}

impl Interface {
    fn name(&self) -> Option<InterfaceName> {
        self.link.as_ref().and_then(|link| link.name)
    }

    /// Puts an address where the kernel puts it: a secondary last of all, a primary behind the last primary of
    /// its scope or a wider one. (The order of IPv6 addresses is not kept up.)
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
            let before = |known: &Address| {
                known.is_ipv4() == address.is_ipv4() && !known.secondary && address.scope <= known.scope
            };
            let first = if address.is_ipv4() { 0 } else { self.addresses.len() };
            self.addresses.iter().rposition(before).map_or(first, |last| last + 1)
        };
        self.addresses.insert(place, address);
    }
}

/// What a listing says of an address with our mark.
fn marked(message: &AddressMessage, net: IpNet, taken: Instant, uptime: Duration) -> Option<MarkedAddress> {
    if !message::is_marked(message) {
        return None;
    }
    let (valid, stamp) = message::times_of(message)?;
    let left = (valid != u32::MAX).then(|| Duration::from_secs(valid.into()));
    // The kernel's stamp wraps after 497 days. It counts ticks, which can be a little ahead of the clock.
    let now = u32::try_from(uptime.as_millis() / 10 % (1 << 32)).unwrap_or_default();
    let age = now.wrapping_sub(stamp);
    let age = if age > u32::MAX / 2 { 0 } else { age };
    let age = Duration::from_millis(u64::from(age) * 10);
    Some(MarkedAddress { net, left, renewed_at: taken - age })
}

impl Address {
    fn is_ipv4(&self) -> bool {
        matches!(self.net, IpNet::V4(_))
    }

    fn of(message: &AddressMessage) -> Option<Self> {
        Some(Address {
            net: message::address_of(message)?,
            secondary: message::is_secondary(message),
            scope: message.header.scope.into(),
            usable: message::is_usable(message),
        })
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::address::{AddressAttribute, AddressProtocol};

    use super::super::literals::{self, bytes};
    use super::super::message::{Answer, Answers, change};
    use super::*;

    const SWITCHES: Switches = Switches { promote_secondaries: true, forwards_ipv6: false };

    fn name(name: &str) -> InterfaceName {
        name.parse().expect("a name")
    }

    fn read(hex: &str) -> Change {
        let datagram = bytes(hex);
        match Answers(&datagram).next() {
            Some(Answer::Message { kind, payload, .. }) => change(kind, payload).expect("a change"),
            other => panic!("{other:?}"),
        }
    }

    /// The literal address message with another last byte and another place in its subnet.
    fn address(last: u8, secondary: bool) -> Change {
        let mut datagram = bytes(literals::SECONDARY);
        let host = [192, 0, 2, 10];
        for at in 0..datagram.len() - 4 {
            if datagram[at..at + 4] == host {
                datagram[at + 3] = last;
            }
        }
        datagram[18] = u8::from(secondary);
        change(libc::RTM_NEWADDR, &datagram[16..]).expect("an address")
    }

    fn news(table: &mut Table, names: &[&str]) -> Vec<(InterfaceName, Option<InterfaceFacts>)> {
        table.news(&names.iter().map(|given| name(given)).collect(), |_| SWITCHES)
    }

    fn addresses(table: &mut Table) -> Vec<String> {
        table.told.clear();
        let news = news(table, &["iocap0"]);
        let facts = news.into_iter().next().and_then(|(_, facts)| facts).expect("facts");
        facts.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let mut table = Table::default();
        assert_eq!(news(&mut table, &["iocap0"]), [(name("iocap0"), None)]);
        assert_eq!(news(&mut table, &["iocap0"]), []);
        table.apply(read(literals::LINK_UP));
        table.apply(read(literals::PRIMARY));
        let told = news(&mut table, &["iocap0"]);
        let facts = InterfaceFacts {
            index: 3,
            up: true,
            running: true,
            mac: Some(crate::types::MacAddr([2, 0, 0, 0, 0, 1])),
            addresses: vec!["192.0.2.2/24".parse().expect("an address")],
            marked: Vec::new(),
            promote_secondaries: true,
            forwards_ipv6: false,
            mtu: 1500,
        };
        assert_eq!(told, [(name("iocap0"), Some(facts.clone()))]);
        // The same again, and what nobody asked for.
        table.apply(read(literals::LINK_UP));
        table.apply(read(literals::PRIMARY));
        table.apply(read(literals::LINK_RENAMED));
        assert_eq!(news(&mut table, &["iocap0"]), []);
        table.apply(read(literals::LINK_NO_CARRIER));
        assert_eq!(news(&mut table, &["iocap0"]), [(name("iocap0"), Some(InterfaceFacts { running: false, ..facts }))]);
        table.apply(read(literals::LINK_GONE));
        assert_eq!(news(&mut table, &["iocap0"]), [(name("iocap0"), None)]);
        // Asked for from now on: told although nothing happened.
        assert_eq!(news(&mut table, &["iocap0", "iocap2"]).len(), 1);
    }

    /// Three addresses: with our mark, with keepalived's, with none; and which are found left of what was added.
    #[test]
    fn what_is_left_is_what_was_added_and_bears_our_mark() {
        let message = |last: u8, mark: Option<u8>| {
            let Change::Address(mut message) = address(last, true) else { panic!("an address") };
            message.attributes.extend(mark.map(|mark| AddressAttribute::Protocol(AddressProtocol::from(mark))));
            message
        };
        let Change::Link(link) = read(literals::LINK_UP) else { panic!("a link") };
        let addresses = vec![message(10, Some(112)), message(11, Some(18)), message(12, None), message(13, Some(112))];
        let snapshot = Snapshot { links: vec![link], addresses, ..Snapshot::default() };
        let added = |nets: &[&str]| -> Vec<Added> {
            let of = |net: &&str| Added {
                router: "web".parse().expect("a name"),
                interface: name("iocap0"),
                net: net.parse().expect("an address"),
            };
            nets.iter().map(of).collect()
        };
        let left = |nets: &[&str], kernel_marks| -> Vec<String> {
            let left = snapshot.left(&added(nets), kernel_marks);
            left.iter().map(|left| format!("{} {} {}", left.router, left.index, left.net)).collect()
        };
        let all = ["192.0.2.10/24", "192.0.2.11/24", "192.0.2.12/24", "192.0.2.14/24"];
        assert_eq!(left(&all, true), ["web 3 192.0.2.10/24"]);
        assert_eq!(left(&all, false), ["web 3 192.0.2.10/24", "web 3 192.0.2.12/24"]);
        // Another prefix length is another address.
        assert_eq!(left(&["192.0.2.10/32"], true), [""; 0]);
        assert_eq!(left(&[], false), [""; 0]);
    }

    #[test]
    fn a_renamed_interface_leaves_its_old_name() {
        let mut table = Table::default();
        let mut old = bytes(literals::LINK_RENAMED);
        let at = old.windows(6).position(|window| window == b"iocap2").expect("its name");
        old[at + 5] = b'1';
        table.apply(change(libc::RTM_NEWLINK, &old[16..]).expect("a link"));
        assert!(matches!(news(&mut table, &["iocap1", "iocap2"]).as_slice(), [(_, Some(_)), (_, None)]));
        table.apply(read(literals::LINK_RENAMED));
        let told = news(&mut table, &["iocap1", "iocap2"]);
        assert!(matches!(told.as_slice(), [(_, None), (_, Some(facts))] if facts.index == 2), "{told:?}");
    }

    #[test]
    fn secondaries_come_last_and_a_promoted_one_moves() {
        let mut table = Table::default();
        table.apply(read(literals::LINK_UP));
        table.apply(read(literals::PRIMARY));
        table.apply(address(10, true));
        table.apply(address(11, true));
        table.apply(read(literals::PEER));
        let expected = ["192.0.2.2/24", "198.51.100.1/32", "192.0.2.10/24", "192.0.2.11/24"];
        assert_eq!(addresses(&mut table), expected);
        let Change::Address(gone) = read(literals::PRIMARY) else { panic!("an address") };
        table.apply(Change::AddressGone(gone));
        table.apply(address(10, false));
        assert_eq!(addresses(&mut table), ["198.51.100.1/32", "192.0.2.10/24", "192.0.2.11/24"]);
    }

    #[test]
    fn a_listing_replaces_all_and_tells_what_went() {
        let mut table = Table::default();
        table.apply(read(literals::LINK_UP));
        table.apply(read(literals::PRIMARY));
        assert_eq!(news(&mut table, &["iocap0"]).len(), 1);
        let (Change::Link(link), Change::Address(first), Change::Address(second)) =
            (read(literals::LINK_UP), address(10, true), read(literals::PEER))
        else {
            panic!("a link and two addresses")
        };
        let addresses_listed = vec![first, second];
        table.replace(Snapshot { links: vec![link], addresses: addresses_listed, ..Snapshot::default() });
        // The listing's order stands, whatever the flags say.
        assert_eq!(addresses(&mut table), ["192.0.2.10/24", "198.51.100.1/32"]);
        table.replace(Snapshot::default());
        assert_eq!(news(&mut table, &["iocap0"]), [(name("iocap0"), None)]);
    }
}
