//! Interfaces that are not there, go, come back, and lose their link.

use crate::agents::{Agent, Router, toml};
use crate::clock::{SECOND, now};
use crate::lan::{Lab, address};
use crate::live::live;
use crate::power_loss::VIP;

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
