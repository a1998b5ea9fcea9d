//! Forms of adverts that the captures do not show.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use locum::types::{Advertised, ChecksumForm, Discard, Family, Interval, Password, Priority, Version, Vrid};
use locum::wire::ip;
use locum::wire::vrrp::{self, Advertisement, Proof, Tail, Unsendable};

use crate::pcap::first;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2));
const SOURCE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

fn v3_ipv4() -> Vec<u8> {
    first(include_bytes!("../vectors/v3-ipv4.pcap"))
}

/// The advert of v3-ipv4.pcap.
fn advertisement() -> Advertisement {
    Advertisement {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        advertised: Advertised::Active(Priority::new(200).unwrap()),
        interval: Interval::from_centiseconds(100).unwrap(),
        addresses: vec![Ipv4Addr::new(10, 99, 1, 1).into()],
    }
}

fn with_checksum(mut packet: Vec<u8>, checksum: [u8; 2]) -> Vec<u8> {
    packet[26..28].copy_from_slice(&checksum);
    packet
}

#[test]
fn the_checksum_over_the_message_alone() {
    // 0x1010 less the pseudo-header's part: ~(3133 + c801 + 0064 + 0a63 + 0101) = ~(104fc -> 04fd) = fb02.
    let packet = with_checksum(v3_ipv4(), [0xfb, 0x02]);
    assert_eq!(vrrp::parse(&packet).unwrap().checksum, ChecksumForm::Message);
    let group = ip::group(Family::Ipv4);
    let written = vrrp::emit(&advertisement(), SOURCE, group, ChecksumForm::Message, Proof::None).unwrap();
    assert_eq!(written[20..], packet[20..]);
}

#[test]
fn the_checksum_that_names_the_group_though_sent_to_a_peer() {
    // 17bc less the peer's 0a63 + 0002, with e000 + 0012 instead: 17bc - (e012 - 0a65) = 17bc - d5ad -> 420e.
    let packet = with_checksum(first(include_bytes!("../vectors/v3-ipv4-unicast.pcap")), [0x42, 0x0e]);
    let received = vrrp::parse(&packet).unwrap();
    assert_eq!((received.checksum, received.destination), (ChecksumForm::GroupPseudoHeader, PEER));
    let written =
        vrrp::emit(&received.advertisement, SOURCE, PEER, ChecksumForm::GroupPseudoHeader, Proof::None).unwrap();
    assert_eq!(written[20..], packet[20..]);
}

#[test]
fn both_zeros_of_ones_complement_are_right() {
    // The interval 1074 makes the sum ffff before the checksum, which is then 0000 or, as good, ffff.
    let mut packet = v3_ipv4();
    packet[24..26].copy_from_slice(&[0x10, 0x74]);
    for checksum in [[0x00, 0x00], [0xff, 0xff]] {
        let received = vrrp::parse(&with_checksum(packet.clone(), checksum)).unwrap();
        // The upper four bits are reserved and ignored (RFC 9568 section 5.2.6).
        assert_eq!(received.advertisement.interval.centiseconds(), 0x074);
    }
}

#[test]
fn reserved_bits_are_ignored() {
    let mut packet = with_checksum(v3_ipv4(), [0x20, 0x0f]);
    packet[24] = 0xf0;
    assert_eq!(vrrp::parse(&packet).unwrap().advertisement, advertisement());
}

#[test]
fn reserved_bits_are_written_as_zero() {
    let interval = Interval::from_centiseconds(4_095).unwrap();
    let longest = Advertisement { interval, ..advertisement() };
    let group = ip::group(Family::Ipv4);
    let written = vrrp::emit(&longest, SOURCE, group, ChecksumForm::PseudoHeader, Proof::None).unwrap();
    assert_eq!(written[24..26], [0x0f, 0xff]);
}

#[test]
fn the_shortest_and_the_longest_interval_are_read() {
    // fb02 is the sum over the message alone at 0064; each interval takes its own difference from it.
    for (interval, checksum, centiseconds) in [([0x00, 0x01], [0xfb, 0x65], 1), ([0x0f, 0xff], [0xeb, 0x67], 4_095)] {
        let mut packet = with_checksum(v3_ipv4(), checksum);
        packet[24..26].copy_from_slice(&interval);
        assert_eq!(vrrp::parse(&packet).unwrap().advertisement.interval.centiseconds(), centiseconds);
    }
}

#[test]
fn a_checksum_that_is_off_by_one_is_none() {
    // Both ways from 1010 with the pseudo-header, and from fb02 without.
    for checksum in [[0x10, 0x0f], [0x10, 0x11], [0xfb, 0x01], [0xfb, 0x03]] {
        assert_eq!(vrrp::parse(&with_checksum(v3_ipv4(), checksum)), Err(Discard::Checksum));
    }
}

#[test]
fn padding_of_short_frames_is_tolerated() {
    for packet in [v3_ipv4(), first(include_bytes!("../vectors/v2-ipv4-pass.pcap"))] {
        let bare = vrrp::parse(&packet).unwrap();
        let mut padded = packet;
        padded.resize(46, 0x5a);
        assert_eq!(vrrp::parse(&padded), Ok(bare));
    }
}

