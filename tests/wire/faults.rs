//! Each fault of a packet has its reason.

use locum::types::Discard;
use locum::wire::{ip, vrrp};
use proptest::prelude::*;

use crate::pcap::first;

type Change = fn(&mut Vec<u8>);

fn v3_ipv4() -> Vec<u8> {
    first(include_bytes!("../vectors/v3-ipv4.pcap"))
}

fn v3_ipv6() -> Vec<u8> {
    first(include_bytes!("../vectors/v3-ipv6.pcap"))
}

fn v2_ipv4() -> Vec<u8> {
    first(include_bytes!("../vectors/v2-ipv4.pcap"))
}

fn check(original: &[u8], cases: &[(Discard, Change)]) {
    assert!(vrrp::parse(original).is_ok());
    for (number, (reason, change)) in cases.iter().enumerate() {
        let mut packet = original.to_vec();
        change(&mut packet);
        assert_eq!(vrrp::parse(&packet), Err(*reason), "case {number}");
    }
}

/// The packet with one byte of its message changed and its checksum updated for that by RFC 1624 equation 3.
fn with(mut packet: Vec<u8>, message: usize, index: usize, byte: u8) -> Vec<u8> {
    let place = message + index;
    let word = |packet: &[u8], at: usize| u32::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let before = word(&packet, place & !1);
    packet[place] = byte;
    let after = word(&packet, place & !1);
    let mut sum = (word(&packet, message + 6) ^ 0xffff) + (before ^ 0xffff) + after;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[message + 6..message + 8].copy_from_slice(&(sum as u16 ^ 0xffff).to_be_bytes());
    packet
}

#[test]
fn version_3_over_ipv4() {
    check(
        &v3_ipv4(),
        &[
            (Discard::Truncated, |p| p.clear()),
            (Discard::Truncated, |p| p.truncate(31)),
            (Discard::Truncated, |p| p.truncate(10)),
            (Discard::Truncated, |p| p[3] = 27),
            (Discard::Truncated, |p| p[23] = 2),
            (Discard::Length, |p| p[3] = 19),
            (Discard::IpHeader, |p| p[0] = 0x44),
            (Discard::IpHeader, |p| p[0] = 0x55),
            (Discard::IpHeader, |p| p[6] = 0x20),
            (Discard::IpHeader, |p| p[7] = 0x01),
            (Discard::IpHeader, |p| p[9] = 17),
            (Discard::Ttl, |p| p[8] = 254),
            (Discard::Destination, |p| p[19] = 0x13),
            (Discard::Destination, |p| p[16..20].copy_from_slice(&[255; 4])),
            (Discard::Destination, |p| p[16..20].copy_from_slice(&[0; 4])),
            (Discard::Destination, |p| p[16..20].copy_from_slice(&[127, 0, 0, 1])),
            (Discard::Version, |p| p[20] = 0x41),
            (Discard::Version, |p| p[20] = 0x11),
            (Discard::Checksum, |p| p[22] ^= 1),
            (Discard::Source, |p| p[12..16].copy_from_slice(&[224, 0, 0, 1])),
            (Discard::Source, |p| p[12..16].copy_from_slice(&[255; 4])),
            (Discard::Source, |p| p[12..16].copy_from_slice(&[127, 0, 0, 1])),
            (Discard::Source, |p| p[12..16].copy_from_slice(&[0; 4])),
        ],
    );
    let changed = |index, byte| vrrp::parse(&with(v3_ipv4(), 20, index, byte)).map(|_| ());
    assert_eq!(changed(2, 201), Ok(()));
    assert_eq!(changed(0, 0x32), Err(Discard::Type));
    assert_eq!(changed(1, 0), Err(Discard::ForeignVrid));
    assert_eq!(changed(3, 0), Err(Discard::NoAddresses));
    assert_eq!(changed(5, 0), Err(Discard::ZeroInterval));
}

