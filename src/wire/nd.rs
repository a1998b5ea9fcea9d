//! Neighbor Discovery (RFC 4861) as far as it says who has an IPv6 address: unsolicited Neighbor Advertisements, and
//! the Neighbor Solicitation that asks whether anybody has one already (RFC 4862 section 5.4.2).

use std::net::Ipv6Addr;

use pnet_packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NeighborAdvertPacket};
use pnet_packet::icmpv6::ndp::{NdpOptionTypes, NeighborAdvertFlags};
use pnet_packet::icmpv6::{Icmpv6Types, MutableIcmpv6Packet};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::{Ipv6Packet, MutableIpv6Packet};

use super::announcement::Announcement;
use super::checksum::Sum;
use crate::types::MacAddr;

/// Where the IPv6 header begins.
const IP: usize = 14;
/// Where the ICMPv6 message begins.
const ICMP: usize = IP + 40;
/// Length of either message without options.
const FIXED_LEN: usize = 24;
/// Length of an option that carries an Ethernet address.
const OPTION_LEN: usize = 8;
/// The hop limit that shows that no router was crossed (RFC 4861 section 7.1).
const HOP_LIMIT: u8 = 255;
/// Where all nodes of a link listen.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A Neighbor Advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbor {
    /// The address, and the hardware address it is said to be at.
    pub claim: Announcement,
    /// R: the sender forwards packets.
    pub router: bool,
    /// S: somebody asked for it.
    pub solicited: bool,
    /// O: it replaces what caches have.
    pub overriding: bool,
}

/// The frame that tells all nodes that `address` is at `mac`: the override flag set, so that caches take it over,
/// and the router flag as told.
pub fn unsolicited(address: Ipv6Addr, mac: MacAddr, router: bool) -> Vec<u8> {
    let mut frame = vec![0; ICMP + FIXED_LEN + OPTION_LEN];
    if let Some(mut message) = frame.get_mut(ICMP..).and_then(MutableNeighborAdvertPacket::new) {
        message.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
        message.set_flags(NeighborAdvertFlags::Override | if router { NeighborAdvertFlags::Router } else { 0 });
        message.set_target_addr(address);
    }
    let [a, b, c, d, e, f] = mac.0;
    let option = [NdpOptionTypes::TargetLLAddr.0, 1, a, b, c, d, e, f];
    if let Some(place) = frame.get_mut(ICMP + FIXED_LEN..) {
        place.copy_from_slice(&option);
    }
    finish(frame, mac, address, ALL_NODES)
}

/// The frame that asks whether anybody has `address`: from nobody's address, to the solicited-node group.
pub fn probe(address: Ipv6Addr, mac: MacAddr) -> Vec<u8> {
    let mut frame = vec![0; ICMP + FIXED_LEN];
    if let Some(mut message) = frame.get_mut(ICMP..).and_then(MutableNeighborSolicitPacket::new) {
        message.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
        message.set_target_addr(address);
    }
    finish(frame, mac, Ipv6Addr::UNSPECIFIED, solicited_node(address))
}

/// Where a node listens for questions about one of its addresses (RFC 4291 section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0x00ff, low)
}

/// Puts the headers before a message to a group, and the checksum into it.
fn finish(mut frame: Vec<u8>, mac: MacAddr, source: Ipv6Addr, group: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c, d] = group.octets();
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        // RFC 2464 section 7.
        ethernet.set_destination(pnet_base::MacAddr(0x33, 0x33, a, b, c, d));
        ethernet.set_source(pnet_base::MacAddr::from(mac.0));
        ethernet.set_ethertype(EtherTypes::Ipv6);
    }
    let length = frame.len().saturating_sub(ICMP) as u16;
    if let Some(mut ip) = frame.get_mut(IP..).and_then(MutableIpv6Packet::new) {
        ip.set_version(6);
        ip.set_payload_length(length);
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_source(source);
        ip.set_destination(group);
    }
    let message = frame.get(ICMP..).unwrap_or_default();
    let checksum = pseudo_header(source, group, length).bytes(message).finish();
    if let Some(mut message) = frame.get_mut(ICMP..).and_then(MutableIcmpv6Packet::new) {
        message.set_checksum(checksum);
    }
    frame
}

fn pseudo_header(source: Ipv6Addr, destination: Ipv6Addr, length: u16) -> Sum {
    Sum::pseudo_header(source.into(), destination.into(), IpNextHeaderProtocols::Icmpv6.0, length)
}

/// The Neighbor Advertisement in a frame, if it passes the checks of RFC 4861 section 7.1.2.
///
/// One that names no hardware address speaks of the one it was sent from.
pub fn parse_advertisement(frame: &[u8]) -> Option<Neighbor> {
    let ethernet = EthernetPacket::new(frame)?;
    if ethernet.get_ethertype() != EtherTypes::Ipv6 {
        return None;
    }
    let ip = Ipv6Packet::new(frame.get(IP..)?)?;
    let length = ip.get_payload_length();
    let bytes = frame.get(ICMP..ICMP + usize::from(length))?;
    let message = NeighborAdvertPacket::new(bytes)?;
    let is_advertisement = ip.get_version() == 6
        && ip.get_next_header() == IpNextHeaderProtocols::Icmpv6
        && ip.get_hop_limit() == HOP_LIMIT
        && message.get_icmpv6_type() == Icmpv6Types::NeighborAdvert
        && message.get_icmpv6_code().0 == 0;
    if !is_advertisement || !pseudo_header(ip.get_source(), ip.get_destination(), length).bytes(bytes).is_valid() {
        return None;
    }
    let flag = |flag: u8| message.get_flags() & flag != 0;
    let (address, solicited) = (message.get_target_addr(), flag(NeighborAdvertFlags::Solicited));
    if solicited && ip.get_destination().is_multicast() {
        return None;
    }
    let named = target_link_layer(bytes.get(FIXED_LEN..)?)?;
    let mac = named.unwrap_or(MacAddr(ethernet.get_source().octets()));
    Some(Neighbor {
        claim: Announcement::heard(address.into(), mac)?,
        router: flag(NeighborAdvertFlags::Router),
        solicited,
        overriding: flag(NeighborAdvertFlags::Override),
    })
}

/// The Target Link-Layer Address among options, if it is there; nothing at all if the options are malformed.
///
/// Walked here because the packet crate's own walk overflows on a length that only a hostile sender writes.
fn target_link_layer(mut options: &[u8]) -> Option<Option<MacAddr>> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(units) * 8)?;
        let body = option.get(2..)?;
        if kind == NdpOptionTypes::TargetLLAddr.0 && found.is_none() {
            found = Some(MacAddr(body.try_into().ok()?));
        }
        options = rest;
    }
    options.is_empty().then_some(found)
}
