//! The protocol thread on a real kernel: two agents, each in a network namespace, on one cable.

mod common;
mod isolation;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use isolation::{enter_new_namespace, ip, isolated};
use locum::config::{Config, RouterConfig, WhenUnhealthy};
use locum::daemon::{self, Command, Gone, ProtocolHandle, Start};
use locum::report::status::{AddressState, Status};
use locum::report::{Event, Level, Reason, RouterState};
use locum::types::{ChecksumForm, Family, Interval, Priority, Version, VirtualAddress, Vrid};
use tokio::runtime::Runtime;

/// One router on `eth0` with the given priority and addresses 203.0.113.1 to 203.0.113.`addresses`.
fn config(priority: u8, addresses: u8) -> Config {
    let interface = "eth0".parse().expect("a name");
    let address = |last| VirtualAddress { net: format!("203.0.113.{last}/24").parse().expect("an address"), interface };
    let router = RouterConfig {
        interface,
        vrid: Vrid::new(51).expect("a VRID"),
        version: Version::V3,
        family: Family::Ipv4,
        advertised: (1..=addresses).map(|last| address(last).net.addr()).collect(),
        source: None,
        unicast_peers: Vec::new(),
        checksum: ChecksumForm::PseudoHeader,
        password: None,
        priority: Priority::new(priority).expect("a priority"),
        addresses: (1..=addresses).map(address).collect(),
        // With shorter ones, a machine that stalls has the lower priority claim first.
        advert_interval: Interval::from_centiseconds(100).expect("an interval"),
        preempt: true,
        preempt_delay: std::time::Duration::ZERO,
        lease: true,
        start_delay: std::time::Duration::ZERO,
        link_debounce: std::time::Duration::ZERO,
        checks: Vec::new(),
        track_interfaces: Vec::new(),
        when_unhealthy: WhenUnhealthy::Hold,
        auth: None,
    };
    let routers = [("web".parse().expect("a name"), router)].into();
    let node = format!("node{priority}");
    Config { node, realtime: false, routers, checks: Default::default(), secrets: Default::default() }
}

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// An agent in a namespace of its own, its log, and what its host is asked to do.
struct Host {
    handle: ProtocolHandle,
    events: tokio::sync::mpsc::Receiver<Event>,
    asked: Sender<String>,
    answers: Receiver<String>,
    runtime: Runtime,
    thread: JoinHandle<()>,
}

impl Host {
    /// `eth0` of the new namespace is `cable`, moved there. When nobody asks any more, the host waits for its agent.
    fn start(cable: &str, own: &str, config: Config) -> Host {
        let (asked, asks) = channel::<String>();
        let (answer, answers) = channel();
        let (lines, events) = tokio::sync::mpsc::channel(64);
        let (ready, begun) = channel();
        let (place, whereabouts) = channel();
        let (go, moved) = channel::<()>();
        let own = own.to_owned();
        let thread = std::thread::spawn(move || {
            enter_new_namespace();
            place.send(nix::unistd::gettid()).expect("the test waits");
            moved.recv().expect("the test goes on");
            ip(&format!("addr add {own} dev eth0"));
            ip("link set eth0 up");
            let kept = locum::io::record::Kept::nothing();
            let (handle, join) = daemon::spawn(Start::new(config, kept, lines)).expect("the protocol thread starts");
            ready.send(handle).expect("the test waits");
            for ask in asks {
                answer.send(ip(&ask)).expect("the test waits");
            }
            runtime().block_on(async { tokio::time::timeout(PATIENCE, join.ended()).await }).expect("the agent ends");
        });
        let place = whereabouts.recv_timeout(PATIENCE).expect("a namespace");
        ip(&format!("link set {cable} netns {place} name eth0"));
        go.send(()).expect("the host waits");
        let handle = begun.recv_timeout(PATIENCE).expect("the agent runs");
        Host { handle, events, asked, answers, runtime: runtime(), thread }
    }

