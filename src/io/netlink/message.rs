//! Messages: what is written to the kernel, and what is made of its untrusted answers. No socket.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NlasIterator, Parseable,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::types::{InterfaceName, Lifetime, MacAddr};

/// Our mark on the addresses we add (IFA_PROTO): the IP protocol number of VRRP. keepalived's is 18.
pub const MARK: u8 = 112;

const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const TYPE_ERROR: u16 = 2;
const TYPE_DONE: u16 = 3;
const TYPE_OVERRUN: u16 = 4;
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
const FLAG_ACK_CAPPED: u16 = 0x100;
const FLAG_ACK_TLVS: u16 = 0x200;
const EXT_ACK_MESSAGE: u16 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const RTM_NEWNETCONF: u16 = 80;
const NETCONF_HEADER: usize = 4;
const NETCONFA_IFINDEX: u16 = 1;

/// One request to the kernel.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked for.
    pub message: RouteNetlinkMessage,
    /// NLM_F_* beside those that the socket sets by itself (NLM_F_REQUEST, NLM_F_ACK).
    pub flags: u16,
}

/// An address of ours as the kernel is to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ours {
    /// The address with the prefix length it is to have.
    pub net: IpNet,
    /// When the kernel takes it away; `None`: never.
    pub lifetime: Option<Lifetime>,
    /// Leaves the route to its subnet alone, since another address keeps it.
    pub borrows_route: bool,
}

/// Adds an address of ours; refused with EEXIST where it is there already, whoever set it.
pub fn add_address(index: u32, ours: &Ours) -> Request {
    Request { message: RouteNetlinkMessage::NewAddress(our_address(index, ours)), flags: NLM_F_CREATE | NLM_F_EXCL }
}

/// Has the kernel count the lifetime of an address of ours anew. It says all that is to stand, for what is left out is
/// cleared. The kernel adds the address where it is gone, whatever the flags say.
pub fn renew_address(index: u32, ours: &Ours) -> Request {
    Request { message: RouteNetlinkMessage::NewAddress(our_address(index, ours)), flags: NLM_F_REPLACE }
}

/// Marked, and in IPv6 without the kernel's search for duplicates, which would keep it from being used for a second,
/// and never chosen as a source.
fn our_address(index: u32, ours: &Ours) -> AddressMessage {
    let address = ours.net.addr();
    let mut message = bare_address(index, address, ours.net.prefix_len());
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(MARK)));
    let valid = ours.lifetime.map_or(u32::MAX, Lifetime::seconds);
    let preferred = if address.is_ipv6() { 0 } else { valid };
    if address.is_ipv6() || ours.lifetime.is_some() {
        let mut times = CacheInfo::default();
        (times.ifa_preferred, times.ifa_valid) = (preferred, valid);
        message.attributes.push(AddressAttribute::CacheInfo(times));
    }
    if address.is_ipv6() {
        let route = if ours.borrows_route { AddressFlags::Noprefixroute } else { AddressFlags::empty() };
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad | route));
    }
    message
}

/// Removes an address.
pub fn delete_address(index: u32, address: IpNet) -> Request {
    let message = bare_address(index, address.addr(), address.prefix_len());
    Request { message: RouteNetlinkMessage::DelAddress(message), flags: 0 }
}

/// Puts an address back as it was: label, scope, flags, broadcast, protocol, metric and the rest of its lifetimes.
pub fn restore_address(was: &AddressMessage) -> Request {
    let mut message = was.clone();
    // These two say how it stood among the others; where it stands now is the kernel's to find.
    message.header.flags.remove(AddressHeaderFlags::Secondary | AddressHeaderFlags::Permanent);
    for attribute in &mut message.attributes {
        if let AddressAttribute::Flags(flags) = attribute {
            flags.remove(AddressFlags::Secondary | AddressFlags::Permanent);
        }
    }
    Request { message: RouteNetlinkMessage::NewAddress(message), flags: NLM_F_CREATE | NLM_F_EXCL }
}

/// Asks for all links.
pub fn dump_links() -> Request {
    Request { message: RouteNetlinkMessage::GetLink(LinkMessage::default()), flags: NLM_F_DUMP }
}

