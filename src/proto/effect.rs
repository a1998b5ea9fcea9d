use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::report::Event;
use crate::types::{
    AwaitedAdverts, Channel, Family, Instant, InterfaceName, IpNet, Lifetime, MacAddr, RouterName, RouterRecord, Vrid,
};

/// Everything the agent can want done. Effects are performed in the order in which they were asked for;
/// each carries all it needs and does no harm when done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Have exactly these channels open on an interface; all are opened anew when its index has changed. One that
    /// cannot be opened comes back as [`Input::ListenFailed`](super::Input::ListenFailed), the others stay.
    Listen {
        /// The interface.
        interface: InterfaceName,
        /// Its kernel index.
        index: u32,
        /// What is needed there; never empty.
        channels: BTreeSet<Channel>,
        /// The addresses that may be held there: whoever claims one of them is to be heard.
        addresses: BTreeSet<IpAddr>,
        /// The adverts that may count there: what is none of them is read last and, in a flood, not at all.
        awaited: Vec<AwaitedAdverts>,
    },
    /// Close all channels of an interface.
    Unlisten {
        /// The interface.
        interface: InterfaceName,
    },
    /// Watch for any frame that the LAN passes to an interface, until one is told of as
    /// [`Input::FramesPass`](super::Input::FramesPass). What switches say to their neighbours while they pass
    /// nothing (BPDU, LLDP, LACP), and what this host has sent, does not count.
    WatchFrames {
        /// The interface.
        interface: InterfaceName,
        /// Its kernel index.
        index: u32,
        /// Its link-layer address.
        mac: Option<MacAddr>,
    },
    /// Stop watching for frames.
    UnwatchFrames {
        /// The interface.
        interface: InterfaceName,
    },
    /// Send one advert, at once and before anything that follows.
    SendAdvert {
        /// Whose it is, for a failure to come back to.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Destination, the same as in the packet: the group of its family, or one peer.
        destination: IpAddr,
        /// The packet from its IP header on.
        packet: Vec<u8>,
    },
    /// Add addresses, each announced by its frame as soon as it is there. The outcomes come back as
    /// [`Input::AddressesAdded`](super::Input::AddressesAdded).
    AddAddresses {
        /// Whose they are.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Kernel index of the interface.
        index: u32,
        /// The addresses, in the order in which they are wanted.
        additions: Vec<Addition>,
        /// How long the kernel keeps them unless they are renewed; `None`: for good.
        lifetime: Option<Lifetime>,
        /// From then on somebody else may have taken over: what is not there yet is not added, or removed again.
        until: Instant,
        /// They were ours and are missed: one that is there with our mark is `StillThere`, and announced as well.
        again: bool,
    },
    /// Remove addresses of ours; that one is absent already is no failure. One whose addition found it there
    /// (`AlreadyThere`) or was refused is not ours and stays: its removal may have been asked for before that was known.
    /// What the kernel removes along with them (secondaries of the same subnet) and is in `restore` is put back in
    /// the same batch.
    RemoveAddresses {
        /// Whose they were.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Kernel index of the interface.
        index: u32,
        /// The addresses to remove.
        removals: Vec<IpNet>,
        /// Addresses of the same subnets that stay.
        restore: Vec<IpNet>,
    },
    /// Renew leases; all that are asked for in one wake-up together, and none before the adverts. The outcome comes back as
    /// [`Input::LeasesRenewed`](super::Input::LeasesRenewed), unless they go with an advert that did not leave.
    ///
    /// The clock is read before and after: from `until` on nothing is renewed, and a renewal that was still under way
    /// then is undone by removing the addresses.
    RenewLeases {
        /// Whose.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Kernel index of the interface.
        index: u32,
        /// Which.
        leases: Vec<Lease>,
        /// How long the kernel keeps them from now on; `None`: for good.
        lifetime: Option<Lifetime>,
        /// When it was decided; the outcome names it.
        asked: Instant,
        /// When the kernel may have taken the first of them away, if it ever does.
        until: Option<Instant>,
        /// They are there without an end and are to get one, or the other way round.
        other_kind: bool,
        /// Only if the advert of this router that was sent just before has left.
        with_advert: bool,
    },
    /// Send announcements, one after the other, after all additions that were asked for before. What has not left at
    /// `until` stays unsent: somebody else may have taken over by then.
    Announce {
        /// Whose.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Whole Ethernet frames.
        frames: Vec<Vec<u8>>,
        /// When it is too late for them.
        until: Instant,
    },
    /// Keep this in place of what was kept of the same interface, family and VRID, so that it outlives this process. It must
    /// not hold up anything that follows.
    Record(Box<RouterRecord>),
    /// Keep nothing more of this virtual router.
    Forget {
        /// The interface of its adverts.
        interface: InterfaceName,
        /// Their family.
        family: Family,
        /// Its VRID there.
        vrid: Vrid,
    },
    /// Ask the LAN whether another host has an IPv6 address of ours too.
    Probe {
        /// Whose.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Whole Ethernet frames.
        frames: Vec<Vec<u8>>,
    },
    /// Write a line to the log.
    Tell(Event),
    /// Everything has been let go; the process may end once the effects before this one are done.
    Stopped,
}

/// One address to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The address as configured; outcomes name it so.
    pub address: IpNet,
    /// The prefix length it is added with; differs from the configured one only to keep the kernel from tying
    /// its life to that of another address of the subnet.
    pub prefix: u8,
    /// The Ethernet frame that announces it.
    pub announcement: Vec<u8>,
}

/// One address to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The address with the prefix length it is there with.
    pub net: IpNet,
    /// Leaves the route to its subnet alone, since the host's own address keeps it (IPv6).
    pub borrows_route: bool,
}
