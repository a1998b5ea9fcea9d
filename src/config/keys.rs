//! Every table and key that a configuration file can have: the one place that names them.

use std::time::Duration;

use super::diagnostic::either;

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name: letters, digits, `-`, `_` and `.`, at most 64 bytes.
    Name,
    /// The name of a network interface other than the loopback.
    Interface,
    /// An integer in a range, both ends included.
    Integer {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// A string such as "1s" in a range, both ends included, in whole milliseconds.
    Duration {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// One of a few strings.
    Choice(&'static [&'static str]),
    /// An array of addresses with prefix length, or of tables with one.
    Addresses,
    /// An address with prefix length.
    Address,
    /// The address of a host.
    Host,
    /// An array of addresses of hosts.
    Hosts,
    /// An array of names of checks.
    Checks,
    /// An array of names of interfaces.
    Interfaces,
    /// An array of a program's absolute path and its arguments.
    Command,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value must look like.
    pub kind: Kind,
    /// What it is when it is left out.
    pub default: Default,
    /// A value, as TOML, that stands in remedies.
    pub example: &'static str,
    /// One line on what it is for.
    pub doc: &'static str,
}

/// What a key is when it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// It cannot be left out.
    Required,
    /// This value, as TOML.
    Value(&'static str),
    /// What these words say.
    Words(&'static str),
}

/// One table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// How its header is written; `NAME` stands for a name of the administrator's choice.
    pub header: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// One line on what it is for.
    pub doc: &'static str,
}

/// `node.name`
pub const NODE_NAME: Key = Key {
    name: "name",
    kind: Kind::Name,
    default: Default::Words("the host name"),
    example: "\"lb1\"",
    doc: "The name this node goes by in logs and status.",
};

/// `virtual_router.NAME.interface`
pub const INTERFACE: Key = Key {
    name: "interface",
    kind: Kind::Interface,
    default: Default::Required,
    example: "\"eth0\"",
    doc: "The interface that carries the adverts, and the addresses unless they say otherwise.",
};

/// `virtual_router.NAME.vrid`
pub const VRID: Key = Key {
    name: "vrid",
    kind: Kind::Integer { min: 1, max: 255 },
    default: Default::Required,
    example: "51",
    doc: "The Virtual Router Identifier, the same on all nodes of this virtual router and on no other one of the LAN.",
};

/// `virtual_router.NAME.priority`
pub const PRIORITY: Key = Key {
    name: "priority",
    kind: Kind::Integer { min: 1, max: 255 },
    default: Default::Value("100"),
    example: "150",
    doc: "The node with the highest priority becomes Active; 255 only for the owner of the addresses.",
};

/// `virtual_router.NAME.addresses`
pub const ADDRESSES: Key = Key {
    name: "addresses",
    kind: Kind::Addresses,
    default: Default::Required,
    example: "[\"192.0.2.10/24\"]",
    doc: "The addresses to hold, each with its prefix length, in the same order on all nodes.",
};

/// `virtual_router.NAME.addresses.address`
pub const ADDRESS: Key = Key {
    name: "address",
    kind: Kind::Address,
    default: Default::Required,
    example: "\"192.0.2.10/24\"",
    doc: "The address with its prefix length.",
};

/// `virtual_router.NAME.addresses.interface`
pub const ADDRESS_INTERFACE: Key = Key {
    name: "interface",
    kind: Kind::Interface,
    default: Default::Words("the interface of the adverts"),
    example: "\"eth1\"",
    doc: "The interface that carries the address.",
};

/// `virtual_router.NAME.addresses.advertise`
pub const ADVERTISE: Key = Key {
    name: "advertise",
    kind: Kind::Boolean,
    default: Default::Words("true for the family of the adverts, false for the other"),
    example: "false",
    doc: "Whether adverts list the address; `false` for those in keepalived's `virtual_ipaddress_excluded`.",
};

/// `virtual_router.NAME.advert_interval`
pub const ADVERT_INTERVAL: Key = Key {
    name: "advert_interval",
    kind: Kind::Duration { min: Duration::from_millis(10), max: Duration::from_millis(40_950) },
    default: Default::Value("\"1s\""),
    example: "\"1s\"",
    doc: "The time between two adverts while Active, a multiple of 10ms.",
};

/// `virtual_router.NAME.version`
pub const VERSION: Key = Key {
    name: "version",
    kind: Kind::Integer { min: 2, max: 3 },
    default: Default::Value("3"),
    example: "3",
    doc: "The version of VRRP, the same on all nodes; 2 only for old peers, over IPv4 and in whole seconds.",
};

