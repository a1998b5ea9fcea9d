//! Addresses that somebody else set: no agent touches them.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::agents::{Agent, LOCUM, Router, toml};
use crate::clock::{SECOND, now};
use crate::lan::{Lab, address};
use crate::live::live;
use crate::power_loss::VIP;

fn config(priority: u8) -> String {
    toml(&[Router::new(priority).every(500)])
}

#[test]
fn an_address_that_was_there_before_is_never_removed() {
    live(&[], || {
        let lab = Lab::new(2);
        lab.host(1).ip("addr add 192.0.2.100/24 dev eth0");
        lab.holders.wait(VIP, &[1]);
        let from = now();
        let mut first = Agent::locum(&lab, 1, &config(200));
        // Active comes before what became of the addition.
        first.router("web", "is Active beside it", |router| {
            router["state"] == "active" && router["addresses"][0]["state"] == "foreign"
        });
        first.logged("was set by somebody else");
        // Through an election that it loses, ...
        let mut second = Agent::locum(&lab, 2, &toml(&[Router::new(250).every(500)]));
        lab.holders.wait(VIP, &[1, 2]);
        first.state("web", "backup");
        // ... one that it wins, ...
        assert_eq!(second.stop(), 0);
        lab.holders.wait(VIP, &[1]);
        first.state("web", "active");
        // ... and its own stop.
        assert_eq!(first.stop(), 0);
        assert!(lab.holders.changes(VIP, from).iter().all(|change| change.host == 2), "untouched on host 1");
        assert!(lab.host(1).ip("addr show eth0").contains("inet 192.0.2.100/24"));
    });
}

/// A host's own address in the subnet of a virtual one, before it came and after.
fn own_addresses_survive(promote_secondaries: &str) {
    let lab = Lab::new(1);
    let host = lab.host(1);
    host.sysctl("ipv4/conf/eth0/promote_secondaries", promote_secondaries);
    host.sysctl("ipv4/conf/all/promote_secondaries", promote_secondaries);
    let vips = ["192.0.2.100/24", "198.51.100.10/24"];
    let mut agent = Agent::locum(&lab, 1, &toml(&[Router::new(100).every(500).holding(&vips)]));
    lab.holders.wait(VIP, &[1]);
    lab.holders.wait(Ipv4Addr::new(198, 51, 100, 10), &[1]);
    // The virtual address was there first: for the kernel this one is its secondary.
    host.ip("addr add 198.51.100.1/24 dev eth0");
    let late = Ipv4Addr::new(198, 51, 100, 1);
    lab.holders.wait(late, &[1]);
    let from = now();
    assert_eq!(agent.stop(), 0);
    lab.holders.wait(VIP, &[]);
    lab.holders.wait(Ipv4Addr::new(198, 51, 100, 10), &[]);
    lab.holders.wait(late, &[1]);
    assert_eq!(lab.holders.changes(address(1, 0), from), [], "the address it always had");
    let shown = host.ip("addr show eth0");
    assert!(shown.contains("inet 192.0.2.1/24") && shown.contains("inet 198.51.100.1/24"), "{shown}");
    let routes = host.ip("route show");
    assert!(routes.contains("192.0.2.0/24 dev eth0") && routes.contains("198.51.100.0/24 dev eth0"), "{routes}");
}

#[test]
fn the_hosts_own_addresses_survive_ours() {
    live(&[], || own_addresses_survive("0"));
}

#[test]
fn the_hosts_own_addresses_survive_ours_where_the_kernel_promotes_secondaries() {
    live(&[], || own_addresses_survive("1"));
}

/// The owner's address is its own, and stays on it whatever runs there. Its adverts come from another one: where they came
/// from this one, whoever has followed would not hear it return.
#[test]
fn an_owner_has_its_address_back_when_it_returns() {
    live(&[], || {
        let lab = Lab::new(2);
        let owns = ["addr add 192.0.2.100/24 dev eth0".to_owned()];
        lab.host(1).ip_all(&owns);
        let second = Agent::locum(&lab, 2, &config(100));
        lab.holders.wait(VIP, &[1, 2]);
        for _ in 0..2 {
            let first = Agent::locum(&lab, 1, &config(255));
            first.state("web", "active");
            lab.holders.wait(VIP, &[1]);
            lab.stays(VIP, 1, 3 * SECOND);
            assert!(!first.log().contains("set by somebody else"), "that is as it should be: {}", first.log());
            lab.power_off(1);
            drop(first);
            lab.holders.wait(VIP, &[2]);
            lab.stays(VIP, 2, 3 * SECOND);
            lab.power_on(1);
            lab.host(1).ip_all(&owns);
        }
        assert_eq!(second.state("web", "active")["reason"], "active-silent");
    });
}

#[test]
fn an_owner_without_another_address_is_warned() {
    live(&[], || {
        let lab = Lab::new(1);
        let warned = |addresses: &[&str]| {
            let file = lab.file("owner.toml");
            std::fs::write(&file, toml(&[Router::new(255).holding(addresses)])).expect("a configuration file");
            let mut check = Command::new(LOCUM);
            check.arg("check").arg(file);
            let said = lab.host(1).within(move || check.output().expect("a program"));
            assert_eq!(said.status.code(), Some(0));
            String::from_utf8_lossy(&said.stderr).contains("`eth0` has no address besides those that this router moves")
        };
        assert!(warned(&["192.0.2.1/24"]));
        assert!(!warned(&["192.0.2.100/24"]));
        lab.host(1).ip("addr add 192.0.2.31/24 dev eth0");
        assert!(!warned(&["192.0.2.1/24"]));
    });
}
