//! Leases of IPv6 addresses beside those of IPv4, and lifetimes that somebody else changes.
//!
//! A new IPv6 address serves at once, but the kernel tells of it when a worker of all its namespaces comes to it, which may
//! be a second later. So it is by the announcement that it is known here when one came; that one has gone is told at once.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};

use nix::sys::signal::Signal;

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, Moment, SECOND, eventually, now};
use crate::families::{VIP6, believed};
use crate::lan::{Lab, mac};
use crate::leases::are_soon_alone;
use crate::live::{live, most, samples, tell, unless_disturbed};
use crate::power_loss::VIP;

/// One router that holds an address of each family.
fn both(priority: u8) -> Router {
    Router::new(priority).holding(&["192.0.2.100/24", "2001:db8::100/64"])
}

fn lab(hosts: usize) -> Lab {
    let lab = Lab::new(hosts);
    lab.turn_on_ipv6();
    lab
}

fn is_there(lab: &Lab, host: usize, address: impl Into<IpAddr>) -> bool {
    !lab.host(host).ip(&format!("addr show dev eth0 to {}", address.into())).is_empty()
}

/// Seconds that a host's kernel still keeps an address; `None`: for good.
fn left(lab: &Lab, host: usize, address: impl Into<IpAddr>) -> Option<u64> {
    let shown = lab.host(host).ip(&format!("addr show dev eth0 to {}", address.into()));
    let word = shown.split_whitespace().skip_while(|word| *word != "valid_lft").nth(1);
    let word = word.unwrap_or_else(|| panic!("a lifetime: {shown}"));
    (word != "forever").then(|| word.trim_end_matches("sec").parse().expect("a number"))
}

/// Asked over IPv6 now, so that the client has an entry that can be wrong.
fn ask(lab: &Lab) {
    lab.client.within(|| {
        let socket = UdpSocket::bind("[::]:0").expect("a socket");
        socket.send_to(b"who", (VIP6, 9)).expect("sent");
    });
}

/// Host 1's agent gets a signal right after a renewal and does nothing more: how long two hosts hold the address, and how long
/// after the takeover the client believes the right one.
fn gone_for_good(lab: &Lab, signal: Signal) -> Option<(u64, u64)> {
    let second = Agent::locum(lab, 2, &toml(&[both(100)]));
    let first = Agent::locum(lab, 1, &toml(&[both(200)]));
    lab.holders.wait(VIP6, &[1]);
    second.state("web", "backup");
    first.state("web", "active");
    ask(lab);
    eventually("the client believes host 1", || (believed(lab, VIP6) == Some(mac(1))).then_some(()));
    let lease = |web: &serde_json::Value| web["addresses"][1]["lease_left_ms"].as_u64().unwrap_or_default();
    first.router("web", "has renewed its lease", |web| (3_700..=4_000).contains(&lease(web)));
    let from = now();
    first.signal(signal);
    let took = lab.wire.wait("host 2's announcement", from, |seen| seen.advertises(VIP6, 2)).at;
    let right = eventually("the client believes host 2", || (believed(lab, VIP6) == Some(mac(2))).then(now));
    let alone = lab.holders.wait_change(VIP6, 1, false, from);
    let two = alone.saturating_sub(took);
    lab.holders.wait(VIP, &[2]);
    let around = |at: Moment| (at - 100 * MS, at + 50 * MS);
    let found = unless_disturbed(lab, &[around(from), around(took), around(alone)], (two, right.saturating_sub(took)));
    lab.wire.watched_until(now() + 2 * SECOND);
    // It is the kernel that ends a lease, or is too slow to renew one.
    let found = found.filter(|_| !lab.stalls.slow_within(from, now()));
    if found.is_some() {
        // Never after.
        assert!(lab.holders.changes(VIP6, alone + 1).iter().all(|change| change.host == 2), "host 1 has it again");
        assert!(is_there(lab, 2, VIP6));
    }
    drop((first, second));
    lab.holders.wait(VIP6, &[]);
    lab.holders.wait(VIP, &[]);
    found
}

