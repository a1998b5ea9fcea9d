use super::{IpNet, MacAddr};

/// What the kernel says of one interface, whole: the newest one replaces all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceFacts {
    /// Kernel index; changes when an interface is deleted and made anew.
    pub index: u32,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Has a carrier and is operational (IFF_RUNNING).
    pub running: bool,
    /// Link-layer address, where it has one of six bytes.
    pub mac: Option<MacAddr>,
    /// Its addresses of both families that can be used by now, those of IPv4 in the kernel's order (primaries of a
    /// subnet before their secondaries).
    pub addresses: Vec<IpNet>,
    /// Whether the kernel promotes a secondary when its primary is removed (`promote_secondaries`).
    pub promote_secondaries: bool,
    /// Whether it forwards IPv6 packets, and so answers for its addresses as a router.
    pub forwards_ipv6: bool,
    /// Largest IP packet it sends, in bytes.
    pub mtu: u32,
}

/// What became of one wish to add an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressOutcome {
    /// The kernel has it now and it is ours.
    Added,
    /// It was there already: set by somebody else, not ours to touch.
    AlreadyThere,
    /// The kernel refused; its words.
    Failed(String),
}
