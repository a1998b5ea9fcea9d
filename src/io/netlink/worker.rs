//! The thread that changes addresses and announces them: the kernel can hold a caller up for many milliseconds
//! (its routing lock, a thousand addresses), and the protocol thread has adverts to send.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use ipnet::IpNet;
use nix::errno::Errno;

use super::message::{self, Request};
use super::request::{Netlink, NetlinkError};
use super::table::Snapshot;
use crate::io::clock;
use crate::io::neighbours::NeighbourSocket;
use crate::io::record::Journal;
use crate::types::{AddressOutcome, Family, Instant, InterfaceName, RouterName};

/// Jobs that may wait. One for each change of a router: hundreds of routers that all change at once fit.
const JOBS: usize = 1024;
/// Reports that may wait for the protocol thread; the worker waits beyond that.
const REPORTS: usize = 256;
/// Addresses added by one system call, and told of by one report.
const CHUNK: usize = 64;

/// One address to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAddress {
    /// As configured; the report names it so.
    pub address: IpNet,
    /// The prefix length it is added with.
    pub prefix: u8,
    /// The Ethernet frame that announces it.
    pub announcement: Vec<u8>,
}

impl NewAddress {
    /// As it is added.
    fn net(&self) -> IpNet {
        IpNet::new(self.address.addr(), self.prefix).unwrap_or(self.address)
    }
}

/// What frames leave by on one interface, by family; `None`: that family is not listened to there.
#[derive(Debug, Clone, Default)]
pub struct Announcers {
    /// For ARP.
    pub ipv4: Option<Arc<NeighbourSocket>>,
    /// For neighbour discovery.
    pub ipv6: Option<Arc<NeighbourSocket>>,
}

impl Announcers {
    fn send(&self, frame: &[u8]) -> io::Result<()> {
        const ETHERTYPE: std::ops::Range<usize> = 12..14;
        let family = if frame.get(ETHERTYPE) == Some(&[0x86, 0xdd]) { Family::Ipv6 } else { Family::Ipv4 };
        let socket = match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        };
        match socket {
            Some(socket) => socket.send(frame),
            None => Err(io::Error::from(Errno::ENOTCONN)),
        }
    }
}

/// One thing to do. Jobs are done one after the other.
#[derive(Debug)]
pub enum Job {
    /// Add addresses and announce each that was added; reported as [`Report::Added`].
    Add {
        /// Whose.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Its kernel index.
        index: u32,
        /// Which, in the order in which they are wanted.
        additions: Vec<NewAddress>,
        /// What announces them.
        announcers: Announcers,
    },
    /// Remove addresses (that one is absent is no failure) and put back those of `restore` that went with them.
    Remove {
        /// Whose.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Its kernel index.
        index: u32,
        /// Which, with the prefix length they were added with.
        removals: Vec<IpNet>,
        /// Which others must still be there afterwards, if they are now.
        restore: Vec<IpNet>,
    },
    /// Send frames.
    Announce {
        /// Whose.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// Whole Ethernet frames.
        frames: Vec<Vec<u8>>,
        /// What has not been sent by then is not sent; `None`: it is never too late.
        until: Option<Instant>,
        /// What sends them.
        announcers: Announcers,
    },
    /// Nothing; reported as [`Report::Reached`] when all jobs before it are done.
    Mark(u64),
    /// List all links and addresses; reported as [`Report::Listed`].
    List,
}

/// What became of a job.
#[derive(Debug)]
pub enum Report {
    /// Some of the addresses of a [`Job::Add`], in their order.
    Added {
        /// Whose.
        router: RouterName,
        /// Each address with its outcome.
        outcomes: Vec<(IpNet, AddressOutcome)>,
    },
    /// The worker has come to this [`Job::Mark`].
    Reached(u64),
    /// Everything there is, or why it cannot be listed.
    Listed(io::Result<Snapshot>),
    /// Part of a job failed.
    Failed {
        /// Whose job.
        router: RouterName,
        /// What was tried: "remove 192.0.2.10/24 from eth0".
        what: String,
        /// The system's words.
        error: String,
    },
}

