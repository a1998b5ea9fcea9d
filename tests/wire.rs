//! The wire rooms against packets that keepalived sent, literals from them, and hostile bytes.

use std::net::{IpAddr, Ipv4Addr};

use locum::types::{Advertised, ChecksumForm, Discard, Family, Interval, MacAddr, Priority, Version, Vrid};
use locum::wire::announcement::Announcement;
use locum::wire::arp;
use locum::wire::ip;
use locum::wire::vrrp::{self, Advertisement, Proof, Tail};
use proptest::prelude::*;

/// The frames of a little-endian pcap file.
fn frames(pcap: &[u8]) -> Vec<&[u8]> {
    let mut rest = &pcap[24..];
    let mut frames = Vec::new();
    while rest.len() >= 16 {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        frames.push(&rest[16..16 + len]);
        rest = &rest[16 + len..];
    }
    frames
}

fn is_ipv4(frame: &[u8]) -> bool {
    frame[12..14] == [0x08, 0x00]
}

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// The first packet of v3-ipv4.pcap, from its IP header on.
const FIRST: [u8; 32] = [
    0x45, 0xc0, 0x00, 0x20, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xd0, 0x36, 0x0a, 0x63, 0x00, 0x01, 0xe0, 0x00, 0x00,
    0x12, 0x31, 0x33, 0xc8, 0x01, 0x00, 0x64, 0x10, 0x10, 0x0a, 0x63, 0x01, 0x01,
];

/// The same packet with the checksum over the message alone: 0x1010 less the pseudo-header's part. Worked out by
/// hand: ~(3133 + c801 + 0064 + 0a63 + 0101) = ~(104fc -> 04fd) = fb02.
fn message_form() -> [u8; 32] {
    let mut packet = FIRST;
    packet[26..28].copy_from_slice(&[0xfb, 0x02]);
    packet
}

fn advertisement(vrid: u8, advertised: Advertised, centiseconds: u16, last: &[u8]) -> Advertisement {
    Advertisement {
        version: Version::V3,
        vrid: Vrid::new(vrid).unwrap(),
        advertised,
        interval: Interval::from_centiseconds(centiseconds).unwrap(),
        addresses: last.iter().map(|&host| Ipv4Addr::new(10, 99, 1, host).into()).collect(),
    }
}

fn active(priority: u8) -> Advertised {
    Advertised::Active(Priority::new(priority).unwrap())
}

fn emit(advertisement: &Advertisement, form: ChecksumForm) -> Vec<u8> {
    vrrp::emit(advertisement, SOURCE.into(), ip::group(Family::Ipv4), form, Proof::None).unwrap()
}

#[test]
fn every_captured_advert_reads_as_configured_and_is_written_the_same() {
    let cases: [(&[u8], Advertisement); 3] = [
        (include_bytes!("vectors/v3-ipv4.pcap"), advertisement(51, active(200), 100, &[1])),
        (include_bytes!("vectors/v3-ipv4-3vips-10ms.pcap"), advertisement(52, active(100), 1, &[1, 2, 3])),
        (include_bytes!("vectors/v3-ipv4-owner255.pcap"), advertisement(54, active(255), 100, &[1])),
    ];
    for (pcap, expected) in cases {
        let adverts: Vec<&[u8]> = frames(pcap).into_iter().filter(|frame| is_ipv4(frame)).map(|f| &f[14..]).collect();
        assert!(adverts.len() >= 7);
        let last = adverts.len() - 1;
        for (number, packet) in adverts.into_iter().enumerate() {
            let mut expected = expected.clone();
            if number == last {
                expected.advertised = Advertised::Resigned;
            }
            let received = vrrp::parse(packet).unwrap();
            assert_eq!(received.source, IpAddr::V4(SOURCE));
            assert_eq!(received.checksum, ChecksumForm::PseudoHeader);
            assert_eq!(received.advertisement, expected);
            let mut written = emit(&expected, ChecksumForm::PseudoHeader);
            // Identification and IP checksum are the kernel's.
            written[4..6].copy_from_slice(&packet[4..6]);
            written[10..12].copy_from_slice(&packet[10..12]);
            assert_eq!(written, packet);
        }
    }
}

#[test]
fn version_2_reads_as_configured() {
    let received = vrrp::parse(&frames(include_bytes!("vectors/v2-ipv4.pcap"))[0][14..]).unwrap();
    let expected = Advertisement { version: Version::V2, ..advertisement(56, active(200), 100, &[1]) };
    assert_eq!(received.advertisement, expected);
    assert_eq!((received.checksum, received.password, received.tail), (ChecksumForm::Message, None, Tail::Nothing));
}

#[test]
fn both_checksum_forms_are_read_and_written() {
    let received = vrrp::parse(&message_form()).unwrap();
    assert_eq!(received.checksum, ChecksumForm::Message);
    let written = emit(&advertisement(51, active(200), 100, &[1]), ChecksumForm::Message);
    assert_eq!(written[20..], message_form()[20..]);
}

