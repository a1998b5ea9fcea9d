//! Who claims an address: ARP and Neighbor Discovery beyond what the captures show.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use locum::types::MacAddr;
use locum::wire::announcement::{self, Announcement};
use locum::wire::{arp, nd};

use crate::pcap::{advert, frames};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 1);
const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 1, 1);

#[test]
fn the_sender_of_any_arp_packet_claims_its_address() {
    let mut frame = arp::gratuitous(ADDRESS, MAC);
    let claim = Some(Announcement { address: ADDRESS.into(), mac: MAC });
    // A question about somebody else.
    frame[41] = 2;
    assert_eq!(announcement::parse(&frame), claim);
    // A reply, padded as on the wire.
    frame[21] = 2;
    frame.resize(60, 0);
    assert_eq!(announcement::parse(&frame), claim);
}

#[test]
fn what_claims_nothing() {
    type Change = fn(&mut Vec<u8>);
    let changes: [Change; 11] = [
        // An operation that is neither question nor answer; other hardware, protocol and lengths; another EtherType.
        |f| f[21] = 3,
        |f| f[15] = 6,
        |f| f[16] = 0x86,
        |f| f[18] = 8,
        |f| f[19] = 16,
        |f| f[13] = 0x00,
        // A probe (RFC 5227 section 2.1): the sender has no address yet.
        |f| f[28..32].copy_from_slice(&[0; 4]),
        // Nor is a group's address one's own.
        |f| f[28] = 224,
        // No host's hardware address: none, and a group's.
        |f| f[22..28].copy_from_slice(&[0; 6]),
        |f| f[22] |= 1,
        |f| f.truncate(41),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut frame = arp::gratuitous(ADDRESS, MAC);
        change(&mut frame);
        assert_eq!(announcement::parse(&frame), None, "case {number}");
    }
}

/// The first Neighbor Advertisement for fd99::1:1 of v3-ipv6.pcap: bytes as keepalived sent them.
fn captured() -> Vec<u8> {
    let pcap = include_bytes!("../vectors/v3-ipv6.pcap");
    let claims = |frame: &&[u8]| advert(frame).is_none() && frame[62] == 0xfd;
    frames(pcap).into_iter().find(claims).unwrap().to_vec()
}

/// The frame with one byte of its ICMPv6 message changed, and its checksum with it as RFC 1624 says.
fn with(mut frame: Vec<u8>, index: usize, byte: u8) -> Vec<u8> {
    let word = |frame: &[u8], at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let before = word(&frame, (54 + index) & !1);
    frame[54 + index] = byte;
    let mut sum = (word(&frame, 56) ^ 0xffff) + (before ^ 0xffff) + word(&frame, (54 + index) & !1);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[56..58].copy_from_slice(&(sum as u16 ^ 0xffff).to_be_bytes());
    frame
}

#[test]
fn flags_of_a_neighbor_advertisement() {
    let mac = MacAddr([0xd6, 0x27, 0xbf, 0x7b, 0xe9, 0x84]);
    let claim = Announcement { address: ADDRESS_V6.into(), mac };
    let captured = captured();
    let expected = nd::Neighbor { claim, router: false, solicited: false, overriding: true };
    assert_eq!(nd::parse_advertisement(&captured), Some(expected));
    // Override and router, as an interface that forwards says it.
    let of_a_router = with(captured.clone(), 4, 0xa0);
    assert_eq!(nd::parse_advertisement(&of_a_router), Some(nd::Neighbor { router: true, ..expected }));
    assert_eq!(announcement::emit(claim, true), of_a_router);
    let without_override = with(captured, 4, 0x00);
    assert_eq!(nd::parse_advertisement(&without_override), Some(nd::Neighbor { overriding: false, ..expected }));
}

