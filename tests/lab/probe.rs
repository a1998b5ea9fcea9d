//! A client: sends an echo request every millisecond, counts what is not answered, and can say whom it believes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::os::fd::AsFd;

use crate::clock::{Moment, eventually, now};
use crate::room::Room;
use crate::wire::receive;

const EVERY: Duration = Duration::from_millis(1);
/// How long an answer may take; on this LAN it takes microseconds unless the machine stands still.
const ANSWER: Duration = Duration::from_secs(1);

/// What became of the echoes, by number.
#[derive(Debug, Default, Clone)]
pub struct Echoes {
    pub sent: BTreeMap<u64, Moment>,
    /// By the kernel's time stamp.
    pub answered: BTreeMap<u64, Moment>,
}

impl Echoes {
    /// Echoes without an answer.
    pub fn lost(&self) -> u64 {
        self.sent.keys().filter(|number| !self.answered.contains_key(number)).count() as u64
    }

    /// The longest time between two answers, with its beginning and end.
    pub fn longest_gap(&self) -> (Moment, Moment) {
        let mut times: Vec<Moment> = self.answered.values().copied().collect();
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| (pair[0], pair[1]));
        gaps.max_by_key(|(from, to)| to - from).expect("an address that answers")
    }
}

/// Sends until it is stopped.
pub struct Probe {
    echoes: Arc<Mutex<Echoes>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Probe {
    pub fn start(client: &Room, address: Ipv4Addr) -> Self {
        let socket = client.within(open);
        let (echoes, end) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (theirs, until) = (Arc::clone(&echoes), Arc::clone(&end));
        let run = move || run(&socket, address, &theirs, &until);
        let thread = thread::Builder::new().name("probe".into()).spawn(run).expect("a thread");
        Probe { echoes, end, thread: Some(thread) }
    }

    /// Waits for the answer to an echo that was sent after a moment.
    pub fn wait_answer(&self, after: Moment) -> Moment {
        eventually("an answer to the client's echoes", || {
            let echoes = self.echoes.lock().expect("nobody panicked over it");
            let mut later = echoes.sent.iter().rev().take_while(|(_, at)| **at > after);
            later.find_map(|(number, _)| echoes.answered.get(number).copied())
        })
    }

    /// Ends it; what it found.
    pub fn stop(mut self) -> Echoes {
        self.finish();
        self.echoes.lock().expect("nobody panicked over it").clone()
    }

    fn finish(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the probe worked");
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn open() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).expect("a raw socket");
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("kernel time stamps");
    socket.set_recv_buffer_size(4 << 20).expect("a receive buffer");
    socket.set_nonblocking(true).expect("a socket that does not block");
    socket
}

fn run(socket: &Socket, address: Ipv4Addr, echoes: &Mutex<Echoes>, end: &AtomicBool) {
    let to = SockAddr::from(SocketAddrV4::new(address, 0));
    let mut buffer = [0; 256];
    let (mut number, mut next) = (0u64, Instant::now());
    let mut last: Option<Instant> = None;
    loop {
        let time = Instant::now();
        match last {
            None if end.load(Ordering::Relaxed) => last = Some(time),
            Some(stopped) => {
                let echoes = echoes.lock().expect("nobody panicked over it");
                if time - stopped > ANSWER || echoes.answered.contains_key(&number.saturating_sub(1)) {
                    return;
                }
            }
            None if time >= next => {
                echoes.lock().expect("nobody panicked over it").sent.insert(number, now());
                // Where there is no way to the address the echo is lost, and counted.
                socket.send_to(&request(number), &to).ok();
                number += 1;
                // After a pause of the machine the lost time is not made up for.
                next = (next + EVERY).max(time);
            }
            None => {}
        }
        let left = next.saturating_duration_since(Instant::now()).max(Duration::from_micros(50));
        let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait is one that ended early.
        ppoll(&mut wanted, Some(TimeSpec::from_duration(left)), None).ok();
        while let Some((at, length)) = receive(socket, &mut buffer) {
            if let Some(number) = answer(&buffer[..length], address) {
                echoes.lock().expect("nobody panicked over it").answered.insert(number, at);
            }
        }
    }
}

/// An ICMP echo request (RFC 792) with its number as data.
fn request(number: u64) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0, 0x10, 0xc0, 0, 0];
    message.extend(number.to_be_bytes());
    let words = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let checksum = !u16::try_from(folded).expect("folded to 16 bits");
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

fn answer(packet: &[u8], address: Ipv4Addr) -> Option<u64> {
    let header = usize::from(*packet.first()? & 0x0f) * 4;
    let from = packet.get(12..16)? == address.octets();
    let ours = packet.get(header..header + 2)? == [0, 0] && packet.get(header + 4..header + 6)? == [0x10, 0xc0];
    let number = packet.get(header + 8..header + 16)?;
    (from && ours).then_some(u64::from_be_bytes(number.try_into().ok()?))
}

/// The MAC address the client has for an address, if it has one.
pub fn believed(client: &Room, address: Ipv4Addr) -> Option<String> {
    let entries = client.ip(&format!("neigh show to {address}"));
    let mut words = entries.split_whitespace().skip_while(|word| *word != "lladdr");
    words.nth(1).map(str::to_owned)
}