/// `virtual_router.NAME.family`
pub const FAMILY: Key = Key {
    name: "family",
    kind: Kind::Choice(&["ipv4", "ipv6"]),
    default: Default::Words("ipv4 if an IPv4 address is listed, else ipv6"),
    example: "\"ipv4\"",
    doc: "Which family carries the adverts, the same on all nodes; addresses of the other one are held all the same.",
};

/// `virtual_router.NAME.source`
pub const SOURCE: Key = Key {
    name: "source",
    kind: Kind::Host,
    default: Default::Words("the interface's first IPv4 address, or its link-local IPv6 address"),
    example: "\"192.0.2.2\"",
    doc: "The address of this node that adverts come from.",
};

/// `virtual_router.NAME.unicast_peers`
pub const UNICAST_PEERS: Key = Key {
    name: "unicast_peers",
    kind: Kind::Hosts,
    default: Default::Words("none: adverts go to all by multicast"),
    example: "[\"192.0.2.3\"]",
    doc: "The other nodes' addresses, where there is no multicast: adverts go to them and are accepted from them alone.",
};

/// `virtual_router.NAME.checksum`
pub const CHECKSUM: Key = Key {
    name: "checksum",
    kind: Kind::Choice(&["pseudo-header", "message"]),
    default: Default::Value("\"pseudo-header\""),
    example: "\"pseudo-header\"",
    doc: "How version 3 over IPv4 makes its checksum: as keepalived and FRR do, or over the message alone.",
};

/// `virtual_router.NAME.preempt`
pub const PREEMPT: Key = Key {
    name: "preempt",
    kind: Kind::Boolean,
    default: Default::Value("true"),
    example: "true",
    doc: "Whether this node takes over from an Active one of lower priority.",
};

/// `virtual_router.NAME.preempt_delay`
pub const PREEMPT_DELAY: Key = Key {
    name: "preempt_delay",
    kind: Kind::Duration { min: Duration::ZERO, max: DAY },
    default: Default::Value("\"0s\""),
    example: "\"30s\"",
    doc: "How long an Active node of lower priority is listened to before it is taken over from.",
};

/// `virtual_router.NAME.lease`
pub const LEASE: Key = Key {
    name: "lease",
    kind: Kind::Boolean,
    default: Default::Value("true"),
    example: "true",
    doc: "Whether the kernel takes the addresses away when this agent is killed or hangs.",
};

/// `virtual_router.NAME.checks`
pub const CHECKS: Key = Key {
    name: "checks",
    kind: Kind::Checks,
    default: Default::Value("[]"),
    example: "[\"haproxy\"]",
    doc: "The checks whose verdict counts for this virtual router.",
};

/// `virtual_router.NAME.track_interfaces`
pub const TRACK_INTERFACES: Key = Key {
    name: "track_interfaces",
    kind: Kind::Interfaces,
    default: Default::Value("[]"),
    example: "[\"eth1\"]",
    doc: "Interfaces besides its own without whose link the node is not eligible.",
};

/// `virtual_router.NAME.when_unhealthy`
pub const WHEN_UNHEALTHY: Key = Key {
    name: "when_unhealthy",
    kind: Kind::Choice(&["hold", "release"]),
    default: Default::Value("\"hold\""),
    example: "\"hold\"",
    doc: "What an unhealthy node does while no other node takes over: hold the addresses, or release them.",
};

/// `check.NAME.script`
pub const SCRIPT: Key = Key {
    name: "script",
    kind: Kind::Command,
    default: Default::Required,
    example: "[\"/usr/local/bin/check-web\"]",
    doc: "The program, as an absolute path, and its arguments; exit code 0 means healthy.",
};

/// `check.NAME.interval`
pub const INTERVAL: Key = Key {
    name: "interval",
    kind: Kind::Duration { min: Duration::from_millis(100), max: DAY },
    default: Default::Value("\"1s\""),
    example: "\"1s\"",
    doc: "From one start of the check to the next.",
};

/// `check.NAME.timeout`
pub const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration { min: Duration::from_millis(10), max: DAY },
    default: Default::Words("the check's interval"),
    example: "\"1s\"",
    doc: "After this long a run has failed and is killed.",
};