#[test]
fn an_answer_to_one_host_may_be_solicited_and_name_no_hardware_address() {
    // To fe80::2, with the solicited flag, without its option. The checksum by hand, source fd99::1:1, 24 bytes, 58:
    // fd99 + 1 + 1 + fe80 + 2 + 18 + 3a + 8800 + 6000 + fd99 + 1 + 1 = 3e20a -> e20d.
    let mut frame = captured();
    frame.truncate(78);
    frame[19] = 24;
    frame[38..54].copy_from_slice(&Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2).octets());
    frame[58] = 0x60;
    frame[56..58].copy_from_slice(&(!0xe20d_u16).to_be_bytes());
    let heard = nd::parse_advertisement(&frame).unwrap();
    assert!(heard.solicited && heard.overriding);
    assert_eq!(heard.claim.mac, MacAddr([0xd6, 0x27, 0xbf, 0x7b, 0xe9, 0x84]), "that of the frame");
}

#[test]
fn a_neighbor_advertisement_that_fails_a_check_claims_nothing() {
    let captured = captured();
    let broken = |index: usize, byte: u8| {
        let mut frame = captured.clone();
        frame[index] = byte;
        nd::parse_advertisement(&frame)
    };
    assert_eq!(broken(21, 254), None, "hop limit");
    assert_eq!(broken(20, 17), None, "next header");
    assert_eq!(broken(14, 0x50), None, "IP version");
    assert_eq!(broken(12, 0x08), None, "EtherType");
    assert_eq!(broken(57, 0), None, "checksum");
    assert_eq!(broken(19, 33), None, "payload length beyond the frame");
    let changed = |index: usize, byte: u8| nd::parse_advertisement(&with(captured.clone(), index, byte));
    assert!(changed(4, 0xa0).is_some());
    assert_eq!(changed(0, 135), None, "a solicitation");
    assert_eq!(changed(1, 1), None, "code");
    assert_eq!(changed(4, 0x60), None, "solicited, yet to all");
    assert_eq!(changed(8, 0xff), None, "a group as target");
    assert_eq!(changed(25, 0), None, "an option of length zero");
    assert_eq!(changed(25, 2), None, "an option longer than the message");
    assert_eq!(changed(25, 32), None, "a length that overflows eight bits when counted in bytes");
    assert_eq!(changed(26, 0x01), None, "a group's hardware address");
    // Another option instead: the frame's own address counts.
    assert_eq!(changed(24, 14).map(|heard| heard.claim.mac), Some(MacAddr([0xd6, 0x27, 0xbf, 0x7b, 0xe9, 0x84])));
}

#[test]
fn a_probe_asks_from_nobodys_address() {
    // RFC 4862 section 5.4.2, laid out by hand; the checksum over source ::, destination ff02::1:ff01:1, 24 bytes,
    // 58, 8700 and the target: ff02 + 1 + ff01 + 1 + 18 + 3a + 8700 + fd99 + 1 + 1 = 382f2 -> 82f5, so 7d0a.
    #[rustfmt::skip]
    let expected = [
        0x33, 0x33, 0xff, 0x01, 0x00, 0x01, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
        0x60, 0, 0, 0, 0, 24, 58, 255,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x01, 0, 1,
        135, 0, 0x7d, 0x0a, 0, 0, 0, 0,
        0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1,
    ];
    assert_eq!(nd::probe(ADDRESS_V6, MAC), expected);
    // It claims nothing; what answers it does: all nodes are told, as whoever asked has no address.
    assert_eq!(announcement::parse(&expected), None);
    let claim = Announcement { address: IpAddr::V6(ADDRESS_V6), mac: OTHER };
    assert_eq!(announcement::parse(&announcement::emit(claim, false)), Some(claim));
}

#[test]
fn a_probe_is_from_nobody_and_claims_nothing() {
    // RFC 5227 section 2.1.1: sender address zero, target hardware address zero, broadcast.
    let expected =
        [&[0xff; 6][..], &MAC.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &MAC.0, &[0; 4], &[0; 6], &ADDRESS.octets()].concat();
    assert_eq!(arp::probe(ADDRESS, MAC), expected);
    assert_eq!(arp::parse(&expected), None);
}
