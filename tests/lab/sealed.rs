//! Authentication beside the keepalived that speaks it (from 2.4.2 on), where LOCUM_KEEPALIVED names one: both roles, power
//! loss and planned stop, keys that change, keys that differ, and the way from no authentication to all.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::agents::{Agent, Router, keepalived_conf, toml};
use crate::authentication::key_file;
use crate::clock::{Moment, SECOND, now};
use crate::judges::is_content;
use crate::lan::{Lab, address};
use crate::live::live;
use crate::power_loss::VIP;

/// Longer than the Active_Down_Interval of anybody here: 3 x 1 s + (256 - 100) / 256 x 1 s.
const LONGER: u64 = 4 * SECOND;
const OLD: &str = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "a key of forty bytes, as text, for later";
const OTHER: &str = "hex:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Runs a test beside that keepalived; without one it is skipped aloud wherever it runs: what CI has are the vectors.
fn beside<F: FnOnce(&Path)>(test: F) {
    match std::env::var_os("LOCUM_KEEPALIVED").map(PathBuf::from) {
        Some(program) => test(&program),
        None => {
            let name = std::thread::current().name().unwrap_or("a test").to_owned();
            // Not eprintln!, which the test runner captures.
            let text = "LOCUM_KEEPALIVED names no keepalived with authentication (2.4.2 or later)";
            writeln!(stderr(), "SKIPPED {name}: {text}").expect("standard error can be written to");
        }
    }
}

/// The keys that a node has, of which one is active; each with its content.
type Keys<'a> = (u8, &'a [(u8, &'a str)]);

const WITH_OLD: Keys<'static> = (7, &[(7, OLD)]);

/// `web` as one of the two has it.
struct Node<'a> {
    lab: &'a Lab,
    host: usize,
    priority: u8,
}

impl Node<'_> {
    fn key(&self, content: &str) -> String {
        let name = format!("{}-{}.key", self.host, content.bytes().map(u32::from).sum::<u32>());
        key_file(self.lab, &name, content, 0o600)
    }

    fn ours(&self, mode: &str, (active, keys): Keys<'_>) -> String {
        let key = |(id, content): &(u8, &str)| format!("{{ id = {id}, file = \"{}\" }}", self.key(content));
        let keys: Vec<String> = keys.iter().map(key).collect();
        let head = "[virtual_router.web.auth]";
        let auth = format!("{head}\nmode = \"{mode}\"\nactive_key = {active}\nkeys = [{}]\n", keys.join(", "));
        toml(&[Router::new(self.priority)]) + &auth
    }

    fn theirs(&self, mode: &str, (active, keys): Keys<'_>) -> Router {
        let key = |(id, content): &(u8, &str)| format!("key {id} file:{}", self.key(content));
        let keys: Vec<String> = keys.iter().map(key).collect();
        let auth = format!("auth_hmac {{\n {}\n active_key {active}\n mode {mode}\n }}", keys.join("\n "));
        Router::new(self.priority).more(&auth)
    }

    fn locum(&self, mode: &str, keys: Keys<'_>) -> Agent {
        Agent::locum(self.lab, self.host, &self.ours(mode, keys))
    }

    fn keepalived(&self, program: &Path, mode: &str, keys: Keys<'_>) -> Agent {
        Agent::keepalived_by(self.lab, self.host, &[self.theirs(mode, keys)], "", program)
    }
}

/// The one with the higher priority on host 1, the other on host 2.
fn nodes(lab: &Lab) -> [Node<'_>; 2] {
    [Node { lab, host: 1, priority: 200 }, Node { lab, host: 2, priority: 100 }]
}

/// All adverts of a host since then have a trailer, or none has. The wire shows which by what our own status says of them.
fn heard_under(agent: &Agent, key: Option<u8>) {
    let what = format!("hears its peer under {key:?}");
    agent.router("web", &what, |router| router["peers"][0]["key"].as_u64() == key.map(u64::from));
}

#[test]
fn keepalived_backs_us_up_authenticated() {
    beside(|program| {
        live(&[], || {
            let lab = Lab::new(2);
            let [first, second] = nodes(&lab);
            let keepalived = second.keepalived(program, "enforce", WITH_OLD);
            lab.holders.wait(VIP, &[2]);
            let mut ours = first.locum("enforce", WITH_OLD);
            lab.holders.wait(VIP, &[1]);
            lab.stays(VIP, 1, LONGER);
            assert_eq!(ours.stop(), 0, "our exit code");
            lab.holders.wait(VIP, &[2]);
            lab.stays(VIP, 2, LONGER);
            ours = first.locum("enforce", WITH_OLD);
            lab.holders.wait(VIP, &[1]);
            lab.stays(VIP, 1, LONGER);
            assert_eq!(ours.state("web", "active")["counters"]["discards"], serde_json::json!({}));
            lab.power_off(1);
            lab.holders.wait(VIP, &[2]);
            lab.stays(VIP, 2, LONGER);
            is_content(&keepalived);
        });
    });
}

