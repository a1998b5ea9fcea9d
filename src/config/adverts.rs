use std::net::IpAddr;
use std::ops::Range;

use toml::Spanned;

use super::address;
use super::addresses::Entry;
use super::diagnostic::{Diagnostic, Problems, Reported, shown};
use super::keys::{self, Key};
use super::table::{Section, Value};
use super::value::{self, List};
use crate::types::{ChecksumForm, Family, Interval, Priority, Version, Vrid};

/// An advert counts its addresses in one byte (RFC 9568 section 5.2.5).
pub(super) const MOST_LISTED_IPV4: usize = 255;
/// An advert fits into one packet on Ethernet: IPv6 header, VRRP header, authentication trailer, 16 bytes an address.
pub(super) const MOST_LISTED_IPV6: usize = (1500 - 40 - 8 - 28) / 16;
const _: () = assert!(20 + 8 + 8 + 28 + 4 * MOST_LISTED_IPV4 <= 1500);

/// As many peers as a virtual router remembers.
const MAX_PEERS: usize = 32;

/// How a router's adverts look and travel, as far as it could be read.
pub(super) struct Adverts {
    version: Result<Option<Spanned<Version>>, Reported>,
    family: Result<Option<Spanned<Family>>, Reported>,
    pub source: Result<Option<Spanned<IpAddr>>, Reported>,
    peers: Result<Option<Spanned<List<IpAddr>>>, Reported>,
    checksum: Result<Option<Spanned<ChecksumForm>>, Reported>,
}

/// What of a router the adverts depend on.
pub(super) struct Beside<'a> {
    pub addresses: &'a List<Entry>,
    /// Where `addresses` stands.
    pub addresses_span: Option<Range<usize>>,
    pub interval: Option<&'a Spanned<Interval>>,
    pub priority: Option<Priority>,
    pub vrid: Option<Vrid>,
}

/// The same, complete.
pub(super) struct Settled {
    pub version: Version,
    pub family: Family,
    pub source: Option<IpAddr>,
    pub unicast_peers: Vec<IpAddr>,
    pub checksum: ChecksumForm,
}

impl Adverts {
    pub(super) fn read(section: &Section<'_, '_>, problems: &mut Problems) -> Self {
        Adverts {
            version: section.optional(&keys::VERSION, problems, version),
            family: section.optional(&keys::FAMILY, problems, family),
            source: section.optional(&keys::SOURCE, problems, source),
            peers: section.optional(&keys::UNICAST_PEERS, problems, peers),
            checksum: section.optional(&keys::CHECKSUM, problems, checksum),
        }
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.version.as_ref().ok().map(|version| version.as_ref().map_or(Version::V3, |version| *version.get_ref()))
    }

    /// The family that carries the adverts: IPv4 where it has an address to list. `None` if that cannot be told.
    pub(super) fn family(&self, addresses: &List<Entry>) -> Option<Family> {
        match &self.family {
            Ok(Some(family)) => Some(*family.get_ref()),
            Ok(None) if addresses.items.iter().any(|entry| entry.get_ref().is_listed(Family::Ipv4)) => {
                Some(Family::Ipv4)
            }
            Ok(None) if addresses.whole => Some(Family::Ipv6),
            Ok(None) | Err(Reported) => None,
        }
    }

    fn peer_list(&self) -> &[Spanned<IpAddr>] {
        match &self.peers {
            Ok(Some(peers)) => &peers.get_ref().items,
            Ok(None) | Err(Reported) => &[],
        }
    }

    /// Reports what does not go together.
    pub(super) fn examine(&self, beside: &Beside<'_>, problems: &mut Problems) {
        let Some(family) = self.family(beside.addresses) else { return };
        self.list(family, beside, problems);
        self.version_2(family, beside, problems);
        self.ends(family, beside, problems);
        if let Ok(Some(checksum)) = &self.checksum {
            let without_choice = match (self.version(), family) {
                (Some(Version::V2), _) => Some("version 2"),
                (Some(Version::V3) | None, Family::Ipv6) => Some("IPv6"),
                (Some(Version::V3) | None, Family::Ipv4) => None,
            };
            if let Some(what) = without_choice {
                let message = format!("`checksum` has no effect: {what} knows only one form");
                problems.push(Diagnostic::warning(checksum.span(), message).remedy("remove it"));
            }
        }
    }

