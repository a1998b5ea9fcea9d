use std::collections::BTreeMap;
use std::io;

use crate::io::frames::FramesSocket;
use crate::io::poller::Poller;
use crate::types::{InterfaceName, MacAddr};

/// The first token; far from those of [`super::listening::Listening`], which count up from 0.
const FIRST_TOKEN: u64 = 1 << 62;

/// The interfaces that are watched for frames.
#[derive(Debug, Default)]
pub(super) struct Watching {
    interfaces: BTreeMap<InterfaceName, (u64, u32, FramesSocket)>,
    opened: u64,
}

impl Watching {
    /// Begins to watch; nothing to do if it is watched with this index already.
    pub(super) fn open(
        &mut self,
        poller: &Poller,
        interface: InterfaceName,
        index: u32,
        mac: Option<MacAddr>,
    ) -> io::Result<()> {
        if self.interfaces.get(&interface).is_some_and(|(_, watched, _)| *watched == index) {
            return Ok(());
        }
        self.close(&interface);
        let socket = FramesSocket::open(index, mac)?;
        // A token is never used twice, so one that is stale names nothing.
        let token = FIRST_TOKEN + self.opened;
        poller.add(&socket, token)?;
        self.opened += 1;
        self.interfaces.insert(interface, (token, index, socket));
        Ok(())
    }

    pub(super) fn close(&mut self, interface: &InterfaceName) {
        self.interfaces.remove(interface);
    }

    /// The interface of a token, and its socket.
    pub(super) fn which(&self, token: u64) -> Option<(InterfaceName, &FramesSocket)> {
        let (name, (.., socket)) = self.interfaces.iter().find(|(_, (of, ..))| *of == token)?;
        Some((*name, socket))
    }
}
