use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::handover::Sockets;
use super::listening::Listening;
use super::watching::Watching;
use crate::io::netlink::{Job, Monitor, Netlink, NewAddress, Renewal, Report, Worker};
use crate::io::poller::Poller;
use crate::io::record::{Kept, Recorder};
use crate::io::system;
use crate::io::timer::Timer;
use crate::proto::{Addition, Effect, Input};
use crate::report::Event;
use crate::types::{AddressOutcome, Family, Instant, LeaseOutcome, LeftAddress, RouterName, RouterRecord};

/// The monitor's token; those of the sockets count up from 0.
pub(super) const MONITOR: u64 = u64::MAX;
/// Room for the kernel's news of a few thousand addresses.
const MONITOR_BUFFER: usize = 4 << 20;
/// How long after a listing that failed the next one is tried.
const RELIST: Duration = Duration::from_secs(1);

/// Everything outside the agent that the protocol thread holds.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) poller: Poller,
    pub(super) timer: Timer,
    pub(super) monitor: Monitor,
    pub(super) listening: Listening,
    pub(super) watching: Watching,
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) log: Log,
    pub(super) stopped: bool,
    /// When to ask for a listing again, after one that failed or could not be asked for.
    pub(super) relist: Option<Instant>,
    worker: Worker,
    /// Routers of which an advert has left in this wake-up.
    heard: BTreeSet<RouterName>,
    /// Renewals of this wake-up: adverts come first, and one batch costs less than many.
    renewals: Vec<Renewal>,
    /// Jobs that the worker was handed.
    handed: u64,
    recorder: Recorder,
    /// What an earlier process has left, until the agent has been told.
    past: Option<Past>,
}

/// What an earlier process has left.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) records: Vec<RouterRecord>,
    pub(super) left: Vec<LeftAddress>,
}

impl Hands {
    /// Opens what is always open, and takes the first listing.
    pub(super) fn new(kept: Kept, events: mpsc::Sender<Event>, sockets: Option<Sockets>) -> io::Result<Self> {
        let Kept { slots, journal, records, added, troubles } = kept;
        let mut netlink = Netlink::open()?;
        let mut monitor = Monitor::open(MONITOR_BUFFER, netlink.port()?)?;
        let snapshot = netlink.snapshot()?;
        let left = snapshot.left(&added, system::kernel_marks_addresses());
        monitor.replace(snapshot);
        let poller = Poller::new()?;
        poller.add(&monitor, MONITOR)?;
        let timer = Timer::new()?;
        let (worker, reports) = Worker::start(netlink, journal)?;
        let mut log = Log { events, held: Vec::new(), lost: 0 };
        troubles.into_iter().for_each(|(what, error)| log.refused(what, error));
        let (listening, watching) = (Listening::new(sockets), Watching::default());
        let recorder = Recorder::start(slots)?;
        let (past, stopped, relist) = (Some(Past { records, left }), false, None);
        Ok(Hands {
            poller,
            timer,
            monitor,
            listening,
            watching,
            reports,
            log,
            stopped,
            relist,
            worker,
            heard: BTreeSet::new(),
            renewals: Vec::new(),
            handed: 0,
            recorder,
            past,
        })
    }

    /// What an earlier process has left; once.
    pub(super) fn take_past(&mut self) -> Option<Past> {
        self.past.take()
    }

