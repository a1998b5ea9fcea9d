use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::io::arp::ArpSocket;
use crate::io::poller::Poller;
use crate::io::vrrp::VrrpSocket;
use crate::types::InterfaceName;

/// The sockets of one interface.
#[derive(Debug)]
pub(super) struct Sockets {
    index: u32,
    first_token: u64,
    pub(super) vrrp: VrrpSocket,
    pub(super) arp: Arc<ArpSocket>,
}

/// Which socket of an interface can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Vrrp,
    Arp,
}

/// The sockets of all interfaces that are listened to.
#[derive(Debug, Default)]
pub(super) struct Listening {
    interfaces: BTreeMap<InterfaceName, Sockets>,
    /// A token is never used twice, so one that is stale names nothing.
    tokens: BTreeMap<u64, (InterfaceName, Which)>,
    next_token: u64,
}

impl Listening {
    /// Opens the sockets of an interface; nothing to do if they are open for this index already.
    pub(super) fn open(&mut self, poller: &Poller, interface: InterfaceName, index: u32) -> io::Result<()> {
        if self.interfaces.get(&interface).is_some_and(|sockets| sockets.index == index) {
            return Ok(());
        }
        self.close(&interface);
        let vrrp = VrrpSocket::open(&interface, index)?;
        let arp = Arc::new(ArpSocket::open(index)?);
        let first_token = self.next_token;
        poller.add(&vrrp, first_token)?;
        poller.add(&*arp, first_token + 1)?;
        self.next_token += 2;
        self.tokens.insert(first_token, (interface, Which::Vrrp));
        self.tokens.insert(first_token + 1, (interface, Which::Arp));
        self.interfaces.insert(interface, Sockets { index, first_token, vrrp, arp });
        Ok(())
    }

    /// Closes the sockets of an interface. One that the worker still needs lives on there, unheard.
    pub(super) fn close(&mut self, interface: &InterfaceName) {
        if let Some(sockets) = self.interfaces.remove(interface) {
            self.tokens.remove(&sockets.first_token);
            self.tokens.remove(&(sockets.first_token + 1));
        }
    }

    pub(super) fn which(&self, token: u64) -> Option<(InterfaceName, Which)> {
        self.tokens.get(&token).copied()
    }

    pub(super) fn get(&self, interface: &InterfaceName) -> Option<&Sockets> {
        self.interfaces.get(interface)
    }

    pub(super) fn get_mut(&mut self, interface: &InterfaceName) -> Option<&mut Sockets> {
        self.interfaces.get_mut(interface)
    }

    pub(super) fn arp(&self, interface: &InterfaceName) -> Option<Arc<ArpSocket>> {
        self.interfaces.get(interface).map(|sockets| Arc::clone(&sockets.arp))
    }
}
