mod configuring;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::effect::Effect;
use super::eligibility::Checks;
use super::holding::Asked;
use super::input::Input;
use super::interfaces::Interfaces;
use super::lateness::Lateness;
use super::listening::{Listening, needs};
use super::peers::{Discards, Ears, Wall};
use super::resume::Past;
use super::router::{NOTHING_LEFT, Router, World};
use super::settle;
use crate::config::{Config, RouterConfig};
use crate::report::{self, Event, Reason, Summary, WallClock, status};
use crate::types::{
    Channel, CheckName, CheckResult, Discard, Family, Instant, InterfaceFacts, InterfaceName, LeftAddress, Memory,
    RouterName, Vrid,
};
use crate::wire::{announcement, ip, vrrp};

/// What one host decides: all its virtual routers and what they share.
#[derive(Debug)]
pub struct Agent {
    node: String,
    started_at: Instant,
    /// In a fixed order. A router whose configuration is gone stays at the end until it has let go.
    routers: Vec<Router>,
    /// Which router a VRID of a family on an interface belongs to (RFC 9568 section 5.2.3: each family has its own).
    by_vrid: BTreeMap<(InterfaceName, Family, Vrid), usize>,
    /// The next deadline of each router, soonest first, and the same by router.
    deadlines: BTreeSet<(Instant, usize)>,
    deadline_of: Vec<Option<Instant>>,
    interfaces: Interfaces,
    checks: Checks,
    wall: Wall,
    ears: Ears,
    lateness: Lateness,
    /// What an earlier process has left, until the first tick has made something of it.
    past: Past,
    listening: Listening,
    /// Interfaces that are watched for frames, with their index.
    watching: BTreeMap<InterfaceName, u32>,
    discards: BTreeMap<InterfaceName, Discards>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not ticked yet: it is still being told what there is.
    New,
    Running,
    /// Told to stop; lingers.
    Stopping,
    Stopped,
}

impl Agent {
    /// Hand it the facts of the interfaces that exist, then a first tick, which begins everything.
    pub fn new(config: Config, now: Instant) -> Self {
        let mut agent = Agent {
            node: String::new(),
            started_at: now,
            routers: Vec::new(),
            by_vrid: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            deadline_of: Vec::new(),
            interfaces: Interfaces::default(),
            checks: Checks::default(),
            wall: Wall::default(),
            ears: Ears::default(),
            lateness: Lateness::default(),
            past: Past::default(),
            listening: Listening::default(),
            watching: BTreeMap::new(),
            discards: BTreeMap::new(),
            stage: Stage::New,
        };
        agent.adopt(config, now, &mut Vec::new());
        agent
    }

    /// The interfaces whose facts matter; those of others may be left out.
    pub fn interfaces(&self) -> BTreeSet<InterfaceName> {
        self.routers.iter().flat_map(|router| router.config().interfaces()).collect()
    }

    /// When `handle` must be called at the latest, be it with a mere tick.
    pub fn next_deadline(&self) -> Option<Instant> {
        let of_router = self.deadlines.first().map(|(at, _)| *at);
        let of_discards = self.discards.values().filter_map(Discards::deadline).min();
        let of_links = self.interfaces.links.deadline();
        of_router.into_iter().chain(of_discards).chain(of_links).chain(self.listening.deadline()).min()
    }

    /// Whether a tick may make a virtual router Active, so that addresses are to be added right after its advert.
    pub fn is_about_to_claim(&self, now: Instant) -> bool {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        due.filter_map(|(_, number)| self.routers.get(*number)).any(|router| router.is_about_to_claim(now))
    }