    /// Performs one effect; what fails at once is an input for the agent.
    pub(super) fn perform(&mut self, effect: Effect, failures: &mut VecDeque<Input<'static>>) {
        match effect {
            Effect::Listen { interface, index, channels, addresses, awaited } => {
                let mut failed = self.listening.open(&self.poller, interface, index, &channels);
                failed.extend(self.listening.heed(interface, &addresses, &awaited));
                for (channel, error) in failed {
                    failures.push_back(Input::ListenFailed { interface, channel, error: error.to_string() });
                }
            }
            Effect::Unlisten { interface } => self.listening.close_all(interface),
            Effect::WatchFrames { interface, index, mac } => {
                // The wait for frames ends without them too.
                if let Err(error) = self.watching.open(&self.poller, interface, index, mac) {
                    self.log.refused(format!("watch for frames on {interface}"), error.to_string());
                }
            }
            Effect::UnwatchFrames { interface } => self.watching.close(&interface),
            Effect::SendAdvert { router, interface, destination, packet } => {
                let sent = match self.listening.adverts(interface, Family::of(destination)) {
                    Some(socket) => socket.send(&packet, destination),
                    None => Err(io::Error::other("not listening on this interface")),
                };
                match sent {
                    Ok(()) => drop(self.heard.insert(router)),
                    Err(error) => failures.push_back(Input::SendFailed { router, error: send_words(&error) }),
                }
            }
            Effect::AddAddresses { router, interface, index, additions, lifetime, until, again } => {
                let additions = additions.into_iter().map(new_address).collect();
                let announcers = self.listening.announcers(interface);
                self.hand(
                    Job::Add { router, interface, index, additions, lifetime, until, again, announcers },
                    failures,
                );
            }
            Effect::RemoveAddresses { router, interface, index, removals, restore } => {
                self.hand(Job::Remove { router, interface, index, removals, restore }, failures);
            }
            Effect::RenewLeases {
                router,
                interface,
                index,
                leases,
                lifetime,
                asked,
                until,
                other_kind,
                with_advert,
            } => {
                // There may be several: for each interface, and for those that change their kind.
                if !with_advert || self.heard.contains(&router) {
                    let addresses = leases.into_iter().map(|lease| (lease.net, lease.borrows_route)).collect();
                    let renewal = Renewal { router, interface, index, addresses, lifetime, asked, until, other_kind };
                    self.renewals.push(renewal);
                }
            }
            Effect::Announce { router, interface, frames, until } => {
                let announcers = self.listening.announcers(interface);
                self.hand(Job::Announce { router, interface, frames, until: Some(until), announcers }, failures);
            }
            Effect::Probe { router, interface, frames } => {
                let announcers = self.listening.announcers(interface);
                self.hand(Job::Announce { router, interface, frames, until: None, announcers }, failures);
            }
            Effect::Record(record) => self.keep(record),
            Effect::Forget { interface, family, vrid } => self.recorder.forget((interface, family, vrid)),
            Effect::Tell(event) => self.log.hold(event),
            Effect::Stopped => self.stopped = true,
        }
    }

    /// Remembers an Active router when all else of the wake-up is done. Any other at once: whoever is not Active any more
    /// must not resume as if it were.
    fn keep(&mut self, record: Box<RouterRecord>) {
        let is_active = record.sent_at.is_some();
        self.recorder.keep(record);
        if !is_active {
            self.recorder.hand_over();
        }
    }

    /// Whether all that was to be remembered is written; waits for it, so long at most.
    pub(super) fn settle_record(&mut self, patience: Duration) -> bool {
        self.recorder.settle(patience)
    }

    /// Addresses are about to be added: the worker wakes up while the advert is on its way out.
    pub(super) fn rouse_worker(&self) {
        // Where so many jobs wait that there is no room, it is awake.
        drop(self.worker.hand(Job::Rouse));
    }

    /// Asks for a listing of all links and addresses.
    pub(super) fn list(&mut self, now: Instant) {
        self.relist = match self.worker.hand(Job::List) {
            Ok(()) => None,
            Err(_) => Some(now + RELIST),
        };
    }

    /// Takes in a listing that was asked for. Whether it is one.
    pub(super) fn listed(&mut self, now: Instant, listing: io::Result<crate::io::netlink::Snapshot>) -> bool {
        match listing {
            Ok(snapshot) => {
                self.monitor.replace(snapshot);
                self.watch_monitor(true);
                true
            }
            Err(error) => {
                self.relist = Some(now + RELIST);
                self.log.refused("list links and addresses".to_owned(), error.to_string());
                false
            }
        }
    }

    /// While a listing is under way the monitor is not read, and what it has queued must not wake us.
    pub(super) fn watch_monitor(&mut self, watched: bool) {
        let changed = if watched { self.poller.add(&self.monitor, MONITOR) } else { self.poller.remove(&self.monitor) };
        if let Err(error) = changed {
            self.log.refused("wait for news of links and addresses".to_owned(), error.to_string());
        }
    }

    /// Hands over the renewals that were asked for by now.
    fn renew(&mut self, failures: &mut VecDeque<Input<'static>>) {
        if !self.renewals.is_empty() {
            let renewals = std::mem::take(&mut self.renewals);
            self.hand_over(Job::Renew(renewals), failures);
        }
    }

    /// The end of a wake-up: nothing more is to come that the renewals could be handed over with.
    pub(super) fn rest(&mut self, failures: &mut VecDeque<Input<'static>>) {
        self.renew(failures);
        self.heard.clear();
        self.recorder.hand_over();
        if let Some(error) = self.recorder.trouble() {
            let what = "remember the virtual routers, so a restart will not resume".to_owned();
            self.log.refused(what, error.to_string());
        }
    }

