use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{Channel, CheckName, CheckResult, Family, InterfaceName, IpNet, MacAddr, Priority};

/// The states of a virtual router: those of RFC 9568 section 6.4, and `fault` beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterState {
    /// Not taking part, and nothing is wrong: starting, or stopping.
    Initialize,
    /// Listens for the Active router's adverts.
    Backup,
    /// Sends adverts and holds the addresses.
    Active,
    /// Not eligible; the reason says what it waits for.
    Fault,
}

impl RouterState {
    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            RouterState::Initialize => "initialize",
            RouterState::Backup => "backup",
            RouterState::Active => "active",
            RouterState::Fault => "fault",
        }
    }
}

impl fmt::Display for RouterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why a virtual router is in its state. The token is fixed; the words are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named for what they are")]
pub enum Reason {
    /// The agent has just started, or the router has just been configured.
    Startup,
    /// The first results of these checks are awaited.
    WaitingForChecks(Vec<CheckName>),
    /// The interface does not exist.
    InterfaceMissing(InterfaceName),
    /// The interface is administratively down.
    InterfaceDown(InterfaceName),
    /// The interface has no carrier.
    NoCarrier(InterfaceName),
    /// The interface has no address of its own of this family to send from; of IPv6 no link-local one.
    NoSourceAddress(InterfaceName, Family),
    /// The interface has no IPv6 address of its own that reaches peers beyond the link.
    NoGlobalAddress(InterfaceName),
    /// The interface does not have the configured source address.
    SourceMissing(InterfaceName, IpAddr),
    /// A unicast peer is this very host.
    PeerIsSelf(IpAddr),
    /// The interface has no Ethernet address, so nothing can be announced on it.
    NoHardwareAddress(InterfaceName),
    /// An advert, whole in bytes, is larger than the MTU of the interface.
    AdvertTooLarge { interface: InterfaceName, bytes: usize, mtu: u32 },
    /// A tracked interface is missing or has no link.
    TrackedInterface(InterfaceName),
    /// A socket for adverts, ARP or neighbour discovery could not be opened.
    SocketFailed(InterfaceName, Channel, String),
    /// The kernel refused one of the addresses.
    AddressFailed(IpNet, String),
    /// Somebody removes this address again and again.
    AddressFight(IpNet),
    /// The leases ran out before they were renewed, so another host may hold the addresses.
    LeaseLapsed,
    /// Another host answered for an IPv6 address that this one had held for a while.
    Duplicate(IpNet, MacAddr),
    /// Adverts could not be sent.
    SendFailed(InterfaceName, String),
    /// Its last adverts could not be sent; whether they can be now shows when it claims.
    SendUnproven(InterfaceName, String),
    /// It only listens for so long: the agent has just started (`start_delay`).
    StartDelay(Duration),
    /// The link has just come up: it only listens until frames pass, for so long at most.
    AwaitingFrames(InterfaceName, Duration),
    /// The carrier is lost, which counts only after so long (`link_debounce`).
    LinkDebounce(InterfaceName, Duration),
    /// These checks failed, with their last results.
    Unhealthy(Vec<(CheckName, CheckResult)>),
    /// Unhealthy, but nobody else claims the addresses.
    Degraded(Vec<(CheckName, CheckResult)>),
    /// Priority 255: the owner does not wait.
    Owner,
    /// No advert came for the Active_Down_Interval; who sent the last one, if anybody ever did.
    ActiveSilent { peer: Option<IpAddr>, silence: Duration },
    /// The same, and no advert ever came at all since the start, accepted or not.
    NobodyHeard(Duration),
    /// The Active router resigned.
    ActiveResigned(IpAddr),
    /// The Active router has a lower priority and this one preempts.
    Preempting { peer: IpAddr, priority: Priority },
    /// A router with a higher priority is Active.
    HigherPriority { peer: IpAddr, priority: Priority },
    /// A router with the same priority and a higher address is Active.
    TieBreak { peer: IpAddr, priority: Priority },
    /// It was Active before its process ended; its last advert was that long ago.
    Resumed { silent: Duration },
    /// This host slept for longer than its peers' patience, and this one has taken over.
    Overslept(IpAddr),
    /// What it waited for has come.
    Recovered,
    /// The agent was told to stop.
    Stopping,
    /// The configuration no longer names this router, or gives it another interface or VRID.
    Reconfigured,
}

/// What kind of trouble a reason tells of, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// None: the course of an election.
    None,
    /// Something is awaited that comes by itself.
    Waiting,
    /// An interface cannot carry adverts or addresses.
    Link,
    /// The system refused what we asked of it.
    Refused,
    /// This node had better not hold the addresses.
    Unfit,
}

impl Reason {
    /// Whether it is what is left of an earlier one, fewer checks to wait for, and so nothing that anybody must hear of.
    pub fn is_rest_of(&self, before: &Reason) -> bool {
        let (Reason::WaitingForChecks(rest), Reason::WaitingForChecks(all)) = (self, before) else { return false };
        rest.iter().all(|name| all.contains(name))
    }

