//! The status document, version 1: what `locum status --json` prints and what the socket answers.
//!
//! A serializable type is a promise: fields are added, never renamed or removed, within a version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RouterState;
use crate::types::CheckResult;

/// The version this agent writes.
pub const VERSION: u32 = 1;

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// The node's name.
    pub node: String,
    /// Version of the agent's program.
    pub program: String,
    /// When this was written, RFC 3339 in UTC.
    pub now: String,
    /// Seconds since the agent started.
    pub uptime: f64,
    /// What the administrator should do next, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How late the agent woke for what it had to do: stalls of this host.
    #[serde(default)]
    pub lateness: Lateness,
    /// Whether the agent has been told to stop and lingers.
    pub stopping: bool,
    /// Whether the protocol thread runs in real time, and if it should but does not, why.
    #[serde(default)]
    pub realtime: Realtime,
    /// The virtual routers by name.
    pub routers: BTreeMap<String, Router>,
    /// The checks by name.
    pub checks: BTreeMap<String, Check>,
    /// Discards that belong to no virtual router, by interface and reason.
    pub discards: BTreeMap<String, BTreeMap<String, u64>>,
}

/// How the protocol thread is scheduled, and whether the agent can be paged out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realtime {
    /// What the configuration asks for.
    pub wanted: bool,
    /// Under SCHED_FIFO with this priority; absent where it is scheduled as any program is.
    pub priority: Option<i32>,
    /// Its memory is locked.
    pub memory_locked: bool,
    /// What of it was refused, each with what would help.
    pub refused: Vec<String>,
}

/// Lateness in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    /// At the last wake-up for something that was due.
    pub last_ms: f64,
    /// The greatest since the agent started.
    pub max_ms: f64,
    /// Time that the machine was suspended since the agent started.
    pub suspended_ms: f64,
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Router {
    /// `initialize`, `backup`, `active` or `fault`.
    pub state: RouterState,
    /// Why, as a fixed token.
    pub reason: String,
    /// Why, in words.
    pub words: String,
    /// Since when it is in this state, RFC 3339 in UTC.
    pub since: String,
    /// For how many milliseconds more it only listens, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listens_for_ms: Option<u64>,
    /// Active although unhealthy, because nobody else is.
    pub degraded: bool,
    /// Its interface.
    pub interface: String,
    /// Its VRID.
    pub vrid: u8,
    /// The version of VRRP it speaks: 2 or 3.
    pub version: u8,
    /// The family that carries its adverts: `ipv4` or `ipv6`.
    pub family: String,
    /// How its adverts travel: `multicast` or `unicast`.
    pub transport: String,
    /// Advert interval in milliseconds, as configured.
    pub advert_interval_ms: u64,
    /// Where its priority comes from.
    pub priority: Priority,
    /// Address of the host that is Active, where one is known: ours while Active.
    pub active: Option<String>,
    /// The addresses it moves.
    pub addresses: Vec<Address>,
    /// Who else was heard.
    pub peers: Vec<Peer>,
    /// What is set up wrongly here or there, as far as it was seen lately; at most four of a kind.
    #[serde(default)]
    pub mistakes: Vec<Mistake>,
    /// How adverts are authenticated, where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Counters since the agent started.
    pub counters: Counters,
    /// The last twenty changes of state, oldest first.
    pub last_transitions: Vec<Transition>,
}

/// Base priority, what is added to it, and what comes out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Priority {
    /// As configured.
    pub base: u8,
    /// As sent in adverts.
    pub effective: u8,
    /// What the weights add or subtract.
    pub contributions: Vec<Contribution>,
}

/// One check's part in the effective priority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The check.
    pub check: String,
    /// What it adds now.
    pub weight: i16,
}

/// One address of a virtual router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// As configured, with its prefix length.
    pub address: String,
    /// The interface that carries it.
    pub interface: String,
    /// What is known of it on this host.
    pub state: AddressState,
    /// How much longer the kernel keeps it if nobody renews it, in milliseconds, at least; none for one that is not ours
    /// or that has no lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_left_ms: Option<u64>,
}

