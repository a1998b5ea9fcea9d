//! Whether a virtual router may take part in its election, and with which priority.
//!
//! Belongs here: link, checks, weights and own failures, made into one verdict with its reason. Does not
//! belong here: what follows from the verdict (`router`).

mod checks;
mod sending;
mod troubles;

pub(crate) use checks::Checks;
pub(crate) use sending::Sending;
pub(crate) use troubles::{RETRY, Troubles};

use crate::config::{RouterConfig, WhenUnhealthy};
use crate::proto::interfaces::Interfaces;
use crate::report::{Reason, Trouble};
use crate::types::{CheckName, CheckResult, Family, Instant, InterfaceName, Priority};

/// What all facts together say of a virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Takes part with this priority.
    Fit(Priority),
    /// Takes part at the lowest priority, since these checks fail.
    Unhealthy(Vec<(CheckName, CheckResult)>),
    /// Does not take part.
    Fault(Reason),
}

/// A pure function of what is known now: no count that must balance, no state that can get stuck.
///
/// A carrier lost for less than the router's `link_debounce` counts as there. `started` says whether the router has taken part before: only then a check without a result holds nobody back.
pub(crate) fn verdict(
    config: &RouterConfig,
    interfaces: &Interfaces,
    checks: &Checks,
    troubles: &Troubles,
    (now, started): (Instant, bool),
) -> Verdict {
    let lost_before = now - config.link_debounce;
    let trouble = link_trouble(config, interfaces, lost_before);
    let trouble = trouble.or_else(|| own_peer(config, interfaces)).or_else(|| too_large(config, interfaces));
    let trouble = trouble.or_else(|| lost_track(config, interfaces, lost_before)).or_else(|| troubles.reason());
    if let Some(reason) = trouble {
        return Verdict::Fault(reason);
    }
    let waiting = checks.without_result(&config.checks);
    if !started && !waiting.is_empty() {
        return Verdict::Fault(Reason::WaitingForChecks(waiting));
    }
    let failing = checks.failing(&config.checks);
    match (failing.is_empty(), config.when_unhealthy) {
        (true, WhenUnhealthy::Hold | WhenUnhealthy::Release) => Verdict::Fit(effective_priority(config, checks)),
        (false, WhenUnhealthy::Hold) => Verdict::Unhealthy(failing),
        (false, WhenUnhealthy::Release) => Verdict::Fault(Reason::Unhealthy(failing)),
    }
}

/// Base priority and weights, summed whole and cut last; an owner's is always 255.
pub(crate) fn effective_priority(config: &RouterConfig, checks: &Checks) -> Priority {
    if config.priority.is_owner() {
        return Priority::OWNER;
    }
    let sum: i32 = checks.contributions(&config.checks).map(|(_, weight)| i32::from(weight)).sum();
    Priority::clamped(i32::from(config.priority.get()) + sum)
}

/// When a carrier that is lost, and counts as there, will have been lost for too long.
pub(crate) fn debounced_until(config: &RouterConfig, interfaces: &Interfaces, now: Instant) -> Option<Instant> {
    let ends = needed(config).filter_map(|name| Some(interfaces.links.lost_at(name)? + config.link_debounce));
    ends.filter(|end| *end > now).min()
}

/// All interfaces whose link it needs.
fn needed(config: &RouterConfig) -> impl Iterator<Item = InterfaceName> + '_ {
    carriers(config).chain(config.track_interfaces.iter().copied())
}

/// Those for its adverts and its addresses.
pub(crate) fn carriers(config: &RouterConfig) -> impl Iterator<Item = InterfaceName> + '_ {
    std::iter::once(config.interface).chain(config.addresses.iter().map(|address| address.interface))
}

/// What of its own interfaces keeps it from sending, hearing or serving, if anything does.
pub(crate) fn link_trouble(config: &RouterConfig, interfaces: &Interfaces, lost_before: Instant) -> Option<Reason> {
    carriers(config).find_map(|name| interfaces.trouble(name, lost_before)).or_else(|| {
        let reason = || match config.source {
            Some(source) => Reason::SourceMissing(config.interface, source),
            None if config.family == Family::Ipv6 && !config.is_link_local() => {
                Reason::NoGlobalAddress(config.interface)
            }
            None => Reason::NoSourceAddress(config.interface, config.family),
        };
        interfaces.source(config).is_none().then(reason)
    })
}

/// The configuration is another host's: it lists an address of this one among the peers.
fn own_peer(config: &RouterConfig, interfaces: &Interfaces) -> Option<Reason> {
    let own = config.unicast_peers.iter().find(|peer| interfaces.has(config.interface, **peer));
    own.map(|peer| Reason::PeerIsSelf(*peer))
}

/// Adverts are never sent in fragments, which nobody would take.
fn too_large(config: &RouterConfig, interfaces: &Interfaces) -> Option<Reason> {
    let (interface, bytes) = (config.interface, config.advert_length());
    let mtu = interfaces.get(interface)?.mtu;
    (usize::try_from(mtu).is_ok_and(|mtu| mtu < bytes)).then_some(Reason::AdvertTooLarge { interface, bytes, mtu })
}

fn lost_track(config: &RouterConfig, interfaces: &Interfaces, lost_before: Instant) -> Option<Reason> {
    let lost = config.track_interfaces.iter().copied().find(|name| !interfaces.has_link(*name, lost_before));
    lost.map(Reason::TrackedInterface)
}

/// Whether a fault leaves nothing to linger with: adverts or answers cannot reach the LAN any more.
pub(crate) fn is_cut_off(reason: &Reason) -> bool {
    match reason.trouble() {
        Trouble::Link | Trouble::Refused => true,
        Trouble::None | Trouble::Waiting | Trouble::Unfit => false,
    }
}