    /// Has the worker say when it has done all it was handed until now; the number it says so with.
    pub(super) fn mark(&mut self) -> Option<u64> {
        let number = self.handed;
        self.worker.hand(Job::Mark(number)).is_ok().then_some(number)
    }

    /// Whether the worker has been handed nothing since that mark.
    pub(super) fn idle_since(&self, number: u64) -> bool {
        self.handed == number
    }

    fn hand(&mut self, job: Job, failures: &mut VecDeque<Input<'static>>) {
        // In the order in which they were asked for: renewed after its removal, an address would be back.
        self.renew(failures);
        self.hand_over(job, failures);
    }

    fn hand_over(&mut self, job: Job, failures: &mut VecDeque<Input<'static>>) {
        const FULL: &str = "1,024 changes wait for the kernel already";
        self.handed += 1;
        let Err(job) = self.worker.hand(job) else { return };
        match *job {
            Job::Add { router, additions, .. } => {
                let failed = |new: NewAddress| (new.address, AddressOutcome::Failed(FULL.to_owned()));
                let outcomes = additions.into_iter().map(failed).collect();
                failures.push_back(Input::AddressesAdded { router, outcomes });
            }
            Job::Remove { router, interface, .. } => {
                self.log.failed(router, format!("remove addresses from {interface}"), FULL.to_owned());
            }
            Job::Announce { router, interface, .. } => {
                self.log.failed(router, format!("announce its addresses on {interface}"), FULL.to_owned());
            }
            Job::Renew(renewals) => {
                let failed = renewals.into_iter().map(|renewal| Input::LeasesRenewed {
                    router: renewal.router,
                    interface: renewal.interface,
                    asked: renewal.asked,
                    other_kind: renewal.other_kind,
                    outcome: LeaseOutcome::Failed(FULL.to_owned()),
                });
                failures.extend(failed);
            }
            Job::List | Job::Mark(_) | Job::Rouse => {}
        }
    }

    /// Lets the worker finish what it was handed, and tells what failed of it.
    pub(super) async fn finish(mut self) {
        let (record, thread) = (self.recorder.close(), self.worker.close());
        while let Some(report) = self.reports.recv().await {
            match report {
                Report::Failed { router, what, error } => self.log.failed(router, what, error),
                Report::Added { .. } | Report::Renewed { .. } | Report::Listed(_) | Report::Reached(_) => {}
            }
        }
        self.log.flush();
        // The worker has dropped its end of the reports, so it is over or about to be.
        for thread in [thread, record] {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn new_address(addition: Addition) -> NewAddress {
    NewAddress { address: addition.address, prefix: addition.prefix, announcement: addition.announcement }
}

/// Why an advert did not leave, with what to do where that is known.
fn send_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        // No right that we lack now was there when the socket was opened.
        Some(libc::EPERM) => format!("{error}; a firewall of this host drops them: let IP protocol 112 (VRRP) out"),
        Some(_) | None => error.to_string(),
    }
}

/// Log lines on their way to the service side.
#[derive(Debug)]
pub(super) struct Log {
    events: mpsc::Sender<Event>,
    /// Those of this wake-up: waking whoever writes them must not delay an advert.
    held: Vec<Event>,
    lost: u64,
}

impl Log {
    pub(super) fn hold(&mut self, event: Event) {
        self.held.push(event);
    }

    pub(super) fn failed(&mut self, router: crate::types::RouterName, what: String, error: String) {
        self.hold(Event::SystemRefused { router: Some(router), what, error });
    }

    pub(super) fn refused(&mut self, what: String, error: String) {
        self.hold(Event::SystemRefused { router: None, what, error });
    }

    /// How many lines of this wake-up there are.
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// Those of them after the first so many.
    pub(super) fn since(&self, count: usize) -> impl Iterator<Item = &Event> {
        self.held.iter().skip(count)
    }

    /// Sends them off; what does not fit is counted, and the count told as soon as there is room. Whether there was any.
    pub(super) fn flush(&mut self) -> bool {
        let any = !self.held.is_empty();
        if self.lost > 0 && self.events.try_send(Event::LogLost { lines: self.lost }).is_ok() {
            self.lost = 0;
        }
        for event in self.held.drain(..) {
            if self.events.try_send(event).is_err() {
                self.lost += 1;
            }
        }
        any
    }
}
