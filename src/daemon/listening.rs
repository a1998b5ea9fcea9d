use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::handover::Sockets as Inherited;
use crate::io::neighbours::NeighbourSocket;
use crate::io::netlink::Announcers;
use crate::io::poller::Poller;
use crate::io::vrrp::VrrpSocket;
use crate::types::{AwaitedAdverts, Channel, Family, Instant, InterfaceName};

/// The socket of one channel.
#[derive(Debug)]
pub(super) enum Socket {
    Adverts(VrrpSocket),
    /// Shared with the worker, which sends by it.
    Announcements(Arc<NeighbourSocket>),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Adverts(socket) => socket.as_fd(),
            Socket::Announcements(socket) => socket.as_fd(),
        }
    }
}

/// An open channel.
#[derive(Debug)]
struct Open {
    /// Index of the interface that it was opened for.
    index: u32,
    token: u64,
    socket: Socket,
}

/// The sockets of all channels that are listened to.
#[derive(Debug, Default)]
pub(super) struct Listening {
    channels: BTreeMap<(InterfaceName, Channel), Open>,
    /// A token is never used twice, so one that is stale names nothing.
    tokens: BTreeMap<u64, (InterfaceName, Channel)>,
    next_token: u64,
    /// Open since before this program began, and not asked for yet.
    inherited: Option<Inherited>,
}

impl Listening {
    /// None yet; those that are asked for are looked for among `inherited` first.
    pub(super) fn new(inherited: Option<Inherited>) -> Self {
        Listening { inherited, ..Listening::default() }
    }

    /// Whoever has not been asked for by now is not needed.
    pub(super) fn close_inherited(&mut self) {
        self.inherited = None;
    }

