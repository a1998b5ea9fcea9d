use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::hands::{Hands, MONITOR, Past};
use super::listening::Socket;
use super::protocol::{Command, Parked};
use super::pulse::Pulse;
use super::realtime::Realtime;
use crate::config::Config;
use crate::io::clock::{self, ClockPair, SuspendWatch};
use crate::io::neighbours::NeighbourSocket;
use crate::io::netlink::{MonitorState, Report};
use crate::io::vrrp::VrrpSocket;
use crate::proto::{Agent, Effect, Input};
use crate::report::{Event, Summary, WallClock};
use crate::types::{Channel, Discard, Instant, InterfaceName, IpNet, Memory};

/// What is read from one socket, and taken from one channel, at one wake-up.
const READS: usize = 256;
/// How often what cannot count is looked at, at most and at least; and how much of it at a time.
const ASIDE_SOONEST: Duration = Duration::from_millis(250);
const ASIDE_LATEST: Duration = Duration::from_secs(1);
const ASIDE_READS: usize = 64;
/// Turns by which a tick that is due waits for sockets that had more than [`READS`]: what was heard while we were
/// not scheduled decides before time does, but no flood holds an advert up for long.
const PATIENCE: u32 = 3;
/// Rounds of failures and answers to them within one wake-up; what is left waits for the next one.
const FAILURES: usize = 8;

/// A program takes this long to begin, with room to spare.
const BEGINNING: Duration = Duration::from_millis(150);
/// For how long such a moment is waited for.
const CHOOSY: Duration = Duration::from_secs(2);
/// How long what is remembered may take to be on disk, before another program reads it.
const WRITTEN: Duration = Duration::from_millis(100);
/// How long this thread stands still at most for another program to take over.
const PARKED: Duration = Duration::from_secs(2);

/// What ended a wait.
#[derive(Debug)]
enum Wake {
    /// A socket or the timer; which, is seen by looking.
    Ready,
    Report(Report),
    Command(Command),
    /// Nobody can send a command any more.
    Deserted,
}

/// Who else wants to know how the loop fares.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) summary: watch::Sender<Summary>,
    pub(super) pulse: Option<Pulse>,
    /// What an agent before this one knew, until this one has been told.
    pub(super) memory: Option<Memory>,
}

/// Another program is about to take this one's place, at the next quiet moment.
#[derive(Debug)]
struct HandingOver {
    reply: oneshot::Sender<io::Result<Parked>>,
    asked_at: Instant,
    /// The mark that the worker was handed last, and whether it has come to it.
    mark: Option<(u64, bool)>,
}

/// The protocol thread's loop.
#[derive(Debug)]
pub(super) struct Loop {
    agent: Agent,
    hands: Hands,
    beside: Beside,
    realtime: Realtime,
    handing_over: Option<HandingOver>,
    commands: mpsc::Receiver<Command>,
    deserted: bool,
    wanted: BTreeSet<InterfaceName>,
    effects: Vec<Effect>,
    performing: Vec<Effect>,
    failures: VecDeque<Input<'static>>,
    ready: Vec<u64>,
    /// Something is left to do without waiting.
    again: bool,
    postponed: u32,
    /// Interfaces on which there is more to read than was read in this turn.
    behind: BTreeSet<InterfaceName>,
    /// When what cannot count was last looked at.
    aside_at: Instant,
    suspends: SuspendWatch,
}

impl Loop {
    pub(super) fn new(agent: Agent, hands: Hands, commands: mpsc::Receiver<Command>, beside: Beside) -> Self {
        Loop {
            agent,
            hands,
            beside,
            realtime: Realtime::default(),
            handing_over: None,
            commands,
            deserted: false,
            wanted: BTreeSet::new(),
            effects: Vec::new(),
            performing: Vec::new(),
            failures: VecDeque::new(),
            ready: Vec::new(),
            again: false,
            postponed: 0,
            behind: BTreeSet::new(),
            aside_at: Instant::default(),
            suspends: SuspendWatch::start(),
        }
    }

