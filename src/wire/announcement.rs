//! Who claims an address on the LAN, in either family: ARP for IPv4, Neighbor Discovery for IPv6.

use std::net::IpAddr;

use super::{arp, ip, nd};
use crate::types::MacAddr;

/// That an address is at a hardware address, as somebody says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// The address that is claimed.
    pub address: IpAddr,
    /// The hardware address it is claimed for.
    pub mac: MacAddr,
}

impl Announcement {
    /// What was said in a packet, unless the address or the hardware address cannot be one host's.
    pub(super) fn heard(address: IpAddr, mac: MacAddr) -> Option<Self> {
        (ip::is_host(address) && mac.is_host()).then_some(Announcement { address, mac })
    }
}

/// The claim in an Ethernet frame, if it is an ARP packet or a Neighbor Advertisement with one.
pub fn parse(frame: &[u8]) -> Option<Announcement> {
    arp::parse(frame).or_else(|| nd::parse_advertisement(frame).map(|heard| heard.claim))
}

/// The Ethernet frame that tells everybody on the LAN: gratuitous ARP or an unsolicited Neighbor Advertisement.
/// `router` is whether the interface forwards packets, which a Neighbor Advertisement says too.
pub fn emit(announcement: Announcement, router: bool) -> Vec<u8> {
    match announcement.address {
        IpAddr::V4(address) => arp::gratuitous(address, announcement.mac),
        IpAddr::V6(address) => nd::unsolicited(address, announcement.mac, router),
    }
}
