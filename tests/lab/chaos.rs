//! Real agents under a random schedule of faults, judged from outside: who holds the address by the kernels' own messages,
//! what a client loses, and whom it believes.
//!
//!   cargo test --test lab chaos::run [-- --nocapture]
//!   LOCUM_CHAOS_SEED      a number that stands for a cast and a schedule (default: one with a keepalived and many kinds of faults)
//!   LOCUM_CHAOS_SECONDS   for how long (default 75)
//!
//! `plan` makes the schedule from the seed, `stage` does what it says, `judge` knows what may be seen meanwhile. Faults
//! come in rounds and may overlap within one; after each all must be as before.

mod judge;
mod plan;
mod stage;

use std::fmt::Write as _;

use crate::clock::{MS, Moment, SECOND, in_ms, now};
use crate::common::Need;
use crate::lan::mac;
use crate::live::once;
use crate::power_loss::VIP;
use crate::probe::{Probe, believed};
use judge::{Record, Span, Violation};
use plan::{Cast, Round, plan};
use stage::{Done, Stage};

const SEED: u64 = 2;
const SECONDS: u64 = 75;
/// All must be as before within this after the last fault of a round: what listens to a new link for longest, and then
/// waits before it preempts.
const SETTLE: u64 = 16 * SECOND;
/// The same where the machine stands still again and again.
const LONGEST: u64 = 120 * SECOND;
/// Who has stood still listens for an interval, in which a backup may lose its patience.
const LISTENS: u64 = 1_500 * MS;
/// For so long nothing may move then.
const CALM: u64 = 2_500 * MS;
/// Between two questions whom the client believes.
const ASK: u64 = 100 * MS;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: no number")))
}

#[test]
fn run() {
    let (seed, seconds) = (number("LOCUM_CHAOS_SEED", SEED), number("LOCUM_CHAOS_SECONDS", SECONDS));
    let (cast, rounds) = plan(seed, seconds);
    let needs: &[Need] = if cast.keepalived { &[Need::Tool("keepalived")] } else { &[] };
    once(needs, || {
        println!("LOCUM_CHAOS_SEED={seed} LOCUM_CHAOS_SECONDS={seconds}: {cast:?}");
        let mut play = Play { seed, cast, stage: Stage::new(cast), beliefs: Vec::new(), aside: 0 };
        play.settle("the start", now());
        let end = now() + seconds * SECOND;
        for (number, round) in (1..).zip(&rounds).take_while(|_| now() < end) {
            play.round(number, round);
        }
        println!("{} violations were set aside because the machine or its kernel stood still", play.aside);
    });
}

#[test]
fn a_seed_is_a_schedule_and_every_fault_is_in_some() {
    assert_eq!(plan(7, 100), plan(7, 100));
    assert_ne!(plan(7, 100), plan(8, 100));
    let names = |seed| {
        let of = |round: Round| round.faults.into_iter().map(|planned| planned.fault.to_string());
        plan(seed, 600).1.into_iter().flat_map(of).collect::<Vec<_>>()
    };
    let kinds = |text: String| text.split(' ').next().map(str::to_owned);
    let all: std::collections::BTreeSet<String> = (1..=10).flat_map(names).filter_map(kinds).collect();
    assert_eq!(all.len(), 18, "{all:?}");
}

struct Play {
    seed: u64,
    cast: Cast,
    stage: Stage,
    beliefs: Vec<(Span, Option<usize>)>,
    aside: usize,
}

impl Play {
    fn round(&mut self, number: usize, round: &Round) {
        println!("round {number}, {:?}:", round.kind);
        for planned in &round.faults {
            println!("  {:>5} ms {}", planned.at, planned.fault);
        }
        self.beliefs.clear();
        let probe = Probe::start(&self.stage.lab.client, VIP);
        let from = now();
        let done = self.perform(from, round);
        let over = now();
        let settled = self.settle(&format!("round {number}"), over);
        self.pass(settled + CALM);
        let to = now();
        self.stage.are_alive();
        let echoes = probe.stop();
        let lost = echoes.sent.iter().filter(|(number, _)| !echoes.answered.contains_key(number)).map(|(_, at)| *at);
        let lab = &self.stage.lab;
        let record = Record {
            cast: self.cast,
            kind: round.kind,
            from,
            settled,
            to,
            done,
            changes: lab.holders.changes(VIP, 0),
            beliefs: std::mem::take(&mut self.beliefs),
            lost: lost.collect(),
            stalls: lab.stalls.since(from),
            slow: lab.stalls.slow(),
        };
        self.verdict(number, &record);
    }

