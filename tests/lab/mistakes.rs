//! Hosts that are set up differently, and hosts that have an address of ours: who is told of it, and what.

use std::net::UdpSocket;

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, SECOND, now};
use crate::common::Need;
use crate::lan::{Lab, mac};
use crate::live::live;
use crate::power_loss::VIP;
use crate::wire::What;

const BOTH: [&str; 2] = ["192.0.2.100/24", "192.0.2.101/24"];

fn router(priority: u8) -> Router {
    Router::new(priority).every(500)
}

#[test]
fn a_list_that_makes_keepalived_hold_the_address_beside_us_is_named() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let ours = Agent::locum(&lab, 1, &toml(&[router(200)]));
        lab.holders.wait(VIP, &[1]);
        // It drops our adverts, hears nobody, and takes the address: we are Active both.
        let keepalived = Agent::keepalived(&lab, 2, &[router(100).holding(&BOTH)]);
        lab.holders.wait(VIP, &[1, 2]);
        let line = ours.logged("192.0.2.2 lists our addresses and 192.0.2.101 besides");
        assert!(line.contains("list the same in the same order on all hosts"), "{line}");
        let shown = ours.state("web", "active");
        let mistake = &shown["mistakes"][0];
        assert_eq!(
            (&mistake["token"], &mistake["peer"]),
            (&"other-addresses".into(), &"192.0.2.2".into()),
            "{shown:#}"
        );
        ours.logged("192.0.2.2 was Active as well, with less right (priority 100)");
        // What was said to do helps.
        ours.reload(&toml(&[router(200).holding(&BOTH)]));
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP, 1, 2 * SECOND);
        drop(keepalived);
        let told = ours.log().matches(" besides").count();
        assert_eq!(told, 1, "{}", ours.log());
    });
}

#[test]
fn a_keepalived_with_another_interval_and_our_priority_is_named_for_both_until_it_is_as_it_should_be() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let mut keepalived = Agent::keepalived(&lab, 2, &[router(100)]);
        lab.holders.wait(VIP, &[2]);
        let ours = Agent::locum(&lab, 1, &toml(&[router(100).every(1_000).no_preempt()]));
        ours.logged(
            "192.0.2.2 advertises each 500ms and this host each 1s: set the same `advert_interval` on all hosts",
        );
        ours.logged("192.0.2.2 has the same priority 100 as this host");
        let shown =
            ours.router("web", "shows both", |router| router["mistakes"].as_array().is_some_and(|all| all.len() == 2));
        let table = String::from_utf8(ours.ask(&["status"]).stdout).expect("text");
        assert!(table.contains("OTHER-INTERVAL") && table.contains("SAME-PRIORITY"), "{shown:#}\n{table}");
        ours.reload(&toml(&[router(90)]));
        ours.logged("other-interval of 192.0.2.2 is over");
        ours.logged("same-priority of 192.0.2.2 is over");
        ours.router("web", "shows none", |router| router["mistakes"].as_array().is_some_and(Vec::is_empty));
        keepalived.stop();
    });
}

#[test]
fn a_host_that_answers_for_our_address_is_named_within_a_second() {
    live(&[], || {
        let lab = Lab::new(3);
        let ours = Agent::locum(&lab, 1, &toml(&[router(100)]));
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP, 1, 3 * SECOND);
        assert_eq!(ours.state("web", "active")["mistakes"], serde_json::json!([]));
        // Somebody sets the address, says nothing of it, and talks to another host from it.
        let from = now();
        lab.host(3).ip("addr add 192.0.2.100/24 dev eth0");
        lab.host(3).within(|| {
            let socket = UdpSocket::bind("192.0.2.100:0").expect("its address");
            socket.send_to(b"hello", "192.0.2.2:9").expect("sent");
        });
        let claim = lab.wire.wait("an ARP request from the address", from, |seen| match &seen.what {
            What::Arp(arp) => arp.sender == VIP && arp.target != VIP && arp.sender_mac[5] == 3,
            What::Advert(_) | What::Neighbor(_) | What::Other => false,
        });
        ours.logged(&format!("the host at {} says that it has 192.0.2.100", mac(3)));
        let named = now();
        let again = lab.wire.wait("our answer", claim.at, |seen| seen.announces() == Some(VIP) && seen.mac[5] == 1);
        if lab.undisturbed(claim.at, named) {
            assert!(named - claim.at < SECOND, "named after {} ms", (named - claim.at) / MS);
            assert!(again.at - claim.at < SECOND + 100 * MS, "answered after {} ms", (again.at - claim.at) / MS);
        }
        let shown = ours.state("web", "active");
        assert_eq!(shown["mistakes"][0]["token"], "foreign-answer", "{shown:#}");
        assert_eq!(shown["mistakes"][0]["peer"], mac(3).as_str(), "{shown:#}");
    });
}

/// It was there before us, and says nothing of it: our own announcements are answered by nobody.
#[test]
fn a_host_that_has_our_address_and_only_answers_for_it_is_named_after_the_takeover() {
    live(&[], || {
        let lab = Lab::new(2);
        lab.host(2).ip("addr add 192.0.2.100/24 dev eth0");
        let ours = Agent::locum(&lab, 1, &toml(&[router(100)]));
        lab.holders.wait(VIP, &[1, 2]);
        ours.logged(&format!("the host at {} says that it has 192.0.2.100", mac(2)));
        let shown = ours.state("web", "active");
        assert_eq!(shown["mistakes"][0]["token"], "foreign-answer", "{shown:#}");
    });
}
