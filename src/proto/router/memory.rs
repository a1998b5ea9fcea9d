use super::{Router, World};
use crate::proto::effect::Effect;
use crate::proto::election::{Outcome, State};
use crate::proto::eligibility::Checks;
use crate::types::{BackupMemory, Freshness, Instant, LeftAddress, RouterRecord};

/// What was last written down, but for the numbers of adverts: those by how often they had changed.
#[derive(Debug)]
pub(super) struct Remembered {
    record: RouterRecord,
    changes: u64,
}

/// What this router was before its process began.
#[derive(Debug)]
pub(super) struct Resumption {
    record: RouterRecord,
    sent_at: Instant,
}

impl Router {
    /// Takes over what must not be forgotten, however long ago the process ended.
    pub(crate) fn recall_freshness(&mut self, record: &RouterRecord) {
        if record.freshness != Freshness::default() {
            self.authentication.restore(&record.freshness);
        }
    }

    /// It was Active until its process ended: if it takes part now, it goes on.
    pub(crate) fn recall(&mut self, record: &RouterRecord, sent_at: Instant) {
        self.start_delay_until = None;
        self.resumption = Some(Resumption { record: record.clone(), sent_at });
    }

    /// It is too late to go on as before. What an earlier process has left of its addresses goes, unless it is held by now.
    pub(crate) fn forget_resumption(&mut self, left: &[LeftAddress]) {
        self.resumption = None;
        let own = |left: &LeftAddress| self.config.addresses.iter().any(|of| of.net.addr() == left.net.addr());
        self.leftover = self.holding.is_empty() && left.iter().any(own);
    }

    /// Goes on from there if it takes part at once.
    pub(crate) fn recall_backup(&mut self, memory: BackupMemory) {
        self.start_delay_until = None;
        self.memory = Some(memory);
    }

    /// It is too late to go on as before.
    pub(crate) fn forget_backup(&mut self) {
        self.memory = None;
    }

    /// What a program that takes over must know to go on as this Backup; `None` if this is none.
    pub(crate) fn backup(&self) -> Option<BackupMemory> {
        let (backup, heard_at, preempt_at) = self.election.waits()?;
        let (interface, vrid, interval) = (self.config.interface, self.config.vrid, backup.active_adver_interval);
        Some(BackupMemory { interface, vrid, heard_at, interval, preempt_at })
    }

    /// Whether it is in the middle of something that cannot be handed to another program: it leaves its election or its
    /// addresses, or waits for somebody to take the place that it or another one has just left.
    pub(crate) fn is_between(&self) -> bool {
        let waits_briefly = matches!(self.election.state(), State::Backup(_)) && self.election.waits().is_none();
        self.is_ended() || self.holding.is_leaving() || waits_briefly
    }

    /// Enters the election: where it was, or at its beginning.
    pub(super) fn begin(&mut self, world: &mut World<'_>) -> Outcome {
        let Some(Resumption { record, sent_at }) = self.resumption.take() else {
            return match self.memory.take() {
                // The owner backs nobody up, whatever it was before.
                Some(BackupMemory { heard_at, interval, preempt_at, .. }) if !self.config.priority.is_owner() => {
                    self.election.go_on(world.now, heard_at, interval, preempt_at)
                }
                Some(_) | None => self.election.start(world.now),
            };
        };
        let left = world.left;
        self.hold(world, |holding, ground| holding.adopt(ground, left, record.interval));
        self.sent_at = Some(sent_at);
        self.election.resume(sent_at, record.interval)
    }

    /// Has what a successor of this process needs written down, if that has changed.
    pub(crate) fn remember(&mut self, world: &mut World<'_>) {
        let active = matches!(self.election.state(), State::Active { .. });
        let sent_at = self.sent_at.filter(|_| active);
        let before = self.remembered.as_ref();
        // Once it has left for good another router may have its place in the record.
        let left = self.is_ended() && before.is_some_and(|Remembered { record, .. }| record.sent_at.is_none());
        if left || before.is_some_and(|before| self.is_the_same(before, sent_at, world.checks)) {
            return;
        }
        let verdicts = world.checks.verdicts(&self.config.checks).map(|(name, healthy)| (name.clone(), healthy));
        let record = RouterRecord {
            interface: self.config.interface,
            family: self.config.family,
            version: self.config.version,
            vrid: self.config.vrid,
            name: self.name.clone(),
            sent_at,
            interval: self.config.advert_interval,
            priority: self.election.params().priority,
            verdicts: verdicts.collect(),
            freshness: Freshness::default(),
        };
        let changes = self.authentication.changes();
        self.remembered = Some(Remembered { record: record.clone(), changes });
        let freshness = self.authentication.freshness(world.wall);
        world.effects.push(Effect::Record(Box::new(RouterRecord { freshness, ..record })));
    }

    /// Whether nothing has changed since then. Asked with every packet, also those of a flood.
    fn is_the_same(&self, before: &Remembered, sent_at: Option<Instant>, checks: &Checks) -> bool {
        let Remembered { record, changes } = before;
        let mut verdicts = checks.verdicts(&self.config.checks);
        let known = checks.verdicts(&self.config.checks).count();
        *changes == self.authentication.changes()
            && record.sent_at == sent_at
            && record.interval == self.config.advert_interval
            && record.priority == self.election.params().priority
            && record.name == self.name
            && (record.interface, record.family) == (self.config.interface, self.config.family)
            && (record.version, record.vrid) == (self.config.version, self.config.vrid)
            && record.verdicts.len() == known
            && verdicts.all(|(name, healthy)| record.verdicts.get(name) == Some(&healthy))
    }
}

/// For those who have nothing to look after.
pub(crate) const NOTHING_LEFT: &[LeftAddress] = &[];