#[test]
fn bytes_behind_the_list_are_covered_by_the_checksum_or_not() {
    // Two bytes 0000 within the IP packet: the pseudo-header's length grows by 2, so 1010 becomes 100e where they
    // are counted, and stays where they are not.
    let mut packet = v3_ipv4();
    packet[3] += 2;
    packet.extend([0, 0]);
    for checksum in [[0x10, 0x0e], [0x10, 0x10]] {
        let received = vrrp::parse(&with_checksum(packet.clone(), checksum)).unwrap();
        assert_eq!((received.tail, received.advertisement), (Tail::Unknown, advertisement()));
    }
}

#[test]
fn twenty_eight_bytes_of_another_type_are_no_trailer() {
    let mut packet = first(include_bytes!("../vectors/v3-ipv4-hmac.pcap"));
    assert!(matches!(vrrp::parse(&packet).unwrap().tail, Tail::Trailer(_)));
    packet[32] = 2;
    assert_eq!(vrrp::parse(&packet).unwrap().tail, Tail::Unknown);
    // One byte less, of the first type.
    packet[32] = 1;
    packet[3] -= 1;
    assert_eq!(vrrp::parse(&packet).unwrap().tail, Tail::Unknown);
}

#[test]
fn an_ipv6_list_without_a_link_local_address_is_read_and_written() {
    let advertisement = Advertisement { addresses: vec!["fd99::1:1".parse().unwrap()], ..advertisement() };
    let group = ip::group(Family::Ipv6);
    let written = vrrp::emit(&advertisement, SOURCE_V6, group, ChecksumForm::PseudoHeader, Proof::None).unwrap();
    assert_eq!(written.len(), 40 + 8 + 16);
    assert_eq!(vrrp::parse(&written).unwrap().advertisement, advertisement);
}

#[test]
fn an_ipv6_advert_to_a_peer_may_come_from_a_global_address() {
    let (source, peer): (IpAddr, IpAddr) = ("fd99::1".parse().unwrap(), "fd99::2".parse().unwrap());
    let advertisement = Advertisement { addresses: vec!["fd99::1:1".parse().unwrap()], ..advertisement() };
    let written = vrrp::emit(&advertisement, source, peer, ChecksumForm::PseudoHeader, Proof::None).unwrap();
    let received = vrrp::parse(&written).unwrap();
    assert_eq!((received.source, received.destination, received.is_multicast()), (source, peer, false));
}

#[test]
fn the_longest_lists_fit() {
    let ipv4 = Advertisement { addresses: vec![PEER; 255], ..advertisement() };
    let ipv6 = Advertisement { addresses: vec![SOURCE_V6; 255], ..advertisement() };
    for (advertisement, source, length) in [(ipv4, SOURCE, 20 + 8 + 255 * 4), (ipv6, SOURCE_V6, 40 + 8 + 255 * 16)] {
        let group = ip::group(Family::of(source));
        let written = vrrp::emit(&advertisement, source, group, ChecksumForm::PseudoHeader, Proof::None).unwrap();
        assert_eq!(written.len(), length);
        assert_eq!(vrrp::parse(&written).unwrap().advertisement, advertisement);
    }
}

#[test]
fn what_the_wire_has_no_room_for_is_refused() {
    let v3 = advertisement();
    let v2 = Advertisement { version: Version::V2, ..v3.clone() };
    let half = Interval::from_centiseconds(150).unwrap();
    let refused = |advertisement: &Advertisement, source, proof| {
        let group = ip::group(Family::of(source));
        vrrp::emit(advertisement, source, group, ChecksumForm::PseudoHeader, proof).unwrap_err()
    };
    let many = |addresses: Vec<IpAddr>| Advertisement { addresses, ..v3.clone() };
    assert_eq!(refused(&many(vec![]), SOURCE, Proof::None), Unsendable::AddressCount(0));
    assert_eq!(refused(&many(vec![PEER; 256]), SOURCE, Proof::None), Unsendable::AddressCount(256));
    assert_eq!(refused(&many(vec![PEER, SOURCE_V6]), SOURCE, Proof::None), Unsendable::MixedFamilies);
    assert_eq!(refused(&v3, SOURCE_V6, Proof::None), Unsendable::MixedFamilies);
    let to_another_family = vrrp::emit(&v3, SOURCE, SOURCE_V6, ChecksumForm::Message, Proof::None);
    assert_eq!(to_another_family, Err(Unsendable::MixedFamilies));
    let ipv6_in_version_2 = Advertisement { addresses: vec![SOURCE_V6], ..v2.clone() };
    assert_eq!(refused(&ipv6_in_version_2, SOURCE_V6, Proof::None), Unsendable::Version2OverIpv6);
    let uneven = Advertisement { interval: half, ..v2 };
    assert_eq!(refused(&uneven, SOURCE, Proof::None), Unsendable::PartOfSecond(half));
    let password = Proof::Password(Password::new(b"s3cretpw").unwrap());
    assert_eq!(refused(&v3, SOURCE, password), Unsendable::PasswordInVersion3);
}