#[test]
fn every_captured_announcement_is_the_frame_we_send() {
    let pcap = include_bytes!("vectors/v3-ipv4.pcap");
    let mac = MacAddr([0xda, 0x99, 0x46, 0x4a, 0x7a, 0xcc]);
    let vip = Ipv4Addr::new(10, 99, 1, 1);
    let announcements: Vec<&[u8]> = frames(pcap).into_iter().filter(|frame| !is_ipv4(frame)).collect();
    assert_eq!(announcements.len(), 10);
    for frame in announcements {
        assert_eq!(arp::gratuitous(vip, mac), frame);
        let read = arp::parse(frame).unwrap();
        assert_eq!((read.address, read.mac), (IpAddr::V4(vip), mac));
    }
}

#[test]
fn the_sender_of_any_arp_packet_claims_its_address() {
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let mut frame = arp::gratuitous(Ipv4Addr::new(10, 99, 1, 1), mac);
    frame[41] = 2;
    let claims = Some(Announcement { address: Ipv4Addr::new(10, 99, 1, 1).into(), mac });
    assert_eq!(arp::parse(&frame), claims);
    // A reply, and then an operation that is neither.
    frame[21] = 2;
    assert_eq!(arp::parse(&frame), claims);
    frame[21] = 3;
    assert_eq!(arp::parse(&frame), None);
}

#[test]
fn each_fault_has_its_reason() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(Discard, Change); 13] = [
        (Discard::Truncated, |p| p.truncate(31)),
        (Discard::Truncated, |p| p.truncate(10)),
        (Discard::Truncated, |p| p[23] = 2),
        (Discard::Length, |p| p[3] = 19),
        (Discard::IpHeader, |p| p[0] = 0x44),
        (Discard::IpHeader, |p| p[6] = 0x20),
        (Discard::IpHeader, |p| p[9] = 17),
        (Discard::Ttl, |p| p[8] = 254),
        (Discard::Destination, |p| p[19] = 0x13),
        (Discard::Version, |p| p[20] = 0x41),
        (Discard::Checksum, |p| p[22] ^= 1),
        (Discard::Source, |p| p[12..16].copy_from_slice(&[224, 0, 0, 1])),
        (Discard::Source, |p| p[12..16].copy_from_slice(&[0; 4])),
    ];
    for (number, (reason, change)) in cases.into_iter().enumerate() {
        let mut packet = FIRST.to_vec();
        change(&mut packet);
        assert_eq!(vrrp::parse(&packet), Err(reason), "case {number}");
    }
    // These need a checksum that fits the changed byte; worked out by hand from 0x1010.
    let with = |index: usize, byte: u8, checksum: [u8; 2]| {
        let mut packet = FIRST.to_vec();
        packet[index] = byte;
        packet[26..28].copy_from_slice(&checksum);
        vrrp::parse(&packet)
    };
    assert_eq!(with(20, 0x32, [0x0f, 0x10]), Err(Discard::Type));
    assert_eq!(with(25, 0x00, [0x10, 0x74]), Err(Discard::ZeroInterval));
    assert_eq!(with(23, 0x00, [0x10, 0x11]), Err(Discard::NoAddresses));
    // Reserved bits are ignored (RFC 9568 section 5.2.6).
    assert_eq!(with(24, 0xf0, [0x20, 0x0f]).map(|r| r.advertisement.interval.centiseconds()), Ok(100));
}

#[test]
fn padding_of_short_frames_is_tolerated() {
    let mut packet = FIRST.to_vec();
    packet.resize(46, 0);
    assert_eq!(vrrp::parse(&packet).map(|r| r.advertisement.vrid.get()), Ok(51));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = vrrp::parse(&bytes);
        let _ = vrrp::vrid_of(&bytes);
        let _ = arp::parse(&bytes);
    }

    #[test]
    fn a_flipped_bit_is_never_read_as_something_else(bit in 0usize..256, cut in 0usize..33) {
        let original = vrrp::parse(&FIRST).unwrap();
        let mut packet = FIRST.to_vec();
        packet[bit / 8] ^= 1 << (bit % 8);
        packet.truncate(cut.max(if cut % 3 == 0 { 32 } else { 0 }));
        if let Ok(received) = vrrp::parse(&packet) {
            // What the checksum does not cover: TOS, identification, the reserved fragment bit, the header's checksum.
            // Nor does its one form that names the group in any case cover the destination.
            prop_assert!(matches!(bit / 8, 1 | 4 | 5 | 6 | 10 | 11 | 16), "bit {} was accepted", bit);
            prop_assert_eq!(received.checksum == ChecksumForm::GroupPseudoHeader, bit / 8 == 16);
            prop_assert_eq!(received.advertisement, original.advertisement);
        }
    }
}
