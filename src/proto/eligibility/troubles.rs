use std::time::Duration;

use crate::report::Reason;
use crate::types::{Channel, Instant, InterfaceName, IpNet, MacAddr};

/// After a failure of our own, how long the router stays out before it tries again.
pub(crate) const RETRY: Duration = Duration::from_secs(10);

/// An address that another host keeps would move to and fro with each attempt: these become ever rarer, up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(600);
/// One that is found again within this after an attempt was there all the time.
const SOON: Duration = Duration::from_secs(120);

/// Who fights over an address is left alone for this long; there may be another host that nobody fights.
const TRUCE: Duration = Duration::from_secs(60);

/// Failures of this host's own doing that keep a router out of its election for a while.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// The newest one, and when it is tried anew.
    current: Option<(Reason, Instant)>,
    /// When the last fault for a duplicate ended or will, and how long it was.
    doubled: Option<(Instant, Duration)>,
}

impl Troubles {
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.current.as_ref().map(|(reason, _)| reason.clone())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|(_, retry_at)| *retry_at)
    }

    /// Forgets a trouble whose time is up; true if there was one.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        let over = self.deadline().is_some_and(|retry_at| retry_at <= now);
        if over {
            self.current = None;
        }
        over
    }

    /// What was wrong with the interface may be gone with it.
    pub(crate) fn forget(&mut self) {
        *self = Troubles::default();
    }

    pub(crate) fn address_failed(&mut self, now: Instant, address: IpNet, error: String) {
        self.current = Some((Reason::AddressFailed(address, error), now + RETRY));
    }

    pub(crate) fn address_fought(&mut self, now: Instant, address: IpNet) {
        self.current = Some((Reason::AddressFight(address), now + TRUCE));
    }

    pub(crate) fn listen_failed(&mut self, now: Instant, interface: InterfaceName, channel: Channel, error: String) {
        self.current = Some((Reason::SocketFailed(interface, channel, error), now + RETRY));
    }

    pub(crate) fn duplicate(&mut self, now: Instant, address: IpNet, mac: MacAddr) {
        let again = self.doubled.filter(|(ended, _)| now < *ended + SOON);
        let pause = again.map_or(RETRY, |(_, last)| (last * 2).min(LONGEST_RETRY));
        self.doubled = Some((now + pause, pause));
        self.current = Some((Reason::Duplicate(address, mac), now + pause));
    }
}
