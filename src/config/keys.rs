//! Every table and key that a configuration file can have: the one place that names them.

use std::time::Duration;

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
    /// A table of its own.
    Table,
    /// A string of 1 to 8 bytes.
    Password,
    /// An array of tables, each with the id of a key and its file.
    Keys,
    /// The absolute path of a file.
    File,
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

/// `node.realtime`
pub const NODE_REALTIME: Key = Key {
    name: "realtime",
    kind: Kind::Boolean,
    default: Default::Value("false"),
    example: "true",
    doc: "Whether adverts come before every ordinary program (SCHED_FIFO) and the agent stays in memory.",
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

/// `virtual_router.NAME.start_delay`
pub const START_DELAY: Key = Key {
    name: "start_delay",
    kind: Kind::Duration { min: Duration::ZERO, max: DAY },
    default: Default::Value("\"0s\""),
    example: "\"30s\"",
    doc: "How long after the start of the agent this node only listens and does not take over.",
};

/// `virtual_router.NAME.link_debounce`
pub const LINK_DEBOUNCE: Key = Key {
    name: "link_debounce",
    kind: Kind::Duration { min: Duration::ZERO, max: Duration::from_secs(60) },
    default: Default::Value("\"0s\""),
    example: "\"500ms\"",
    doc: "A loss of carrier that is shorter than this is no fault.",
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

/// `virtual_router.NAME.auth`
pub const AUTH: Key = Key {
    name: "auth",
    kind: Kind::Table,
    default: Default::Words("none: adverts are not authenticated"),
    example: "{ mode = \"enforce\", active_key = 1, keys = [{ id = 1, file = \"/etc/locum/keys/web\" }] }",
    doc: "How adverts are authenticated, in a table of its own.",
};

/// `virtual_router.NAME.auth.mode`
pub const AUTH_MODE: Key = Key {
    name: "mode",
    kind: Kind::Choice(&["enforce", "permissive", "receive-only"]),
    default: Default::Required,
    example: "\"enforce\"",
    doc: "Whether adverts must be authenticated; the other two are steps on the way there.",
};

/// `virtual_router.NAME.auth.active_key`
pub const ACTIVE_KEY: Key = Key {
    name: "active_key",
    kind: Kind::Integer { min: 1, max: 255 },
    default: Default::Required,
    example: "1",
    doc: "The id of the key that this node's own adverts are sent under.",
};

/// `virtual_router.NAME.auth.pass`
pub const PASS: Key = Key {
    name: "pass",
    kind: Kind::Password,
    default: Default::Required,
    example: "\"s3cret\"",
    doc: "The password of version 2, at most 8 bytes; it travels in plain text and only keeps strays apart.",
};

/// `virtual_router.NAME.auth.keys`
pub const AUTH_KEYS: Key = Key {
    name: "keys",
    kind: Kind::Keys,
    default: Default::Required,
    example: "[{ id = 1, file = \"/etc/locum/keys/web\" }]",
    doc: "The keys that adverts may come under, the same on all nodes.",
};

/// `virtual_router.NAME.auth.keys.id`
pub const KEY_ID: Key = Key {
    name: "id",
    kind: Kind::Integer { min: 1, max: 255 },
    default: Default::Required,
    example: "1",
    doc: "The number that an advert names the key by.",
};

/// `virtual_router.NAME.auth.keys.file`
pub const KEY_FILE: Key = Key {
    name: "file",
    kind: Kind::File,
    default: Default::Required,
    example: "\"/etc/locum/keys/web\"",
    doc: "The file with the key, 32 to 64 bytes of ASCII or `hex:` and digits, that nobody else may read.",
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
pub const NODE: Table = Table { name: "node", header: "[node]", keys: &[NODE_NAME, NODE_REALTIME], doc: "This host." };

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
        START_DELAY,
        LINK_DEBOUNCE,
        CHECKS,
        TRACK_INTERFACES,
        WHEN_UNHEALTHY,
        AUTH,
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

/// `[virtual_router.NAME.auth]`
pub const VIRTUAL_ROUTER_AUTH: Table = Table {
    name: "auth",
    header: "[virtual_router.NAME.auth]",
    keys: &[AUTH_MODE, ACTIVE_KEY, AUTH_KEYS, PASS],
    doc: "How the adverts of a virtual router are authenticated.",
};

/// An element of `keys` in `[virtual_router.NAME.auth]`
pub const AUTH_KEY: Table =
    Table { name: "keys", header: "keys = [{ id = ID, file = FILE }]", keys: &[KEY_ID, KEY_FILE], doc: "A key." };

/// The tables that stand in others.
pub const INNER_TABLES: [Table; 3] = [ADDRESS_TABLE, VIRTUAL_ROUTER_AUTH, AUTH_KEY];

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
            | Kind::Command
            | Kind::Table
            | Kind::Keys
            | Kind::Password
            | Kind::File => (i64::MIN, i64::MAX),
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
            | Kind::Command
            | Kind::Table
            | Kind::Keys
            | Kind::Password
            | Kind::File => (Duration::ZERO, Duration::MAX),
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
            | Kind::Command
            | Kind::Table
            | Kind::Keys
            | Kind::Password
            | Kind::File => &[],
        }
    }

    /// What its value is called in messages.
    pub(super) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Name
            | Kind::Interface
            | Kind::Choice(_)
            | Kind::Address
            | Kind::Host
            | Kind::File
            | Kind::Password => "a string",
            Kind::Integer { .. } => "an integer",
            Kind::Boolean => "true or false",
            Kind::Duration { .. } => "a string with a unit",
            Kind::Addresses | Kind::Hosts | Kind::Checks | Kind::Interfaces | Kind::Command => "an array of strings",
            Kind::Table => "a table",
            Kind::Keys => "an array of tables",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
