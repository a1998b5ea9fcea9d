//! What holds for any bytes that come as a frame with Neighbor Discovery.

use std::net::IpAddr;

use locum::wire::nd::Neighbor;
use locum::wire::{announcement, ip, nd};

/// Panics if something does not hold.
pub fn check(bytes: &[u8]) {
    holds(bytes);
    // A checksum is not guessed, so these bytes are also tried with what lies before the message made right.
    if let Some(frame) = repaired(bytes) {
        holds(&frame);
    }
}

fn holds(frame: &[u8]) {
    let Some(heard) = nd::parse_advertisement(frame) else { return };
    let (claim, router) = (heard.claim, heard.router);
    assert!(ip::is_host(claim.address) && claim.mac.is_host());
    assert!(matches!(claim.address, IpAddr::V6(_)));
    assert_eq!(announcement::parse(frame), Some(claim));
    let expected = Neighbor { claim, router, solicited: false, overriding: true };
    assert_eq!(nd::parse_advertisement(&announcement::emit(claim, router)), Some(expected));
}

/// The same bytes behind headers as they must have, with a checksum that fits; `None` if they are too few.
fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut frame = bytes.to_vec();
    let length = u16::try_from(frame.len().checked_sub(54 + 4).map(|rest| rest + 4)?).ok()?;
    frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    (frame[20], frame[21], frame[54], frame[55]) = (58, 255, 136, 0);
    frame[56..58].copy_from_slice(&[0, 0]);
    let words = frame[22..].chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from));
    let mut sum = words.sum::<u64>() + 58 + u64::from(length);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[56..58].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    Some(frame)
}
