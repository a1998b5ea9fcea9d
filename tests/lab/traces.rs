//! keepalived recorded: two of them in what their model in the simulator claims to know, and the model plays each recording.
//!
//! `LOCUM_BLESS=1 cargo test --test lab traces` puts the recordings in the place of those in tests/sim/traces.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::agents::{Agent, Router};
use crate::attempts::until_judged;
use crate::clock::{MS, Moment, SECOND, now};
use crate::common::{Need, tool};
use crate::lan::{Lab, address};
use crate::live::live;
use crate::replay::replay;
use crate::stalls::Stalls;
use crate::wire::Seen;

/// How often something is recorded at most, since no model knows when a machine stands still.
const ATTEMPTS: u32 = 4;
/// What the model does not put down to a machine under load.
const NOTICED: u64 = 60 * MS;
const NAMES: [&str; 2] = ["a", "b"];

/// Two hosts and what was done to them.
struct Recording {
    lab: Lab,
    routers: [Router; 2],
    agents: [Option<Agent>; 2],
    done: Vec<(Moment, String)>,
    from: Moment,
}

impl Recording {
    fn of(routers: [Router; 2]) -> Self {
        Recording { lab: Lab::new(2), routers, agents: [None, None], done: Vec::new(), from: now() }
    }

    fn note(&mut self, which: usize, what: &str) {
        self.done.push((now(), format!("{} {what}", NAMES[which])));
    }

    fn start(&mut self, which: usize) {
        self.note(which, "starts");
        self.agents[which] = Some(Agent::keepalived(&self.lab, which + 1, &[self.routers[which].clone()]));
    }

    fn stop(&mut self, which: usize) {
        self.note(which, "stops");
        assert_eq!(self.agents[which].take().expect("it runs").stop(), 0);
    }

    fn lose_power(&mut self, which: usize) {
        self.lab.power_off(which + 1);
        self.agents[which] = None;
        self.note(which, "dies");
    }

    fn regain_power(&mut self, which: usize) {
        self.lab.power_on(which + 1);
        self.start(which);
    }

    /// Waits for so many adverts of a host from now on.
    fn hear(&self, which: usize, adverts: u32) {
        let mut from = now();
        let source = address(which + 1, 0);
        for _ in 0..adverts {
            let sent = |seen: &Seen| seen.advert().is_some_and(|advert| advert.source == source);
            from = self.lab.wire.wait(&format!("an advert of {}", NAMES[which]), from, sent).at + 1;
        }
    }

    fn text(&self) -> String {
        let mut lines = self.done.clone();
        for seen in self.lab.wire.since(self.from) {
            let Some(advert) = seen.advert() else { continue };
            let which = (0..2).find(|which| advert.source == address(which + 1, 0)).expect("one of the two");
            lines.push((seen.at, format!("{} advert {} {}", NAMES[which], advert.priority, advert.centiseconds)));
        }
        lines.sort();
        let mut text = format!(
            "# {} on two hosts of one LAN, version 3: what was done to each, and each advert with priority and interval.\n\
             # Seconds; stamps of a kernel that saw both.\n",
            version()
        );
        for (which, router) in self.routers.iter().enumerate() {
            let (name, source, priority) = (NAMES[which], address(which + 1, 0), router.priority);
            let extra = if router.preempt { "" } else { " nopreempt" };
            writeln!(text, "host {name} {source} priority {priority} interval {}{extra}", router.interval_ms / 10)
                .expect("room");
        }
        for (at, what) in lines {
            writeln!(text, "{:.6} {what}", (at - self.from) as f64 / SECOND as f64).expect("room");
        }
        text
    }
}

/// As it says itself: `Keepalived v2.2.7`.
fn version() -> String {
    let program = tool("keepalived").expect("keepalived");
    let said = Command::new(program).arg("--version").output().expect("keepalived");
    let words = [said.stdout, said.stderr].concat();
    String::from_utf8_lossy(&words).split(" (").next().unwrap_or_default().to_owned()
}

/// Plays it until the machine did not stand still meanwhile, and has the model play what came of it.
fn agrees(name: &str, adverts: usize, routers: [Router; 2], play: impl Fn(&mut Recording)) {
    let stalls = Stalls::watch();
    until_judged(
        name,
        ATTEMPTS,
        |from| stalls.within(from, now(), NOTICED),
        || {
            let mut recording = Recording::of(routers.clone());
            play(&mut recording);
            let text = recording.text();
            let played = replay(&text).unwrap_or_else(|wrong| panic!("{wrong}\nin\n{text}"));
            assert!(played >= adverts, "{played} adverts of {adverts}:\n{text}");
            if std::env::var_os("LOCUM_BLESS").is_some_and(|value| value == "1") {
                let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/traces");
                fs::write(format!("{folder}/{name}.txt"), text).expect("a trace");
            }
            Some(())
        },
    );
}

#[test]
fn loss_of_power_and_return() {
    live(&[Need::Tool("keepalived")], || {
        agrees("power", 15, [Router::new(150), Router::new(100)], |recording| {
            recording.start(0);
            recording.start(1);
            recording.hear(0, 6);
            recording.lose_power(0);
            recording.hear(1, 5);
            recording.regain_power(0);
            recording.hear(0, 5);
        });
    });
}

#[test]
fn preemption_and_planned_stops() {
    live(&[Need::Tool("keepalived")], || {
        agrees("stop", 12, [Router::new(150), Router::new(100)], |recording| {
            recording.start(1);
            recording.hear(1, 2);
            recording.start(0);
            recording.hear(0, 4);
            recording.stop(0);
            recording.hear(1, 5);
            recording.stop(1);
        });
    });
}

#[test]
fn without_preemption() {
    live(&[Need::Tool("keepalived")], || {
        agrees("stay", 17, [Router::new(150).no_preempt(), Router::new(100)], |recording| {
            recording.start(1);
            recording.hear(1, 3);
            recording.start(0);
            recording.hear(1, 6);
            recording.stop(1);
            recording.hear(0, 4);
            recording.start(1);
            recording.hear(0, 6);
        });
    });
}