    /// Does what is planned, each at its time or as soon as can be.
    fn perform(&mut self, from: Moment, round: &Round) -> Vec<Done> {
        let begins = round.faults.iter().enumerate().map(|(number, planned)| (planned.at, true, number));
        let ends =
            round.faults.iter().enumerate().map(|(number, planned)| (planned.at + planned.fault.span(), false, number));
        let lasting = |(_, begins, number): &(u64, bool, usize)| *begins || round.faults[*number].fault.span() > 0;
        let mut steps: Vec<(u64, bool, usize)> = begins.chain(ends).filter(lasting).collect();
        steps.sort_unstable_by_key(|(at, begins, number)| (*at, !begins, *number));
        let mut done: Vec<Option<Done>> = vec![None; round.faults.len()];
        for (at, begins, number) in steps {
            self.pass(from + at * MS);
            let fault = round.faults[number].fault;
            if begins {
                done[number] = Some(self.stage.begin(number, fault));
            } else if let Some(done) = &mut done[number] {
                done.to = Some(self.stage.end(number, fault));
            }
        }
        done.into_iter().flatten().collect()
    }

    /// Lets time pass, asking the client now and then.
    fn pass(&mut self, until: Moment) {
        while now() < until {
            self.ask();
            std::thread::sleep(std::time::Duration::from_nanos(ASK.min(until.saturating_sub(now()))));
        }
    }

    fn ask(&mut self) {
        let from = now();
        let known = believed(&self.stage.lab.client, VIP);
        let host = known.map(|known| (1..=self.cast.hosts()).find(|host| mac(*host) == known).unwrap_or(0));
        self.beliefs.push(((from, now()), host));
    }

    /// Waits until the right one has held the address alone for a while and everybody knows; until when it waited.
    fn settle(&mut self, what: &str, from: Moment) -> Moment {
        let mut right_since = None;
        loop {
            let held = self.stage.lab.holders.of(VIP);
            let right = if self.cast.preempt { held == [1] } else { held.len() == 1 };
            if right && self.stage.agree(held[0]) && self.stage.lab.holders.of(VIP) == held {
                if now() > *right_since.get_or_insert_with(now) + LISTENS {
                    return now();
                }
            } else {
                right_since = None;
            }
            // Each time that the machine stands still it may have to begin anew.
            let stalls = &self.stage.lab.stalls;
            let stills = stalls.since(from).into_iter().filter(|(begin, end)| end - begin > judge::STILL);
            let since = stills.chain(stalls.slow()).map(|(_, end)| end).max().unwrap_or(0).max(from);
            if now() > since + SETTLE || now() > from + LONGEST {
                let what = format!("after {what} all should be as before, but {held:?} hold it");
                self.fail(&[Violation { at: (from, now()), what }], &[]);
            }
            self.pass(now() + ASK);
        }
    }

    fn verdict(&mut self, number: usize, record: &Record) {
        let (aside, violations): (Vec<Violation>, Vec<Violation>) =
            record.violations().into_iter().partition(|violation| record.is_machines(violation));
        if !aside.is_empty() {
            println!("  set aside:\n{}", self.told(&aside, &record.done));
        }
        self.aside += aside.len();
        if !violations.is_empty() {
            println!("round {number}:");
            self.fail(&violations, &record.done);
        }
        let complaints = std::mem::take(&mut self.stage.complaints);
        assert!(complaints.is_empty(), "LOCUM_CHAOS_SEED={}: {complaints:?}", self.seed);
    }

    fn fail(&self, violations: &[Violation], done: &[Done]) -> ! {
        panic!("LOCUM_CHAOS_SEED={} {:?}\n{}", self.seed, self.cast, self.told(violations, done));
    }

    fn told(&self, violations: &[Violation], done: &[Done]) -> String {
        let mut text = String::new();
        for Violation { at: (from, to), what } in violations {
            writeln!(text, "{} to {}: {what}", time(*from), time(*to)).expect("a string");
            text += &self.around(from.saturating_sub(7 * SECOND), to + 2 * SECOND, done);
        }
        text
    }

    /// What was done, who held, and what the agents said between two moments.
    fn around(&self, from: Moment, to: Moment, done: &[Done]) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        for done in done {
            lines.push((time(done.from), format!("== {} begins", done.fault)));
            lines.extend(done.to.map(|to| (time(to), format!("== {} ends", done.fault))));
        }
        for change in self.stage.lab.holders.changes(VIP, from) {
            let verb = if change.held { "gets" } else { "loses" };
            lines.push((time(change.at), format!("-- host {} {verb} it", change.host)));
        }
        for (begin, end) in self.stage.lab.stalls.slow() {
            lines.push((time(begin), format!("-- the kernel is slow for {} ms", in_ms(end - begin))));
        }
        for (host, line) in self.stage.logs() {
            // 2026-11-21T10:22:05.123Z, or what keepalived makes of it.
            let said = line.split_once('T').and_then(|(_, rest)| rest.split_once("Z "));
            let keepalived = || line.get(11..19).zip(line.get(26..));
            let said = said.map(|(at, words)| (at.to_owned(), words));
            let said = said.or_else(|| keepalived().map(|(at, words)| (format!("{at}.000"), words)));
            lines.extend(said.map(|(at, words)| (at, format!("host {host}: {words}"))));
        }
        lines.retain(|(at, _)| (time(from)..=time(to)).contains(at));
        lines.sort();
        lines.into_iter().fold(String::new(), |text, (at, what)| text + &format!("{at} {what}\n"))
    }
}

/// The time of day (UTC) to the millisecond, as the agents' logs have it.
fn time(at: Moment) -> String {
    let ms = at / MS;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}