    /// What the adverts list.
    fn list(&self, family: Family, beside: &Beside<'_>, problems: &mut Problems) {
        let addresses = beside.addresses;
        for entry in &addresses.items {
            let wish = entry.get_ref().advertise.as_ref().filter(|advertise| *advertise.get_ref());
            if let (Some(wish), true) = (wish, entry.get_ref().family() != family) {
                let message =
                    format!("`advertise = true` cannot be had: adverts over {family} list no other addresses");
                let remedy = "remove it: the address is held all the same";
                problems.push(Diagnostic::error(wish.span(), message).remedy(remedy));
            }
        }
        let listed: Vec<&Spanned<Entry>> =
            addresses.items.iter().filter(|entry| entry.get_ref().is_listed(family)).collect();
        let most = match family {
            Family::Ipv4 => MOST_LISTED_IPV4,
            Family::Ipv6 => MOST_LISTED_IPV6,
        };
        if let Some(first) = listed.get(most) {
            let message =
                format!("`addresses` has {} for adverts over {family}, which list {most} at most", listed.len());
            let remedy = "from this one on they are too many: write `{ address = ..., advertise = false }` for some on \
                          all nodes, or spread them over several virtual routers";
            problems.push(Diagnostic::error(first.span(), message).remedy(remedy));
        }
        match listed.first() {
            Some(first) if family == Family::Ipv6 => warn_without_link_local(first, beside.vrid, problems),
            Some(_) => {}
            None if addresses.whole => {
                let span = match &self.family {
                    Ok(Some(family)) => family.span(),
                    Ok(None) | Err(Reported) => beside.addresses_span.clone().unwrap_or(0..0),
                };
                let message =
                    format!("`addresses` has none that adverts over {family} list, and they list at least one");
                let remedy = "list an address of that family without `advertise = false`, or choose the other `family`";
                problems.push(Diagnostic::error(span, message).remedy(remedy));
            }
            None => {}
        }
    }

    fn version_2(&self, family: Family, beside: &Beside<'_>, problems: &mut Problems) {
        let version = match &self.version {
            Ok(Some(version)) if *version.get_ref() == Version::V2 => version,
            Ok(_) | Err(Reported) => return,
        };
        if family == Family::Ipv6 {
            let message = "`version = 2` has no adverts over IPv6";
            let remedy = "leave it out: version 3 has; or list an IPv4 address, whose adverts stand for all addresses";
            problems.push(Diagnostic::error(version.span(), message).remedy(remedy));
        }
        if let Some(interval) = beside.interval.filter(|interval| interval.get_ref().whole_seconds().is_none()) {
            let message = format!("`advert_interval` must be whole seconds in version 2, not {}", interval.get_ref());
            let remedy = "write, for example, \"1s\"; version 3 knows hundredths";
            problems
                .push(Diagnostic::error(interval.span(), message).remedy(remedy).related(version.span(), "set here"));
        }
    }

    /// Where adverts come from and where they go.
    fn ends(&self, family: Family, beside: &Beside<'_>, problems: &mut Problems) {
        let is_virtual =
            |address: IpAddr| beside.addresses.items.iter().any(|entry| entry.get_ref().net.addr() == address);
        let source = self.source.as_ref().ok().and_then(Option::as_ref);
        if let Some(source) = source {
            let address = *source.get_ref();
            let owner = beside.priority.is_some_and(Priority::is_owner);
            let trouble = if Family::of(address) != family {
                Some((format!("is no {family} address, and the adverts go over {family}"), "name one of that family"))
            } else if is_virtual(address) && !owner {
                let remedy = "name an address that stays on this host, or leave it out: one is chosen then";
                Some(("is one of `addresses`, which other hosts have too".to_owned(), remedy))
            } else if self.peers.as_ref().is_ok_and(Option::is_none) && !is_of_link(address) {
                let remedy = "leave it out: the link-local address is chosen; or list `unicast_peers`";
                Some((
                    "is not link-local, as adverts to the group must be (RFC 9568 section 5.1.2.1)".to_owned(),
                    remedy,
                ))
            } else {
                None
            };
            if let Some((what, remedy)) = trouble {
                problems.push(Diagnostic::error(source.span(), format!("`source`: {address} {what}")).remedy(remedy));
            }
        }
        for peer in self.peer_list() {
            let address = *peer.get_ref();
            let trouble = if Family::of(address) != family {
                Some((
                    format!("is no {family} address, and the adverts go over {family}"),
                    "list the peers' addresses of that family",
                ))
            } else if source.is_some_and(|source| *source.get_ref() == address) {
                Some(("is this node's own `source`".to_owned(), "list the other nodes only"))
            } else if is_virtual(address) {
                Some(("is one of `addresses`".to_owned(), "list the addresses that stay on the other nodes"))
            } else {
                None
            };
            if let Some((what, remedy)) = trouble {
                let message = format!("`unicast_peers`: {address} {what}");
                problems.push(Diagnostic::error(peer.span(), message).remedy(remedy));
            }
        }
    }

