//! What holds for any bytes that come as a frame with ARP.

use std::net::IpAddr;

use locum::wire::announcement;
use locum::wire::{arp, ip};

/// Panics if something does not hold.
pub fn check(bytes: &[u8]) {
    let Some(claim) = arp::parse(bytes) else { return };
    assert!(ip::is_host(claim.address) && claim.mac.is_host());
    assert!(matches!(claim.address, IpAddr::V4(_)));
    assert_eq!(announcement::parse(bytes), Some(claim));
    assert_eq!(arp::parse(&announcement::emit(claim, false)), Some(claim));
}
