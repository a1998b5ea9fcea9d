//! What a host's firewall must let in, for the firewalls that Debian and Red Hat come with.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::InterfaceName;

/// Where adverts of IPv4 go (RFC 9568 section 5.1.1.2).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where those of IPv6 go (section 5.1.2.2).
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Adverts of one kind that reach this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Adverts {
    /// To the group of IPv4.
    MulticastV4,
    /// To the group of IPv6.
    MulticastV6,
    /// From this peer alone.
    Unicast(IpAddr),
}

impl Adverts {
    /// `is_ipv6`, then `source` or `destination`, then the address.
    fn matched(self) -> (bool, bool, IpAddr) {
        match self {
            Adverts::MulticastV4 => (false, false, GROUP_V4.into()),
            Adverts::MulticastV6 => (true, false, GROUP_V6.into()),
            Adverts::Unicast(peer) => (peer.is_ipv6(), true, peer),
        }
    }
}

/// The lines to add, each firewall's under its name; empty where nothing is awaited.
pub(super) fn advice(awaited: &BTreeSet<(InterfaceName, Adverts)>) -> String {
    if awaited.is_empty() {
        return String::new();
    }
    let mut nftables = String::new();
    let mut firewalld = String::new();
    for (interface, adverts) in awaited {
        let (v6, from, address) = adverts.matched();
        let (table, family) = if v6 { ("ip6", "ipv6") } else { ("ip", "ipv4") };
        let (short, long) = if from { ("saddr", "source") } else { ("daddr", "destination") };
        // Writing to a string cannot fail.
        writeln!(nftables, "  iifname \"{interface}\" meta l4proto 112 {table} {short} {address} accept").ok();
        writeln!(
            firewalld,
            "  firewall-cmd --permanent --zone=\"$(firewall-cmd --get-zone-of-interface={interface})\" \
             --add-rich-rule='rule family=\"{family}\" {long} address=\"{address}\" protocol value=\"vrrp\" accept'"
        )
        .ok();
    }
    format!(
        "If this host has a firewall, it must let in the adverts of the others, which are IP protocol 112.\n\
         nftables, in the chain of the input hook:\n{nftables}\
         firewalld, and then `firewall-cmd --reload`:\n{firewalld}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eth0(adverts: &[Adverts]) -> String {
        advice(&adverts.iter().map(|adverts| ("eth0".parse().expect("a name"), *adverts)).collect())
    }

    #[test]
    fn multicast_is_let_in_by_its_group_and_unicast_by_its_peer() {
        assert_eq!(eth0(&[]), "");
        assert_eq!(
            eth0(&[Adverts::MulticastV4]),
            "If this host has a firewall, it must let in the adverts of the others, which are IP protocol 112.\n\
             nftables, in the chain of the input hook:\n\
             \x20 iifname \"eth0\" meta l4proto 112 ip daddr 224.0.0.18 accept\n\
             firewalld, and then `firewall-cmd --reload`:\n\
             \x20 firewall-cmd --permanent --zone=\"$(firewall-cmd --get-zone-of-interface=eth0)\" \
             --add-rich-rule='rule family=\"ipv4\" destination address=\"224.0.0.18\" protocol value=\"vrrp\" accept'\n"
        );
        let text = eth0(&[Adverts::MulticastV6, Adverts::Unicast(Ipv4Addr::new(192, 0, 2, 3).into())]);
        assert!(text.contains("\n  iifname \"eth0\" meta l4proto 112 ip6 daddr ff02::12 accept\n"), "{text}");
        assert!(text.contains("'rule family=\"ipv6\" destination address=\"ff02::12\" protocol"), "{text}");
        assert!(text.contains("\n  iifname \"eth0\" meta l4proto 112 ip saddr 192.0.2.3 accept\n"), "{text}");
        assert!(text.contains("'rule family=\"ipv4\" source address=\"192.0.2.3\" protocol"), "{text}");
    }
}
