//! What holds for any bytes that come as an IP packet with an advert.

use locum::types::Family;
use locum::wire::ip;
use locum::wire::vrrp::{self, Proof, Received, Tail};

/// Panics if something does not hold.
pub fn check(bytes: &[u8]) {
    holds(bytes);
    // A checksum is not guessed, so these bytes are also tried with what lies before the message made right.
    if let Some(packet) = repaired(bytes) {
        holds(&packet);
    }
}

fn holds(packet: &[u8]) {
    let (vrid, source) = (vrrp::vrid_of(packet), ip::source_of(packet));
    let Ok(received) = vrrp::parse(packet) else { return };
    let advertisement = &received.advertisement;
    assert_eq!(vrid, Some(advertisement.vrid));
    assert_eq!(source, Some(received.source));
    assert!((1..=255).contains(&advertisement.addresses.len()));
    let family = Family::of(received.source);
    assert!(advertisement.addresses.iter().all(|address| Family::of(*address) == family));
    assert!(ip::is_host(received.source) && (received.is_multicast() || ip::is_host(received.destination)));
    written_it_reads_the_same(&received);
}

fn written_it_reads_the_same(received: &Received) {
    let seal = |message: &[u8]| match &received.tail {
        Tail::Trailer(trailer) => {
            assert_eq!(message, trailer.message);
            trailer.bytes
        }
        Tail::Nothing | Tail::Unknown => unreachable!("asked for no trailer"),
    };
    let (proof, is_whole) = match (received.password, &received.tail) {
        (None, Tail::Nothing) => (Proof::None, true),
        (None, Tail::Unknown) => (Proof::None, false),
        (None, Tail::Trailer(trailer)) => {
            // Reserved bits, and authentication data of no password, are part of what a trailer answers for; what is
            // written has zeros there.
            let is_whole = match trailer.message.as_slice() {
                [0x21, .., a, b, c, d, e, f, g, h] => [a, b, c, d, e, f, g, h].iter().all(|byte| **byte == 0),
                message => message[4] & 0xf0 == 0,
            };
            if is_whole { (Proof::Trailer(&seal), true) } else { (Proof::None, false) }
        }
        (Some(password), tail) => (Proof::Password(password), *tail == Tail::Nothing),
    };
    let Received { source, destination, checksum, ref advertisement, .. } = *received;
    let written =
        vrrp::emit(advertisement, source, destination, checksum, proof).expect("what was read can be written");
    let again = vrrp::parse(&written).expect("what was written can be read");
    if is_whole {
        assert_eq!(again, *received);
    } else {
        assert_eq!(again.advertisement, *advertisement);
    }
}

/// The same bytes behind an IP header as they must have, with a checksum that fits; `None` if they are too few.
pub fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packet = bytes.to_vec();
    let is_ipv6 = packet.first()? >> 4 == 6;
    let start = if is_ipv6 { 40 } else { 20 };
    let length = u16::try_from(packet.len().checked_sub(start + 8).map(|rest| rest + 8)?).ok()?;
    if is_ipv6 {
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        (packet[6], packet[7]) = (112, 255);
    } else {
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&length.checked_add(20)?.to_be_bytes());
        (packet[6], packet[7], packet[8], packet[9]) = (0, 0, 255, 112);
    }
    packet[start + 6..start + 8].copy_from_slice(&[0, 0]);
    let message = &packet[start..];
    let size = if is_ipv6 { 16 } else { 4 };
    let end = 8 + usize::from(message[3]) * size + if message[0] >> 4 == 2 { 8 } else { 0 };
    let has_trailer = message.len() == end + 28 && message[end] == 1;
    let covered = if has_trailer && !is_ipv6 { &message[..end] } else { message };
    let with_pseudo_header = message[0] >> 4 == 3 && (is_ipv6 || packet[4] & 1 == 0);
    let mut sum = words(covered);
    if with_pseudo_header {
        let ends = if is_ipv6 { &packet[8..40] } else { &packet[12..20] };
        sum += words(ends) + 112 + covered.len() as u64;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[start + 6..start + 8].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    Some(packet)
}

fn words(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from)).sum()
}
