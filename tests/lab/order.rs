//! Who is next: several hosts, several routers, several interfaces.

use std::net::Ipv4Addr;

use crate::agents::{Agent, Router, toml};
use crate::clock::SECOND;
use crate::lan::{Lab, address};
use crate::live::live;
use crate::power_loss::VIP;

#[test]
fn three_hosts_follow_each_other_by_priority() {
    live(&[], || {
        let lab = Lab::new(3);
        let start = |host: usize| Agent::locum(&lab, host, &toml(&[Router::new([0, 200, 150, 100][host])]));
        let _third = start(3);
        lab.holders.wait(VIP, &[3]);
        let second = start(2);
        let first = start(1);
        lab.holders.wait(VIP, &[1]);
        lab.power_off(1);
        lab.holders.wait(VIP, &[2]);
        // The third one's Active_Down_Interval is 3.609375 s.
        lab.stays(VIP, 2, 4 * SECOND);
        lab.power_off(2);
        lab.holders.wait(VIP, &[3]);
        drop((first, second));
        lab.power_on(2);
        let _second = start(2);
        lab.holders.wait(VIP, &[2]);
        lab.power_on(1);
        let _first = start(1);
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP, 1, 4 * SECOND);
    });
}

#[test]
fn two_routers_with_crossed_priorities_share_the_work_until_one_host_is_lost() {
    live(&[], || {
        const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
        let lab = Lab::new(2);
        let config = |web, mail| {
            let mail = Router::new(mail).named("mail", 52).holding(&["192.0.2.101/24"]);
            toml(&[Router::new(web).every(500), mail.every(500)])
        };
        let _first = Agent::locum(&lab, 1, &config(200, 100));
        let second = Agent::locum(&lab, 2, &config(100, 200));
        lab.holders.wait(VIP, &[1]);
        lab.holders.wait(OTHER, &[2]);
        lab.stays(VIP, 1, 2 * SECOND);
        assert_eq!(lab.holders.of(OTHER), [2]);
        lab.power_off(1);
        lab.holders.wait(VIP, &[2]);
        assert_eq!(second.state("web", "active")["reason"], "active-silent");
        lab.stays(OTHER, 2, 2 * SECOND);
    });
}

#[test]
fn fifty_routers_on_an_interface_move_together_with_their_host() {
    live(&[], || {
        let lab = Lab::new(2);
        let vip = |vrid: u8| Ipv4Addr::new(192, 0, 2, 100 + vrid);
        let config = |priority| {
            let routers = (1..=50).map(|vrid| {
                let router = Router::new(priority).named(&format!("r{vrid}"), vrid).every(500);
                router.holding(&[&format!("{}/24", vip(vrid))])
            });
            toml(&routers.collect::<Vec<_>>())
        };
        let _second = Agent::locum(&lab, 2, &config(100));
        let _first = Agent::locum(&lab, 1, &config(200));
        for vrid in 1..=50 {
            lab.holders.wait(vip(vrid), &[1]);
        }
        lab.power_off(1);
        for vrid in 1..=50 {
            lab.holders.wait(vip(vrid), &[2]);
        }
    });
}

#[test]
fn each_interface_has_elections_of_its_own() {
    live(&[], || {
        const INSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 100);
        let lab = Lab::with_segments(2, 2);
        // The same VRID on two LANs is two virtual routers.
        let config = |outer, inner| {
            let inside = Router::new(inner).named("inside", 51).on("eth1").holding(&["198.18.1.100/24"]);
            toml(&[Router::new(outer).every(500), inside.every(500)])
        };
        let _first = Agent::locum(&lab, 1, &config(200, 100));
        let second = Agent::locum(&lab, 2, &config(100, 200));
        lab.holders.wait(VIP, &[1]);
        lab.holders.wait(INSIDE, &[2]);
        lab.stays(INSIDE, 2, 2 * SECOND);
        assert_eq!(lab.holders.of(VIP), [1]);
        assert_eq!(second.state("inside", "active")["active"], address(2, 1).to_string());
        // One cable less is one election less.
        lab.carrier(1, false);
        lab.holders.wait(VIP, &[2]);
        lab.stays(INSIDE, 2, 2 * SECOND);
    });
}