fn the_dead_do_not_hold(what: &str, signal: Signal) {
    let lab = lab(2);
    let found = samples(&format!("two holders over IPv6 after {what}"), || gone_for_good(&lab, signal));
    are_soon_alone(&format!("{what} over IPv6"), &found);
}

#[test]
fn a_killed_agent_loses_its_ipv6_address_to_its_own_kernel() {
    live(&[], || the_dead_do_not_hold("kill -9", Signal::SIGKILL));
}

#[test]
fn a_stopped_agent_loses_its_ipv6_address_to_its_own_kernel() {
    live(&[], || the_dead_do_not_hold("SIGSTOP", Signal::SIGSTOP));
}

/// With adverts more than two seconds apart the dead have it for longer than anybody would search for duplicates. Were that
/// taken for one, nobody would hold it.
#[test]
fn a_slow_pair_does_not_take_the_kernel_of_the_dead_for_a_duplicate() {
    live(&[], || {
        let lab = lab(2);
        let slow = |priority| toml(&[both(priority).every(3_000)]);
        let first = Agent::locum(&lab, 1, &slow(250));
        lab.holders.wait(VIP6, &[1]);
        let second = Agent::locum(&lab, 2, &slow(200));
        second.router("web", "hears host 1", |web| web["active"] == "192.0.2.1");
        ask(&lab);
        let from = now();
        first.signal(Signal::SIGKILL);
        let took = lab.wire.wait("host 2's announcement", from, |seen| seen.advertises(VIP6, 2)).at;
        lab.holders.wait_change(VIP6, 1, false, from);
        // It asks four seconds and a little after the takeover, and takes answers for one more.
        lab.wire.watched_until(took + 6 * SECOND);
        let web = second.state("web", "active");
        assert_eq!(web["counters"]["became_active"], 1, "{web:#}");
        assert_eq!(web["mistakes"], serde_json::json!([]), "{web:#}");
        lab.stays(VIP6, 2, SECOND);
        assert_eq!(believed(&lab, VIP6), Some(mac(2)));
    });
}

#[test]
fn an_ipv6_address_removed_by_hand_is_back_within_100_ms() {
    live(&[], || {
        let lab = lab(1);
        let agent = Agent::locum(&lab, 1, &toml(&[both(100)]));
        lab.holders.wait(VIP6, &[1]);
        let mut removed = 0;
        let gaps = samples("an IPv6 address removed by hand", || {
            // Slowly enough not to be a fight.
            lab.wire.watched_until(now() + 2_600 * MS);
            let from = now();
            if !is_there(&lab, 1, VIP6) {
                // The kernel was too slow to renew its lease.
                lab.holders.wait(VIP6, &[1]);
                return None;
            }
            lab.host(1).ip(&format!("addr del {} dev eth0", as_it_is(&lab, VIP6)));
            removed += 1;
            let gone = lab.holders.wait_change(VIP6, 1, false, from);
            let back = lab.wire.wait("its announcement", gone, |seen| seen.advertises(VIP6, 1)).at;
            assert!(is_there(&lab, 1, VIP6));
            unless_disturbed(&lab, &[(from, back)], back - gone)
        });
        agent.router("web", "counts", |web| web["counters"]["addresses_restored"] == removed);
        tell("away after it was removed by hand over IPv6", &gaps);
        assert!(most(&gaps) < 100 * MS, "away for {gaps:?} ns");
        agent.logged("somebody removed 2001:db8::100/64");
        assert_eq!(lab.holders.of(VIP), [1]);
    });
}

/// How an address of host 1 is there: beside the host's own address ours may stand alone.
fn as_it_is(lab: &Lab, address: impl Into<IpAddr>) -> String {
    let address = address.into();
    let shown = lab.host(1).ip(&format!("-o addr show dev eth0 to {address}"));
    let net = shown.split_whitespace().find(|word| word.starts_with(&format!("{address}/")));
    net.unwrap_or_else(|| panic!("no {address}: {shown}")).to_owned()
}