    /// What kind of trouble it tells of.
    pub fn trouble(&self) -> Trouble {
        match self {
            Reason::WaitingForChecks(_)
            | Reason::StartDelay(_)
            | Reason::AwaitingFrames(..)
            | Reason::LinkDebounce(..) => Trouble::Waiting,
            Reason::InterfaceMissing(_)
            | Reason::InterfaceDown(_)
            | Reason::NoCarrier(_)
            | Reason::NoSourceAddress(..)
            | Reason::NoGlobalAddress(_)
            | Reason::SourceMissing(..)
            | Reason::NoHardwareAddress(_) => Trouble::Link,
            Reason::SocketFailed(..)
            | Reason::AddressFailed(..)
            | Reason::Duplicate(..)
            | Reason::SendFailed(..)
            | Reason::SendUnproven(..) => Trouble::Refused,
            Reason::PeerIsSelf(_)
            | Reason::AdvertTooLarge { .. }
            | Reason::TrackedInterface(_)
            | Reason::Unhealthy(_)
            | Reason::Degraded(_)
            | Reason::AddressFight(_) => Trouble::Unfit,
            Reason::Startup
            | Reason::Owner
            | Reason::ActiveSilent { .. }
            | Reason::NobodyHeard(_)
            | Reason::ActiveResigned(_)
            | Reason::Preempting { .. }
            | Reason::HigherPriority { .. }
            | Reason::TieBreak { .. }
            | Reason::LeaseLapsed
            | Reason::Resumed { .. }
            | Reason::Overslept(_)
            | Reason::Recovered
            | Reason::Stopping
            | Reason::Reconfigured => Trouble::None,
        }
    }

    /// The fixed token of status, metrics and structured logs.
    pub fn token(&self) -> &'static str {
        match self {
            Reason::Startup => "startup",
            Reason::WaitingForChecks(_) => "waiting-for-checks",
            Reason::InterfaceMissing(_) => "interface-missing",
            Reason::InterfaceDown(_) => "interface-down",
            Reason::NoCarrier(_) => "no-carrier",
            Reason::NoSourceAddress(..) | Reason::NoGlobalAddress(_) => "no-source-address",
            Reason::SourceMissing(..) => "source-missing",
            Reason::PeerIsSelf(_) => "peer-is-self",
            Reason::NoHardwareAddress(_) => "no-hardware-address",
            Reason::AdvertTooLarge { .. } => "advert-too-large",
            Reason::TrackedInterface(_) => "tracked-interface",
            Reason::SocketFailed(..) => "socket-failed",
            Reason::AddressFailed(..) => "address-failed",
            Reason::AddressFight(_) => "address-fight",
            Reason::LeaseLapsed => "lease-lapsed",
            Reason::Duplicate(..) => "duplicate-address",
            Reason::SendFailed(..) => "send-failed",
            Reason::SendUnproven(..) => "send-unproven",
            Reason::StartDelay(_) => "start-delay",
            Reason::AwaitingFrames(..) => "awaiting-frames",
            Reason::LinkDebounce(..) => "link-debounce",
            Reason::Unhealthy(_) => "unhealthy",
            Reason::Degraded(_) => "degraded",
            Reason::Owner => "owner",
            Reason::ActiveSilent { .. } | Reason::NobodyHeard(_) => "active-silent",
            Reason::ActiveResigned(_) => "active-resigned",
            Reason::Preempting { .. } => "preempting",
            Reason::HigherPriority { .. } => "higher-priority",
            Reason::TieBreak { .. } => "tie-break",
            Reason::Resumed { .. } => "resumed",
            Reason::Overslept(_) => "overslept",
            Reason::Recovered => "recovered",
            Reason::Stopping => "stopping",
            Reason::Reconfigured => "reconfigured",
        }
    }
}

const FIGHT: &str =
    "something on this host removes it again and again (ip monitor address); it is left alone for a minute";
const DUPLICATE: &str = "remove it there, or here from `addresses`, or if that is a host of this virtual router, see in \
                         both logs why one does not hear the other";
