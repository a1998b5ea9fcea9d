//! Whether a virtual router may take part in its election, and with which priority.
//!
//! Belongs here: link, checks, weights and own failures, made into one verdict with its reason. Does not
//! belong here: what follows from the verdict (`router`).

mod checks;
mod troubles;

pub(crate) use checks::Checks;
pub(crate) use troubles::{RETRY, Troubles};

use crate::config::{RouterConfig, WhenUnhealthy};
use crate::proto::interfaces::Interfaces;
use crate::report::{Reason, Trouble};
use crate::types::{CheckName, CheckResult, Family, Priority};

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
/// `started` says whether the router has taken part before: only then a check without a result holds nobody back.
pub(crate) fn verdict(
    config: &RouterConfig,
    interfaces: &Interfaces,
    checks: &Checks,
    troubles: &Troubles,
    started: bool,
) -> Verdict {
    if let Some(reason) = link_trouble(config, interfaces).or_else(|| troubles.reason()) {
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

fn link_trouble(config: &RouterConfig, interfaces: &Interfaces) -> Option<Reason> {
    let carriers = config.addresses.iter().map(|address| address.interface);
    std::iter::once(config.interface)
        .chain(carriers)
        .find_map(|name| interfaces.trouble(name))
        .or_else(|| {
            let reason = || match config.source {
                Some(source) => Reason::SourceMissing(config.interface, source),
                None if config.family == Family::Ipv6 && !config.is_link_local() => {
                    Reason::NoGlobalAddress(config.interface)
                }
                None => Reason::NoSourceAddress(config.interface, config.family),
            };
            interfaces.source(config).is_none().then(reason)
        })
        .or_else(|| {
            let lost = config.track_interfaces.iter().copied().find(|name| !has_link(interfaces, *name));
            lost.map(Reason::TrackedInterface)
        })
}

fn has_link(interfaces: &Interfaces, name: crate::types::InterfaceName) -> bool {
    interfaces.get(name).is_some_and(|facts| facts.up && facts.running)
}

/// Whether a fault leaves nothing to linger with: adverts or answers cannot reach the LAN any more.
pub(crate) fn is_cut_off(reason: &Reason) -> bool {
    match reason.trouble() {
        Trouble::Link | Trouble::Refused => true,
        Trouble::None | Trouble::Waiting | Trouble::Unfit => false,
    }
}
