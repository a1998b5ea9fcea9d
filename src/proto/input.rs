use std::time::Duration;

use crate::config::Config;
use crate::types::{
    AddressOutcome, Channel, CheckName, CheckResult, Discard, Instant, InterfaceFacts, InterfaceName, IpNet,
    LeaseOutcome, LeftAddress, Memory, RouterName, RouterRecord,
};

/// Everything the agent can be told. Failures of effects come back as inputs too.
#[derive(Debug)]
pub enum Input<'a> {
    /// Nothing but time has passed.
    Tick,
    /// What the wall clock shows now: nanoseconds since 1970 (UTC). To be told before a packet is.
    WallClock {
        /// The reading.
        unix_nanos: u64,
    },
    /// What the agent that this one takes over from knew a moment ago. Comes before the first tick, or not at all.
    Memory(Memory),
    /// What an earlier process on this host has left behind. Comes before everything else, or not at all.
    Past {
        /// What it kept of its virtual routers.
        records: Vec<RouterRecord>,
        /// Its addresses that are still here.
        left: Vec<LeftAddress>,
    },
    /// The machine was suspended for so long since the last input.
    Suspended(Duration),
    /// A packet of protocol 112 of either family, from its IP header on.
    Packet {
        /// Where it was heard.
        interface: InterfaceName,
        /// When the kernel had it; not after `now`.
        received: Instant,
        /// The packet, untrusted.
        bytes: &'a [u8],
    },
    /// An ARP packet or a Neighbor Advertisement, from its Ethernet header on.
    Frame {
        /// Where it was heard.
        interface: InterfaceName,
        /// The frame, untrusted.
        bytes: &'a [u8],
    },
    /// The newest facts of one interface; `None` when it does not exist (any more).
    Interface {
        /// Its name.
        name: InterfaceName,
        /// All that is known of it.
        facts: Option<InterfaceFacts>,
    },
    /// The LAN passes frames to an interface: what [`Effect::WatchFrames`](super::Effect::WatchFrames) asked for.
    FramesPass {
        /// Where.
        interface: InterfaceName,
    },
    /// The kernel had no room for packets of protocol 112, or none of them was worth a look.
    Missed {
        /// Where.
        interface: InterfaceName,
        /// `Unread` or `Overrun`.
        reason: Discard,
        /// How many.
        packets: u64,
    },
    /// More has come than was read by now: the next tick knows nothing of what was received after the last packet.
    Behind {
        /// Where.
        interface: InterfaceName,
    },
    /// A channel of an [`Effect::Listen`](super::Effect::Listen) could not be opened, or broke.
    ListenFailed {
        /// Where.
        interface: InterfaceName,
        /// Which.
        channel: Channel,
        /// The system's words.
        error: String,
    },
    /// Addresses are gone from an interface, and not by an effect of ours as far as the kernel says. To be told after
    /// the facts that no longer have them.
    AddressesGone {
        /// Where they were.
        interface: InterfaceName,
        /// Which, with the prefix lengths they had.
        addresses: Vec<IpNet>,
    },
    /// News of addresses may have been lost, so all were listed anew, and the facts that follow from it were told before.
    /// The listing was made after all effects whose outcomes have been told by now.
    Listed,
    /// What became of an [`Effect::RenewLeases`](super::Effect::RenewLeases).
    LeasesRenewed {
        /// Whose.
        router: RouterName,
        /// Where, as the effect said.
        interface: InterfaceName,
        /// When it was decided, as the effect said.
        asked: Instant,
        /// Whether they were of the other kind, as the effect said.
        other_kind: bool,
        /// How it ended.
        outcome: LeaseOutcome,
    },
    /// What became of the additions of an [`Effect::AddAddresses`](super::Effect::AddAddresses).
    AddressesAdded {
        /// Whose.
        router: RouterName,
        /// Each address with its outcome.
        outcomes: Vec<(IpNet, AddressOutcome)>,
    },
    /// An [`Effect::SendAdvert`](super::Effect::SendAdvert) failed.
    SendFailed {
        /// Whose advert.
        router: RouterName,
        /// The system's words.
        error: String,
    },
    /// One run of a check has ended.
    Check {
        /// Which.
        name: CheckName,
        /// How.
        result: CheckResult,
        /// The last line it printed.
        output: String,
    },
    /// A new configuration, valid, to be taken over.
    Reload(Box<Config>),
    /// Resign, linger and end.
    Stop,
    /// End without waiting for a successor.
    StopAtOnce,
    /// End as if killed: neither resign nor remove anything, so that the next process goes on.
    Leave,
}
