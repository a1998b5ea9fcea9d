use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{CheckName, CheckSpec, InterfaceName, Interval, Priority, RouterName, VirtualAddress, Vrid};

/// What one host is asked to do; every value in it is in range and every name in it resolves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name this node goes by in logs and status.
    pub node: String,
    /// The virtual routers, by name. There may be none.
    pub routers: BTreeMap<RouterName, RouterConfig>,
    /// The checks, by name, those that no router uses included.
    pub checks: BTreeMap<CheckName, CheckSpec>,
}

/// One virtual router: an election and the addresses it moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConfig {
    /// Where its adverts go.
    pub interface: InterfaceName,
    /// Its identifier on that interface.
    pub vrid: Vrid,
    /// Priority before weights; 255 for the owner of the addresses.
    pub priority: Priority,
    /// The addresses, in the order in which adverts list them; never empty.
    pub addresses: Vec<VirtualAddress>,
    /// Time between two adverts while Active.
    pub advert_interval: Interval,
    /// Whether a higher priority takes over from a lower one that is alive (Preempt_Mode).
    pub preempt: bool,
    /// How long a lower one is listened to before it is taken over from.
    pub preempt_delay: Duration,
    /// Whether the kernel takes the addresses away when nobody renews them any more.
    pub lease: bool,
    /// Checks whose verdict counts for this router.
    pub checks: Vec<CheckName>,
    /// Interfaces besides its own without whose link it is not eligible.
    pub track_interfaces: Vec<InterfaceName>,
    /// What an unhealthy node does while nobody else takes over.
    pub when_unhealthy: WhenUnhealthy,
}

/// What becomes of the addresses when this node is unhealthy and no other node claims them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnhealthy {
    /// Goes on as degraded: a node that may work is better than none.
    Hold,
    /// Holds nothing while unhealthy.
    Release,
}
