//! ARP (RFC 826): how a host tells the LAN that an IPv4 address is here (RFC 5227 section 3), and who says so.

use std::net::Ipv4Addr;

use pnet_packet::Packet;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};

use super::announcement::Announcement;
use crate::types::MacAddr;

/// Length of the frame: Ethernet header and ARP for IPv4.
pub const FRAME_LEN: usize = 14 + 28;

/// The frame that announces `address` at `mac`: a broadcast request with the address as sender and target and
/// the broadcast address as target hardware address, the form keepalived sends.
pub fn gratuitous(address: Ipv4Addr, mac: MacAddr) -> Vec<u8> {
    request(mac, address, MacAddr::BROADCAST, address)
}

/// The frame that asks whether anybody else has `address`: from nobody's address (RFC 5227 section 2.1.1), so that no cache
/// learns anything of it, and whoever has it answers us alone.
pub fn probe(address: Ipv4Addr, mac: MacAddr) -> Vec<u8> {
    request(mac, Ipv4Addr::UNSPECIFIED, MacAddr([0; 6]), address)
}

/// A broadcast request.
fn request(mac: MacAddr, sender: Ipv4Addr, target_mac: MacAddr, target: Ipv4Addr) -> Vec<u8> {
    let own = pnet_base::MacAddr::from(mac.0);
    let all = pnet_base::MacAddr::from(MacAddr::BROADCAST.0);
    let mut frame = vec![0; FRAME_LEN];
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        ethernet.set_destination(all);
        ethernet.set_source(own);
        ethernet.set_ethertype(EtherTypes::Arp);
    }
    if let Some(mut arp) = frame.get_mut(14..).and_then(MutableArpPacket::new) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(own);
        arp.set_sender_proto_addr(sender);
        arp.set_target_hw_addr(pnet_base::MacAddr::from(target_mac.0));
        arp.set_target_proto_addr(target);
    }
    frame
}

/// Who claims to have an IPv4 address: the sender of any ARP packet, be it a request, a reply or gratuitous.
///
/// A probe (RFC 5227 section 2.1) has no sender address and claims none. Nor does one from no host's hardware address.
pub fn parse(frame: &[u8]) -> Option<Announcement> {
    let ethernet = EthernetPacket::new(frame)?;
    if ethernet.get_ethertype() != EtherTypes::Arp {
        return None;
    }
    let arp = ArpPacket::new(ethernet.payload())?;
    let for_ipv4_on_ethernet = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && arp.get_hw_addr_len() == 6
        && arp.get_proto_addr_len() == 4
        && matches!(arp.get_operation(), ArpOperations::Request | ArpOperations::Reply);
    if !for_ipv4_on_ethernet {
        return None;
    }
    Announcement::heard(arp.get_sender_proto_addr().into(), MacAddr(arp.get_sender_hw_addr().octets()))
}
