//! Interfaces that are not there, go, come back, and lose their link.

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, Moment, SECOND, now};
use crate::lan::{Lab, address};
use crate::live::live;
use crate::power_loss::VIP;

/// Until host 1 is Active on an interface that has just been made: it follows within a second, hears the other host within
/// half of one, and has a priority of 200.
fn is_followed(lab: &Lab, made: Moment, advert: Moment) {
    let within = SECOND + 500 * MS + 3 * 500 * MS + 500 * MS * 56 / 256;
    assert!(!lab.undisturbed(made, advert) || advert - made < within, "{} ms", (advert - made) / MS);
}

#[test]
fn a_missing_interface_is_waited_for_and_served_when_it_comes() {
    live(&[], || {
        let lab = Lab::new(1);
        let agent = Agent::locum(&lab, 1, &toml(&[Router::new(100).every(500).on("eth9")]));
        for _ in 0..2 {
            let fault = agent.router("web", "waits", |router| router["reason"] == "interface-missing");
            assert_eq!(fault["state"], "fault");
            assert_eq!(fault["words"], "waiting for interface eth9: it does not exist");
            lab.plug_in(1, "eth9", "02:00:00:00:00:99");
            assert_eq!(agent.router("web", "is down", |router| router["reason"] == "interface-down")["state"], "fault");
            lab.host(1).ip("link set eth9 up");
            agent.router("web", "has no address", |router| router["reason"] == "no-source-address");
            lab.host(1).ip("addr add 192.0.2.9/24 dev eth9");
            lab.holders.wait(VIP, &[1]);
            agent.state("web", "active");
            let from = now();
            lab.wire.wait("its adverts", from, |seen| seen.asserts(address(9, 0)));
            lab.host(1).ip("link del eth9");
            lab.holders.wait(VIP, &[]);
        }
        agent.router("web", "waits again", |router| router["reason"] == "interface-missing");
    });
}

#[test]
fn a_pulled_cable_is_a_fault_at_once_and_the_peer_takes_over() {
    live(&[], || {
        let lab = Lab::new(2);
        let config = |priority| toml(&[Router::new(priority).every(500)]);
        let _second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        lab.carrier(1, false);
        lab.holders.wait(VIP, &[2]);
        let changes = lab.holders.changes(VIP, from);
        let order: Vec<(usize, bool)> = changes.iter().map(|change| (change.host, change.held)).collect();
        assert_eq!(order, [(1, false), (2, true)], "it goes long before the peer's patience ends");
        let fault = first.state("web", "fault");
        assert_eq!(fault["reason"], "no-carrier");
        assert_eq!(fault["addresses"][0]["state"], "absent");
        lab.stays(VIP, 2, 2 * SECOND);
        lab.carrier(1, true);
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP, 1, 2 * SECOND);
    });
}

/// Host 1 loses its address to another of its own; what it sends comes from there at once, and nothing moves.
#[test]
fn a_readdressed_interface_advertises_from_its_new_address() {
    live(&[], || {
        let lab = Lab::new(2);
        let config = |priority| toml(&[Router::new(priority).every(500)]);
        lab.host(1).sysctl("ipv4/conf/eth0/promote_secondaries", "1");
        let second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        second.state("web", "backup");
        let begun = now();
        lab.host(1).ip("addr add 192.0.2.31/24 dev eth0");
        lab.host(1).ip("addr del 192.0.2.1/24 dev eth0");
        let from = now();
        let seen = lab.wire.wait("an advert from the new address", from, |seen| seen.asserts(address(31, 0)));
        assert!(seen.at - from < SECOND, "{} ns", seen.at - from);
        lab.wire.watched_until(seen.at + 3 * SECOND);
        let old = lab.wire.since(seen.at).into_iter().filter(|seen| seen.asserts(address(1, 0))).count();
        assert_eq!(old, 0, "adverts from the old address");
        assert_eq!(lab.holders.changes(VIP, begun), []);
        assert_eq!(first.state("web", "active")["active"], "192.0.2.31");
        second.router("web", "follows", |router| router["active"] == "192.0.2.31");
    });
}

