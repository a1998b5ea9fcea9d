//! Virtual time: a queue of what happens, hosts and LAN that it happens to, and the judge that watches.

mod faults;
mod kernel;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use locum::proto::{Effect, Input};
use locum::types::{Family, Instant, IpNet, LeaseOutcome};
use locum::wire::announcement::{self, Announcement};
use locum::wire::vrrp;

use crate::check::{Cause, Compared, Heard, Judge};
use crate::drawn::Drawn;
use crate::host::{Host, INDEX, Job, interface, source};
use crate::lan::{CLIENTS, FRAMES, Lan};
use crate::rng::Rng;
use crate::scenario::{Fault, START, Scenario};
use crate::trace::Trace;

/// Ticks at one moment after which a deadline that does not move is a busy loop.
const TICKS_AT_ONCE: u32 = 16;
/// Adverts that somebody records.
const RECORDED: usize = 256;

/// All that can be seen from outside.
pub struct Scene {
    pub now: Instant,
    pub plan: Scenario,
    pub hosts: Vec<Host>,
    pub lan: Lan,
    /// Who knows nothing of whom and refuses what he says, since their clocks are too far apart.
    pub strangers: BTreeSet<(usize, usize)>,
}

pub struct World {
    scene: Scene,
    judge: Judge,
    rng: Rng,
    queue: BinaryHeap<Reverse<(Instant, u64, Box<Entry>)>>,
    order: u64,
    ticks_at: (Instant, u32),
    /// For each host, what it finds when it wakes.
    put_off: Vec<Vec<Happening>>,
    /// Authenticated adverts as somebody has recorded them, the newest last.
    recorded: VecDeque<Rc<Heard>>,
    pub trace: Trace,
    pub handled: u64,
    /// What went wrong, and how often.
    pub drawn: Drawn,
}

/// Never compared: time and order decide before it.
struct Entry(Happening);

enum Happening {
    Wake(usize),
    Advert {
        to: usize,
        life: u32,
        received: Instant,
        heard: Rc<Heard>,
    },
    Frame {
        to: usize,
        life: u32,
        bytes: Rc<[u8]>,
    },
    /// Somebody asks who has an address.
    Question {
        from: usize,
        to: usize,
        address: IpAddr,
    },
    ClientFrame {
        client: usize,
        from: usize,
        bytes: Rc<[u8]>,
    },
    Done {
        host: usize,
        life: u32,
        job: Job,
    },
    Report {
        host: usize,
        life: u32,
    },
    Facts {
        host: usize,
        life: u32,
    },
    /// A frame of somebody else, for a link that is held until then.
    FramesPass {
        host: usize,
        life: u32,
        held_until: Option<Instant>,
    },
    Renewed {
        host: usize,
        life: u32,
        router: usize,
        asked: (Instant, bool),
        outcome: LeaseOutcome,
    },
    Expires {
        host: usize,
        net: IpNet,
    },
    Gone {
        host: usize,
        life: u32,
        net: IpNet,
    },
    Mute {
        host: usize,
        life: u32,
        router: usize,
    },
    CheckRun {
        host: usize,
        life: u32,
    },
    Ended {
        host: usize,
        life: u32,
    },
    Fault(Fault),
    /// From now on nothing goes wrong.
    Calm,
    Look,
}