const LAPSED: &str =
    "this host stood still for too long to hold its addresses: listening whether another one has followed";

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Startup => f.write_str("starting"),
            Reason::WaitingForChecks(names) => {
                write!(f, "waiting for the first result of {}", join(names.iter().map(ToString::to_string)))
            }
            Reason::InterfaceMissing(name) => write!(f, "waiting for interface {name}: it does not exist"),
            Reason::InterfaceDown(name) => {
                write!(f, "waiting for interface {name}: it is down (ip link set {name} up)")
            }
            Reason::NoCarrier(name) => write!(f, "waiting for interface {name}: it has no carrier"),
            Reason::NoSourceAddress(name, family) => no_source(f, name, *family),
            Reason::NoGlobalAddress(name) => no_global(f, name),
            Reason::SourceMissing(name, source) => {
                write!(f, "waiting for interface {name}: it does not have {source}, the `source` of the adverts")
            }
            Reason::PeerIsSelf(peer) => {
                write!(f, "`unicast_peers` names {peer}, which is this host's own: list the other nodes only")
            }
            Reason::NoHardwareAddress(name) => {
                write!(f, "interface {name} has no Ethernet address, so no address can be announced on it")
            }
            Reason::AdvertTooLarge { interface, bytes, mtu } => too_large(f, interface, *bytes, *mtu),
            Reason::TrackedInterface(name) => write!(f, "waiting for tracked interface {name}: it has no link"),
            Reason::SocketFailed(name, channel, error) => {
                write!(f, "cannot listen to {channel} on interface {name}: {error}")
            }
            Reason::AddressFailed(address, error) => write!(f, "cannot add address {address}: {error}"),
            Reason::AddressFight(address) => write!(f, "address fight over {address}: {FIGHT}"),
            Reason::LeaseLapsed => f.write_str(LAPSED),
            Reason::Duplicate(address, mac) => {
                write!(f, "the host at {mac} has {} too: {DUPLICATE}", address.addr())
            }
            Reason::SendFailed(name, error) => write!(f, "cannot send adverts on interface {name}: {error}"),
            Reason::SendUnproven(name, error) => unproven(f, name, error),
            Reason::StartDelay(left) => {
                write!(f, "only listening for {} after the start of the agent (start_delay)", seconds(*left))
            }
            Reason::AwaitingFrames(name, left) => awaiting_frames(f, name, *left),
            Reason::LinkDebounce(name, left) => {
                write!(f, "interface {name} has lost its carrier, a fault in {} (link_debounce)", seconds(*left))
            }
            Reason::Unhealthy(checks) => write!(f, "unhealthy: {}", join(checks.iter().map(check_words))),
            Reason::Degraded(checks) => {
                write!(f, "degraded: {}, but nobody else claims the address", join(checks.iter().map(check_words)))
            }
            Reason::Owner => f.write_str("owner of the address (priority 255)"),
            Reason::ActiveSilent { peer, silence } => silent(f, *peer, *silence),
            Reason::NobodyHeard(silence) => nobody(f, *silence),
            Reason::ActiveResigned(peer) => write!(f, "{peer} was Active and resigned"),
            Reason::Preempting { peer, priority } => {
                write!(f, "preempting {peer}, which was Active with the lower priority {priority}")
            }
            Reason::HigherPriority { peer, priority } => {
                write!(f, "{peer} is Active with the higher priority {priority}")
            }
            Reason::TieBreak { peer, priority } => {
                write!(f, "{peer} is Active with the same priority {priority} and a higher address")
            }
            Reason::Resumed { silent } => write!(f, "resumed: its last advert left {} ago", seconds(*silent)),
            Reason::Overslept(peer) => write!(f, "this host stood still and {peer} has taken over"),
            Reason::Recovered => f.write_str("what it waited for has come"),
            Reason::Stopping => f.write_str("the agent was told to stop"),
            Reason::Reconfigured => f.write_str("the configuration changed"),
        }
    }
}

fn no_global(f: &mut fmt::Formatter<'_>, name: &InterfaceName) -> fmt::Result {
    write!(f, "waiting for interface {name}: it has no global IPv6 address of its own to reach its peers from")
}

fn too_large(f: &mut fmt::Formatter<'_>, name: &InterfaceName, bytes: usize, mtu: u32) -> fmt::Result {
    write!(
        f,
        "an advert takes {bytes} bytes, and interface {name} has an MTU of {mtu}: write `advertise = false` for some of \
         `addresses`, on all nodes alike, or raise the MTU"
    )
}

fn unproven(f: &mut fmt::Formatter<'_>, name: &InterfaceName, error: &str) -> fmt::Result {
    write!(
        f,
        "its last adverts on interface {name} could not be sent ({error}); whether they can be now shows when it takes over"
    )
}

fn awaiting_frames(f: &mut fmt::Formatter<'_>, name: &InterfaceName, left: Duration) -> fmt::Result {
    let left = seconds(left);
    write!(f, "only listening until frames pass on interface {name}, whose link has just come up, for {left} at most")
}

fn no_source(f: &mut fmt::Formatter<'_>, name: &InterfaceName, family: Family) -> fmt::Result {
    let kind = match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "link-local IPv6",
    };
    write!(f, "waiting for interface {name}: it has no {kind} address of its own to send adverts from")
}

fn nobody(f: &mut fmt::Formatter<'_>, silence: Duration) -> fmt::Result {
    write!(
        f,
        "nobody else has been heard for {}, nor ever since the start: if another host runs, see that firewalls and switches let IP protocol 112 (VRRP) through",
        seconds(silence)
    )
}

fn silent(f: &mut fmt::Formatter<'_>, peer: Option<IpAddr>, silence: Duration) -> fmt::Result {
    match peer {
        Some(peer) => write!(f, "{peer} was Active and has been silent for {}", seconds(silence)),
        None => write!(f, "nobody else has been heard for {}", seconds(silence)),
    }
}

fn check_words((name, result): &(CheckName, CheckResult)) -> String {
    format!("check {name} {result}")
}

fn join(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// A span as people read it in a log: three digits are enough.
pub(super) fn seconds(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{} ms", span.as_millis())
    } else {
        format!("{:.2} s", span.as_secs_f64())
    }
}
