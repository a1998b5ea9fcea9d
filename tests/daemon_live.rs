//! The protocol thread on a real kernel: two agents, each in a network namespace, on one cable.

mod common;
mod isolation;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use isolation::{enter_new_namespace, ip, isolated};
use locum::config::{Config, RouterConfig, WhenUnhealthy};
use locum::daemon::{self, Command, Gone, ProtocolHandle};
use locum::report::{Event, Reason, RouterState};
use locum::types::{Interval, Priority, VirtualAddress, Vrid};

/// One router on `eth0` with the given priority and addresses 203.0.113.1 to 203.0.113.`addresses`.
fn config(priority: u8, addresses: u8) -> Config {
    let interface = "eth0".parse().expect("a name");
    let address = |last| VirtualAddress { net: format!("203.0.113.{last}/24").parse().expect("an address"), interface };
    let router = RouterConfig {
        interface,
        vrid: Vrid::new(51).expect("a VRID"),
        priority: Priority::new(priority).expect("a priority"),
        addresses: (1..=addresses).map(address).collect(),
        advert_interval: Interval::from_centiseconds(20).expect("an interval"),
        preempt: true,
        preempt_delay: std::time::Duration::ZERO,
        checks: Vec::new(),
        track_interfaces: Vec::new(),
        when_unhealthy: WhenUnhealthy::Hold,
    };
    let routers = [("web".parse().expect("a name"), router)].into();
    Config { node: format!("node{priority}"), routers, checks: Default::default() }
}

/// An agent in a namespace of its own, its log, and what its host is asked to do.
struct Host {
    handle: ProtocolHandle,
    events: tokio::sync::mpsc::Receiver<Event>,
    asked: Sender<String>,
    answers: Receiver<String>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Host {
    /// `eth0` of the new namespace is `cable`, moved there.
    fn start(cable: &str, own: &str, config: Config) -> Host {
        let (asked, asks) = channel::<String>();
        let (answer, answers) = channel();
        let (over, ended) = channel();
        let (lines, events) = tokio::sync::mpsc::channel(64);
        let (ready, handle) = channel();
        let (place, whereabouts) = channel();
        let (go, moved) = channel::<()>();
        let own = own.to_owned();
        let thread = std::thread::spawn(move || {
            enter_new_namespace();
            place.send(nix::unistd::gettid()).expect("the test waits");
            moved.recv().expect("the test goes on");
            ip(&format!("addr add {own} dev eth0"));
            ip("link set eth0 up");
            let (handle, join) = daemon::spawn(config, lines).expect("the protocol thread starts");
            ready.send(handle).expect("the test waits");
            for ask in asks {
                answer.send(ip(&ask)).expect("the test waits");
            }
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(join.ended());
            over.send(()).expect("the test waits");
        });
        let place = whereabouts.recv().expect("a namespace");
        ip(&format!("link set {cable} netns {place} name eth0"));
        go.send(()).expect("the host waits");
        let handle = handle.recv().expect("the agent runs");
        Host { handle, events, asked, answers, ended, thread }
    }

    fn ip(&self, ask: &str) -> String {
        self.asked.send(ask.to_owned()).expect("the host runs");
        self.answers.recv().expect("the host answers")
    }

    /// Reads the log until the router has come to this state; why it did.
    fn until(&mut self, state: RouterState) -> Reason {
        loop {
            match self.events.blocking_recv().expect("the agent runs") {
                Event::Transition { to, reason, .. } if to == state => return reason,
                _ => {}
            }
        }
    }

    fn addresses(&self) -> usize {
        self.ip("-o -4 addr show dev eth0").matches("203.0.113.").count()
    }

    /// Waits until the agent has ended by itself.
    fn join(self) -> usize {
        let left = self.addresses_after_end();
        self.thread.join().expect("the host ended well");
        left
    }

    fn addresses_after_end(&self) -> usize {
        while self.handle.try_send(Command::Stop) != Err(Gone::Stopped) {
            std::thread::yield_now();
        }
        self.addresses()
    }
}

#[test]
fn an_address_moves_when_its_holder_stops_and_when_it_dies() {
    isolated("an_address_moves_when_its_holder_stops_and_when_it_dies", || {
        ip("link add va type veth peer name vb");
        let mut first = Host::start("va", "192.0.2.1/24", config(200, 3));
        assert_eq!(first.until(RouterState::Backup), Reason::Recovered);
    });
}
