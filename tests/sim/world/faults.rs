//! What goes wrong, and right again: the begin and the end of each fault, starts, stops and checks.

use std::time::Duration;

use locum::proto::Input;
use locum::types::CheckResult;

use super::{Happening, World};
use crate::check::Cause;
use crate::host::{Stall, check_name};
use crate::scenario::{Change, Fault, LINK_HOLD};

impl World {
    pub(super) fn run_check(&mut self, host: usize) {
        let planned = &mut self.scene.hosts[host];
        if planned.agent.is_none() || planned.stopping {
            return;
        }
        // All but ok count as failures, a check that hangs or cannot run too.
        let bad = [CheckResult::Failed, CheckResult::TimedOut, CheckResult::CouldNotRun, CheckResult::Killed];
        let result = if planned.check.sick { self.rng.pick(&bad) } else { CheckResult::Ok };
        self.drawn.note(match result {
            CheckResult::Ok => "a check is well",
            CheckResult::TimedOut => "a check hangs",
            CheckResult::Failed | CheckResult::CouldNotRun | CheckResult::Killed => "a check fails",
        });
        let before = planned.check.healthy;
        planned.run_check(&self.scene.plan);
        if before == Some(true) && self.scene.hosts[host].is_unhealthy(&self.scene.plan) {
            self.judge.departs(&self.scene, host);
        }
        self.feed(host, Cause::Other, Input::Check { name: check_name(), result, output: String::new() });
        // Runs go on only until the verdict is what the check says; more of the same change nothing.
        let planned = &self.scene.hosts[host];
        if planned.check.healthy != Some(!planned.check.sick) {
            let (at, life) = (self.scene.now + Duration::from_millis(50), planned.life);
            self.at(at, Happening::CheckRun { host, life });
        }
    }

    fn boot(&mut self, host: usize) {
        if (self.scene.plan.absent >> host) & 1 == 1 {
            return;
        }
        let now = self.scene.now;
        self.scene.hosts[host].boot(&self.scene.plan, now);
        self.judge.booted(&self.scene, host);
        let planned = &self.scene.hosts[host];
        let (records, left) = (planned.records.values().cloned().collect::<Vec<_>>(), planned.left(&self.scene.plan));
        if !records.is_empty() || !left.is_empty() {
            self.feed(host, Cause::Other, Input::Past { records, left });
        }
        self.tell_clock(host, Cause::Other);
        self.tell_facts(host);
        // The first tick begins everything.
        self.feed(host, Cause::Other, Input::Tick);
        if self.scene.plan.checks[host].is_some() {
            let life = self.scene.hosts[host].life;
            let at = now + self.rng.span(Duration::from_millis(1), Duration::from_millis(500));
            self.at(at, Happening::CheckRun { host, life });
        }
    }

