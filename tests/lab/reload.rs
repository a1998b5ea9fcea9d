//! SIGHUP changes what differs, and nothing else.

use std::io::{Write, stderr};
use std::net::{IpAddr, Ipv4Addr};

use crate::agents::{Agent, Router, toml};
use crate::clock::{SECOND, now};
use crate::lan::Lab;
use crate::live::{live, median, samples, unless_disturbed};
use crate::power_loss::VIP;
use crate::probe::Probe;

const OLD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const NEW: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 102);

fn config(addresses: &[&str]) -> String {
    toml(&[Router::new(100).every(500).holding(addresses)])
}

#[test]
fn an_address_that_stays_answers_every_echo() {
    live(&[], || {
        let lab = Lab::new(1);
        let agent = Agent::locum(&lab, 1, &config(&["192.0.2.101/24", "192.0.2.100/24"]));
        lab.holders.wait(VIP, &[1]);
        lab.holders.wait(OLD, &[1]);
        let probe = Probe::start(&lab.client, VIP);
        probe.wait_answer(now());
        let from = now();
        agent.reload(&config(&["192.0.2.100/24", "192.0.2.102/24"]));
        lab.holders.wait(NEW, &[1]);
        lab.holders.wait(OLD, &[]);
        probe.wait_answer(now());
        lab.wire.wait("an advert of the new list", from, |seen| {
            seen.advert().is_some_and(|advert| advert.addresses == [IpAddr::V4(VIP), IpAddr::V4(NEW)])
        });
        assert_eq!(probe.stop().lost(), 0, "echoes lost");
        assert_eq!(lab.holders.changes(VIP, from), [], "the address that stays");
        let resigned = lab.wire.since(from).into_iter().find(|seen| seen.advert().is_some_and(|a| a.priority == 0));
        assert_eq!(resigned, None, "nobody resigns for a reload");
        agent.state("web", "active");
        agent.logged("configuration reloaded");
    });
}

/// The host has no address in the subnet of its two virtual ones, so the first of them is the kernel's primary, and the
/// second goes with it unless promote_secondaries is set.
fn the_second_of_two_answers_while_the_first_goes(promote_secondaries: &str) {
    const SECOND_OF_TWO: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 11);
    let lab = Lab::new(1);
    lab.host(1).sysctl("ipv4/conf/eth0/promote_secondaries", promote_secondaries);
    lab.host(1).sysctl("ipv4/conf/all/promote_secondaries", promote_secondaries);
    lab.client.ip("addr add 198.51.100.250/24 dev eth0");
    let both = config(&["198.51.100.10/24", "198.51.100.11/24"]);
    let agent = Agent::locum(&lab, 1, &both);
    let losses = samples("echoes lost by the second of two addresses", || {
        lab.holders.wait(Ipv4Addr::new(198, 51, 100, 10), &[1]);
        lab.holders.wait(SECOND_OF_TWO, &[1]);
        let probe = Probe::start(&lab.client, SECOND_OF_TWO);
        probe.wait_answer(now());
        let from = now();
        agent.reload(&config(&["198.51.100.11/24"]));
        lab.holders.wait(Ipv4Addr::new(198, 51, 100, 10), &[]);
        probe.wait_answer(now());
        agent.reload(&both);
        lab.holders.wait(Ipv4Addr::new(198, 51, 100, 10), &[1]);
        probe.wait_answer(now());
        let lost = probe.stop().lost();
        assert_eq!(lab.holders.of(SECOND_OF_TWO), [1]);
        // Primary and secondary change places, or one of both runs would have nothing to show.
        agent.reload(&config(&["198.51.100.10/24"]));
        lab.holders.wait(SECOND_OF_TWO, &[]);
        agent.reload(&both);
        unless_disturbed(&lab, &[(from, now())], lost)
    });
    assert_eq!(median(&losses), 0, "{losses:?}");
}

#[test]
fn the_second_of_two_addresses_answers_while_the_first_goes() {
    live(&[], || the_second_of_two_answers_while_the_first_goes("0"));
}

#[test]
fn the_second_of_two_addresses_answers_while_the_first_goes_and_the_kernel_promotes_it() {
    live(&[], || the_second_of_two_answers_while_the_first_goes("1"));
}

#[test]
fn the_command_tells_what_came_of_it() {
    live(&[], || {
        let lab = Lab::new(1);
        let agent = Agent::locum(&lab, 1, &config(&["192.0.2.100/24"]));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        let told = |code: i32| {
            let output = agent.ask(&["reload"]);
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            let text = if code == 0 { output.stdout } else { output.stderr };
            String::from_utf8(text).expect("text")
        };
        agent.configure(&config(&["192.0.2.100/24", "192.0.2.102/24"]));
        assert_eq!(told(0), "configuration reloaded: virtual routers added 0, changed 1, removed 0\n");
        lab.holders.wait(NEW, &[1]);
        agent.configure(&config(&["192.0.2.100/24"]).replace("vrid = 51", "vrid = 510\nprioritty = 3"));
        let said = told(78);
        for words in ["nothing was changed", "vrid = 510", "^^^", "did you mean `priority`?"] {
            assert!(said.contains(words), "{words} is missing: {said}");
        }
        assert_eq!(lab.holders.changes(VIP, from), []);
        assert_eq!(lab.holders.of(NEW), [1]);
    });
}