impl World {
    pub fn new(plan: Scenario, whole_trace: bool) -> Self {
        let mut rng = Rng::new(plan.seed ^ 0x5eed);
        let lan = Lan::new(&plan.lan, START, rng.fork());
        let hosts = plan.hosts;
        let mut world = World {
            judge: Judge::new(&plan),
            scene: Scene {
                now: START,
                hosts: (0..hosts).map(|id| Host::new(id, START)).collect(),
                plan,
                lan,
                strangers: BTreeSet::new(),
            },
            rng,
            queue: BinaryHeap::new(),
            order: 0,
            ticks_at: (START, 0),
            put_off: (0..hosts).map(|_| Vec::new()).collect(),
            recorded: VecDeque::new(),
            trace: Trace::new(whole_trace),
            handled: 0,
            drawn: Drawn::default(),
        };
        for host in 0..world.scene.plan.hosts {
            let at = START + world.rng.span(Duration::ZERO, Duration::from_secs(1));
            world.at(at, Happening::Fault(Fault::Boot(host)));
        }
        for number in 0..world.scene.plan.faults.len() {
            let (at, fault) = world.scene.plan.faults[number];
            world.at(at, Happening::Fault(fault));
        }
        world.at(world.scene.plan.calm_at, Happening::Calm);
        world.at(START, Happening::Look);
        world
    }