    /// The whole; `None` when a problem was reported.
    pub(super) fn settle(self, addresses: &List<Entry>) -> Option<Settled> {
        let family = self.family(addresses)?;
        let unicast_peers = match self.peers.ok()? {
            Some(peers) => peers.into_inner().complete()?,
            None => Vec::new(),
        };
        Some(Settled {
            version: self.version.ok()?.map_or(Version::V3, Spanned::into_inner),
            family,
            source: self.source.ok()?.map(Spanned::into_inner),
            unicast_peers,
            checksum: self.checksum.ok()?.map_or(ChecksumForm::PseudoHeader, Spanned::into_inner),
        })
    }
}

fn is_of_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn warn_without_link_local(first: &Spanned<Entry>, vrid: Option<Vrid>, problems: &mut Problems) {
    let net = first.get_ref().net;
    if let (IpAddr::V6(address), Some(vrid)) = (net.addr(), vrid)
        && !address.is_unicast_link_local()
    {
        let message =
            "`addresses` begins without a link-local address, which RFC 9568 section 5.2.9 wants first over IPv6";
        let remedy = format!(
            "write on all nodes, in this order: `addresses = [\"fe80::{vrid}/64\", \"{net}\", ...]`; most implementations \
             do without"
        );
        problems.push(Diagnostic::warning(first.span(), message).remedy(remedy));
    }
}

fn version(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Version, Reported> {
    match value::integer(key, value, problems)? {
        2 => Ok(Version::V2),
        3 => Ok(Version::V3),
        other => problems.report(Diagnostic::error(value.span(), format!("`{}` cannot be {other}", key.name))),
    }
}

fn family(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Family, Reported> {
    match value::choice(key, value, problems)? {
        "ipv4" => Ok(Family::Ipv4),
        "ipv6" => Ok(Family::Ipv6),
        other => problems.report(Diagnostic::error(value.span(), format!("`{}` cannot be \"{other}\"", key.name))),
    }
}

fn checksum(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<ChecksumForm, Reported> {
    match value::choice(key, value, problems)? {
        "pseudo-header" => Ok(ChecksumForm::PseudoHeader),
        "message" => Ok(ChecksumForm::Message),
        other => problems.report(Diagnostic::error(value.span(), format!("`{}` cannot be \"{other}\"", key.name))),
    }
}

fn source(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<IpAddr, Reported> {
    let text = value::text(key, value, problems)?;
    host(key, &Spanned::new(value.span(), text), problems)
}

fn host(key: &Key, text: &Spanned<&str>, problems: &mut Problems) -> Result<IpAddr, Reported> {
    address::host(text.get_ref()).or_else(|mistake| {
        let message = format!("`{}`: \"{}\" {}", key.name, shown(text.get_ref()), mistake.what);
        problems.report(Diagnostic::error(text.span(), message).remedy(mistake.remedy))
    })
}

fn peers(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<List<IpAddr>, Reported> {
    let list = value::list(key, value, MAX_PEERS, problems, |text, problems| host(key, text, problems))?;
    if list.items.is_empty() && list.whole {
        let message = format!("`{}` is empty: no other node would hear the adverts", key.name);
        let remedy = "list the addresses of the other nodes, or leave it out: adverts then go to all by multicast";
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    }
    Ok(list)
}