/// The card that was eth0 is called lan0 now, and another one eth0.
#[test]
fn a_renamed_interface_keeps_nothing_and_its_namesake_is_served() {
    live(&[], || {
        let lab = Lab::new(2);
        let config = |priority| toml(&[Router::new(priority).every(500)]);
        let _second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        // A kernel that does not rename what is up keeps the address through this, too.
        if lab.host(1).try_run("ip", &["link", "set", "eth0", "name", "lan0"], "").is_err() {
            lab.host(1).ip("link set eth0 down");
            lab.host(1).ip("link set eth0 name lan0");
            lab.host(1).ip("link set lan0 up");
        }
        let fault = first.router("web", "waits", |router| router["reason"] == "interface-missing");
        assert_eq!(fault["words"], "waiting for interface eth0: it does not exist");
        lab.holders.wait(VIP, &[2]);
        let gone = lab.holders.changes(VIP, from).first().cloned().expect("a change");
        assert!(gone.host == 1 && !gone.held && gone.at - from < SECOND, "{gone:?}");
        lab.plug_in(1, "eth0", "02:00:00:00:00:99");
        lab.host(1).ip("addr add 192.0.2.9/24 dev eth0");
        lab.host(1).ip("link set eth0 up");
        let made = now();
        lab.holders.wait(VIP, &[1]);
        let seen = lab.wire.wait("its adverts", from, |seen| seen.asserts(address(9, 0)) && seen.mac[5] == 0x99);
        is_followed(&lab, made, seen.at);
        assert!(lab.host(1).ip("addr show eth0").contains("192.0.2.100"));
        assert!(!lab.host(1).ip("addr show lan0").contains("192.0.2.100"));
        lab.stays(VIP, 1, 2 * SECOND);
    });
}

/// A container's: it goes with the other end, and comes back under its name with another card.
#[test]
fn a_veth_made_anew_is_served_anew() {
    live(&[], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &toml(&[Router::new(100).every(500)]));
        lab.plug_in(1, "veth0", "02:00:00:00:00:77");
        let set_up = ["addr add 192.0.2.91/24 dev veth0".to_owned(), "link set veth0 up".to_owned()];
        lab.host(1).ip_all(&set_up);
        let first = Agent::locum(&lab, 1, &toml(&[Router::new(200).every(500).on("veth0")]));
        lab.holders.wait(VIP, &[1]);
        for mac in ["02:00:00:00:00:78", "02:00:00:00:00:79"] {
            first.state("web", "active");
            let from = now();
            lab.host(1).ip("link del veth0");
            lab.holders.wait(VIP, &[2]);
            let fault = first.router("web", "waits", |router| router["reason"] == "interface-missing");
            assert_eq!(fault["words"], "waiting for interface veth0: it does not exist");
            assert_eq!(lab.holders.changes(VIP, from).first().map(|change| change.host), Some(1));
            lab.plug_in(1, "veth0", mac);
            lab.host(1).ip_all(&set_up);
            let made = now();
            let seen = lab.wire.wait("its adverts", made, |seen| seen.asserts(address(91, 0)));
            assert_eq!(format!("{:02x}", seen.mac[5]), mac[15..]);
            is_followed(&lab, made, seen.at);
            lab.holders.wait(VIP, &[1]);
            assert!(lab.host(1).ip("addr show veth0").contains("192.0.2.100"));
            lab.stays(VIP, 1, 2 * SECOND);
        }
    });
}

/// Deleted and made anew in one go, so that the agent sees only what came of it.
#[test]
fn a_macvlan_made_anew_is_served_anew() {
    live(&[], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &toml(&[Router::new(100).every(500)]));
        let make = [
            "link add link eth0 name mv0 address 02:00:00:00:00:77 type macvlan mode bridge".to_owned(),
            "addr add 192.0.2.91/24 dev mv0".to_owned(),
            "link set mv0 up".to_owned(),
        ];
        lab.host(1).ip_all(&make);
        let first = Agent::locum(&lab, 1, &toml(&[Router::new(200).every(500).on("mv0")]));
        lab.holders.wait(VIP, &[1]);
        first.state("web", "active");
        for _ in 0..2 {
            lab.host(1).ip_all(&[&["link del mv0".to_owned()], &make[..]].concat());
            let made = now();
            first.router("web", "has noticed", |router| router["state"] != "active");
            let seen = lab.wire.wait("its adverts", made, |seen| seen.asserts(address(91, 0)) && seen.mac[5] == 0x77);
            is_followed(&lab, made, seen.at);
            first.state("web", "active");
            lab.holders.wait(VIP, &[1]);
            assert!(lab.host(1).ip("addr show mv0").contains("192.0.2.100"));
            lab.stays(VIP, 1, 2 * SECOND);
        }
    });
}

#[test]
fn a_tracked_interface_is_waited_for_and_followed() {
    live(&[], || {
        let lab = Lab::new(2);
        let config = |priority, more: &str| toml(&[Router::new(priority).every(500).more(more)]);
        let _second = Agent::locum(&lab, 2, &config(100, ""));
        let first = Agent::locum(&lab, 1, &config(200, "track_interfaces = [\"up0\"]"));
        lab.holders.wait(VIP, &[2]);
        let fault = first.router("web", "waits", |router| router["reason"] == "tracked-interface");
        assert_eq!(fault["words"], "waiting for tracked interface up0: it has no link");
        for _ in 0..2 {
            lab.plug_in(1, "up0", "02:00:00:00:00:88");
            lab.host(1).ip("link set up0 up");
            lab.holders.wait(VIP, &[1]);
            lab.host(1).ip("link set up0 name up1");
            first.router("web", "waits again", |router| router["reason"] == "tracked-interface");
            lab.holders.wait(VIP, &[2]);
            lab.host(1).ip("link del up1");
        }
    });
}