#[test]
fn we_back_keepalived_up_authenticated() {
    beside(|program| {
        live(&[], || {
            let lab = Lab::new(2);
            let [first, second] = nodes(&lab);
            let ours = second.locum("enforce", WITH_OLD);
            lab.holders.wait(VIP, &[2]);
            let mut keepalived = first.keepalived(program, "enforce", WITH_OLD);
            lab.holders.wait(VIP, &[1]);
            heard_under(&ours, Some(7));
            lab.stays(VIP, 1, LONGER);
            keepalived.stop();
            is_content(&keepalived);
            lab.holders.wait(VIP, &[2]);
            lab.stays(VIP, 2, LONGER);
            keepalived = first.keepalived(program, "enforce", WITH_OLD);
            lab.holders.wait(VIP, &[1]);
            lab.stays(VIP, 1, LONGER);
            lab.power_off(1);
            lab.holders.wait(VIP, &[2]);
            lab.stays(VIP, 2, LONGER);
            is_content(&keepalived);
            assert_eq!(ours.state("web", "active")["counters"]["discards"], serde_json::json!({}));
        });
    });
}

/// Whether the machine did for so long that an address may move: then nothing is judged, which is said.
fn stood_still(lab: &Lab, from: Moment) -> bool {
    let so = lab.stalls.within(from, now(), SECOND / 2);
    if so {
        writeln!(stderr(), "set aside because the machine stood still").expect("standard error");
    }
    so
}

/// Each side in turn gets the new key, then uses it, then loses the old one: nothing moves.
#[test]
fn keys_change_on_both_sides_without_a_break() {
    beside(|program| {
        live(&[], || {
            let lab = Lab::new(2);
            let [first, second] = nodes(&lab);
            let ours = first.locum("enforce", WITH_OLD);
            lab.holders.wait(VIP, &[1]);
            let keepalived = second.keepalived(program, "enforce", WITH_OLD);
            let both: &[(u8, &str)] = &[(7, OLD), (8, NEW)];
            keepalived.logged("Entering BACKUP STATE");
            let from = now();
            for (step, keys) in [(1, (7, both)), (2, (8, both)), (3, (8, &both[1..]))] {
                ours.reload(&first.ours("enforce", keys));
                reloaded(&ours, "configuration reloaded", step);
                keepalived.configure(&keepalived_conf(&[second.theirs("enforce", keys)]));
                keepalived.signal(Signal::SIGHUP);
                reloaded(&keepalived, "Reloading", step);
                lab.wire.watched_until(now() + LONGER);
            }
            if stood_still(&lab, from) {
                return;
            }
            assert_eq!(lab.holders.changes(VIP, from), [], "the address stays where it is");
            is_content(&keepalived);
            // The other way round under the new key.
            drop(ours);
            lab.holders.wait(VIP, &[2]);
            let ours = first.locum("enforce", (8, &both[1..]));
            heard_under(&ours, Some(8));
            lab.holders.wait(VIP, &[1]);
        });
    });
}

fn reloaded(agent: &Agent, words: &str, times: usize) {
    crate::clock::eventually(&format!("\"{words}\" {times} times"), || {
        (agent.log().matches(words).count() >= times).then_some(())
    });
}

/// From nothing to `enforce` in three sweeps, one node at a time.
#[test]
fn authentication_is_rolled_out_without_a_break() {
    beside(|program| {
        live(&[], || {
            let lab = Lab::new(2);
            let [first, second] = nodes(&lab);
            let ours = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
            lab.holders.wait(VIP, &[1]);
            let keepalived = Agent::keepalived_by(&lab, 2, &[Router::new(100)], "", program);
            keepalived.logged("Entering BACKUP STATE");
            let from = now();
            for (step, mode) in (1..).zip(["receive-only", "permissive", "enforce"]) {
                ours.reload(&first.ours(mode, WITH_OLD));
                reloaded(&ours, "configuration reloaded", step);
                lab.wire.watched_until(now() + LONGER);
                keepalived.configure(&keepalived_conf(&[second.theirs(mode, WITH_OLD)]));
                keepalived.signal(Signal::SIGHUP);
                reloaded(&keepalived, "Reloading", step);
                lab.wire.watched_until(now() + LONGER);
            }
            if stood_still(&lab, from) {
                return;
            }
            assert_eq!(lab.holders.changes(VIP, from), [], "the address stays where it is");
            is_content(&keepalived);
            assert_eq!(ours.state("web", "active")["counters"]["discards"], serde_json::json!({}));
        });
    });
}

/// Two hosts with different keys under one id hold the address both, as nothing unauthenticated decides: we say why.
#[test]
fn keys_that_differ_are_named() {
    beside(|program| {
        live(&[], || {
            let lab = Lab::new(2);
            let [first, second] = nodes(&lab);
            let ours = first.locum("enforce", WITH_OLD);
            lab.holders.wait(VIP, &[1]);
            let _keepalived = second.keepalived(program, "enforce", (7, &[(7, OTHER)]));
            lab.wire.wait("keepalived's advert", 0, |seen| seen.asserts(address(2, 0)));
            let line = ours.logged("the other side has another key under this id");
            assert!(line.contains("192.0.2.2"), "{line}");
            let shown = ours.router("web", "shows it", |router| router["mistakes"][0]["token"] == "auth-bad");
            assert_eq!(shown["auth"]["refused"][0]["address"], "192.0.2.2", "{shown:#}");
            lab.holders.wait(VIP, &[1, 2]);
            // What was said to do helps.
            ours.reload(&first.ours("enforce", (7, &[(7, OTHER)])));
            lab.holders.wait(VIP, &[1]);
            lab.stays(VIP, 1, LONGER);
        });
    });
}