#[test]
fn version_3_over_ipv6() {
    check(
        &v3_ipv6(),
        &[
            (Discard::Truncated, |p| p.truncate(39)),
            (Discard::Truncated, |p| p.truncate(79)),
            (Discard::Truncated, |p| p[5] = 7),
            (Discard::Truncated, |p| p[43] = 3),
            (Discard::IpHeader, |p| p[0] = 0x7c),
            (Discard::IpHeader, |p| p[6] = 58),
            (Discard::Ttl, |p| p[7] = 254),
            (Discard::Destination, |p| p[39] = 0x13),
            (Discard::Destination, |p| p[24..40].copy_from_slice(&[0; 16])),
            (Discard::Version, |p| p[40] = 0x41),
            // Version 2 is for IPv4 alone.
            (Discard::Version, |p| p[40] = 0x21),
            (Discard::Checksum, |p| p[42] ^= 1),
            // The pseudo-header is no choice here. Worked out by hand: ~(3137 + c802 + 0064 + fe80 + 0001 + 0001 +
            // fd99 + 0001 + 0001) = ~(2f5ba -> f5bc) = 0a43.
            (Discard::Checksum, |p| p[46..48].copy_from_slice(&[0x0a, 0x43])),
            (Discard::Source, |p| p[8..24].copy_from_slice(&[0; 16])),
            (Discard::Source, |p| p[8] = 0xff),
        ],
    );
    let changed = |index, byte| vrrp::parse(&with(v3_ipv6(), 40, index, byte)).map(|_| ());
    assert_eq!(changed(2, 201), Ok(()));
    assert_eq!(changed(0, 0x32), Err(Discard::Type));
    assert_eq!(changed(1, 0), Err(Discard::ForeignVrid));
    assert_eq!(changed(3, 0), Err(Discard::NoAddresses));
    assert_eq!(changed(5, 0), Err(Discard::ZeroInterval));
}

#[test]
fn version_2() {
    check(
        &v2_ipv4(),
        &[
            // Without its authentication data.
            (Discard::Truncated, |p| p[3] = 32),
            (Discard::Truncated, |p| p.truncate(39)),
            (Discard::Checksum, |p| p[22] ^= 1),
            // Authentication data count.
            (Discard::Checksum, |p| p[39] ^= 1),
            // With a pseudo-header, which version 2 does not know: 0b61 less 0a63 + 0001 + e000 + 0012 + 0070 + 0014
            // = eafa makes 0b61 - eafa -> 2066.
            (Discard::Checksum, |p| p[26..28].copy_from_slice(&[0x20, 0x66])),
        ],
    );
    let changed = |index, byte| vrrp::parse(&with(v2_ipv4(), 20, index, byte)).map(|received| received.advertisement);
    assert_eq!(changed(5, 40).map(|advertisement| advertisement.interval.centiseconds()), Ok(4000));
    assert_eq!(changed(5, 41), Err(Discard::Interval));
    assert_eq!(changed(5, 255), Err(Discard::Interval));
    assert_eq!(changed(5, 0), Err(Discard::ZeroInterval));
    // 2 is the authentication header of RFC 2338.
    assert_eq!(changed(4, 2), Err(Discard::AuthType));
    assert_eq!(changed(4, 255), Err(Discard::AuthType));
    assert_eq!(changed(0, 0x22), Err(Discard::Type));
    assert_eq!(changed(3, 0), Err(Discard::NoAddresses));
}

#[test]
fn what_the_checksum_covers_with_a_trailer_is_the_familys_affair() {
    // IPv4: the message alone, so a byte of the trailer is no matter for the checksum.
    let mut ipv4 = first(include_bytes!("../vectors/v3-ipv4-hmac.pcap"));
    *ipv4.last_mut().unwrap() ^= 1;
    assert!(vrrp::parse(&ipv4).is_ok());
    // IPv6: both.
    let mut ipv6 = first(include_bytes!("../vectors/v3-ipv6-hmac.pcap"));
    *ipv6.last_mut().unwrap() ^= 1;
    assert_eq!(vrrp::parse(&ipv6), Err(Discard::Checksum));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_never_read_as_something_else(bit in 0usize..256, cut in 0usize..33) {
        let original = vrrp::parse(&v3_ipv4()).unwrap();
        let mut packet = v3_ipv4();
        packet[bit / 8] ^= 1 << (bit % 8);
        packet.truncate(cut.max(if cut % 3 == 0 { 32 } else { 0 }));
        if let Ok(received) = vrrp::parse(&packet) {
            // What no checksum covers: TOS, identification, the reserved fragment bit, the header's checksum, and in
            // the one form that names the group in any case, the destination.
            prop_assert!(matches!(bit / 8, 1 | 4 | 5 | 6 | 10 | 11 | 16), "bit {} was accepted", bit);
            prop_assert_eq!(received.checksum.word() == "group-pseudo-header", bit / 8 == 16);
            prop_assert_eq!(received.advertisement, original.advertisement);
        }
    }

    #[test]
    fn a_packet_thrown_away_still_says_whose_it_may_be(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        prop_assert!(vrrp::parse(&bytes).is_err());
        let known = matches!(bytes.first().map(|byte| byte >> 4), Some(4 | 6));
        prop_assert!(known || vrrp::vrid_of(&bytes).is_none() && ip::source_of(&bytes).is_none());
    }
}
