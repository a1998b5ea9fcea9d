//! The thread that changes addresses and announces them: the kernel can hold a caller up for many milliseconds
//! (its routing lock, a thousand addresses), and the protocol thread has adverts to send.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::IpNet;
use nix::errno::Errno;

use super::message::{self, Ours, Request};
use super::renewal::Renewal;
use super::request::{Netlink, NetlinkError};
use super::table::Snapshot;
use crate::io::clock;
use crate::io::neighbours::NeighbourSocket;
use crate::io::record::Journal;
use crate::types::{AddressOutcome, Family, Instant, InterfaceName, LeaseOutcome, Lifetime, RouterName};

/// Jobs that may wait. One for each change of a router: hundreds of routers that all change at once fit.
const JOBS: usize = 1024;
/// Reports that may wait for the protocol thread; the worker waits beyond that.
const REPORTS: usize = 256;
/// How long the thread stays awake for a job that it was told to expect: an advert is sent in a tenth of it.
const AWAKE: Duration = Duration::from_micros(300);
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
        /// How long the kernel keeps them unless they are renewed; `None`: for good.
        lifetime: Option<Lifetime>,
        /// When it is too late for them; what is added all the same is removed again.
        until: Instant,
        /// They were ours and are missed: one that is there with our mark still is.
        again: bool,
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
    /// Renew leases; each is reported as [`Report::Renewed`].
    Renew(Vec<Renewal>),
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
    /// Stay awake for a moment: a job that must not wait is about to come.
    Rouse,
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
    /// What became of one of the renewals of a [`Job::Renew`].
    Renewed {
        /// Whose.
        router: RouterName,
        /// Where.
        interface: InterfaceName,
        /// When it was decided.
        asked: Instant,
        /// As the renewal said.
        other_kind: bool,
        /// How it ended.
        outcome: LeaseOutcome,
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
            Working { netlink, journal, reports, others: BTreeSet::new(), mute: BTreeSet::new() }.run(&queue);
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

pub(super) struct Working {
    pub(super) netlink: Netlink,
    journal: Journal,
    reports: tokio::sync::mpsc::Sender<Report>,
    /// Addresses, by interface index, whose addition found them there already: whoever wanted them may ask for
    /// their removal before it has heard so, and they are not ours to remove.
    others: BTreeSet<(u32, IpNet)>,
    /// Whose announcements do not leave, and where: told once, not with each round.
    mute: BTreeSet<(RouterName, InterfaceName)>,
}

impl Working {
    fn run(&mut self, queue: &Receiver<Job>) {
        while let Ok(mut job) = queue.recv() {
            if let Job::Rouse = job {
                let Some(expected) = expect(queue) else { continue };
                job = expected;
            }
            match job {
                Job::Rouse => {}
                Job::Add { router, interface, index, additions, lifetime, until, again, announcers } => {
                    let adding = Adding { router: &router, interface: &interface, index, lifetime, until, again };
                    self.add(&adding, &additions, &announcers);
                }
                Job::Remove { router, interface, index, removals, restore } => {
                    self.remove(&router, &interface, index, &removals, &restore);
                }
                Job::Renew(renewals) => self.renew(renewals),
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
    pub(super) fn report(&self, report: Report) {
        drop(self.reports.blocking_send(report));
    }

    fn fail(&self, router: &RouterName, what: String, error: &dyn ToString) {
        self.report(Report::Failed { router: router.clone(), what, error: error.to_string() });
    }

    /// Whether an address was found there when it was to be added, and so is somebody else's.
    pub(super) fn is_others(&self, index: u32, net: IpNet) -> bool {
        self.others.contains(&(index, net))
    }

    fn add(&mut self, adding: &Adding<'_>, additions: &[NewAddress], announcers: &Announcers) {
        let nets: Vec<IpNet> = additions.iter().map(NewAddress::net).collect();
        if let Err(error) = self.journal.add(adding.router, *adding.interface, &nets) {
            self.fail(adding.router, format!("write down that addresses of {} are ours", adding.interface), &error);
        }
        // The first one by itself: clients of it need not wait for the other sixty-three.
        let (first, others) = additions.split_at(additions.len().min(1));
        for chunk in first.chunks(1).chain(others.chunks(CHUNK)) {
            let ours: Vec<Ours> = chunk.iter().map(|new| adding.ours(new)).collect();
            let outcomes = self.ask_for(adding, &ours);
            let (mut not_ours, mut frames) = (Vec::new(), Vec::new());
            for ((new, ours), outcome) in chunk.iter().zip(&ours).zip(&outcomes) {
                let key = (adding.index, ours.net);
                match outcome {
                    AddressOutcome::AlreadyThere => drop(self.others.insert(key)),
                    AddressOutcome::Added | AddressOutcome::StillThere => {
                        self.others.remove(&key);
                        frames.push(new.announcement.as_slice());
                    }
                    // What was refused may be somebody else's too.
                    AddressOutcome::Failed(_) => drop(self.others.insert(key)),
                    AddressOutcome::TooLate => drop(self.others.remove(&key)),
                }
                if matches!(outcome, AddressOutcome::AlreadyThere | AddressOutcome::TooLate) {
                    not_ours.push(ours.net);
                }
            }
            self.disown(adding.router, *adding.interface, &not_ours);
            self.announce(adding.router, adding.interface, frames.into_iter(), announcers);
            let outcomes = chunk.iter().map(|new| new.address).zip(outcomes).collect();
            self.report(Report::Added { router: adding.router.clone(), outcomes });
        }
    }

    /// Asks the kernel for addresses. This process may stand still at any moment: what was added too late goes again.
    fn ask_for(&mut self, adding: &Adding<'_>, ours: &[Ours]) -> Vec<AddressOutcome> {
        let too_late = vec![AddressOutcome::TooLate; ours.len()];
        if adding.is_late() {
            return too_late;
        }
        let requests: Vec<Request> = ours.iter().map(|ours| message::add_address(adding.index, ours)).collect();
        let mut outcomes: Vec<AddressOutcome> = match self.netlink.request(&requests) {
            Ok(results) => results.into_iter().map(outcome).collect(),
            Err(error) => vec![AddressOutcome::Failed(error.to_string()); ours.len()],
        };
        if adding.again && outcomes.contains(&AddressOutcome::AlreadyThere) {
            self.recognise(adding.index, ours, &mut outcomes);
        }
        if adding.is_late() {
            let here = |outcome: &AddressOutcome| match outcome {
                AddressOutcome::Added | AddressOutcome::StillThere => true,
                AddressOutcome::AlreadyThere | AddressOutcome::TooLate | AddressOutcome::Failed(_) => false,
            };
            let added = ours.iter().zip(&outcomes).filter(|(_, outcome)| here(outcome));
            let nets: BTreeSet<IpNet> = added.map(|(ours, _)| ours.net).collect();
            self.undo(adding.router, adding.interface, adding.index, &nets);
            return too_late;
        }
        outcomes
    }

    /// Finds out which of those that are there already bear our mark.
    fn recognise(&mut self, index: u32, ours: &[Ours], outcomes: &mut [AddressOutcome]) {
        let present = self.netlink.addresses(index).unwrap_or_default();
        let marked: BTreeSet<IpNet> =
            present.iter().filter(|message| message::is_marked(message)).filter_map(message::address_of).collect();
        for (ours, outcome) in ours.iter().zip(outcomes) {
            if *outcome == AddressOutcome::AlreadyThere && marked.contains(&ours.net) {
                *outcome = AddressOutcome::StillThere;
            }
        }
    }

    /// One line for all frames that fail in a row: they fail for the same reason.
    fn announce<'f>(
        &mut self,
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
        let key = (router.clone(), *interface);
        match failure {
            None => drop(self.mute.remove(&key)),
            Some(error) if self.mute.insert(key) => {
                self.fail(router, format!("announce its addresses on {interface}"), &error);
            }
            Some(_) => {}
        }
    }

    pub(super) fn remove(
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

/// Waits for a job without sleeping; others may have the processor meanwhile.
fn expect(queue: &Receiver<Job>) -> Option<Job> {
    let until = clock::now() + AWAKE;
    while clock::now() < until {
        if let Ok(job) = queue.try_recv() {
            return Some(job);
        }
        std::thread::yield_now();
    }
    None
}

/// What the additions of one job have in common.
struct Adding<'a> {
    router: &'a RouterName,
    interface: &'a InterfaceName,
    index: u32,
    lifetime: Option<Lifetime>,
    until: Instant,
    again: bool,
}

impl Adding<'_> {
    fn is_late(&self) -> bool {
        clock::now() > self.until
    }

    fn ours(&self, new: &NewAddress) -> Ours {
        let net = IpNet::new(new.address.addr(), new.prefix).unwrap_or(new.address);
        Ours { net, lifetime: self.lifetime, borrows_route: false }
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
