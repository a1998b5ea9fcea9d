use std::fmt;
use std::net::IpAddr;

use crate::types::{Discard, Interval, MacAddr, Priority, Vrid};

/// Names in a line, so that a hostile list does not fill it.
const MAX_NAMED: usize = 4;

/// What is set up wrongly on this host or on another one, as far as it can be heard. The token is fixed; the words end
/// with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named for what they are")]
pub enum Mistake {
    /// A peer advertises the priority that is configured here (RFC 9568 section 8.3.2).
    SamePriority { peer: IpAddr, priority: Priority },
    /// A peer claims to own the addresses as well: priority 255.
    SecondOwner { peer: IpAddr },
    /// A peer's advert interval is another one, which version 3 follows.
    Interval { peer: IpAddr, theirs: Interval, ours: Interval },
    /// A peer lists some of our addresses, but not the same in the same order.
    Addresses { peer: IpAddr, lacks: Vec<IpAddr>, has: Vec<IpAddr> },
    /// Somebody uses our VRID for addresses that are none of ours.
    ForeignRouter { peer: IpAddr, vrid: Vrid, addresses: Vec<IpAddr> },
    /// The same in version 2, which discards such adverts.
    IntervalRefused { peer: IpAddr, theirs: Interval, ours: Interval },
    /// Adverts that cannot be accepted because the two sides are set up differently.
    Refused { peer: IpAddr, reason: Discard },
    /// Another host says that it has an address that is held here.
    ForeignAnswer { address: IpAddr, mac: MacAddr },
}

impl Mistake {
    /// The fixed token of status and structured logs; a refusal's is that of its discards.
    pub fn token(&self) -> &'static str {
        match self {
            Mistake::SamePriority { .. } => "same-priority",
            Mistake::SecondOwner { .. } => "second-owner",
            Mistake::Interval { .. } => "other-interval",
            Mistake::Addresses { .. } => "other-addresses",
            Mistake::ForeignRouter { .. } => "foreign-router",
            Mistake::IntervalRefused { .. } => Discard::Interval.token(),
            Mistake::Refused { reason, .. } => reason.token(),
            Mistake::ForeignAnswer { .. } => "foreign-answer",
        }
    }

    /// Who is at the other side of it: a peer's address, or of a foreign answer the hardware address.
    pub fn peer(&self) -> String {
        match self {
            Mistake::SamePriority { peer, .. }
            | Mistake::SecondOwner { peer }
            | Mistake::Interval { peer, .. }
            | Mistake::Addresses { peer, .. }
            | Mistake::ForeignRouter { peer, .. }
            | Mistake::IntervalRefused { peer, .. }
            | Mistake::Refused { peer, .. } => peer.to_string(),
            Mistake::ForeignAnswer { mac, .. } => mac.to_string(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::SamePriority { peer, priority } => write!(
                f,
                "{peer} has the same priority {priority} as this host, so their addresses decide who is Active: give each host a `priority` of its own"
            ),
            Mistake::SecondOwner { peer } => write!(
                f,
                "{peer} claims to be the owner of the addresses too: only the host whose own they are has priority 255, set a lower `priority` on all others"
            ),
            Mistake::Interval { peer, theirs, ours } => write!(
                f,
                "{peer} advertises each {theirs} and this host each {ours}: set the same `advert_interval` on all hosts"
            ),
            Mistake::IntervalRefused { peer, theirs, ours } => write!(
                f,
                "adverts of {peer} are discarded: it advertises each {theirs} and this host each {ours}, and version 2 wants the same `advert_interval` on all hosts"
            ),
            Mistake::Addresses { peer, lacks, has } => other_addresses(f, *peer, lacks, has),
            Mistake::ForeignRouter { peer, vrid, addresses } => write!(
                f,
                "{peer} uses VRID {vrid} for {}, none of which is ours: another group on this LAN, choose another `vrid` for one of the two",
                names(addresses)
            ),
            Mistake::Refused { peer, reason } => write!(f, "adverts of {peer} are discarded: {}", reason.words()),
            Mistake::ForeignAnswer { address, mac } => write!(
                f,
                "the host at {mac} says that it has {address}, which is held here: remove the address there, or if that is a host of this virtual router, see why its adverts do not come through or are discarded; it is announced again from here"
            ),
        }
    }
}

fn other_addresses(f: &mut fmt::Formatter<'_>, peer: IpAddr, lacks: &[IpAddr], has: &[IpAddr]) -> fmt::Result {
    write!(f, "{peer} lists ")?;
    match (lacks, has) {
        ([], []) => f.write_str("the same addresses in another order")?,
        (lacks, []) => write!(f, "our addresses without {}", names(lacks))?,
        ([], has) => write!(f, "our addresses and {} besides", names(has))?,
        (lacks, has) => write!(f, "our addresses without {}, and {} besides", names(lacks), names(has))?,
    }
    f.write_str(": list the same in the same order on all hosts; keepalived up to 2.3.2 drops our adverts until then, and both hosts hold the addresses")
}

fn names(addresses: &[IpAddr]) -> String {
    let named: Vec<String> = addresses.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    match addresses.len().saturating_sub(named.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_list_that_differs_is_told_by_what_differs() {
        let peer = "192.0.2.3".parse().unwrap();
        let told = |lacks: &[&str], has: &[&str]| {
            let words = Mistake::Addresses { peer, lacks: all(lacks), has: all(has) }.to_string();
            words.split(": list the same").next().unwrap().to_owned()
        };
        assert_eq!(told(&[], &[]), "192.0.2.3 lists the same addresses in another order");
        assert_eq!(told(&["192.0.2.10"], &[]), "192.0.2.3 lists our addresses without 192.0.2.10");
        assert_eq!(told(&[], &["192.0.2.11"]), "192.0.2.3 lists our addresses and 192.0.2.11 besides");
        assert_eq!(
            told(&["192.0.2.10"], &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]),
            "192.0.2.3 lists our addresses without 192.0.2.10, and 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 2 more besides"
        );
    }
}
