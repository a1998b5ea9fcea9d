use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{CheckName, CheckSpec, Instant, ProgramRequest};

/// How long after its timeout a run may be reported before it is asked after, and after that before the runner counts
/// as hung: two steps, each counted from when we look, so that a stall of this machine alone condemns nobody.
const MARGIN: Duration = Duration::from_secs(1);

/// Which check is to be started when. Knows no process and no clock.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    checks: BTreeMap<CheckName, Check>,
    next_id: u64,
}

#[derive(Debug)]
struct Check {
    spec: CheckSpec,
    /// When the next run is to start; a run that is under way then delays it.
    due: Instant,
    started_before: bool,
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    id: u64,
    /// When a report must have come.
    expected: Instant,
    overdue: bool,
}

/// Whether whoever runs the checks still does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    Hung,
}

impl Schedule {
    /// Takes the configured checks over: one that stays the same goes on untouched, a new or changed one is due at
    /// once, one that is gone is forgotten with its run.
    pub(super) fn configure(&mut self, specs: BTreeMap<CheckName, CheckSpec>, now: Instant) {
        self.checks.retain(|name, check| specs.get(name) == Some(&check.spec));
        for (name, spec) in specs {
            let new = Check { spec, due: now, started_before: false, run: None };
            self.checks.entry(name).or_insert(new);
        }
    }

    /// Begins every run that is due.
    pub(super) fn begin_due(&mut self, now: Instant) -> Vec<(CheckName, ProgramRequest)> {
        let mut begun = Vec::new();
        for (name, check) in &mut self.checks {
            if check.run.is_some() || check.due > now {
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            check.due = now + check.to_next(name);
            check.started_before = true;
            check.run = Some(Run { id, expected: now + check.spec.timeout + MARGIN, overdue: false });
            let timeout_ms = u64::try_from(check.spec.timeout.as_millis()).unwrap_or(u64::MAX);
            let environment = BTreeMap::from([("LOCUM_CHECK".to_owned(), name.to_string())]);
            let (argv, user) = (check.spec.script.clone(), check.spec.user.clone());
            begun.push((name.clone(), ProgramRequest { id, argv, timeout_ms, environment, user }));
        }
        begun
    }

    /// A run has ended; which check it was of, if it is still one of ours.
    pub(super) fn end(&mut self, id: u64) -> Option<CheckName> {
        let (name, check) =
            self.checks.iter_mut().find(|(_, check)| check.run.as_ref().is_some_and(|run| run.id == id))?;
        check.run = None;
        Some(name.clone())
    }

    /// Ends every run; the checks they were of.
    pub(super) fn end_all(&mut self) -> Vec<CheckName> {
        let under_way = self.checks.iter_mut().filter_map(|(name, check)| check.run.take().map(|_| name.clone()));
        under_way.collect()
    }

    /// Ends the runs whose report is past any patience; the checks they were of.
    pub(super) fn end_overdue(&mut self, now: Instant) -> Vec<CheckName> {
        let mut ended = Vec::new();
        for (name, check) in &mut self.checks {
            if check.run.as_ref().is_some_and(|run| run.overdue && run.expected <= now) {
                check.run = None;
                ended.push(name.clone());
            }
        }
        ended
    }

    /// Looks for runs whose report has not come in time.
    pub(super) fn look_for_overdue(&mut self, now: Instant) -> Health {
        let mut health = Health::Fine;
        for run in self.checks.values_mut().filter_map(|check| check.run.as_mut()) {
            match (run.expected <= now, run.overdue) {
                (false, _) => {}
                (true, false) => (run.overdue, run.expected) = (true, now + MARGIN),
                (true, true) => health = Health::Hung,
            }
        }
        health
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        let next = |check: &Check| check.run.as_ref().map_or(check.due, |run| run.expected);
        self.checks.values().map(next).min()
    }
}

impl Check {
    /// From this start to the next. All checks start together once, for the first verdict; the second time each is
    /// early by up to half an interval, by its name, so that they do not go in step for ever.
    fn to_next(&self, name: &CheckName) -> Duration {
        let interval = self.spec.interval;
        if self.started_before {
            return interval;
        }
        let hash = name
            .as_str()
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        interval - interval / 2 * (hash >> 16 & 0xff) / 256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(1_000_000_000_000 + millis * 1_000_000)
    }

    fn specs(specs: &[(&str, u64, u64)]) -> BTreeMap<CheckName, CheckSpec> {
        let spec = |(name, interval, timeout): &(&str, u64, u64)| {
            let name: CheckName = name.parse().expect("a name");
            let script = vec!["/bin/true".to_owned()];
            let (interval, timeout) = (Duration::from_millis(*interval), Duration::from_millis(*timeout));
            (name.clone(), CheckSpec { name, script, interval, timeout, rise: 1, fall: 1, weight: None, user: None })
        };
        specs.iter().map(spec).collect()
    }

    fn begun(schedule: &mut Schedule, now: Instant) -> Vec<(String, u64)> {
        schedule.begin_due(now).into_iter().map(|(name, request)| (name.to_string(), request.id)).collect()
    }