    /// How this thread, which must be the loop's, is scheduled from here on.
    pub(super) fn schedule(&mut self, realtime: bool) {
        self.realtime.apply(realtime, &mut self.hands.log);
    }

    pub(super) async fn run(mut self) {
        self.wanted = self.agent.interfaces();
        let clocks = clock::pair();
        let now = clocks.boot;
        self.feed(now, Input::WallClock { unix_nanos: clocks.unix_nanos });
        if let Some(memory) = self.beside.memory.take() {
            self.feed(now, Input::Memory(memory));
        }
        if let Some(Past { records, left }) = self.hands.take_past() {
            self.feed(now, Input::Past { records, left });
        }
        self.tell_news(now);
        self.feed(now, Input::Tick);
        self.hands.listening.close_inherited();
        self.rest(now);
        while !self.hands.stopped {
            let wake = if self.again { Wake::Ready } else { self.wait().await };
            self.turn(wake);
            self.hand_over(clock::now());
        }
        // Whoever asks from now on learns that it is too late, however long the worker takes.
        self.commands.close();
        self.hands.finish().await;
    }

    async fn wait(&mut self) -> Wake {
        tokio::select! {
            biased;
            expired = self.hands.timer.expired() => self.woken(expired, "wait for the timer"),
            readable = self.hands.poller.readable() => self.woken(readable, "wait for sockets"),
            Some(report) = self.hands.reports.recv() => Wake::Report(report),
            command = self.commands.recv(), if !self.deserted => command.map_or(Wake::Deserted, Wake::Command),
        }
    }

    fn woken(&mut self, result: io::Result<()>, what: &str) -> Wake {
        if let Err(error) = result {
            self.hands.log.refused(what.to_owned(), error.to_string());
        }
        Wake::Ready
    }

    /// One wake-up: all that is known by now, then time itself.
    fn turn(&mut self, wake: Wake) {
        let clocks = clock::pair();
        let now = clocks.boot;
        self.again = false;
        self.feed(now, Input::WallClock { unix_nanos: clocks.unix_nanos });
        if let Some(span) = self.suspends.suspended() {
            self.agent.handle(now, Input::Suspended(span), &mut self.effects);
        }
        if let Err(error) = self.look() {
            self.hands.log.refused("ask which sockets can be read".to_owned(), error.to_string());
        }
        self.perform(now);
        // Links and addresses first: a packet may be judged by them.
        if self.ready.contains(&MONITOR) {
            self.read_monitor(now);
        }
        self.tell_news(now);
        self.tell_removals(now);
        let more = self.read_sockets(&clocks);
        self.read_aside(&clocks);
        self.take_in(&clocks, wake);
        if self.agent.next_deadline().is_some_and(|deadline| deadline <= now) {
            if more && self.postponed < PATIENCE {
                self.postponed += 1;
            } else {
                self.postponed = 0;
                for interface in std::mem::take(&mut self.behind) {
                    self.feed(now, Input::Behind { interface });
                }
                self.tick(now);
            }
        }
        if self.hands.relist.is_some_and(|at| at <= now) {
            self.hands.list(now);
        }
        self.rest(now);
    }