/// The protocol thread's end of the worker.
#[derive(Debug)]
pub struct Worker {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread, which keeps the journal of what it adds and removes. Reports come out of the receiver, in the
    /// order of the jobs.
    ///
    /// # Errors
    /// No more threads.
    pub fn start(netlink: Netlink, journal: Journal) -> io::Result<(Worker, tokio::sync::mpsc::Receiver<Report>)> {
        let (jobs, queue) = sync_channel(JOBS);
        let (reports, told) = tokio::sync::mpsc::channel(REPORTS);
        let thread = std::thread::Builder::new().name("locum-kernel".to_owned()).spawn(move || {
            Working { netlink, journal, reports, others: BTreeSet::new() }.run(&queue);
        })?;
        Ok((Worker { jobs, thread }, told))
    }

    /// Hands a job over without waiting.
    ///
    /// # Errors
    /// 1,024 jobs wait already: this one is handed back undone.
    pub fn hand(&self, job: Job) -> Result<(), Box<Job>> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => Box::new(job),
        })
    }

    /// Hands over no more: the thread does the jobs it has, closes the reports and ends.
    pub fn close(self) -> JoinHandle<()> {
        self.thread
    }
}

struct Working {
    netlink: Netlink,
    journal: Journal,
    reports: tokio::sync::mpsc::Sender<Report>,
    /// Addresses, by interface index, whose addition found them there already: whoever wanted them may ask for
    /// their removal before it has heard so, and they are not ours to remove.
    others: BTreeSet<(u32, IpNet)>,
}