/// `check.NAME.rise`
pub const RISE: Key = Key {
    name: "rise",
    kind: Kind::Integer { min: 1, max: 1000 },
    default: Default::Value("2"),
    example: "2",
    doc: "How many good results in a row turn a failed check healthy.",
};

/// `check.NAME.fall`
pub const FALL: Key = Key {
    name: "fall",
    kind: Kind::Integer { min: 1, max: 1000 },
    default: Default::Value("2"),
    example: "2",
    doc: "How many bad results in a row turn a healthy check failed.",
};

/// `check.NAME.weight`
pub const WEIGHT: Key = Key {
    name: "weight",
    kind: Kind::Integer { min: -253, max: 253 },
    default: Default::Words("none: a failed check makes the node unhealthy"),
    example: "-60",
    doc: "Added to the priority while the check is healthy if positive, taken off it while it fails if negative.",
};

const DAY: Duration = Duration::from_secs(86_400);

/// `[node]`
pub const NODE: Table = Table { name: "node", header: "[node]", keys: &[NODE_NAME], doc: "This host." };

/// `[virtual_router.NAME]`
pub const VIRTUAL_ROUTER: Table = Table {
    name: "virtual_router",
    header: "[virtual_router.NAME]",
    keys: &[
        INTERFACE,
        VRID,
        PRIORITY,
        ADDRESSES,
        ADVERT_INTERVAL,
        VERSION,
        FAMILY,
        SOURCE,
        UNICAST_PEERS,
        CHECKSUM,
        PREEMPT,
        PREEMPT_DELAY,
        LEASE,
        CHECKS,
        TRACK_INTERFACES,
        WHEN_UNHEALTHY,
    ],
    doc: "An election and the addresses it moves.",
};

/// `[check.NAME]`
pub const CHECK: Table = Table {
    name: "check",
    header: "[check.NAME]",
    keys: &[SCRIPT, INTERVAL, TIMEOUT, RISE, FALL, WEIGHT],
    doc: "A program that says whether this node is fit to hold addresses.",
};

/// An element of `addresses`
pub const ADDRESS_TABLE: Table = Table {
    name: "addresses",
    header: "addresses = [{ address = ADDRESS }]",
    keys: &[ADDRESS, ADDRESS_INTERFACE, ADVERTISE],
    doc: "An address of which more is to be said.",
};

/// The tables that stand in others.
pub const INNER_TABLES: [Table; 1] = [ADDRESS_TABLE];

/// All tables of the top level.
pub const TABLES: [Table; 3] = [NODE, VIRTUAL_ROUTER, CHECK];

impl Key {
    /// Least and greatest integer; all of them for a kind that is no integer.
    pub(super) fn integers(&self) -> (i64, i64) {
        match self.kind {
            Kind::Integer { min, max } => (min, max),
            Kind::Name
            | Kind::Interface
            | Kind::Boolean
            | Kind::Duration { .. }
            | Kind::Choice(_)
            | Kind::Addresses
            | Kind::Address
            | Kind::Host
            | Kind::Hosts
            | Kind::Checks
            | Kind::Interfaces
            | Kind::Command => (i64::MIN, i64::MAX),
        }
    }

    /// Shortest and longest duration; all of them for a kind that is no duration.
    pub(super) fn durations(&self) -> (Duration, Duration) {
        match self.kind {
            Kind::Duration { min, max } => (min, max),
            Kind::Name
            | Kind::Interface
            | Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Choice(_)
            | Kind::Addresses
            | Kind::Address
            | Kind::Host
            | Kind::Hosts
            | Kind::Checks
            | Kind::Interfaces
            | Kind::Command => (Duration::ZERO, Duration::MAX),
        }
    }

    /// The strings to choose from; none for a kind that is no choice.
    pub(super) fn choices(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Choice(choices) => choices,
            Kind::Name
            | Kind::Interface
            | Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Duration { .. }
            | Kind::Addresses
            | Kind::Address
            | Kind::Host
            | Kind::Hosts
            | Kind::Checks
            | Kind::Interfaces
            | Kind::Command => &[],
        }
    }

    /// What its value is called in messages.
    pub(super) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Name | Kind::Interface | Kind::Choice(_) | Kind::Address | Kind::Host => "a string",
            Kind::Integer { .. } => "an integer",
            Kind::Boolean => "true or false",
            Kind::Duration { .. } => "a string with a unit",
            Kind::Addresses | Kind::Hosts | Kind::Checks | Kind::Interfaces | Kind::Command => "an array of strings",
        }
    }
}

