use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::{
    CheckName, CheckSpec, ChecksumForm, Family, InterfaceName, Interval, KeyId, Password, Priority, RouterName, Secret,
    Version, VirtualAddress, Vrid,
};

/// What one host is asked to do; every value in it is in range and every name in it resolves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name this node goes by in logs and status.
    pub node: String,
    /// Whether the protocol thread is to be scheduled in real time, and memory locked.
    pub realtime: bool,
    /// The virtual routers, by name. There may be none.
    pub routers: BTreeMap<RouterName, RouterConfig>,
    /// The checks, by name, those that no router uses included.
    pub checks: BTreeMap<CheckName, CheckSpec>,
    /// What stands in the key files. Empty as parsed: files are read by who takes the configuration over.
    pub secrets: Secrets,
}

/// Keys by the file they stand in. They do not print.
pub type Secrets = BTreeMap<PathBuf, Secret>;

impl Config {
    /// The key files that it names, each once.
    pub fn key_files(&self) -> BTreeSet<&Path> {
        let auth = self.routers.values().filter_map(|router| router.auth.as_ref());
        auth.flat_map(|auth| auth.keys.values()).map(PathBuf::as_path).collect()
    }

    /// The checks that a virtual router uses; the others never run.
    pub fn checks_in_use(&self) -> BTreeMap<CheckName, CheckSpec> {
        let used: BTreeSet<&CheckName> = self.routers.values().flat_map(|router| &router.checks).collect();
        let checks = self.checks.iter().filter(|(name, _)| used.contains(name));
        checks.map(|(name, check)| (name.clone(), check.clone())).collect()
    }

    /// Every interface that matters to a virtual router.
    pub fn interfaces(&self) -> BTreeSet<InterfaceName> {
        self.routers.values().flat_map(RouterConfig::interfaces).collect()
    }
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
    /// The version of VRRP it speaks; version 2 with IPv4 only.
    pub version: Version,
    /// The family that carries its adverts. Whatever the family, all addresses are held under one election.
    pub family: Family,
    /// The addresses, in the order in which they are written; never empty.
    pub addresses: Vec<VirtualAddress>,
    /// Those that adverts list: of the family of the adverts, in the order in which they are written; 1 to 255.
    pub advertised: Vec<IpAddr>,
    /// Where its adverts come from, of their family and none of `addresses` (except for the owner); `None`: chosen
    /// by what the interface has.
    pub source: Option<IpAddr>,
    /// To whom its adverts go, and from whom they are accepted, of their family; empty: to everybody, by multicast.
    pub unicast_peers: Vec<IpAddr>,
    /// How the checksum of its adverts is made, where version and family leave a choice.
    pub checksum: ChecksumForm,
    /// The password of version 2.
    pub password: Option<Password>,
    /// Time between two adverts while Active.
    pub advert_interval: Interval,
    /// Whether a higher priority takes over from a lower one that is alive (Preempt_Mode).
    pub preempt: bool,
    /// How long a lower one is listened to before it is taken over from.
    pub preempt_delay: Duration,
    /// Whether the kernel takes the addresses away when nobody renews them any more.
    pub lease: bool,
    /// How long after the agent's start it only listens.
    pub start_delay: Duration,
    /// A loss of carrier is a fault only after this long, on its own interface and on the tracked ones.
    pub link_debounce: Duration,
    /// Checks whose verdict counts for this router.
    pub checks: Vec<CheckName>,
    /// Interfaces besides its own without whose link it is not eligible.
    pub track_interfaces: Vec<InterfaceName>,
    /// What an unhealthy node does while nobody else takes over.
    pub when_unhealthy: WhenUnhealthy,
    /// How adverts are authenticated, if they are.
    pub auth: Option<AuthConfig>,
}

/// How the adverts of a virtual router are authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// What is asked of others and given to them.
    pub mode: AuthMode,
    /// The key that our adverts are sent under; one of `keys`.
    pub active_key: KeyId,
    /// The keys that others' adverts may come under, each with the absolute path of its file; never empty.
    pub keys: BTreeMap<KeyId, PathBuf>,
}

/// What is asked of others, and given to them, on the way to authenticated adverts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Adverts are sent with a trailer, and only those with a right one count.
    Enforce,
    /// Adverts are sent with a trailer; those without one count as well, those with a wrong one do not.
    Permissive,
    /// Adverts are sent without a trailer; those without one count, those with a wrong one do not.
    ReceiveOnly,
}

impl AuthMode {
    /// The word of configuration and status.
    pub fn word(self) -> &'static str {
        match self {
            AuthMode::Enforce => "enforce",
            AuthMode::Permissive => "permissive",
            AuthMode::ReceiveOnly => "receive-only",
        }
    }
}

impl RouterConfig {
    /// Whether its adverts go to unicast peers.
    pub fn is_unicast(&self) -> bool {
        !self.unicast_peers.is_empty()
    }

    /// The interfaces that matter to it: of its adverts, of its addresses, and those it tracks.
    pub fn interfaces(&self) -> impl Iterator<Item = InterfaceName> {
        let carriers = self.addresses.iter().map(|address| address.interface);
        std::iter::once(self.interface).chain(carriers).chain(self.track_interfaces.iter().copied())
    }

    /// Bytes of each of its adverts, from the IP header on.
    pub fn advert_length(&self) -> usize {
        let (header, address) = match self.family {
            Family::Ipv4 => (20, 4),
            Family::Ipv6 => (40, 16),
        };
        let password = match self.version {
            Version::V2 => 8,
            Version::V3 => 0,
        };
        let sealed = self.auth.as_ref().is_some_and(|auth| match auth.mode {
            AuthMode::Enforce | AuthMode::Permissive => true,
            AuthMode::ReceiveOnly => false,
        });
        let trailer = if sealed { 28 } else { 0 };
        header + 8 + address * self.advertised.len() + password + trailer
    }

    /// Whether its adverts over IPv6 come from a link-local address: they do unless a peer is beyond the link.
    pub fn is_link_local(&self) -> bool {
        self.unicast_peers.iter().all(|peer| match peer {
            IpAddr::V4(_) => false,
            IpAddr::V6(peer) => peer.is_unicast_link_local(),
        })
    }
}

/// What becomes of the addresses when this node is unhealthy and no other node claims them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnhealthy {
    /// Goes on as degraded: a node that may work is better than none.
    Hold,
    /// Holds nothing while unhealthy.
    Release,
}