    /// Takes one input in and appends what is to be done, in order, to `effects`.
    ///
    /// Deadlines are judged on [`Input::Tick`] alone: who was late reads everything that is queued first, so that
    /// its own absence is not taken for a peer's.
    ///
    /// **Every input is followed by performing all its effects** before the next one is handed in, except for
    /// inputs that report the failure of an effect, which come when the failure does.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.lateness.wake(now, self.next_deadline());
        let first = effects.len();
        self.take_in(now, input, effects);
        self.drop_the_departed(effects);
        let fresh = effects.split_off(first);
        effects.extend(settle::settle(now, fresh, &mut self.routers, &self.interfaces));
        if self.stage == Stage::Stopping && self.routers.iter().all(Router::is_over) {
            self.stage = Stage::Stopped;
            effects.extend([Effect::Tell(Event::Stopped), Effect::Stopped]);
        }
    }

    /// How things stand. `clock` turns our times into dates; its reading is now.
    pub fn snapshot(&self, clock: WallClock) -> status::Status {
        let hint = (self.routers.is_empty() && self.stage != Stage::Stopped).then(report::no_router);
        let router =
            |router: &Router| (router.name().to_string(), router.snapshot(&clock, &self.interfaces, &self.checks));
        let discards = |(name, discards): (&InterfaceName, &Discards)| (name.to_string(), discards.totals());
        status::Status {
            version: status::VERSION,
            node: self.node.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            now: clock.date(),
            uptime: clock.at.since(self.started_at).as_secs_f64(),
            hint,
            // How it is scheduled is not for a value to know; the loop fills it in.
            realtime: status::Realtime::default(),
            lateness: self.lateness.status(),
            stopping: matches!(self.stage, Stage::Stopping | Stage::Stopped),
            routers: self.routers.iter().rev().map(router).collect(),
            checks: self.check_status(&clock),
            discards: self.discards.iter().map(discards).collect(),
        }
    }

    /// Whether nothing is under way that a successor of this process could not go on with: no router has left its
    /// election or is giving its addresses up, and the agent is not stopping.
    pub fn is_quiet(&self) -> bool {
        self.stage == Stage::Running && !self.routers.iter().any(Router::is_between)
    }

    /// What a program that takes over from this one must know, beside what is recorded all the time.
    pub fn memory(&self) -> Memory {
        let verdicts = self.checks.iter().filter_map(|(name, check)| Some((name.clone(), check.healthy?)));
        Memory { backups: self.routers.iter().filter_map(Router::backup).collect(), verdicts: verdicts.collect() }
    }

    /// How all virtual routers stand, in short.
    pub fn summary(&self) -> Summary {
        let standing: Vec<_> = self.routers.iter().rev().map(Router::standing).collect();
        Summary::of(&standing)
    }

    fn check_status(&self, clock: &WallClock) -> BTreeMap<String, status::Check> {
        let checks = self.checks.iter().map(|(name, check)| {
            let document = status::Check {
                healthy: check.healthy,
                last_result: check.last.map(|(result, _)| result),
                result_ms_ago: check.last.map(|(_, at)| clock.at.since(at).as_millis() as u64),
                output: check.output.clone(),
                runs: check.runs,
                failures: check.failures,
            };
            (name.to_string(), document)
        });
        checks.collect()
    }

    fn take_in(&mut self, now: Instant, input: Input<'_>, effects: &mut Vec<Effect>) {
        match input {
            Input::Tick if self.stage == Stage::New => self.begin(now, effects),
            Input::Tick => self.tick(now, effects),
            Input::WallClock { unix_nanos } => self.wall_clock(now, unix_nanos, effects),
            Input::Memory(memory) => self.recall_memory(memory),
            Input::Past { records, left } => self.recall(now, Past { records, left }, effects),
            Input::Suspended(span) => {
                self.lateness.suspended(span);
                effects.push(Effect::Tell(Event::Suspended { span }));
            }
            Input::Packet { interface, received, bytes } => self.packet(now, interface, received, bytes, effects),
            Input::Frame { interface, bytes } => self.frame(now, interface, bytes, effects),
            Input::Interface { name, facts } => self.interface(now, name, facts, effects),
            Input::FramesPass { interface } => self.frames_pass(now, interface, effects),
            Input::Missed { interface, reason, packets } => {
                let discards = self.discards.entry(interface).or_insert_with(|| Discards::new(now));
                effects.extend(discards.count_unseen(now, interface, reason, packets).map(Effect::Tell));
            }
            Input::Behind { interface } => self.ears.fall_behind(interface),
            Input::ListenFailed { interface, channel, error } => {
                self.listen_failed(now, interface, channel, &error, effects);
            }
            Input::AddressesGone { interface, addresses } => {
                let chosen = |router: &Router| router.config().addresses.iter().any(|of| of.interface == interface);
                self.each(now, effects, chosen, |router, world| router.addresses_gone(world, interface, &addresses));
            }
            Input::Listed => self.each(now, effects, |_| true, Router::compare),
            Input::LeasesRenewed { router, interface, asked, other_kind, outcome } => {
                let asked = Asked { at: asked, interface, other_kind };
                self.of_name(now, effects, &router, |router, world| router.renewed(world, asked, outcome.clone()));
            }
            Input::AddressesAdded { router, outcomes } => {
                let mut outcomes = Some(outcomes);
                self.of_name(now, effects, &router, |router, world| {
                    router.added(world, outcomes.take().unwrap_or_default());
                });
            }
            Input::SendFailed { router, error } => {
                self.of_name(now, effects, &router, |router, world| router.send_failed(world, error.clone()));
            }
            Input::Check { name, result, output } => self.check(now, name, result, output, effects),
            Input::Reload(config) => self.reload(now, *config, effects),
            Input::Stop => self.stop(now, effects, |router, world| router.end(world, Reason::Stopping)),
            Input::StopAtOnce => self.stop(now, effects, Router::end_at_once),
            Input::Leave => self.leave(effects),
        }
    }

    /// What was told before is what there is: facts of interfaces that exist came ahead of the first tick.
    fn begin(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.stage = Stage::Running;
        let (node, routers) = (self.node.clone(), self.routers.len());
        let event = Event::Started { node, version: env!("CARGO_PKG_VERSION"), routers };
        effects.push(Effect::Tell(event));
        let past = std::mem::take(&mut self.past);
        for router in &mut self.routers {
            let Some(record) = past.of(router) else { continue };
            router.recall_freshness(record);
            if let Some(sent_at) = record.still_awaited(now) {
                self.checks.recall(&record.verdicts);
                router.recall(record, sent_at);
            } else if let Some(sent_at) = record.sent_at.filter(|sent_at| *sent_at <= now) {
                let event = Event::NotResumed { router: router.name().clone(), silent: now.since(sent_at) };
                effects.push(Effect::Tell(event));
            }
        }
        for number in 0..self.routers.len() {
            self.step(now, effects, number, &past.left, Router::review);
        }
        self.routers.iter_mut().for_each(|router| router.forget_resumption(&past.left));
        self.routers.iter_mut().for_each(Router::forget_backup);
        past.clear_away(&self.routers, effects);
    }

    /// Takes in what an earlier process has left. Its addresses are never the host's own, configured or not.
    fn recall(&mut self, now: Instant, past: Past, effects: &mut Vec<Effect>) {
        if self.stage == Stage::New {
            let left = past.left.iter().map(|left| (left.interface, left.net.addr()));
            self.interfaces.set_left(left.collect());
            let step = past.wall().and_then(|wall| self.wall.succeed(wall.clone(), now));
            self.tell_clock_set(step, effects);
            self.past = past;
        }
    }

    fn recall_memory(&mut self, memory: Memory) {
        if self.stage != Stage::New {
            return;
        }
        self.checks.recall(&memory.verdicts);
        for backup in memory.backups {
            let same = |router: &&mut Router| {
                (router.config().interface, router.config().vrid) == (backup.interface, backup.vrid)
            };
            if let Some(router) = self.routers.iter_mut().find(same) {
                router.recall_backup(backup);
            }
        }
    }

    fn wall_clock(&mut self, now: Instant, unix_nanos: u64, effects: &mut Vec<Effect>) {
        let step = self.wall.read(now, unix_nanos);
        self.tell_clock_set(step, effects);
    }

    fn tell_clock_set(&self, step: Option<i64>, effects: &mut Vec<Effect>) {
        let authenticated = self.routers.iter().any(|router| router.config().auth.is_some());
        if let Some(step) = step.filter(|_| authenticated) {
            effects.push(Effect::Tell(Event::ClockSet { by_ms: step / 1_000_000 }));
        }
    }

    fn packet(
        &mut self,
        now: Instant,
        interface: InterfaceName,
        received: Instant,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        self.ears.hear(interface, received.min(now));
        let source = ip::source_of(bytes);
        let key = source.zip(vrrp::vrid_of(bytes)).map(|(source, vrid)| (interface, Family::of(source), vrid));
        let router = key.and_then(|key| self.by_vrid.get(&key).copied());
        let packet = vrrp::parse(bytes);
        if packet.is_ok() {
            self.frames_pass(now, interface, effects);
        }
        match (packet, router) {
            (Ok(packet), Some(number)) => {
                self.at(now, effects, number, |router, world| router.hear(world, received.min(now), &packet));
            }
            (Err(reason), Some(number)) => {
                self.at(now, effects, number, |router, world| router.discard(world, reason, source));
            }
            (Ok(_), None) => self.discard(now, interface, Discard::ForeignVrid, source, effects),
            (Err(reason), None) => self.discard(now, interface, reason, source, effects),
        }
    }

    fn discard(
        &mut self,
        now: Instant,
        interface: InterfaceName,
        reason: Discard,
        source: Option<IpAddr>,
        effects: &mut Vec<Effect>,
    ) {
        let discards = self.discards.entry(interface).or_insert_with(|| Discards::new(now));
        let line = discards.count(now, (None, interface), reason, source);
        effects.extend(line.map(Effect::Tell));
    }

    fn frame(&mut self, now: Instant, interface: InterfaceName, bytes: &[u8], effects: &mut Vec<Effect>) {
        if let Some(heard) = announcement::parse(bytes) {
            let heeding = |router: &Router| router.holding().heeds(interface, heard.address);
            self.each(now, effects, heeding, |router, world| router.hear_announcement(world, interface, heard));
        }
    }

    fn interface(
        &mut self,
        now: Instant,
        name: InterfaceName,
        facts: Option<InterfaceFacts>,
        effects: &mut Vec<Effect>,
    ) {
        let index_before = self.interfaces.get(name).map(|facts| facts.index);
        let index = facts.as_ref().map(|facts| facts.index);
        if index.is_some() && index_before.is_some() && index_before != index {
            // Made anew between two readings: the old one is gone with all that was on it, as if that had been told.
            self.interface(now, name, None, effects);
        }
        let news = self.interfaces.learn(now, name, facts);
        if !news.changed {
            return;
        }
        if let (Some(before), None) = (index_before, index) {
            self.each(now, effects, |_| true, |router, world| router.interface_gone(world, name, before));
        }
        self.listen(effects);
        self.review(now, effects, |_| true);
        let carried = |router: &Router| router.config().addresses.iter().any(|of| of.interface == name);
        self.each(now, effects, carried, |router, world| router.stand_alone(world, name));
        if news.unknown_again {
            self.each(now, effects, |_| true, |router, world| router.announce_again_on(world, name));
        }
    }

    /// Something was heard that only a LAN that passes frames brings.
    fn frames_pass(&mut self, now: Instant, interface: InterfaceName, effects: &mut Vec<Effect>) {
        if self.stage != Stage::New && self.interfaces.links.pass(now, interface) {
            self.watch(effects);
            let chosen = |router: &Router| router.config().interface == interface;
            self.each(now, effects, chosen, |router, world| router.frames_pass(world));
        }
    }

    fn check(&mut self, now: Instant, name: CheckName, result: CheckResult, output: String, effects: &mut Vec<Effect>) {
        if let Some(healthy) = self.checks.record(now, &name, result, output.clone()) {
            let event = Event::CheckChanged { check: name.clone(), healthy, result, output };
            effects.push(Effect::Tell(event));
            self.review(now, effects, |router| router.config().checks.contains(&name));
        }
    }

    fn stop(&mut self, now: Instant, effects: &mut Vec<Effect>, end: impl FnMut(&mut Router, &mut World<'_>)) {
        if self.stage == Stage::Running {
            self.stage = Stage::Stopping;
            effects.push(Effect::Tell(Event::Stopping));
        }
        self.each(now, effects, |_| true, end);
    }

    /// Ends as if killed. Who is stopping has resigned, and nobody could go on from there.
    fn leave(&mut self, effects: &mut Vec<Effect>) {
        if self.stage == Stage::Running {
            self.stage = Stage::Stopped;
            effects.extend([Effect::Tell(Event::Left), Effect::Stopped]);
        }
    }

    /// The shortest advert interval on each interface.
    fn steps(&self) -> BTreeMap<InterfaceName, Duration> {
        let mut steps = BTreeMap::new();
        for config in self.routers.iter().map(Router::config) {
            let interval = config.advert_interval.duration();
            steps.entry(config.interface).and_modify(|step| interval.min(*step).clone_into(step)).or_insert(interval);
        }
        steps
    }

    fn listen(&mut self, effects: &mut Vec<Effect>) {
        self.listening.settle(self.routers.iter().map(Router::config), &self.interfaces, effects);
        self.watch(effects);
    }

    /// Watches for frames where they are awaited, as long as they are.
    fn watch(&mut self, effects: &mut Vec<Effect>) {
        let awaited = |name: &InterfaceName| self.interfaces.links.awaited_until(*name).is_some();
        let used = self.routers.iter().map(|router| router.config().interface).filter(awaited);
        let wanted: BTreeMap<InterfaceName, u32> =
            used.filter_map(|name| Some((name, self.interfaces.get(name)?.index))).collect();
        for interface in self.watching.keys().filter(|name| !wanted.contains_key(name)) {
            effects.push(Effect::UnwatchFrames { interface: *interface });
        }
        for (&interface, &index) in wanted.iter().filter(|(name, index)| self.watching.get(name) != Some(index)) {
            effects.push(Effect::WatchFrames { interface, index, mac: self.interfaces.mac(interface) });
        }
        self.watching = wanted;
    }

    fn listen_failed(
        &mut self,
        now: Instant,
        interface: InterfaceName,
        channel: Channel,
        error: &str,
        effects: &mut Vec<Effect>,
    ) {
        self.listening.failed(now, interface, channel);
        let chosen = |router: &Router| needs(router.config()).any(|need| need == (interface, channel));
        self.each(now, effects, chosen, |router, world| {
            router.listen_failed(world, interface, channel, error.to_owned());
        });
    }

    fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.interfaces.links.tick(now) {
            self.watch(effects);
            self.review(now, effects, |_| true);
        }
        let due: Vec<usize> = self.deadlines.range(..=(now, usize::MAX)).map(|(_, number)| *number).collect();
        for number in due {
            self.at(now, effects, number, |router, world| router.tick(world));
        }
        self.ears.catch_up();
        if self.listening.is_due(now) {
            self.listen(effects);
        }
        for (interface, discards) in &mut self.discards {
            if discards.deadline().is_some_and(|due| due <= now) {
                effects.extend(discards.tick(now, (None, *interface)).into_iter().map(Effect::Tell));
            }
        }
    }

    fn review(&mut self, now: Instant, effects: &mut Vec<Effect>, chosen: impl Fn(&Router) -> bool) {
        if self.stage == Stage::New {
            return;
        }
        self.each(now, effects, chosen, |router, world| router.review(world));
    }

    fn of_name(
        &mut self,
        now: Instant,
        effects: &mut Vec<Effect>,
        name: &RouterName,
        step: impl FnMut(&mut Router, &mut World<'_>),
    ) {
        self.each(now, effects, |router| router.name() == name, step);
    }

    fn each(
        &mut self,
        now: Instant,
        effects: &mut Vec<Effect>,
        chosen: impl Fn(&Router) -> bool,
        mut step: impl FnMut(&mut Router, &mut World<'_>),
    ) {
        for number in 0..self.routers.len() {
            if self.routers.get(number).is_some_and(&chosen) {
                self.at(now, effects, number, &mut step);
            }
        }
    }

    fn at(
        &mut self,
        now: Instant,
        effects: &mut Vec<Effect>,
        number: usize,
        step: impl FnOnce(&mut Router, &mut World<'_>),
    ) {
        self.step(now, effects, number, NOTHING_LEFT, step);
    }

    /// One step of one router, what is to be remembered of it, and its new deadline.
    fn step(
        &mut self,
        now: Instant,
        effects: &mut Vec<Effect>,
        number: usize,
        left: &[LeftAddress],
        step: impl FnOnce(&mut Router, &mut World<'_>),
    ) {
        let Some(router) = self.routers.get_mut(number) else {
            return;
        };
        let (interfaces, checks, wall, ears) = (&self.interfaces, &self.checks, &self.wall, &self.ears);
        let mut world = World { now, interfaces, checks, wall, ears, left, effects };
        step(router, &mut world);
        router.remember(&mut world);
        let deadline = router.deadline();
        if let Some(before) = self.deadline_of.get_mut(number).filter(|before| **before != deadline) {
            before.map(|at| self.deadlines.remove(&(at, number)));
            deadline.map(|at| self.deadlines.insert((at, number)));
            *before = deadline;
        }
    }

    fn drop_the_departed(&mut self, effects: &mut Vec<Effect>) {
        // While stopping all are kept, so that the last status still shows them.
        if self.stage == Stage::Running && self.routers.iter().any(Router::is_over) {
            let (over, rest) = std::mem::take(&mut self.routers).into_iter().partition(Router::is_over);
            self.routers = rest;
            self.number_routers();
            let over: Vec<Router> = over;
            for RouterConfig { interface, family, vrid, .. } in over.iter().map(Router::config) {
                let (interface, family, vrid) = (*interface, *family, *vrid);
                if !self.by_vrid.contains_key(&(interface, family, vrid)) {
                    effects.push(Effect::Forget { interface, family, vrid });
                }
            }
        }
    }
}