    /// Time itself; a second time for the claims whose adverts have left by the first, which wait for nothing else.
    fn tick(&mut self, now: Instant) {
        if self.agent.is_about_to_claim(now) {
            self.hands.rouse_worker();
        }
        self.feed(now, Input::Tick);
        if self.agent.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.feed(now, Input::Tick);
        }
    }

    fn look(&mut self) -> io::Result<()> {
        self.hands.poller.clear();
        self.hands.poller.ready(&mut self.ready)?;
        // Those that were not named come next, without another edge to wake us.
        self.again |= self.ready.len() == crate::io::poller::Poller::BATCH;
        Ok(())
    }

    /// Stands still if another program wants this one's place and the moment is right: nothing is left to do, no
    /// address is on its way, and no advert is due in the time that a program takes to begin.
    fn hand_over(&mut self, now: Instant) {
        let Some(handing_over) = &mut self.handing_over else { return };
        let (mark, asked_at) = (handing_over.mark, handing_over.asked_at);
        if handing_over.reply.is_closed() || self.hands.stopped {
            self.handing_over = None;
            return;
        }
        match mark {
            Some((number, _)) if self.hands.idle_since(number) => {}
            Some(_) | None => handing_over.mark = self.hands.mark().map(|number| (number, false)),
        }
        let idle = mark.is_some_and(|(number, reached)| reached && self.hands.idle_since(number));
        let busy = self.again || !idle || !self.agent.is_quiet();
        let soon = self.agent.next_deadline().is_some_and(|deadline| deadline.since(now) < BEGINNING);
        // Where adverts are that close to each other one of them is late whenever it is.
        if busy || (soon && now.since(asked_at) < CHOOSY) {
            return;
        }
        let Some(HandingOver { reply, .. }) = self.handing_over.take() else { return };
        let (go_on, wait) = std::sync::mpsc::channel();
        let memory = self.agent.memory();
        let parked = if self.hands.settle_record(WRITTEN) {
            self.hands.listening.copies().map(|sockets| Parked { sockets, memory, _go_on: go_on })
        } else {
            Err(io::Error::other("the disk of the runtime directory does not answer"))
        };
        if reply.send(parked).is_ok() {
            // It ends with an error whichever way: nothing is ever sent.
            wait.recv_timeout(PARKED).ok();
        }
    }

    /// Log and timer, when all else is done.
    fn rest(&mut self, now: Instant) {
        self.hands.rest(&mut self.failures);
        if self.hands.log.flush() {
            let summary = self.agent.summary();
            self.beside.summary.send_if_modified(|told| std::mem::replace(told, summary.clone()) != summary);
        }
        if let Some(pulse) = &mut self.beside.pulse {
            pulse.beat(now, &mut self.hands.log);
        }
        self.again |= !self.effects.is_empty() || !self.failures.is_empty();
        let pulse = self.beside.pulse.as_ref().map(Pulse::deadline);
        let aside = self.hands.listening.hears_adverts().then(|| self.aside_at + ASIDE_LATEST);
        let deadline = [self.agent.next_deadline(), self.hands.relist, pulse, aside].into_iter().flatten().min();
        if let Err(error) = self.hands.timer.set(deadline) {
            self.hands.log.refused("set the timer".to_owned(), error.to_string());
        }
        self.again |= self.postponed > 0 && deadline.is_some_and(|deadline| deadline <= now);
    }

    /// Hands the agent one input and performs what it wants done.
    fn feed(&mut self, now: Instant, input: Input<'_>) {
        self.agent.handle(now, input, &mut self.effects);
        self.perform(now);
    }

    fn perform(&mut self, now: Instant) {
        for _ in 0..FAILURES {
            if self.effects.is_empty() && self.failures.is_empty() {
                return;
            }
            std::mem::swap(&mut self.effects, &mut self.performing);
            for effect in self.performing.drain(..) {
                self.hands.perform(effect, &mut self.failures);
            }
            for failure in self.failures.drain(..) {
                self.agent.handle(now, failure, &mut self.effects);
            }
        }
    }

    fn read_monitor(&mut self, now: Instant) {
        match self.hands.monitor.read(READS) {
            Ok(MonitorState::Current) => {}
            Ok(MonitorState::More) => self.again = true,
            Ok(MonitorState::Lost) => self.relist(now),
            Err(error) => {
                self.hands.log.refused("read the news of links and addresses".to_owned(), error.to_string());
                self.relist(now);
            }
        }
    }

    fn relist(&mut self, now: Instant) {
        self.hands.watch_monitor(false);
        self.hands.list(now);
    }

    fn tell_news(&mut self, now: Instant) {
        for (name, facts) in self.hands.monitor.news(&self.wanted) {
            self.feed(now, Input::Interface { name, facts });
        }
    }

    /// Those of interfaces that matter; what is no longer there at all has been told by the news.
    fn tell_removals(&mut self, now: Instant) {
        let mut gone: BTreeMap<InterfaceName, Vec<IpNet>> = BTreeMap::new();
        for (interface, address) in self.hands.monitor.removals() {
            if self.wanted.contains(&interface) {
                gone.entry(interface).or_default().push(address);
            }
        }
        for (interface, addresses) in gone {
            self.feed(now, Input::AddressesGone { interface, addresses });
        }
    }

    /// Whether a socket has more than was read.
    fn read_sockets(&mut self, clocks: &ClockPair) -> bool {
        let mut more = false;
        self.behind.clear();
        for position in 0..self.ready.len() {
            let Some(token) = self.ready.get(position).copied() else { break };
            more |= self.read_socket(clocks, token);
        }
        self.again |= more;
        more
    }

    fn read_socket(&mut self, clocks: &ClockPair, token: u64) -> bool {
        let now = clocks.boot;
        let mut buffer = [0; NeighbourSocket::LARGEST];
        for _ in 0..READS {
            // A token may have become stale by an effect of this turn.
            let Some((interface, channel)) = self.hands.listening.which(token) else {
                return self.read_frames(now, token);
            };
            let read = match self.hands.listening.socket(token) {
                Some(Socket::Adverts(socket)) => socket
                    .receive(clocks)
                    .map(|read| read.map(|(received, bytes)| Input::Packet { interface, received, bytes })),
                Some(Socket::Announcements(socket)) => {
                    socket.receive(&mut buffer).map(|read| read.map(|bytes| Input::Frame { interface, bytes }))
                }
                None => Ok(None),
            };
            match read {
                Ok(Some(input)) => self.agent.handle(now, input, &mut self.effects),
                Ok(None) => return false,
                Err(error) => return self.socket_failed(now, (interface, channel), &error),
            }
            self.perform(now);
        }
        let interface = self.hands.listening.which(token).map(|(interface, _)| interface);
        self.behind.extend(interface);
        true
    }

    /// A little of what cannot count, so that everybody learns who is there, and how much there was besides.
    fn read_aside(&mut self, clocks: &ClockPair) {
        let now = clocks.boot;
        if now < self.aside_at + ASIDE_SOONEST {
            return;
        }
        self.aside_at = now;
        for (interface, family) in self.hands.listening.advert_channels() {
            for _ in 0..ASIDE_READS {
                let Some(socket) = self.hands.listening.adverts_mut(interface, family) else { break };
                // Whatever is wrong with it is told of the socket beside it, and opens both anew.
                let Ok(Some((received, bytes))) = socket.receive_aside(clocks) else { break };
                self.agent.handle(now, Input::Packet { interface, received, bytes }, &mut self.effects);
                self.perform(now);
            }
            let missed = self.hands.listening.adverts_mut(interface, family).map(VrrpSocket::missed);
            let [overrun, unread] = missed.unwrap_or_default();
            for (reason, packets) in [(Discard::Overrun, overrun), (Discard::Unread, unread)] {
                if packets > 0 {
                    self.feed(now, Input::Missed { interface, reason, packets });
                }
            }
        }
    }

    fn read_frames(&mut self, now: Instant, token: u64) -> bool {
        let Some((interface, socket)) = self.hands.watching.which(token) else { return false };
        match socket.has_heard() {
            Ok(false) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
            Ok(true) => {
                self.hands.watching.close(&interface);
                self.feed(now, Input::FramesPass { interface });
            }
            // What is always ready and never read would keep us busy for ever; the wait ends without it too.
            Err(error) => {
                self.hands.watching.close(&interface);
                self.hands.log.refused(format!("watch for frames on {interface}"), error.to_string());
            }
        }
        false
    }

    /// A socket hears of its interface going down once, and works again when that comes back; anything else closes
    /// it, since what is always ready and never read would keep us busy for ever.
    fn socket_failed(&mut self, now: Instant, which: (InterfaceName, Channel), error: &io::Error) -> bool {
        if error.raw_os_error() == Some(libc::ENETDOWN) {
            return true;
        }
        let (interface, channel) = which;
        self.hands.listening.close(interface, channel);
        self.feed(now, Input::ListenFailed { interface, channel, error: error.to_string() });
        false
    }

    /// What came over channels.
    fn take_in(&mut self, clocks: &ClockPair, wake: Wake) {
        match wake {
            Wake::Ready => {}
            Wake::Report(report) => self.report(clocks.boot, report),
            Wake::Command(command) => self.command(clocks, command),
            Wake::Deserted => {
                self.deserted = true;
                self.feed(clocks.boot, Input::Stop);
            }
        }
        for _ in 0..READS {
            let Ok(report) = self.hands.reports.try_recv() else { break };
            self.report(clocks.boot, report);
        }
        for _ in 0..READS {
            let Ok(command) = self.commands.try_recv() else { break };
            self.command(clocks, command);
        }
    }

    fn report(&mut self, now: Instant, report: Report) {
        match report {
            Report::Added { router, outcomes } => self.feed(now, Input::AddressesAdded { router, outcomes }),
            Report::Reached(number) => {
                if let Some(HandingOver { mark: Some(mark), .. }) = &mut self.handing_over {
                    mark.1 |= mark.0 == number;
                }
            }
            Report::Failed { router, what, error } => self.hands.log.failed(router, what, error),
            Report::Renewed { router, interface, asked, other_kind, outcome } => {
                self.feed(now, Input::LeasesRenewed { router, interface, asked, other_kind, outcome });
            }
            Report::Listed(listing) => {
                if self.hands.listed(now, listing) {
                    self.tell_news(now);
                    self.feed(now, Input::Listed);
                }
            }
        }
    }

    fn reload(&mut self, now: Instant, config: Box<Config>, reply: oneshot::Sender<String>) {
        let realtime = config.realtime;
        let told = self.hands.log.count();
        // First what is known of interfaces that begin to matter: they are no news of later.
        self.wanted.extend(config.interfaces());
        self.tell_news(now);
        self.feed(now, Input::Reload(config));
        self.wanted = self.agent.interfaces();
        self.tell_news(now);
        // Where the agent is stopping it takes nothing over and says nothing, and whoever waits hears it by the drop.
        let outcome = self.hands.log.since(told).find(|event| matches!(event, Event::Reloaded { .. }));
        if let Some(words) = outcome.map(ToString::to_string) {
            self.schedule(realtime);
            drop(reply.send(words));
        }
    }

    fn command(&mut self, clocks: &ClockPair, command: Command) {
        let now = clocks.boot;
        match command {
            Command::Check { name, result, output } => self.feed(now, Input::Check { name, result, output }),
            Command::Reload(config, reply) => self.reload(now, config, reply),
            Command::HandOver(reply) => {
                self.handing_over = Some(HandingOver { reply, asked_at: now, mark: None });
            }
            Command::RealtimeTaken => self.realtime.taken(&mut self.hands.log),
            Command::Stop => self.feed(now, Input::Stop),
            Command::StopAtOnce => self.feed(now, Input::StopAtOnce),
            Command::Leave => self.feed(now, Input::Leave),
            Command::Snapshot(reply) => {
                let mut status = self.agent.snapshot(WallClock { at: now, unix_nanos: clocks.unix_nanos });
                status.realtime = self.realtime.status();
                // Whoever asked may have gone away since.
                drop(reply.send(status));
            }
        }
    }
}