/// Whether an address is on this host, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressState {
    /// Not here, as it should be.
    Absent,
    /// Being added.
    Adding,
    /// Here, and ours.
    Held,
    /// Here and ours until the successor has it.
    Lingering,
    /// Here, but set by somebody else.
    Foreign,
}

/// Somebody else of the same virtual router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its source address.
    pub address: String,
    /// The priority of its last advert; 0 is a resignation.
    pub priority: u8,
    /// Its advert interval in milliseconds.
    pub advert_interval_ms: u64,
    /// The version of VRRP it speaks: 2 or 3.
    pub version: u8,
    /// The family that carries its adverts: `ipv4` or `ipv6`.
    pub family: String,
    /// How its adverts travel: `multicast` or `unicast`.
    pub transport: String,
    /// The checksum form it sends: `pseudo-header`, `group-pseudo-header` or `message`.
    pub checksum: String,
    /// Whether its adverts list the addresses that ours list, in the same order.
    pub lists_our_addresses: bool,
    /// Milliseconds since its last advert.
    pub heard_ms_ago: u64,
    /// Adverts accepted from it.
    pub adverts: u64,
    /// The key that its last advert was authenticated with; absent where it had no trailer or none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u8>,
    /// Milliseconds by which its clock is behind ours, less than zero if it is ahead, as its authenticated adverts tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_behind_ms: Option<i64>,
}

/// Something that is set up wrongly here or there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// What, as a fixed token; that of refused adverts is the one counted under `discards`.
    pub token: String,
    /// What, and what to do, in words.
    pub words: String,
    /// Who is at the other side of it: a source address, or of `foreign-answer` a hardware address.
    pub peer: String,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// Milliseconds since it was seen last.
    pub seen_ms_ago: u64,
    /// How often it was seen.
    pub seen: u64,
}

/// How adverts of a virtual router are authenticated, and who is there without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Auth {
    /// `enforce`, `permissive` or `receive-only`.
    pub mode: String,
    /// The id of the key that adverts are sent under.
    pub active_key: u8,
    /// The ids of all keys.
    pub keys: Vec<u8>,
    /// Adverts that were accepted without a trailer.
    pub unauthenticated: u64,
    /// The last of those whose adverts were refused for their authentication; at most 16.
    pub refused: Vec<Refused>,
}

/// Somebody whose adverts were refused for their authentication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Its source address, as the packet has it.
    pub address: String,
    /// Why the last one was refused, as counted under `discards`.
    pub reason: String,
    /// Milliseconds since the last one.
    pub heard_ms_ago: u64,
    /// Adverts refused.
    pub packets: u64,
}

/// What a virtual router has counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Adverts sent, resignations among them.
    pub adverts_sent: u64,
    /// Valid adverts received.
    pub adverts_received: u64,
    /// Times it became Active.
    pub became_active: u64,
    /// Resignations sent.
    pub resignations_sent: u64,
    /// Resignations received.
    pub resignations_received: u64,
    /// Rounds of announcements (gratuitous ARP) begun.
    pub announcements: u64,
    /// Adverts that could not be sent.
    pub send_errors: u64,
    /// Addresses put back after somebody else had removed them.
    #[serde(default)]
    pub addresses_restored: u64,
    /// Times the leases ran out because this host was too late to renew them.
    #[serde(default)]
    pub leases_lapsed: u64,
    /// Packets thrown away, by reason.
    pub discards: BTreeMap<String, u64>,
}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When, by the clock as it was set then: RFC 3339 in UTC, as in the log.
    pub at: String,
    /// From this state.
    pub from: RouterState,
    /// To this state.
    pub to: RouterState,
    /// Why, as a fixed token.
    pub reason: String,
    /// Why, in words.
    pub words: String,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its verdict after `rise` and `fall`; absent until the first result.
    pub healthy: Option<bool>,
    /// The last run's result.
    pub last_result: Option<CheckResult>,
    /// Milliseconds since the last result.
    pub result_ms_ago: Option<u64>,
    /// The last line the last run printed.
    pub output: String,
    /// Runs that ended.
    pub runs: u64,
    /// Runs that did not end well.
    pub failures: u64,
}
