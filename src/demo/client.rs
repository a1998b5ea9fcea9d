//! The client: a thousand echoes a second to the virtual address, and a watch on this machine itself.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::observer::Stamp;
use crate::io::clock;
use crate::io::echo::EchoSocket;
use crate::io::namespace::NetNamespace;

/// From one echo to the next.
const SLOT: Duration = Duration::from_millis(1);
/// A slot that comes this much late is told of: no failover is to blame for what is lost then.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// Tells our echoes from others; nobody else is on this LAN.
const IDENT: u16 = 0x10c0;

/// The machine did not run the client for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    /// When the client should have run.
    pub(super) from: Stamp,
    /// When it did.
    pub(super) to: Stamp,
}

/// What the client itself has to tell.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Numbers of the echoes whose replies its socket received.
    pub(super) replies: Vec<u64>,
    /// When it did not run.
    pub(super) pauses: Vec<Pause>,
}

/// The sending thread.
#[derive(Debug)]
pub(super) struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<View>,
}

impl Client {
    /// Begins to send to `target`.
    pub(super) fn start(namespace: &NetNamespace, target: Ipv4Addr) -> io::Result<Self> {
        let socket = namespace.run(|| EchoSocket::open(target, IDENT))?;
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("client".to_owned()).spawn(move || send_all(socket, &theirs))?;
        Ok(Client { stop, thread })
    }

    /// Ends it, and hands over what it has to tell.
    pub(super) fn stop(self) -> io::Result<View> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the client's thread is gone"))
    }
}

fn send_all(mut socket: EchoSocket, stop: &AtomicBool) -> View {
    let mut view = View::default();
    let mut slot = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(slot.saturating_duration_since(Instant::now()));
        let late = slot.elapsed();
        if late >= PAUSE {
            let to = clock::pair().unix_nanos;
            view.pauses.push(Pause { from: to.saturating_sub(late.as_nanos() as u64), to });
        }
        // An echo that cannot be sent is a lost one: the next has the next number, and the capture shows the hole.
        drop(socket.send(number));
        receive_all(&mut socket, &mut view);
        // Slots that were missed are left out, not made up for in a burst.
        slot = (slot + SLOT).max(Instant::now());
    }
    view
}

/// An error is an earlier echo's, that nobody answered ARP for: it is lost, and that is counted elsewhere.
fn receive_all(socket: &mut EchoSocket, view: &mut View) {
    while let Ok(Some(reply)) = socket.receive() {
        view.replies.push(reply.number);
    }
}
