//! Every packet of every capture reads as its sender was configured, and is what we write for the same values.

use std::net::IpAddr;

use locum::types::{Advertised, ChecksumForm, Interval, MacAddr, Password, Priority, Version, Vrid};
use locum::wire::announcement::{self, Announcement};
use locum::wire::vrrp::{self, Advertisement, Proof, Tail};

use crate::pcap::{advert, frames};

/// What keepalived was configured with, and what else the capture shows.
struct Capture {
    pcap: &'static [u8],
    version: Version,
    vrid: u8,
    priority: u8,
    centiseconds: u16,
    addresses: &'static [&'static str],
    source: &'static str,
    destination: &'static str,
    checksum: ChecksumForm,
    password: Option<&'static [u8]>,
    has_trailer: bool,
    /// Where the virtual addresses are announced to be.
    mac: [u8; 6],
    adverts: usize,
    announcements: usize,
    /// ARP of others' addresses.
    others: usize,
}

/// What most captures have in common.
const PLAIN: Capture = Capture {
    pcap: &[],
    version: Version::V3,
    vrid: 0,
    priority: 200,
    centiseconds: 100,
    addresses: &["10.99.1.1"],
    source: "10.99.0.1",
    destination: "224.0.0.18",
    checksum: ChecksumForm::PseudoHeader,
    password: None,
    has_trailer: false,
    mac: [0; 6],
    adverts: 7,
    announcements: 10,
    others: 0,
};

const CAPTURES: [Capture; 12] = [
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv4.pcap"),
        vrid: 51,
        mac: [0xda, 0x99, 0x46, 0x4a, 0x7a, 0xcc],
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv4-3vips-10ms.pcap"),
        vrid: 52,
        priority: 100,
        centiseconds: 1,
        addresses: &["10.99.1.1", "10.99.1.2", "10.99.1.3"],
        mac: [0x3e, 0xcb, 0x33, 0xec, 0x22, 0xe0],
        adverts: 143,
        announcements: 15,
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv4-unicast.pcap"),
        vrid: 53,
        priority: 150,
        destination: "10.99.0.2",
        mac: [0x52, 0x28, 0x9c, 0x34, 0x4d, 0xe7],
        others: 4,
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv4-owner255.pcap"),
        vrid: 54,
        priority: 255,
        mac: [0x52, 0xfd, 0xfe, 0x7e, 0xd5, 0xfd],
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv6.pcap"),
        vrid: 55,
        addresses: &["fe80::1:1", "fd99::1:1"],
        source: "fe80::d427:bfff:fe7b:e984",
        destination: "ff02::12",
        mac: [0xd6, 0x27, 0xbf, 0x7b, 0xe9, 0x84],
        announcements: 20,
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v2-ipv4.pcap"),
        version: Version::V2,
        vrid: 56,
        checksum: ChecksumForm::Message,
        mac: [0x9e, 0xa5, 0x0f, 0x64, 0x08, 0x98],
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v2-ipv4-pass.pcap"),
        version: Version::V2,
        vrid: 57,
        checksum: ChecksumForm::Message,
        password: Some(b"s3cretpw"),
        mac: [0x02, 0x73, 0x1f, 0x4e, 0xa0, 0x8f],
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv4-hmac.pcap"),
        vrid: 58,
        has_trailer: true,
        mac: [0x0e, 0x0c, 0xb6, 0x6e, 0xf3, 0x83],
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv6-hmac.pcap"),
        vrid: 59,
        addresses: &["fe80::1:1", "fd99::1:1"],
        source: "fe80::940c:ff:fe56:837d",
        destination: "ff02::12",
        has_trailer: true,
        mac: [0x96, 0x0c, 0x00, 0x56, 0x83, 0x7d],
        announcements: 20,
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v2-ipv4-hmac.pcap"),
        version: Version::V2,
        vrid: 60,
        checksum: ChecksumForm::Message,
        has_trailer: true,
        mac: [0x36, 0x59, 0x8d, 0xe9, 0x3a, 0x26],
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv4-vmac.pcap"),
        vrid: 61,
        mac: [0x00, 0x00, 0x5e, 0x00, 0x01, 61],
        ..PLAIN
    },
    Capture {
        pcap: include_bytes!("../vectors/v3-ipv4-vmac-xmit.pcap"),
        vrid: 62,
        mac: [0x00, 0x00, 0x5e, 0x00, 0x01, 62],
        ..PLAIN
    },
];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn every_captured_advert_reads_as_configured_and_is_written_the_same() {
    for capture in CAPTURES {
        let adverts: Vec<&[u8]> = frames(capture.pcap).into_iter().filter_map(advert).collect();
        assert_eq!(adverts.len(), capture.adverts, "VRID {}", capture.vrid);
        for (number, packet) in adverts.iter().enumerate() {
            let is_last = number + 1 == adverts.len();
            let priority = Priority::new(capture.priority).unwrap();
            let expected = Advertisement {
                version: capture.version,
                vrid: Vrid::new(capture.vrid).unwrap(),
                advertised: if is_last { Advertised::Resigned } else { Advertised::Active(priority) },
                interval: Interval::from_centiseconds(capture.centiseconds).unwrap(),
                addresses: capture.addresses.iter().map(|text| address(text)).collect(),
            };
            check_advert(&capture, packet, &expected);
        }
    }
}