    /// The next log line; `None` once the agent has ended.
    fn line(&mut self) -> Option<Event> {
        let next = self.events.recv();
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, next).await }).expect("a log line in time")
    }

    /// Reads the log until the router has come to this state; why it did.
    fn until(&mut self, state: RouterState) -> Reason {
        loop {
            match self.line().expect("the agent runs") {
                Event::Transition { to, reason, .. } if to == state => return reason,
                _ => {}
            }
        }
    }

    fn status(&self) -> Status {
        let answer = self.handle.snapshot();
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await }).expect("in time").expect("alive")
    }

    /// Waits until the status says that all addresses are held.
    fn until_held(&self) {
        while self.status().routers["web"].addresses.iter().any(|address| address.state != AddressState::Held) {
            std::thread::yield_now();
        }
    }

    /// Waits until it is Backup to this one and holds nothing; what it did before that is of no interest.
    fn until_it_follows(&mut self, active: &str) {
        let follows = |status: &Status| {
            let router = &status.routers["web"];
            let absent = router.addresses.iter().all(|address| address.state == AddressState::Absent);
            router.state == RouterState::Backup && router.active.as_deref() == Some(active) && absent
        };
        while !follows(&self.status()) {
            std::thread::yield_now();
        }
        while self.events.try_recv().is_ok() {}
    }

    fn addresses(&self) -> usize {
        self.asked.send("-o -4 addr show dev eth0".to_owned()).expect("the host runs");
        self.answers.recv_timeout(PATIENCE).expect("the host answers").matches("203.0.113.").count()
    }

    /// Reads the log to its end, where the agent has ended; whether it complained.
    fn until_ended(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.line()).filter(|event| event.level() == Level::Error).collect()
    }

    fn join(self) {
        drop(self.asked);
        self.thread.join().expect("the host ended well");
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

#[test]
fn addresses_move_when_their_holder_stops() {
    isolated("addresses_move_when_their_holder_stops", || {
        ip("link add va type veth peer name vb");
        let mut first = Host::start("va", "192.0.2.1/24", config(200, 100));
        let mut second = Host::start("vb", "192.0.2.2/24", config(100, 100));
        first.until(RouterState::Active);
        first.until_held();
        second.until_it_follows("192.0.2.1");
        assert_eq!((first.addresses(), second.addresses()), (100, 0));

        first.handle.try_send(Command::Stop).expect("the agent runs");
        let reason = second.until(RouterState::Active);
        assert!(matches!(reason, Reason::ActiveResigned(_)), "{reason:?}");
        assert_eq!(first.until_ended(), []);
        assert_eq!(first.handle.try_send(Command::Stop), Err(Gone::Stopped));
        assert_eq!(first.addresses(), 0, "nothing is left behind by an agent that has ended");
        second.until_held();
        assert_eq!(second.addresses(), 100);

        second.handle.try_send(Command::StopAtOnce).expect("the agent runs");
        assert_eq!(second.until_ended(), []);
        assert_eq!(second.addresses(), 0);
        first.join();
        second.join();
    });
}

#[test]
fn links_going_and_coming_back_are_heard_by_the_agent() {
    isolated("links_going_and_coming_back_are_heard_by_the_agent", || {
        ip("link add va type veth peer name vb");
        ip("link set vb up");
        let mut host = Host::start("va", "192.0.2.1/24", config(200, 1));
        host.until(RouterState::Active);
        ip("link set vb down");
        assert!(matches!(host.until(RouterState::Fault), Reason::NoCarrier(_)));
        ip("link set vb up");
        host.until(RouterState::Active);
        ip("link del vb");
        // First it has no carrier, then it is gone: one fault, and a second reason for it.
        loop {
            match host.line().expect("the agent runs") {
                Event::Transition { reason: Reason::InterfaceMissing(_), .. }
                | Event::ReasonChanged { reason: Reason::InterfaceMissing(_), .. } => break,
                _ => {}
            }
        }
        host.handle.try_send(Command::StopAtOnce).expect("the agent runs");
        host.until_ended();
        host.join();
    });
}