    #[test]
    fn all_start_at_once_and_then_each_from_start_to_start() {
        let mut schedule = Schedule::default();
        schedule.configure(specs(&[("a", 1000, 500), ("b", 1000, 500)]), at(0));
        assert_eq!(begun(&mut schedule, at(0)), [("a".to_owned(), 0), ("b".to_owned(), 1)]);
        assert_eq!(schedule.end(0).map(|name| name.to_string()), Some("a".to_owned()));
        assert_eq!(schedule.end(1).map(|name| name.to_string()), Some("b".to_owned()));
        let second = schedule.next().expect("something is due");
        assert!(second >= at(500) && second <= at(1000), "the second start is early by up to half an interval");
        assert_eq!(begun(&mut schedule, at(499)), []);
        assert_eq!(begun(&mut schedule, at(1000)).len(), 2);
        // 300 ms of a run are part of the interval, not added to it.
        assert!(schedule.end(2).is_some() && schedule.end(3).is_some());
        assert_eq!(schedule.next(), Some(at(2000)));
        assert_eq!(begun(&mut schedule, at(1999)), []);
    }

    #[test]
    fn starts_are_spread() {
        let mut schedule = Schedule::default();
        schedule.configure(specs(&[("haproxy", 1000, 9), ("postgres", 1000, 9), ("disk", 1000, 9)]), at(0));
        schedule.begin_due(at(0));
        let due: std::collections::BTreeSet<Instant> = schedule.checks.values().map(|check| check.due).collect();
        assert_eq!(due.len(), 3);
    }

    #[test]
    fn a_long_run_delays_the_next_and_never_runs_beside_it() {
        let mut schedule = Schedule::default();
        schedule.configure(specs(&[("a", 1000, 5000)]), at(0));
        assert_eq!(begun(&mut schedule, at(0)).len(), 1);
        assert_eq!(begun(&mut schedule, at(3000)), []);
        schedule.end(0);
        assert_eq!(begun(&mut schedule, at(3000)), [("a".to_owned(), 1)]);
        schedule.end(1);
        assert_eq!(schedule.next(), Some(at(4000)));
    }

    #[test]
    fn a_runner_that_is_silent_after_the_timeout_is_asked_again_and_then_hung() {
        let mut schedule = Schedule::default();
        schedule.configure(specs(&[("a", 1000, 500), ("b", 9000, 9000)]), at(0));
        schedule.begin_due(at(0));
        assert_eq!(schedule.look_for_overdue(at(1499)), Health::Fine);
        // We were not scheduled ourselves for a minute: its report may lie there.
        assert_eq!(schedule.look_for_overdue(at(61_000)), Health::Fine);
        assert_eq!(schedule.end_overdue(at(61_000)), []);
        assert_eq!(schedule.look_for_overdue(at(61_999)), Health::Fine);
        assert_eq!(schedule.look_for_overdue(at(62_000)), Health::Hung);
        assert_eq!(schedule.end_overdue(at(62_000)).len(), 2);
        assert_eq!(schedule.end(0), None);
    }

    #[test]
    fn the_reports_of_a_run_that_came_late_still_count() {
        let mut schedule = Schedule::default();
        schedule.configure(specs(&[("a", 1000, 500)]), at(0));
        schedule.begin_due(at(0));
        assert_eq!(schedule.look_for_overdue(at(1500)), Health::Fine);
        assert!(schedule.end(0).is_some());
        assert_eq!(schedule.look_for_overdue(at(9000)), Health::Fine);
    }

    #[test]
    fn a_reload_touches_only_what_differs() {
        let mut schedule = Schedule::default();
        schedule.configure(specs(&[("gone", 1000, 500), ("same", 1000, 500), ("other", 1000, 500)]), at(0));
        schedule.begin_due(at(0));
        let same: CheckName = "same".parse().expect("a name");
        let due = schedule.checks.get(&same).map(|check| check.due);
        schedule.configure(specs(&[("same", 1000, 500), ("other", 1000, 600), ("new", 1000, 500)]), at(100));
        assert_eq!(schedule.checks.get(&same).map(|check| check.due), due);
        let names: Vec<String> = begun(&mut schedule, at(100)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["new", "other"]);
        // Runs are numbered in the order of names: 0 was of `gone`, 1 of the other one's old form.
        assert_eq!(schedule.end(0), None);
        assert_eq!(schedule.end(1), None);
        assert_eq!(schedule.end(2).map(|name| name.to_string()), Some("same".to_owned()));
        schedule.configure(BTreeMap::new(), at(200));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn when_the_runner_is_lost_all_runs_end() {
        let mut schedule = Schedule::default();
        schedule.configure(specs(&[("a", 1000, 500), ("b", 1000, 500)]), at(0));
        schedule.begin_due(at(0));
        assert_eq!(schedule.end_all().len(), 2);
        assert_eq!(schedule.end_all(), []);
    }
}