/// keepalived's words for what a table here has under another name, or does not need.
const KEEPALIVED: [(&str, &str); 20] = [
    ("virtual_router_id", "the key is called `vrid`"),
    ("advert_int", "the key is called `advert_interval`"),
    ("virtual_ipaddress", "the key is called `addresses`"),
    ("virtual_ipaddress_excluded", "write `{ address = \"192.0.2.11/24\", advertise = false }` in `addresses`"),
    ("unicast_peer", "the key is called `unicast_peers`"),
    ("unicast_src_ip", "the key is called `source`"),
    ("mcast_src_ip", "the key is called `source`"),
    ("native_ipv6", "leave it out: the addresses, or `family`, say what the adverts go over"),
    ("track_script", "the key is called `checks`"),
    ("track_interface", "the key is called `track_interfaces`"),
    ("dev", "the key is called `interface`"),
    ("nopreempt", "write `preempt = false`"),
    ("state", "leave it out: the node with the highest `priority` becomes Active"),
    ("vrrp_version", "the key is called `version` and belongs in `[virtual_router.NAME]`"),
    ("vrrp_instance", "the table is called `[virtual_router.NAME]`"),
    ("vrrp_script", "the table is called `[check.NAME]`"),
    ("global_defs", "the table is called `[node]`"),
    ("router_id", "the key is called `name` and belongs in `[node]`"),
    ("interval_ms", "the key is called `interval`, with the unit in its value: \"500ms\""),
    ("command", "the key is called `script`"),
];

/// What to do about an unknown key; `valid` are the names that can stand in its place.
pub(super) fn remedy_for_unknown(word: &str, valid: &[&'static str]) -> String {
    if let Some((_, remedy)) = KEEPALIVED.iter().find(|(theirs, _)| *theirs == word) {
        return (*remedy).to_owned();
    }
    if let Some(near) = nearest(word, valid.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let elsewhere = TABLES.iter().chain(&INNER_TABLES).find(|table| table.keys.iter().any(|key| key.name == word));
    match elsewhere {
        Some(table) => format!("`{word}` belongs in `{}`", table.header),
        None if valid.len() == 1 => format!("only {} can stand here", either(valid)),
        None => format!("what can stand here: {}", either(valid)),
    }
}

/// The candidate that `word` most likely is a misspelling of.
pub(super) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    // A name can be as long as the file, and the distance costs the product of both lengths.
    if word.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    candidates
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        // Of two that a word may be cut from, the one that lacks least.
        .min_by_key(|(distance, candidate)| (*distance, candidate.len().abs_diff(word.len())))
        .map(|(_, candidate)| candidate)
}

/// Edits between two words; a word cut short (`addr`, `int`) counts as one.
fn distance(word: &str, candidate: &str) -> usize {
    let edits = strsim::damerau_levenshtein(word, candidate);
    if word.len() >= 3 && candidate.starts_with(word) { edits.min(1) } else { edits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_find_their_key() {
        let names: Vec<&str> = VIRTUAL_ROUTER.keys.iter().map(|key| key.name).collect();
        for (word, near) in [
            ("prioritty", Some("priority")),
            ("Priority", Some("priority")),
            ("advert-interval", Some("advert_interval")),
            ("address", Some("addresses")),
            ("addr", Some("addresses")),
            ("adresses", Some("addresses")),
            ("check", Some("checks")),
            ("vird", Some("vrid")),
            ("track_interface", Some("track_interfaces")),
            ("when_unhealty", Some("when_unhealthy")),
            ("auth", None),
            ("family", Some("family")),
            ("source", Some("source")),
            ("unicast_peer", Some("unicast_peers")),
            ("xyz", None),
        ] {
            assert_eq!(nearest(word, names.iter().copied()), near, "{word}");
        }
    }

    #[test]
    fn keepalived_words_are_not_our_own() {
        for (word, _) in KEEPALIVED {
            let ours = |table: &Table| table.name == word || table.keys.iter().any(|key| key.name == word);
            assert!(!TABLES.iter().any(ours), "{word}");
        }
    }

    #[test]
    fn names_are_unique_and_documented() {
        for table in TABLES.iter().chain(&INNER_TABLES) {
            for (index, key) in table.keys.iter().enumerate() {
                assert!(!table.keys[..index].iter().any(|other| other.name == key.name), "{}", key.name);
                assert!(key.doc.ends_with('.') && !key.doc.contains('\n'), "{}", key.name);
            }
        }
    }
}