    /// Copies of all sockets.
    pub(super) fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        self.channels.values().map(|open| open.socket.as_fd().try_clone_to_owned()).collect()
    }

    /// Has exactly these channels of an interface open. Those that are open for this index already stay as they are;
    /// those that cannot be opened are named, and do not keep the others from it.
    pub(super) fn open(
        &mut self,
        poller: &Poller,
        interface: InterfaceName,
        index: u32,
        channels: &BTreeSet<Channel>,
    ) -> Vec<(Channel, io::Error)> {
        let unwanted = |channel: &Channel, open: &Open| open.index != index || !channels.contains(channel);
        let closing: Vec<Channel> =
            self.of(interface).filter(|(channel, open)| unwanted(channel, open)).map(|(channel, _)| channel).collect();
        closing.into_iter().for_each(|channel| self.close(interface, channel));
        let missing: Vec<Channel> =
            channels.iter().copied().filter(|channel| !self.channels.contains_key(&(interface, *channel))).collect();
        let open = |channel| self.open_one(poller, interface, index, channel).err().map(|error| (channel, error));
        missing.into_iter().filter_map(open).collect()
    }

    fn open_one(&mut self, poller: &Poller, interface: InterfaceName, index: u32, channel: Channel) -> io::Result<()> {
        let socket = self.socket_for(interface, index, channel)?;
        let token = self.next_token;
        poller.add(&socket.as_fd(), token)?;
        self.next_token += 1;
        self.tokens.insert(token, (interface, channel));
        self.channels.insert((interface, channel), Open { index, token, socket });
        Ok(())
    }

    /// Has claims to these addresses heard on an interface, and what may be one of these adverts apart from what cannot.
    /// Channels on which that cannot be are closed and named.
    pub(super) fn heed(
        &mut self,
        interface: InterfaceName,
        addresses: &BTreeSet<IpAddr>,
        awaited: &[AwaitedAdverts],
    ) -> Vec<(Channel, io::Error)> {
        let of_ipv4 = |address: &IpAddr| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        };
        let heeded: Vec<_> = addresses.iter().filter_map(of_ipv4).collect();
        let mut failed = Vec::new();
        for ((_, channel), open) in self.channels.iter_mut().filter(|((on, _), _)| *on == interface) {
            let outcome = match (&mut open.socket, channel) {
                (Socket::Adverts(socket), _) => socket.sift(&interface, awaited),
                (Socket::Announcements(socket), Channel::Announcements(Family::Ipv4)) => socket.heed(&heeded),
                (Socket::Announcements(_), Channel::Announcements(Family::Ipv6) | Channel::Adverts(_)) => Ok(()),
            };
            failed.extend(outcome.err().map(|error| (*channel, error)));
        }
        failed.iter().for_each(|(channel, _)| self.close(interface, *channel));
        failed
    }

    /// Where adverts are listened to.
    pub(super) fn advert_channels(&self) -> Vec<(InterfaceName, Family)> {
        let adverts = |(interface, channel): &(InterfaceName, Channel)| match channel {
            Channel::Adverts(family) => Some((*interface, *family)),
            Channel::Announcements(_) => None,
        };
        self.channels.keys().filter_map(adverts).collect()
    }

    /// Whether adverts are listened to anywhere.
    pub(super) fn hears_adverts(&self) -> bool {
        self.channels.keys().any(|(_, channel)| matches!(channel, Channel::Adverts(_)))
    }

    /// What adverts of a family are heard by.
    pub(super) fn adverts_mut(&mut self, interface: InterfaceName, family: Family) -> Option<&mut VrrpSocket> {
        match &mut self.channels.get_mut(&(interface, Channel::Adverts(family)))?.socket {
            Socket::Adverts(socket) => Some(socket),
            Socket::Announcements(_) => None,
        }
    }

    fn socket_for(&mut self, interface: InterfaceName, index: u32, channel: Channel) -> io::Result<Socket> {
        let since = self.inherited.as_ref().map_or_else(Instant::default, |inherited| inherited.since);
        match channel {
            Channel::Adverts(family) => {
                let socket = match self.take_over(|fd| VrrpSocket::take_over(fd, &interface, index, family, since)) {
                    Some(socket) => socket,
                    None => VrrpSocket::open(&interface, index, family)?,
                };
                Ok(Socket::Adverts(socket))
            }
            Channel::Announcements(family) => {
                let socket = match self.take_over(|fd| NeighbourSocket::take_over(fd, index, family)) {
                    Some(socket) => socket,
                    None => NeighbourSocket::open(index, family)?,
                };
                Ok(Socket::Announcements(Arc::new(socket)))
            }
        }
    }

    /// The first inherited socket that fits.
    fn take_over<T>(&mut self, fits: impl Fn(OwnedFd) -> Result<T, OwnedFd>) -> Option<T> {
        let inherited = self.inherited.as_mut()?;
        let mut found = None;
        for fd in std::mem::take(&mut inherited.open) {
            match if found.is_none() { fits(fd) } else { Err(fd) } {
                Ok(socket) => found = Some(socket),
                Err(fd) => inherited.open.push(fd),
            }
        }
        found
    }

    fn of(&self, interface: InterfaceName) -> impl Iterator<Item = (Channel, &Open)> {
        let all = self.channels.iter().filter(move |((on, _), _)| *on == interface);
        all.map(|((_, channel), open)| (*channel, open))
    }

    /// Closes all channels of an interface. A socket that the worker still needs lives on there, unheard.
    pub(super) fn close_all(&mut self, interface: InterfaceName) {
        let channels: Vec<Channel> = self.of(interface).map(|(channel, _)| channel).collect();
        channels.into_iter().for_each(|channel| self.close(interface, channel));
    }

    /// Closes one channel.
    pub(super) fn close(&mut self, interface: InterfaceName, channel: Channel) {
        if let Some(open) = self.channels.remove(&(interface, channel)) {
            self.tokens.remove(&open.token);
        }
    }

    /// Whose token it is; nobody's once its channel is closed.
    pub(super) fn which(&self, token: u64) -> Option<(InterfaceName, Channel)> {
        self.tokens.get(&token).copied()
    }

    /// The socket that a token stands for.
    pub(super) fn socket(&mut self, token: u64) -> Option<&mut Socket> {
        let key = self.tokens.get(&token)?;
        self.channels.get_mut(key).map(|open| &mut open.socket)
    }

    /// What adverts of a family leave by.
    pub(super) fn adverts(&self, interface: InterfaceName, family: Family) -> Option<&VrrpSocket> {
        match &self.channels.get(&(interface, Channel::Adverts(family)))?.socket {
            Socket::Adverts(socket) => Some(socket),
            Socket::Announcements(_) => None,
        }
    }

    /// What announcements leave by.
    pub(super) fn announcers(&self, interface: InterfaceName) -> Announcers {
        let of = |family| match &self.channels.get(&(interface, Channel::Announcements(family)))?.socket {
            Socket::Announcements(socket) => Some(Arc::clone(socket)),
            Socket::Adverts(_) => None,
        };
        Announcers { ipv4: of(Family::Ipv4), ipv6: of(Family::Ipv6) }
    }
}