impl Working {
    fn run(&mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Add { router, interface, index, additions, announcers } => {
                    self.add(&router, &interface, index, &additions, &announcers);
                }
                Job::Remove { router, interface, index, removals, restore } => {
                    self.remove(&router, &interface, index, &removals, &restore);
                }
                // This process stood still since it was decided.
                Job::Announce { until: Some(until), .. } if clock::now() > until => {}
                Job::Announce { router, interface, frames, announcers, .. } => {
                    self.announce(&router, &interface, frames.iter().map(Vec::as_slice), &announcers);
                }
                Job::Mark(number) => self.report(Report::Reached(number)),
                Job::List => {
                    let listing = self.netlink.snapshot();
                    self.report(Report::Listed(listing));
                }
            }
        }
    }

    /// Whoever no longer listens has stopped and wants the rest of the jobs done all the same.
    fn report(&self, report: Report) {
        drop(self.reports.blocking_send(report));
    }

    fn fail(&self, router: &RouterName, what: String, error: &dyn ToString) {
        self.report(Report::Failed { router: router.clone(), what, error: error.to_string() });
    }

    fn add(
        &mut self,
        router: &RouterName,
        interface: &InterfaceName,
        index: u32,
        additions: &[NewAddress],
        announcers: &Announcers,
    ) {
        let nets: Vec<IpNet> = additions.iter().map(NewAddress::net).collect();
        if let Err(error) = self.journal.add(router, *interface, &nets) {
            self.fail(router, format!("write down that addresses of {interface} are ours"), &error);
        }
        // The first one by itself: clients of it need not wait for the other sixty-three.
        let (first, others) = additions.split_at(additions.len().min(1));
        for chunk in first.chunks(1).chain(others.chunks(CHUNK)) {
            let requests: Vec<Request> =
                chunk.iter().map(|new| message::add_address(index, new.address.addr(), new.prefix)).collect();
            let answer = self.netlink.request(&requests);
            // One that was refused may be somebody else's too; one without an answer may be ours.
            let answered = answer.is_ok();
            let outcomes: Vec<AddressOutcome> = match answer {
                Ok(results) => results.into_iter().map(outcome).collect(),
                Err(error) => vec![AddressOutcome::Failed(error.to_string()); chunk.len()],
            };
            for (new, outcome) in chunk.iter().zip(&outcomes) {
                let key = (index, new.net());
                match outcome {
                    AddressOutcome::AlreadyThere => self.others.insert(key),
                    AddressOutcome::Failed(_) if answered => self.others.insert(key),
                    AddressOutcome::Added | AddressOutcome::Failed(_) => self.others.remove(&key),
                };
            }
            let not_ours = chunk.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == AddressOutcome::AlreadyThere);
            let not_ours: Vec<IpNet> = not_ours.map(|(new, _)| new.net()).collect();
            self.disown(router, *interface, &not_ours);
            let added = chunk.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == AddressOutcome::Added);
            self.announce(router, interface, added.map(|(new, _)| new.announcement.as_slice()), announcers);
            let outcomes = chunk.iter().map(|new| new.address).zip(outcomes).collect();
            self.report(Report::Added { router: router.clone(), outcomes });
        }
    }

    /// One line for all frames of a job that fail: they fail for the same reason.
    fn announce<'f>(
        &self,
        router: &RouterName,
        interface: &InterfaceName,
        frames: impl Iterator<Item = &'f [u8]>,
        announcers: &Announcers,
    ) {
        let mut failure = None;
        for frame in frames {
            if let Err(error) = announcers.send(frame) {
                failure.get_or_insert(error);
            }
        }
        if let Some(error) = failure {
            self.fail(router, format!("announce its addresses on {interface}"), &error);
        }
    }

    fn remove(
        &mut self,
        router: &RouterName,
        interface: &InterfaceName,
        index: u32,
        removals: &[IpNet],
        restore: &[IpNet],
    ) {
        let removals: Vec<IpNet> =
            removals.iter().copied().filter(|address| !self.others.contains(&(index, *address))).collect();
        let mut requests: Vec<Request> =
            removals.iter().map(|address| message::delete_address(index, *address)).collect();
        if !restore.is_empty() {
            match self.netlink.addresses(index) {
                Ok(present) => requests.extend(restorations(&present, restore)),
                // With the interface all its addresses went; there is nothing left to remove either.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                    return self.disown(router, *interface, &removals);
                }
                Err(error) => self.fail(router, format!("list the addresses of {interface}"), &error),
            }
        }
        let results = match self.netlink.request(&requests) {
            Ok(results) => results,
            Err(error) => return self.fail(router, format!("remove addresses from {interface}"), &error),
        };
        let mut kept = BTreeSet::new();
        for (position, result) in results.into_iter().enumerate() {
            let Err(error) = result else { continue };
            match removals.get(position) {
                Some(_) if matches!(error.errno, Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                Some(address) => {
                    kept.insert(*address);
                    self.fail(router, format!("remove {address} from {interface}"), &error);
                }
                // Still there: the kernel promoted it, or it was no secondary.
                None if matches!(error.errno, Errno::EEXIST | Errno::ENODEV) => {}
                None => self.fail(router, format!("put back an address that {interface} lost"), &error),
            }
        }
        let gone: Vec<IpNet> = removals.into_iter().filter(|address| !kept.contains(address)).collect();
        self.disown(router, *interface, &gone);
    }

    /// These are not, or no longer, ours.
    fn disown(&mut self, router: &RouterName, interface: InterfaceName, nets: &[IpNet]) {
        if let Err(error) = self.journal.remove(interface, nets) {
            self.fail(router, format!("write down that addresses of {interface} are gone"), &error);
        }
    }
}

/// Requests that put back those addresses of `restore` that are present now, as they are now.
fn restorations(
    present: &[netlink_packet_route::address::AddressMessage],
    restore: &[IpNet],
) -> impl Iterator<Item = Request> {
    let restore: BTreeSet<IpNet> = restore.iter().copied().collect();
    present
        .iter()
        .filter(move |message| message::address_of(message).is_some_and(|address| restore.contains(&address)))
        .map(message::restore_address)
}

fn outcome(result: Result<(), NetlinkError>) -> AddressOutcome {
    match result {
        Ok(()) => AddressOutcome::Added,
        Err(error) if error.errno == Errno::EEXIST => AddressOutcome::AlreadyThere,
        Err(error) => AddressOutcome::Failed(error.to_string()),
    }
}