/// Asks for the addresses of one family, all or those of one interface.
pub fn dump_addresses(family: AddressFamily, index: Option<u32>) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = family;
    message.header.index = index.unwrap_or(0);
    Request { message: RouteNetlinkMessage::GetAddress(message), flags: NLM_F_DUMP }
}

fn bare_address(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    message
}

/// Appends a request to a batch. Only errors are answered unless `acknowledge`.
pub fn encode(request: &Request, sequence: u32, acknowledge: bool, batch: &mut Vec<u8>) {
    let mut header = NetlinkHeader::default();
    header.flags = request.flags | NLM_F_REQUEST | if acknowledge { NLM_F_ACK } else { 0 };
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request.message.clone()));
    message.finalize();
    let start = batch.len();
    batch.resize(start + message.buffer_len().next_multiple_of(4), 0);
    if let Some(space) = batch.get_mut(start..) {
        message.serialize(space);
    }
}

/// One message of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// An acknowledgement (`errno` 0) or a refusal, of the request with this sequence number.
    Status {
        /// The request's.
        sequence: u32,
        /// 0 or what the kernel refused with.
        errno: i32,
        /// The kernel's own words, often none.
        words: String,
    },
    /// The end of a dump.
    Done {
        /// The request's.
        sequence: u32,
    },
    /// Messages were lost.
    Overrun,
    /// Anything else.
    Message {
        /// RTM_*.
        kind: u16,
        /// The request's that it answers, or that brought it about; 0 for what the kernel did by itself.
        sequence: u32,
        /// The socket whose request brought it about; 0 for the kernel's own doing, and for all of IPv6's.
        port: u32,
        /// Something changed while the kernel listed: the listing may have holes.
        interrupted: bool,
        /// What follows the header, untrusted.
        payload: &'a [u8],
    },
}

/// Takes the messages of one datagram apart. What is cut short ends it.
#[derive(Debug)]
pub struct Answers<'a>(pub &'a [u8]);

impl<'a> Iterator for Answers<'a> {
    type Item = Answer<'a>;

    fn next(&mut self) -> Option<Answer<'a>> {
        let length = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let kind = u16_at(self.0, 4)?;
        let flags = u16_at(self.0, 6)?;
        let sequence = u32_at(self.0, 8)?;
        let port = u32_at(self.0, 12)?;
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(match kind {
            TYPE_ERROR => {
                let errno = i32::from_ne_bytes(u32_at(payload, 0)?.to_ne_bytes()).saturating_neg();
                Answer::Status { sequence, errno, words: extended_ack(flags, payload).unwrap_or_default() }
            }
            TYPE_DONE => match u32_at(payload, 0).map(|code| i32::from_ne_bytes(code.to_ne_bytes())) {
                Some(code) if code < 0 => {
                    Answer::Status { sequence, errno: code.saturating_neg(), words: String::new() }
                }
                Some(_) | None => Answer::Done { sequence },
            },
            TYPE_OVERRUN => Answer::Overrun,
            kind => Answer::Message { kind, sequence, port, interrupted: flags & FLAG_DUMP_INTERRUPTED != 0, payload },
        })
    }
}

/// The kernel's own words for a refusal, where it sends some.
fn extended_ack(flags: u16, payload: &[u8]) -> Option<String> {
    if flags & FLAG_ACK_TLVS == 0 {
        return None;
    }
    // Error code, then the request's header, then the whole request unless it was left out.
    let echoed = if flags & FLAG_ACK_CAPPED != 0 { HEADER } else { usize::try_from(u32_at(payload, 4)?).ok()? };
    let attributes = payload.get(4 + echoed.next_multiple_of(4)..)?;
    attributes_of(attributes).find(|(kind, _)| *kind == EXT_ACK_MESSAGE).map(|(_, value)| text(value))
}