/// Somebody has an address of ours last for so long, in iproute2's words, whatever it was to be.
fn change(lab: &Lab, address: impl Into<IpAddr>, lifetime: &str) {
    let net = as_it_is(lab, address);
    lab.host(1).ip(&format!("addr change {net} dev eth0 valid_lft {lifetime} preferred_lft {lifetime}"));
}

/// Waits until an address of host 1 is a lease as ours are.
fn is_leased(lab: &Lab, address: impl Into<IpAddr>) {
    let address = address.into();
    eventually("a lease again", || left(lab, 1, address).filter(|left| *left <= 4));
}

/// Made endless it is a lease again with the next advert, so that an agent that dies then does not hold it for ever; made short
/// it is renewed, or back at once. The host's own route to the subnet goes nowhere.
#[test]
fn a_lifetime_that_somebody_else_changes_is_ours_again() {
    live(&[], || {
        let lab = lab(1);
        let mut agent = Agent::locum(&lab, 1, &toml(&[both(100)]));
        let vips = [IpAddr::from(VIP), IpAddr::from(VIP6)];
        for vip in vips {
            lab.holders.wait(vip, &[1]);
        }
        let route = || lab.host(1).ip("-6 route show 2001:db8::/64 dev eth0");
        let before = route();
        assert!(!before.is_empty() && !before.contains("expires"), "{before}");
        for vip in vips {
            let from = now();
            change(&lab, vip, "forever");
            is_leased(&lab, vip);
            assert_eq!(lab.holders.changes(vip, from), [], "{vip}");
        }
        for vip in vips {
            let from = now();
            change(&lab, vip, "2");
            // Past the end that somebody gave it.
            lab.wire.watched_until(from + 4 * SECOND);
            assert_eq!(lab.holders.changes(vip, from), [], "{vip}");
            assert!(left(&lab, 1, vip).is_some_and(|left| left <= 4), "{vip}");
        }
        for vip in vips {
            change(&lab, vip, "forever");
            is_leased(&lab, vip);
        }
        agent.signal(Signal::SIGKILL);
        agent.ended();
        for vip in vips {
            lab.holders.wait(vip, &[]);
        }
        // Longer than any lease of ours.
        std::thread::sleep(std::time::Duration::from_secs(5));
        assert_eq!(route(), before, "the host's own route");
        assert!(lab.host(1).ip("-6 addr show dev eth0").contains("2001:db8::1/64"));
    });
}

#[test]
fn at_start_what_was_left_of_ipv6_goes_and_what_others_set_stays() {
    const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x101);
    const THEIRS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x102);
    live(&[], || {
        let lab = lab(1);
        let named = |addresses: &[&str]| toml(&[Router::new(100).holding(addresses)]);
        let mut agent = Agent::locum(&lab, 1, &named(&["192.0.2.100/24", "2001:db8::100/64", "2001:db8::101/64"]));
        lab.holders.wait(VIP6, &[1]);
        lab.holders.wait(OURS, &[1]);
        agent.signal(Signal::SIGKILL);
        agent.ended();
        let from = now();
        lab.host(1).ip("addr add 2001:db8::102/64 dev eth0 nodad");
        let agent = Agent::locum(&lab, 1, &named(&["192.0.2.100/24", "2001:db8::100/64"]));
        let gone = lab.holders.wait(OURS, &[]);
        assert!(gone - from < 3 * SECOND, "it did not wait for its lease to end: {} ms", (gone - from) / MS);
        assert_eq!(agent.state("web", "active")["reason"], "resumed");
        lab.wire.watched_until(now() + 5 * SECOND);
        assert_eq!(lab.holders.changes(VIP6, from), []);
        assert_eq!(lab.holders.of(THEIRS), [1]);
        assert!(lab.host(1).ip("-6 addr show dev eth0").contains("2001:db8::1/64"));
    });
}
