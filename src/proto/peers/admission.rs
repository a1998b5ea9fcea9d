use std::net::IpAddr;

use crate::config::RouterConfig;
use crate::types::{Discard, Family, Version};
use crate::wire::vrrp::Received;

/// Whether an advert that is valid by itself is one that this virtual router listens to (RFC 9568 and RFC 3768
/// section 7.1, and for unicast what keepalived does).
///
/// # Errors
/// Why it is thrown away.
pub(crate) fn admit(config: &RouterConfig, received: &Received) -> Result<(), Discard> {
    let advertisement = &received.advertisement;
    if advertisement.version != config.version {
        return Err(match advertisement.version {
            Version::V2 => Discard::Version2,
            Version::V3 => Discard::Version3,
        });
    }
    if received.is_multicast() == config.is_unicast() {
        return Err(Discard::Destination);
    }
    if config.is_unicast() && !config.unicast_peers.contains(&received.source) {
        return Err(Discard::Unlisted);
    }
    if received.is_multicast() && !is_of_this_link(received.source) {
        return Err(Discard::Source);
    }
    match config.version {
        Version::V2 if received.password != config.password => Err(Discard::Password),
        // Version 2 does not learn the interval: with another one the timers of the two would never fit.
        Version::V2 if advertisement.interval != config.advert_interval => Err(Discard::Interval),
        Version::V2 | Version::V3 => Ok(()),
    }
}

/// Adverts to the group come from the link-local address in IPv6 (RFC 9568 section 5.1.2.1).
fn is_of_this_link(source: IpAddr) -> bool {
    match (Family::of(source), source) {
        (Family::Ipv6, IpAddr::V6(source)) => source.is_unicast_link_local(),
        (Family::Ipv4 | Family::Ipv6, _) => true,
    }
}