    pub(super) fn ended(&mut self, host: usize) {
        let again = self.scene.hosts[host].boot_after_stop;
        self.scene.hosts[host].end();
        self.judge.ended(&self.scene, host);
        self.trace.line(self.scene.now, Some(host), || "the agent has ended".to_owned());
        if again {
            self.boot(host);
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        let now = self.scene.now;
        self.trace.line(now, None, || format!("{fault:?}"));
        self.drawn.fault(&self.scene, fault);
        self.judge.disturbed(&self.scene);
        match fault {
            Fault::Crash(host) => {
                self.put_off[host].clear();
                self.scene.hosts[host].crash();
                self.judge.lost_power(host);
                self.judge.ended(&self.scene, host);
            }
            Fault::Kill(host) => {
                self.put_off[host].clear();
                self.scene.hosts[host].kill(self.scene.now);
                self.judge.killed(&self.scene, host);
            }
            Fault::Boot(host) => match (&self.scene.hosts[host].agent, self.scene.hosts[host].stopping) {
                (Some(_), true) => self.scene.hosts[host].boot_after_stop = true,
                (Some(_), false) => {}
                (None, _) => self.boot(host),
            },
            Fault::Leave(host) => self.leave(host),
            Fault::Stop(host) => self.stop(host),
            Fault::CheckFails(host) | Fault::CheckRecovers(host) => {
                self.scene.hosts[host].check.sick = matches!(fault, Fault::CheckFails(_));
                if self.scene.plan.checks[host].is_some() && self.scene.hosts[host].agent.is_some() {
                    self.run_check(host);
                }
            }
            Fault::LinkDown(host) => self.link(host, false),
            Fault::LinkUp(host) => self.link(host, true),
            Fault::Gag(host, percent) => {
                let planned = &mut self.scene.hosts[host];
                if std::mem::replace(&mut planned.gag, percent) != percent {
                    planned.gagged_since = Some(now);
                }
            }
            Fault::Ungag(host) => {
                let planned = &mut self.scene.hosts[host];
                planned.gag = 0;
                if planned.gagged_since.take().is_some() {
                    planned.ungagged_at = now;
                }
            }
            Fault::RefuseAddresses(host) => self.scene.hosts[host].refuses = true,
            Fault::AcceptAddresses(host) => self.scene.hosts[host].refuses = false,
            Fault::KeepAddresses(host) => self.scene.hosts[host].keeps = true,
            Fault::ReleaseAddresses(host) => self.scene.hosts[host].keeps = false,
            Fault::Partition(side) => self.scene.lan.part(side),
            Fault::Heal => self.scene.lan.heal(now),
            Fault::Dirty(loss, duplication) => self.scene.lan.dirty(loss, duplication),
            Fault::Clean => self.scene.lan.clean(now),
            Fault::Worsen(one_way) => self.scene.lan.worsen(one_way),
            Fault::Mend => self.scene.lan.mend(now),
            Fault::Stall(host, deaf) => self.stall(host, deaf),
            Fault::Wake(host) => self.awake(host),
            Fault::Reload(host, change) => self.reload(host, change),
            Fault::SetClock(host, _) if !self.scene.hosts[host].powered => {}
            Fault::SetClock(host, seconds) => {
                self.scene.hosts[host].clock_off = seconds;
                self.tell_clock(host, Cause::Idle);
            }
            Fault::Replay(ago) => self.replay(ago),
        }
        self.judge.addresses_changed(&self.scene);
    }

    fn link(&mut self, host: usize, up: bool) {
        let planned = &mut self.scene.hosts[host];
        if up && !planned.link && planned.agent.is_some() {
            planned.held_until = Some(self.scene.now + LINK_HOLD);
        }
        planned.link = up;
        self.judge.addresses_changed(&self.scene);
        if self.scene.hosts[host].powered {
            self.tell_facts(host);
        }
    }

    /// What never lasts ends, whatever a scenario says.
    pub(super) fn calm(&mut self) {
        [Fault::Heal, Fault::Clean, Fault::Mend].into_iter().for_each(|end| self.fault(end));
        for host in 0..self.scene.plan.hosts {
            let here = &self.scene.hosts[host];
            let mut ends = Vec::new();
            ends.extend((here.gag > 0).then_some(Fault::Ungag(host)));
            ends.extend(here.refuses.then_some(Fault::AcceptAddresses(host)));
            ends.extend(here.keeps.then_some(Fault::ReleaseAddresses(host)));
            ends.extend((here.clock_off != 0).then_some(Fault::SetClock(host, 0)));
            let lacks = |router: &usize| self.scene.plan.seat(host, *router).without != 0;
            let lacking = (0..self.scene.plan.routers.len()).filter(lacks);
            ends.extend(lacking.map(|router| Fault::Reload(host, Change::Addresses(router, 0))));
            for end in ends {
                self.at(self.scene.now, Happening::Fault(end));
            }
        }
    }

    fn stall(&mut self, host: usize, deaf: bool) {
        let since = self.scene.now;
        let planned = &mut self.scene.hosts[host];
        if planned.agent.is_some() && planned.stall.is_none() {
            planned.stall = Some(Stall { since, deaf, heard: false, before: planned.woke.map(|(_, at)| at) });
        }
    }

    /// Everything is as it was, but late; what was to be done at a time comes after what was heard.
    fn awake(&mut self, host: usize) {
        let now = self.scene.now;
        let Some(stall) = self.scene.hosts[host].stall.take() else { return };
        self.scene.hosts[host].woke = Some((stall, now));
        self.judge.woke(host, now.since(stall.since));
        for what in std::mem::take(&mut self.put_off[host]) {
            if let Happening::Wake(_) = what {
                let at = now + Duration::from_nanos(1);
                self.scene.hosts[host].wake_at = Some(at);
                self.at(at, what);
            } else {
                self.at(now, what);
            }
        }
        if stall.deaf {
            self.feed(host, Cause::Other, Input::Suspended(now.since(stall.since)));
        }
    }

    /// What happens now, unless it happens to a host that stalls.
    pub(super) fn put_off(&mut self, what: Happening) -> Option<Happening> {
        let (to, heard) = match &what {
            Happening::Advert { to, .. } => (*to, true),
            Happening::Frame { to, .. } => (*to, true),
            Happening::Wake(host)
            | Happening::Done { host, .. }
            | Happening::Report { host, .. }
            | Happening::Facts { host, .. }
            | Happening::FramesPass { host, .. }
            | Happening::Mute { host, .. }
            | Happening::CheckRun { host, .. }
            | Happening::Ended { host, .. }
            | Happening::Renewed { host, .. }
            | Happening::Gone { host, .. }
            | Happening::Fault(
                Fault::Boot(host)
                | Fault::Stop(host)
                | Fault::Leave(host)
                | Fault::CheckFails(host)
                | Fault::CheckRecovers(host)
                | Fault::LinkDown(host)
                | Fault::LinkUp(host)
                | Fault::Reload(host, _)
                | Fault::SetClock(host, _),
            ) => (*host, false),
            Happening::ClientFrame { .. }
            | Happening::Question { .. }
            | Happening::Expires { .. }
            | Happening::Look
            | Happening::Calm
            | Happening::Fault(_) => {
                return Some(what);
            }
        };
        let Some(stall) = &mut self.scene.hosts[to].stall else { return Some(what) };
        if !(stall.deaf && heard) {
            stall.heard |= heard;
            self.put_off[to].push(what);
        }
        None
    }

    /// An agent that is stopping takes nothing over any more.
    fn reload(&mut self, host: usize, change: Change) {
        if self.scene.hosts[host].stopping {
            return;
        }
        match change {
            Change::Nothing => {}
            Change::Priority(router, priority) => {
                self.scene.plan.routers[router].seats[host].priority = priority;
            }
            Change::Interval(router, interval) => {
                self.scene.plan.routers[router].seats[host].interval = interval;
                self.scene.hosts[host].reloaded_at = self.scene.now;
            }
            Change::Addresses(router, without) => {
                self.scene.plan.routers[router].seats[host].without = without;
                self.scene.hosts[host].readdressed_at = self.scene.now;
            }
            Change::Preempt(router, preempt) => self.scene.plan.routers[router].seats[host].preempt = preempt,
        }
        let config = self.scene.hosts[host].config(&self.scene.plan);
        let cause = if change == Change::Nothing { Cause::Idle } else { Cause::Other };
        self.feed(host, cause, Input::Reload(Box::new(config)));
    }

    /// What was handed to the kernel before is still done. Whoever is stopping has resigned and does not leave any more.
    fn leave(&mut self, host: usize) {
        if self.scene.hosts[host].agent.is_some() && !self.scene.hosts[host].stopping {
            self.feed(host, Cause::Other, Input::Leave);
            self.put_off[host].clear();
            self.scene.hosts[host].end();
            self.judge.killed(&self.scene, host);
        }
    }

    fn stop(&mut self, host: usize) {
        let planned = &mut self.scene.hosts[host];
        if planned.agent.is_some() && !planned.stopping {
            planned.stopping = true;
            self.judge.departs(&self.scene, host);
            self.judge.stops(&self.scene, host);
            self.feed(host, Cause::Other, Input::Stop);
        }
    }
}