    /// Until the end, or until something is wrong: what.
    pub fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((at, _, entry))) = self.queue.pop() {
            if at > self.scene.plan.end {
                break;
            }
            self.scene.now = at;
            if let Some(what) = self.put_off(entry.0) {
                self.happen(what);
            }
            self.judge.watch(&self.scene);
            if let Some(wrong) = self.judge.verdict() {
                self.trace.line(at, None, || format!("WRONG: {wrong}"));
                return Err(wrong);
            }
        }
        Ok(())
    }

    fn at(&mut self, at: Instant, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, Box::new(Entry(what)))));
    }

    /// What the reference was asked for.
    pub fn compared(&self) -> Compared {
        self.judge.compared
    }

    fn lives(&self, host: usize, life: u32) -> bool {
        self.scene.hosts[host].life == life && self.scene.hosts[host].powered
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Wake(host) => self.wake(host),
            Happening::Advert { to, life, received, heard } => {
                if self.lives(to, life) && self.scene.hosts[to].link {
                    if self.trace.is_whole() {
                        self.trace.line(self.scene.now, Some(to), || format!("hears {heard:?}"));
                    }
                    self.scene.hosts[to].hears_frames(self.scene.now);
                    self.hear(to, &heard, received);
                }
            }
            Happening::Frame { to, life, bytes } => {
                if self.lives(to, life) && self.scene.hosts[to].link {
                    self.feed(to, Cause::Other, Input::Frame { interface: interface(), bytes: &bytes });
                }
            }
            Happening::Question { from, to, address } => self.answer(to, from, address),
            Happening::ClientFrame { client, from, bytes } => {
                if let Some(Announcement { address, .. }) = announcement::parse(&bytes) {
                    self.scene.lan.caches[client].insert(address, from);
                }
            }
            Happening::Done { host, life, job } if self.lives(host, life) => self.done(host, job),
            Happening::Report { host, life } if self.lives(host, life) => self.report(host),
            Happening::Facts { host, life } if self.lives(host, life) => self.tell_facts(host),
            Happening::FramesPass { host, life, held_until } if self.lives(host, life) => {
                if self.scene.hosts[host].held_until == held_until && self.scene.hosts[host].link {
                    self.scene.hosts[host].hears_frames(self.scene.now);
                    self.feed(host, Cause::Other, Input::FramesPass { interface: interface() });
                }
            }
            Happening::Mute { host, life, router } if self.lives(host, life) => {
                let error = match (self.scene.hosts[host].link, self.scene.hosts[host].gag) {
                    (false, _) => "Network is down",
                    (true, 100) => "Operation not permitted",
                    (true, _) => "No buffer space available",
                };
                let (name, error) = (crate::host::router_name(router), error.to_owned());
                // Where one of its copies left, the advert did.
                let left = self.scene.hosts[host].left_at.get(&router) == Some(&self.scene.now);
                let cause = if left { Cause::Other } else { Cause::Unsent(router) };
                self.feed(host, cause, Input::SendFailed { router: name, error });
            }
            Happening::CheckRun { host, life } if self.lives(host, life) => self.run_check(host),
            Happening::Ended { host, life } if self.lives(host, life) => self.ended(host),
            Happening::Fault(fault) => self.fault(fault),
            Happening::Calm => self.calm(),
            Happening::Look => {
                self.judge.look(&self.scene);
                let next = self.scene.now + Duration::from_millis(100);
                self.at(next, Happening::Look);
            }
            Happening::Renewed { host, life, router, asked, outcome } if self.lives(host, life) => {
                self.renewed(host, router, asked, outcome);
            }
            Happening::Expires { host, net } => self.expire(host, net),
            Happening::Gone { host, life, net } if self.lives(host, life) => self.gone(host, net),
            Happening::Done { .. }
            | Happening::Renewed { .. }
            | Happening::Gone { .. }
            | Happening::Report { .. }
            | Happening::Facts { .. }
            | Happening::FramesPass { .. }
            | Happening::Mute { .. }
            | Happening::CheckRun { .. }
            | Happening::Ended { .. } => {}
        }
    }

    /// Hands an advert to an agent. One that it does not take for authentic is none to it.
    fn hear(&mut self, to: usize, heard: &Heard, received: Instant) {
        let router = self.scene.plan.routers.iter().position(|router| router.is_of(heard));
        let authenticated = router.filter(|router| self.scene.plan.routers[*router].authenticated);
        if authenticated.is_some() {
            self.tell_clock(to, Cause::Other);
        }
        let input = Input::Packet { interface: interface(), received, bytes: &heard.packet };
        let Some(effects) = self.hand(to, input) else { return };
        let counts = authenticated.is_none_or(|router| self.scene.hosts[to].counts_another_advert(router, received));
        if let Some(router) = authenticated {
            self.judge.authenticated(&mut self.scene, (to, router), heard, counts);
        }
        self.follow(to, if counts { Cause::Advert(heard, received) } else { Cause::Other }, effects);
    }

    /// Hands one input to an agent and does what it wants done.
    fn feed(&mut self, host: usize, cause: Cause<'_>, input: Input<'_>) {
        if let Some(effects) = self.hand(host, input) {
            self.follow(host, cause, effects);
        }
    }

    fn hand(&mut self, host: usize, input: Input<'_>) -> Option<Vec<Effect>> {
        let now = self.scene.now;
        let agent = self.scene.hosts[host].agent.as_mut()?;
        let mut effects = Vec::new();
        agent.handle(now, input, &mut effects);
        self.handled += 1;
        Some(effects)
    }

    fn follow(&mut self, host: usize, cause: Cause<'_>, effects: Vec<Effect>) {
        self.find_doubles(host, &effects);
        self.judge.after(&self.scene, host, &cause, &effects);
        self.scene.hosts[host].freed = false;
        for effect in effects {
            self.perform(host, effect);
        }
        self.plan_wake(host);
    }

    fn plan_wake(&mut self, host: usize) {
        let (now, late) = (self.scene.now, self.scene.plan.late);
        let planned = &self.scene.hosts[host];
        let Some(due) = planned.agent.as_ref().and_then(|agent| agent.next_deadline()) else { return };
        if planned.wake_at.is_none_or(|at| due + late < at) {
            let at = due.max(now) + self.rng.span(Duration::ZERO, late);
            self.scene.hosts[host].wake_at = Some(at);
            self.at(at, Happening::Wake(host));
        }
    }

    fn wake(&mut self, host: usize) {
        let now = self.scene.now;
        if self.scene.hosts[host].wake_at != Some(now) {
            return;
        }
        self.scene.hosts[host].wake_at = None;
        let due = self.scene.hosts[host].agent.as_ref().and_then(|agent| agent.next_deadline());
        if due.is_some_and(|due| due <= now) {
            self.ticks_at = if self.ticks_at.0 == now { (now, self.ticks_at.1 + 1) } else { (now, 1) };
            if self.ticks_at.1 > TICKS_AT_ONCE * self.scene.plan.hosts as u32 {
                self.judge.fail(format!("h{host}: a deadline that does not move: {due:?} at {now}"));
                return;
            }
            self.feed(host, Cause::Other, Input::Tick);
        } else {
            self.plan_wake(host);
        }
    }

    fn perform(&mut self, host: usize, effect: Effect) {
        let (now, life) = (self.scene.now, self.scene.hosts[host].life);
        match effect {
            Effect::Listen { .. } | Effect::Unlisten { .. } | Effect::UnwatchFrames { .. } => {}
            Effect::Probe { frames, .. } => frames.iter().for_each(|frame| self.ask(host, frame)),
            Effect::WatchFrames { .. } => {
                if let Some(within) = self.scene.plan.lan.frames_within {
                    let held_until = self.scene.hosts[host].held_until;
                    let at = now + self.rng.span(Duration::ZERO, within);
                    self.at(at, Happening::FramesPass { host, life, held_until });
                }
            }
            Effect::SendAdvert { packet, router, destination, .. } => {
                let router = crate::host::router_number(&router);
                let gag = self.scene.hosts[host].gag;
                if !self.scene.hosts[host].link || gag > 0 && self.rng.chance(gag) {
                    self.at(now, Happening::Mute { host, life, router });
                } else if let Some(heard) = Heard::read(packet, (now, self.order), self.scene.hosts[host].clock_off > 0)
                {
                    self.scene.hosts[host].left_at.insert(router, now);
                    if self.trace.is_whole() {
                        self.trace.line(now, Some(host), || format!("sends {heard:?}"));
                    }
                    self.send_advert(host, destination, &Rc::new(heard));
                } else {
                    self.judge.fail(format!("h{host} sends an advert that is not valid"));
                }
            }
            Effect::RenewLeases { router, leases, lifetime, asked, until, other_kind, with_advert, .. } => {
                let router = crate::host::router_number(&router);
                if !with_advert || self.scene.hosts[host].left_at.get(&router) == Some(&now) {
                    let leases = leases.into_iter().map(|lease| lease.net).collect();
                    let span = self.rng.span(Duration::ZERO, self.scene.plan.kernel.remove_max);
                    let asked = (asked, other_kind);
                    self.queue_job(host, span, Job::Renew { router, leases, lifetime, asked, until });
                }
            }
            Effect::AddAddresses { router, additions, lifetime, until, again, .. } => {
                let count = additions.len();
                for (number, addition) in additions.into_iter().enumerate() {
                    let plan = &self.scene.plan.kernel;
                    let span = self.rng.span(plan.add_min, plan.add_max);
                    let last = number + 1 == count;
                    let router = router.clone();
                    self.queue_job(host, span, Job::Add { router, addition, last, lifetime, until, again });
                }
            }
            Effect::RemoveAddresses { removals, .. } => {
                let span = self.rng.span(Duration::ZERO, self.scene.plan.kernel.remove_max);
                self.queue_job(host, span, Job::Remove(removals));
            }
            Effect::Announce { frames, until, .. } => {
                self.queue_job(host, Duration::ZERO, Job::Announce(frames, until));
            }
            Effect::Record(record) => {
                self.scene.hosts[host].records.insert((record.family, record.vrid.get()), *record);
            }
            Effect::Forget { family, vrid, .. } => {
                self.scene.hosts[host].records.remove(&(family, vrid.get()));
            }
            Effect::Tell(event) => self.trace.line(now, Some(host), || event.to_string()),
            // Whoever leaves is gone already.
            Effect::Stopped if !self.scene.hosts[host].stopping => {}
            Effect::Stopped => {
                let at = self.scene.hosts[host].kernel_free_at.max(now);
                self.at(at, Happening::Ended { host, life });
            }
        }
    }

    fn queue_job(&mut self, host: usize, span: Duration, job: Job) {
        let (now, planned) = (self.scene.now, &mut self.scene.hosts[host]);
        let at = planned.kernel_free_at.max(now) + span;
        planned.kernel_free_at = at;
        let life = planned.life;
        self.at(at, Happening::Done { host, life, job });
    }

    /// To the group, or to one peer.
    fn send_advert(&mut self, from: usize, destination: IpAddr, heard: &Rc<Heard>) {
        let now = self.scene.now;
        if self.scene.plan.routers.iter().any(|router| router.authenticated && router.is_of(heard)) {
            self.recorded.push_back(heard.clone());
            if self.recorded.len() > RECORDED {
                self.recorded.pop_front();
            }
        }
        let unicast = self.scene.plan.unicast;
        for to in (0..self.scene.plan.hosts).filter(|to| *to != from) {
            let meant = !unicast || destination == source(to, Family::of(destination));
            if !meant || !self.scene.lan.connects(from, to) {
                continue;
            }
            let life = self.scene.hosts[to].life;
            for received in self.scene.lan.arrivals(now, from, to, heard.stream()).into_iter().flatten() {
                let lag = self.rng.span(Duration::ZERO, self.scene.plan.lan.read_lag);
                self.at(received + lag, Happening::Advert { to, life, received, heard: heard.clone() });
            }
        }
    }

    fn send_frame(&mut self, from: usize, to: usize, bytes: &Rc<[u8]>) {
        if self.scene.lan.connects(from, to) {
            let life = self.scene.hosts[to].life;
            for at in self.scene.lan.arrivals(self.scene.now, from, to + FRAMES, 0).into_iter().flatten() {
                self.at(at, Happening::Frame { to, life, bytes: bytes.clone() });
            }
        }
    }

    fn broadcast_frame(&mut self, from: usize, frame: &[u8]) {
        let (now, bytes) = (self.scene.now, Rc::<[u8]>::from(frame));
        if !self.scene.hosts[from].link {
            return;
        }
        for to in (0..self.scene.plan.hosts).filter(|to| *to != from) {
            self.send_frame(from, to, &bytes);
        }
        for client in (0..CLIENTS).filter(|client| self.scene.lan.serves(from, *client)).collect::<Vec<_>>() {
            for at in self.scene.lan.arrivals(now, from, client + 2 * FRAMES, 0).into_iter().flatten() {
                self.at(at, Happening::ClientFrame { client, from, bytes: bytes.clone() });
            }
        }
    }

    /// What its wall clock shows; the agent is told before it hears an advert.
    fn tell_clock(&mut self, host: usize, cause: Cause<'_>) {
        let unix_nanos = self.scene.hosts[host].unix_nanos(self.scene.now);
        self.feed(host, cause, Input::WallClock { unix_nanos });
    }

    /// Somebody who hears the LAN and has no key sends again what he heard.
    fn replay(&mut self, ago: usize) {
        let Some(number) = self.recorded.len().checked_sub(ago + 1) else { return };
        let heard = self.recorded[number].clone();
        let (now, hosts) = (self.scene.now, &self.scene.hosts);
        let to: Vec<(usize, u32)> = hosts.iter().map(|host| (host.id, host.life)).collect();
        for (to, life) in to {
            self.at(now, Happening::Advert { to, life, received: now, heard: heard.clone() });
        }
    }

    fn tell_facts(&mut self, host: usize) {
        let facts = self.scene.hosts[host].facts(&self.scene.plan);
        debug_assert_eq!(facts.index, INDEX);
        self.feed(host, Cause::Other, Input::Interface { name: interface(), facts: Some(facts) });
    }
}

impl PartialEq for Entry {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Heard {
    fn read(packet: Vec<u8>, sent: (Instant, u64), ahead: bool) -> Option<Self> {
        let received = vrrp::parse(&packet).ok()?;
        let advertisement = received.advertisement;
        Some(Heard {
            source: received.source,
            family: Family::of(received.source),
            vrid: advertisement.vrid.get(),
            priority: advertisement.advertised.byte(),
            interval: advertisement.interval.duration(),
            packet,
            sent,
            ahead,
        })
    }
}