/// A link as far as we care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Its name; `None` for one that we could never be asked for.
    pub name: Option<InterfaceName>,
    /// IFF_UP.
    pub up: bool,
    /// IFF_RUNNING.
    pub running: bool,
    /// Link-layer address of six bytes on an Ethernet-like link.
    pub mac: Option<MacAddr>,
    /// Largest IP packet in bytes.
    pub mtu: u32,
}

/// What a message says of links or addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A link is there, or is different.
    Link(Link),
    /// A link is gone.
    LinkGone(u32),
    /// An address is there, or is different.
    Address(AddressMessage),
    /// An address is gone.
    AddressGone(AddressMessage),
    /// A link is set otherwise: forwarding and the like, which its own messages do not tell.
    Switched(u32),
}

/// Reads a link or address message; `None` for any other, and for one that makes no sense.
pub fn change(kind: u16, payload: &[u8]) -> Option<Change> {
    match kind {
        libc::RTM_NEWLINK => link(payload).map(Change::Link),
        libc::RTM_DELLINK => link(payload).map(|link| Change::LinkGone(link.index)),
        libc::RTM_NEWADDR => AddressMessage::parse(payload).ok().map(Change::Address),
        libc::RTM_DELADDR => AddressMessage::parse(payload).ok().map(Change::AddressGone),
        RTM_NEWNETCONF => switched(payload).map(Change::Switched),
        _ => None,
    }
}

/// The index of the link that a netconf message is about; none where it is about those to come.
fn switched(payload: &[u8]) -> Option<u32> {
    attributes_of(payload.get(NETCONF_HEADER..)?)
        .find(|(kind, _)| *kind == NETCONFA_IFINDEX)
        .and_then(|(_, value)| u32_at(value, 0))
        .filter(|index| i32::try_from(*index).is_ok())
}

/// The link message is taken apart here and not by the codec: that one reads dozens of attributes we have no use
/// for, and gives up on all of them if one is new to it.
fn link(payload: &[u8]) -> Option<Link> {
    // A bridge tells of its ports in messages of its own family; they say nothing of the link itself.
    if *payload.first()? != 0 {
        return None;
    }
    let ethernet = u16_at(payload, 2)? == libc::ARPHRD_ETHER;
    let flags = u32_at(payload, 8)?;
    let set = |flag: libc::c_int| flags & flag.unsigned_abs() != 0;
    let mut link = Link {
        index: u32_at(payload, 4)?,
        name: None,
        up: set(libc::IFF_UP),
        running: set(libc::IFF_RUNNING),
        mac: None,
        mtu: 0,
    };
    for (kind, value) in attributes_of(payload.get(LINK_HEADER..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value).parse().ok(),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_ADDRESS if ethernet => link.mac = value.try_into().ok().map(MacAddr),
            _ => {}
        }
    }
    Some(link)
}

/// The address with its prefix length: the local one, which on a point-to-point link is not the peer's.
pub fn address_of(message: &AddressMessage) -> Option<IpNet> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => return IpNet::new(*local, message.header.prefix_len).ok(),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    IpNet::new(found?, message.header.prefix_len).ok()
}

/// Whether it bears our mark.
pub fn is_marked(message: &AddressMessage) -> bool {
    message.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::Other(MARK)))
}

/// What is left of its lifetime in seconds (`u32::MAX`: it does not end), and when that was last set, in hundredths of a
/// second since boot without suspend.
pub fn times_of(message: &AddressMessage) -> Option<(u32, u32)> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(times) => Some((times.ifa_valid, times.tstamp)),
        _ => None,
    })
}

/// Whether the kernel ties the address to a primary of its subnet.
pub fn is_secondary(message: &AddressMessage) -> bool {
    message.header.flags.contains(AddressHeaderFlags::Secondary)
}

/// Whose mark an address bears (IFA_PROTO); `None` where it bears none, or the kernel knows no marks.
pub fn mark_of(message: &AddressMessage) -> Option<u8> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Protocol(protocol) => Some(u8::from(*protocol)),
        _ => None,
    })
}

/// Whether the address can be sent from and will stay: an IPv6 address is not while the kernel still looks for a
/// duplicate of it or has found one, nor if the kernel made it up for a while (RFC 8981).
pub fn is_usable(message: &AddressMessage) -> bool {
    let passing = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed | AddressHeaderFlags::Secondary;
    message.header.family != AddressFamily::Inet6 || !message.header.flags.intersects(passing)
}