fn check_advert(capture: &Capture, packet: &[u8], expected: &Advertisement) {
    let received = vrrp::parse(packet).unwrap();
    let (source, destination) = (address(capture.source), address(capture.destination));
    let password = capture.password.map(|text| Password::new(text).unwrap());
    assert_eq!(received.advertisement, *expected);
    assert_eq!((received.source, received.destination), (source, destination));
    assert_eq!(received.is_multicast(), capture.destination != "10.99.0.2");
    assert_eq!((received.checksum, received.password), (capture.checksum, password));
    let trailer = match &received.tail {
        Tail::Nothing => None,
        Tail::Trailer(trailer) => Some(trailer),
        Tail::Unknown => panic!("what stands behind a message of VRID {} is not known", capture.vrid),
    };
    assert_eq!(trailer.is_some(), capture.has_trailer);
    let seal = |message: &[u8]| {
        let trailer = trailer.unwrap();
        assert_eq!(message, trailer.message);
        // The key's id is 7.
        assert_eq!(trailer.bytes[..4], [1, 7, 0, 0]);
        trailer.bytes
    };
    let proof = match (password, trailer) {
        (None, None) => Proof::None,
        (Some(password), _) => Proof::Password(password),
        (None, Some(_)) => Proof::Trailer(&seal),
    };
    let mut written = vrrp::emit(expected, source, destination, capture.checksum, proof).unwrap();
    match source {
        IpAddr::V4(_) => {
            // Identification and header checksum are the kernel's.
            written[4..6].copy_from_slice(&packet[4..6]);
            written[10..12].copy_from_slice(&packet[10..12]);
        }
        IpAddr::V6(_) => {
            // The flow label, 20 bits.
            written[1] |= packet[1] & 0x0f;
            written[2..4].copy_from_slice(&packet[2..4]);
        }
    }
    assert_eq!(written, packet);
}

#[test]
fn every_captured_announcement_is_the_frame_we_send() {
    for capture in CAPTURES {
        let mac = MacAddr(capture.mac);
        let all: Vec<&[u8]> = frames(capture.pcap);
        let (mut announcements, mut others) = (0, 0);
        for frame in all.iter().filter(|frame| advert(frame).is_none()) {
            let heard = announcement::parse(frame).unwrap();
            if capture.addresses.iter().any(|text| address(text) == heard.address) {
                announcements += 1;
                assert_eq!(heard.mac, mac);
                // Its host forwards nothing.
                assert_eq!(announcement::emit(heard, false), *frame);
            } else {
                others += 1;
                let peer =
                    Announcement { address: address("10.99.0.2"), mac: MacAddr([0x56, 0xe0, 0x7d, 0x39, 0x3e, 0x40]) };
                let own = Announcement { address: address(capture.source), mac };
                assert!(heard == peer || heard == own, "{heard:?}");
            }
        }
        assert_eq!((announcements, others), (capture.announcements, capture.others), "VRID {}", capture.vrid);
    }
}