/// Everything that has the configuration read again, one after the other.
#[test]
fn no_reload_of_any_kind_costs_an_echo_or_moves_the_address() {
    live(&[], || {
        let lab = Lab::new(2);
        let first = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
        lab.holders.wait(VIP, &[1]);
        let second = Agent::locum(&lab, 2, &toml(&[Router::new(100)]));
        second.state("web", "backup");
        let mut priority = 200;
        samples("reload, reload of a broken file, reload --exec", || {
            let probe = Probe::start(&lab.client, VIP);
            probe.wait_answer(now());
            let from = now();
            priority ^= 1;
            first.configure(&toml(&[Router::new(priority)]));
            assert_eq!(first.ask(&["reload"]).status.code(), Some(0));
            first.configure("nonsense");
            assert_eq!(first.ask(&["reload"]).status.code(), Some(78));
            priority ^= 2;
            first.configure(&toml(&[Router::new(priority)]));
            assert_eq!(first.ask(&["reload", "--exec"]).status.code(), Some(0));
            first.router("web", "has the new priority", |web| web["priority"]["base"] == priority);
            // Longer than the patience of host 2.
            lab.stays(VIP, 1, 4 * SECOND);
            assert_eq!(probe.stop().lost(), 0, "echoes lost");
            assert_eq!(lab.holders.changes(VIP, from), [], "no address moved");
            let odd = lab.wire.since(from).into_iter().find(|seen| seen.advert().is_some_and(|it| it.priority < 200));
            assert_eq!(odd, None, "nobody resigned, and host 2 asserted nothing");
            Some(())
        });
    });
}

#[test]
fn a_broken_file_changes_nothing() {
    live(&[], || {
        let lab = Lab::new(1);
        let good = config(&["192.0.2.100/24"]);
        let agent = Agent::locum(&lab, 1, &good);
        lab.holders.wait(VIP, &[1]);
        let before = agent.state("web", "active");
        let from = now();
        agent.reload(&good.replace("vrid = 51", "vrid = 510\nprioritty = 3"));
        agent.logged("configuration refused");
        lab.stays(VIP, 1, 2 * SECOND);
        assert_eq!(lab.holders.changes(VIP, from), []);
        let after = agent.state("web", "active");
        for part in ["since", "vrid", "priority"] {
            assert_eq!(before[part], after[part], "{part}");
        }
        // What is left of its lease is another number each time.
        for part in ["address", "interface", "state"] {
            assert_eq!(before["addresses"][0][part], after["addresses"][0][part], "{part}");
        }
        agent.reload(&config(&["192.0.2.100/24", "192.0.2.102/24"]));
        lab.holders.wait(NEW, &[1]);
        assert_eq!(lab.holders.changes(VIP, from), []);
    });
}

#[test]
fn routers_come_and_go_without_the_others_noticing() {
    live(&[], || {
        let lab = Lab::new(1);
        let web = Router::new(100).every(500);
        let other = |name, vrid, address| Router::new(100).every(500).named(name, vrid).holding(&[address]);
        let agent = Agent::locum(&lab, 1, &toml(&[web.clone(), other("old", 52, "192.0.2.101/24")]));
        lab.holders.wait(VIP, &[1]);
        lab.holders.wait(OLD, &[1]);
        let from = now();
        agent.reload(&toml(&[web, other("new", 53, "192.0.2.102/24")]));
        lab.wire.wait("the removed router's resignation", from, |seen| {
            seen.advert().is_some_and(|advert| advert.vrid == 52 && advert.priority == 0)
        });
        lab.holders.wait(OLD, &[]);
        lab.holders.wait(NEW, &[1]);
        assert_eq!(lab.holders.changes(VIP, from), []);
        let routers = agent.status().expect("a status")["routers"].as_object().expect("routers").clone();
        assert_eq!(routers.keys().collect::<Vec<_>>(), ["new", "web"]);
    });
}

/// Its lease goes on beside those that were there, for longer than one lasts.
#[test]
fn an_address_that_another_router_gets_stays_where_it_is() {
    live(&[], || {
        let lab = Lab::new(1);
        let web = |addresses: &[&str]| Router::new(100).holding(addresses);
        let other = Router::new(100).named("other", 52);
        let [one, two, three] = ["192.0.2.100/24", "192.0.2.101/24", "192.0.2.102/24"];
        let agent = Agent::locum(&lab, 1, &toml(&[web(&[one]), other.clone().holding(&[two, three])]));
        for address in [VIP, OLD, NEW] {
            lab.holders.wait(address, &[1]);
        }
        let from = now();
        agent.reload(&toml(&[web(&[one, two]), other.holding(&[three])]));
        agent.logged("configuration reloaded");
        lab.wire.watched_until(now() + 7 * SECOND);
        let held = agent.state("web", "active");
        if held["counters"]["leases_lapsed"] != 0 && lab.stalls.within(from, now(), SECOND / 2) {
            // Not eprintln!, which the test runner captures.
            writeln!(stderr(), "set aside because the machine stood still").expect("standard error");
            return;
        }
        for address in [VIP, OLD, NEW] {
            assert_eq!(lab.holders.changes(address, from), [], "{address}");
        }
        assert_eq!(held["addresses"][1]["state"], "held", "{held:#}");
    });
}

#[test]
fn an_interface_that_begins_to_matter_is_known_at_once() {
    live(&[], || {
        let lab = Lab::with_segments(1, 2);
        let web = Router::new(100).every(500);
        let agent = Agent::locum(&lab, 1, &toml(std::slice::from_ref(&web)));
        lab.holders.wait(VIP, &[1]);
        let db = Router::new(100).every(500).named("db", 52).on("eth1").holding(&["192.0.2.101/24"]);
        agent.reload(&toml(&[web, db]));
        lab.holders.wait(OLD, &[1]);
        agent.logged("db: initialize -> backup");
        assert!(!agent.log().contains("eth1: it does not exist"), "{}", agent.log());
    });
}
