//! A LAN in memory: bridges, pairs of virtual Ethernet interfaces, and what stands on them.
//!
//! For namespaces of our own (`locum demo`, tests). The agent itself changes no link.

use std::io;
use std::os::fd::AsRawFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::namespace::NetNamespace;
use super::netlink::{Netlink, message};
use crate::types::{InterfaceName, IpNet, MacAddr};

/// Links and addresses of one network namespace, changed at will.
#[derive(Debug)]
pub struct Lan {
    netlink: Netlink,
}

/// One end of a pair of virtual Ethernet interfaces.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Its name.
    pub name: InterfaceName,
    /// Its link-layer address; `None`: the kernel draws one.
    pub mac: Option<MacAddr>,
}

impl Lan {
    /// That of `namespace`, from whichever thread it is used.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no socket is to be had.
    pub fn of(namespace: &NetNamespace) -> io::Result<Self> {
        namespace.run(Lan::of_this_thread)
    }

    /// That of the network namespace of the calling thread, wherever the thread goes afterwards.
    ///
    /// # Errors
    /// No socket is to be had.
    pub fn of_this_thread() -> io::Result<Self> {
        Ok(Lan { netlink: Netlink::open()? })
    }

    /// Kernel index of an interface.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn index(&mut self, name: &InterfaceName) -> io::Result<u32> {
        let found = self.netlink.snapshot()?.links.iter().find(|link| link.name == Some(*name)).map(|link| link.index);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no interface {name}")))
    }

    /// A bridge that forwards from the first moment and treats multicast as a plain switch does. It is down.
    ///
    /// # Errors
    /// The name is taken, or bridges are not to be had in this kernel.
    pub fn add_bridge(&mut self, name: &InterfaceName) -> io::Result<()> {
        let data = vec![
            InfoBridge::ForwardDelay(0),
            InfoBridge::StpState(BridgeStpState::Disabled),
            InfoBridge::MulticastSnooping(false),
        ];
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.to_string()));
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(data)),
        ]));
        self.add_link(link)
    }

    /// A cable: `here` in this namespace and `there` in another. Both ends are down.
    ///
    /// # Errors
    /// A name is taken, or such interfaces are not to be had in this kernel.
    pub fn add_cable(&mut self, here: End, there: End, namespace: &NetNamespace) -> io::Result<()> {
        let mut peer = end(there);
        peer.attributes.push(LinkAttribute::NetNsFd(std::os::fd::AsFd::as_fd(namespace).as_raw_fd()));
        let mut link = end(here);
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.add_link(link)
    }

    /// Removes an interface; of a cable both ends.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn remove(&mut self, name: &InterfaceName) -> io::Result<()> {
        let link = self.existing(name)?;
        self.ask(RouteNetlinkMessage::DelLink(link), 0)
    }

    /// Turns an interface on or off. With one end of a cable off, the other has no carrier.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn set_up(&mut self, name: &InterfaceName, up: bool) -> io::Result<()> {
        self.set_flag(name, LinkFlags::Up, up)
    }

    /// Lets an interface hear what is not for it: on a bridge, all that passes between its ports.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn set_promiscuous(&mut self, name: &InterfaceName, on: bool) -> io::Result<()> {
        self.set_flag(name, LinkFlags::Promisc, on)
    }

    /// Makes an interface a port of a bridge.
    ///
    /// # Errors
    /// One of them does not exist, or the bridge is none.
    pub fn plug_in(&mut self, port: &InterfaceName, bridge: &InterfaceName) -> io::Result<()> {
        let bridge = self.index(bridge)?;
        self.set_controller(port, bridge)
    }

    /// Takes a port out of its bridge. The interface at the other end of its cable keeps its carrier.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn unplug(&mut self, port: &InterfaceName) -> io::Result<()> {
        self.set_controller(port, 0)
    }

    /// Gives an interface an address, as an administrator would.
    ///
    /// # Errors
    /// There is no such interface, or it has the address already.
    pub fn add_address(&mut self, name: &InterfaceName, address: IpNet) -> io::Result<()> {
        let index = self.index(name)?;
        let mut request =
            message::add_address(index, &message::Ours { net: address, lifetime: None, borrows_route: false });
        // The mark, and not being chosen as a source, are for addresses of the agent.
        if let RouteNetlinkMessage::NewAddress(message) = &mut request.message {
            use netlink_packet_route::address::AddressAttribute;
            message.attributes.retain(|attribute| {
                !matches!(attribute, AddressAttribute::Protocol(_) | AddressAttribute::CacheInfo(_))
            });
        }
        self.perform(request)
    }

    /// Removes an address from an interface.
    ///
    /// # Errors
    /// It is not there.
    pub fn remove_address(&mut self, name: &InterfaceName, address: IpNet) -> io::Result<()> {
        let index = self.index(name)?;
        self.perform(message::delete_address(index, address))
    }

    fn add_link(&mut self, link: LinkMessage) -> io::Result<()> {
        self.ask(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
    }

    fn set_flag(&mut self, name: &InterfaceName, flag: LinkFlags, on: bool) -> io::Result<()> {
        let mut link = self.existing(name)?;
        link.header.change_mask = flag;
        link.header.flags = if on { flag } else { LinkFlags::empty() };
        self.ask(RouteNetlinkMessage::NewLink(link), 0)
    }

    fn set_controller(&mut self, name: &InterfaceName, index: u32) -> io::Result<()> {
        let mut link = self.existing(name)?;
        link.attributes.push(LinkAttribute::Controller(index));
        self.ask(RouteNetlinkMessage::NewLink(link), 0)
    }

    fn existing(&mut self, name: &InterfaceName) -> io::Result<LinkMessage> {
        let mut link = LinkMessage::default();
        link.header.index = self.index(name)?;
        Ok(link)
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.perform(message::Request { message, flags })
    }

    fn perform(&mut self, request: message::Request) -> io::Result<()> {
        match self.netlink.request(&[request])?.into_iter().next() {
            Some(Ok(())) => Ok(()),
            Some(Err(refusal)) => Err(io::Error::new(io::Error::from(refusal.errno).kind(), refusal.to_string())),
            None => Err(io::Error::other("the kernel gave no answer")),
        }
    }
}

fn end(end: End) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(end.name.to_string()));
    link.attributes.extend(end.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    link
}