fn attributes_of(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(move |attribute| {
        let (kind, length) = (attribute.kind(), attribute.value_length());
        let bytes: &[u8] = attribute.into_inner();
        (kind, bytes.get(4..4 + length).unwrap_or_default())
    })
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::literals::{self, bytes};
    use super::*;

    /// The one change that a literal message tells.
    fn change_of(hex: &str) -> Option<Change> {
        let datagram = bytes(hex);
        match Answers(&datagram).next() {
            Some(Answer::Message { kind, payload, .. }) => change(kind, payload),
            _ => None,
        }
    }

    #[test]
    fn links_are_read() {
        let link = Link {
            index: 3,
            name: "iocap0".parse().ok(),
            up: true,
            running: true,
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            mtu: 1500,
        };
        assert_eq!(change_of(literals::LINK_UP), Some(Change::Link(link.clone())));
        let no_carrier = Link { running: false, ..link.clone() };
        assert_eq!(change_of(literals::LINK_NO_CARRIER), Some(Change::Link(no_carrier)));
        let down = Link { up: false, running: false, ..link };
        assert_eq!(change_of(literals::LINK_ADDED), Some(Change::Link(down)));
        assert_eq!(change_of(literals::LINK_GONE), Some(Change::LinkGone(3)));
    }

    #[test]
    fn a_bridge_speaking_of_its_port_says_nothing_of_the_link() {
        let mut datagram = bytes(literals::LINK_GONE);
        datagram[16] = libc::AF_BRIDGE as u8;
        assert_eq!(change(libc::RTM_DELLINK, &datagram[16..]), None);
    }

    #[test]
    fn addresses_are_read() {
        let address = |hex| match change_of(hex) {
            Some(Change::Address(message) | Change::AddressGone(message)) => {
                (address_of(&message).map(|net| net.to_string()), is_secondary(&message))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(address(literals::PRIMARY), (Some("192.0.2.2/24".to_owned()), false));
        assert_eq!(address(literals::SECONDARY), (Some("192.0.2.10/24".to_owned()), true));
        assert_eq!(address(literals::SECONDARY_GONE), (Some("192.0.2.10/24".to_owned()), true));
        // Of a pair the local end, not the peer.
        assert_eq!(address(literals::PEER), (Some("198.51.100.1/32".to_owned()), false));
    }

    #[test]
    fn refusals_carry_the_kernels_words() {
        let datagram = bytes(literals::REFUSED);
        let answers: Vec<_> = Answers(&datagram).collect();
        let words = "ipv4: Address already assigned".to_owned();
        assert_eq!(answers, [Answer::Status { sequence: 8, errno: libc::EEXIST, words }]);
        let datagram = bytes(literals::ACKNOWLEDGED);
        let answers: Vec<_> = Answers(&datagram).collect();
        assert_eq!(answers, [Answer::Status { sequence: 7, errno: 0, words: String::new() }]);
    }

    #[test]
    fn what_is_cut_short_is_never_read_beyond_its_end() {
        for hex in [literals::LINK_UP, literals::SECONDARY, literals::REFUSED] {
            let whole = bytes(hex);
            for length in 0..whole.len() {
                let cut = &whole[..length];
                assert_eq!(Answers(cut).count(), 0, "the length in the header is {}, not {length}", whole.len());
                // The same with a header that fits what is left.
                let mut shortened = cut.to_vec();
                if let Some(field) = shortened.get_mut(..4) {
                    field.copy_from_slice(&(length as u32).to_ne_bytes());
                }
                for answer in Answers(&shortened) {
                    if let Answer::Message { kind, payload, .. } = answer {
                        assert!(payload.len() <= length);
                        if let Some(Change::Address(message)) = change(kind, payload) {
                            // What is left of it names the right address or none.
                            let right = "192.0.2.10/24".parse().expect("an address");
                            assert!(address_of(&message).is_none_or(|address| address == right));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_address_is_put_back_as_it_was() {
        let Some(Change::Address(was)) = change_of(literals::SECONDARY) else { panic!("an address") };
        let mut batch = Vec::new();
        encode(&restore_address(&was), 7, true, &mut batch);
        let mut expected = bytes(literals::SECONDARY);
        // NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE, the sequence number, no port; not a secondary.
        expected[6..8].copy_from_slice(&[0x05, 0x06]);
        expected[8..16].copy_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]);
        expected[18] = 0;
        let flags = expected.windows(8).position(|window| window == [8, 0, 8, 0, 1, 0, 0, 0]).expect("IFA_FLAGS");
        expected[flags + 4] = 0;
        assert_eq!(batch, expected);
    }

    fn encoded(request: &Request) -> Vec<u8> {
        let mut batch = Vec::new();
        encode(request, 1, false, &mut batch);
        batch
    }

    fn ours(net: &str, seconds: Option<u64>) -> Ours {
        let lifetime = seconds.map(|seconds| Lifetime::covering(std::time::Duration::from_secs(seconds)));
        Ours { net: net.parse().expect("an address"), lifetime, borrows_route: false }
    }

    #[test]
    fn an_address_of_ours_carries_the_mark_and_no_broadcast() {
        let expected = bytes(concat!(
            "30000000140001060100000000000000",
            "0218000003000000",
            "08000200c000020a",
            "08000100c000020a",
            "05000b0070000000",
        ));
        assert_eq!(encoded(&add_address(3, &ours("192.0.2.10/24", None))), expected);
    }

    #[test]
    fn a_lease_says_how_long_and_is_renewed_with_all_that_it_was_added_with() {
        let added = concat!(
            "44000000140001060100000000000000",
            "0218000003000000",
            "08000200c000020a",
            "08000100c000020a",
            "05000b0070000000",
            // IFA_CACHEINFO: preferred and valid for 4 s.
            "1400060004000000040000000000000000000000",
        );
        assert_eq!(encoded(&add_address(3, &ours("192.0.2.10/24", Some(4)))), bytes(added));
        // NLM_F_REQUEST | NLM_F_REPLACE.
        let renewed = added.replacen("14000106", "14000101", 1);
        assert_eq!(encoded(&renew_address(3, &ours("192.0.2.10/24", Some(4)))), bytes(&renewed));
    }

    #[test]
    fn an_ipv6_address_is_never_a_source_and_never_tentative() {
        let expected = |valid: &str, flags: &str| {
            let head = concat!(
                "64000000140001060100000000000000",
                "0a40000003000000",
                "1400020020010db8000000000000000000000010",
                "1400010020010db8000000000000000000000010",
                "05000b0070000000",
            );
            bytes(&format!("{head}1400060000000000{valid}000000000000000008000800{flags}"))
        };
        let mut leased = ours("2001:db8::10/64", Some(4));
        assert_eq!(encoded(&add_address(3, &leased)), expected("04000000", "02000000"));
        leased.borrows_route = true;
        assert_eq!(encoded(&add_address(3, &leased)), expected("04000000", "02020000"));
        let permanent = ours("2001:db8::10/64", None);
        assert_eq!(encoded(&add_address(3, &permanent)), expected("ffffffff", "02000000"));
    }

    #[test]
    fn lifetimes_are_read() {
        let times = |hex| match change_of(hex) {
            Some(Change::Address(message)) => (is_marked(&message), times_of(&message)),
            other => panic!("{other:?}"),
        };
        // 0x465a4 and 0x4659e hundredths of a second.
        assert_eq!(times(literals::SECONDARY), (false, Some((100, 288_164))));
        assert_eq!(times(literals::PRIMARY), (false, Some((u32::MAX, 288_158))));
        let marked = bytes(literals::SECONDARY.replacen("50000000", "58000000", 1).as_str());
        let marked = [marked, bytes("05000b0070000000")].concat();
        let Some(Change::Address(message)) = change(libc::RTM_NEWADDR, &marked[16..]) else { panic!("an address") };
        assert!(is_marked(&message));
    }
}
