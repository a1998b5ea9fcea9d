//! Both families under one election, and an IPv6 address that another host has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::agents::{Agent, Router, toml};
use crate::clock::{SECOND, eventually, now};
use crate::lan::{Lab, address, mac};
use crate::live::live;
use crate::power_loss::VIP;
use crate::wire::Advert;

pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
/// Longer than the Active_Down_Interval of anybody here: 3 x 1 s + (256 - 100) / 256 x 1 s.
const LONGER: u64 = 4 * SECOND;

fn adverts(lab: &Lab) -> Vec<Advert> {
    lab.wire.since(0).iter().filter_map(|seen| seen.advert().cloned()).collect()
}

/// Whom the client sends to when it sends to an IPv6 address.
pub fn believed(lab: &Lab, address: Ipv6Addr) -> Option<String> {
    let entries = lab.client.ip(&format!("-6 neigh show to {address}"));
    entries.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned)
}

#[test]
fn one_election_moves_the_addresses_of_both_families() {
    live(&[], || {
        let lab = Lab::new(2);
        lab.turn_on_ipv6();
        let config = |priority| toml(&[Router::new(priority).holding(&["192.0.2.100/24", "2001:db8::100/64"])]);
        let second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        lab.holders.wait(VIP6, &[1]);
        // The client asks once, and keeps what it is told.
        lab.client.within(|| {
            let socket = UdpSocket::bind("[::]:0").expect("a socket");
            socket.send_to(b"who", (VIP6, 9)).expect("sent");
        });
        eventually("whom the client believes", || believed(&lab, VIP6).filter(|said| *said == mac(1)));
        lab.stays(VIP6, 1, LONGER);
        let from = now();
        lab.power_off(1);
        drop(first);
        lab.holders.wait(VIP, &[2]);
        lab.holders.wait(VIP6, &[2]);
        lab.wire.wait("the announcement of host 2", from, |seen| seen.advertises(VIP6, 2));
        eventually("whom the client believes now", || believed(&lab, VIP6).filter(|said| *said == mac(2)));
        lab.stays(VIP6, 2, LONGER);
        lab.stays(VIP, 2, SECOND);
        let listed: Vec<IpAddr> = vec![VIP.into()];
        assert!(adverts(&lab).iter().all(|advert| advert.addresses == listed));
        // Nobody else has it: the search for duplicates ended well.
        assert_eq!(second.state("web", "active")["addresses"][1]["state"], "held");
    });
}

#[test]
fn an_ipv6_address_that_another_host_has_is_a_fault() {
    live(&[], || {
        let lab = Lab::new(2);
        lab.turn_on_ipv6();
        lab.host(2).ip("addr add 2001:db8::100/64 dev eth0 nodad");
        let ours = Agent::locum(&lab, 1, &toml(&[Router::new(200).holding(&["fe80::100/64", "2001:db8::100/64"])]));
        let fault = ours.router("web", "is in fault", |router| router["reason"] == "duplicate-address");
        let words = format!("the host at {} has 2001:db8::100 too: remove it there, or here from `addresses`", mac(2));
        assert_eq!(fault["words"], words);
        lab.holders.wait(VIP6, &[2]);
    });
}

/// Adverts go by eth0; the other address waits on eth1.
#[test]
fn an_address_on_another_interface_moves_with_its_election() {
    live(&[], || {
        const INSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 100);
        let lab = Lab::with_segments(2, 2);
        let config = |priority: u8| {
            let listed = "[\"192.0.2.100/24\", { address = \"198.18.1.100/24\", interface = \"eth1\" }]";
            toml(&[Router::new(priority)]).replace("[\"192.0.2.100/24\"]", listed)
        };
        let second = Agent::locum(&lab, 2, &config(100));
        let both_at = |host: usize| {
            lab.holders.wait(VIP, &[host]);
            lab.holders.wait(INSIDE, &[host]);
            assert!(lab.host(host).ip("addr show eth1").contains("198.18.1.100"));
            lab.stays(INSIDE, host, LONGER);
            assert_eq!(lab.holders.of(VIP), [host]);
        };
        let mut first = Agent::locum(&lab, 1, &config(200));
        both_at(1);
        let from = now();
        assert_eq!(first.stop(), 0, "our exit code");
        both_at(2);
        let announced =
            lab.wire.since(from).iter().any(|seen| seen.announces() == Some(INSIDE) && seen.mac[4..] == [1, 2]);
        assert!(announced, "by the card that has it");
        first = Agent::locum(&lab, 1, &config(200));
        both_at(1);
        // Its interface is as needed as that of the adverts.
        lab.host(1).ip("link set eth1 down");
        let fault = first.router("web", "is in fault", |router| router["state"] == "fault");
        assert_eq!(fault["words"], "waiting for interface eth1: it is down (ip link set eth1 up)");
        both_at(2);
        lab.host(1).ip("link set eth1 up");
        both_at(1);
        lab.power_off(1);
        both_at(2);
        assert_eq!(second.state("web", "active")["reason"], "active-silent");
        let listed: Vec<IpAddr> = vec![VIP.into(), INSIDE.into()];
        assert!(adverts(&lab).iter().all(|advert| advert.addresses == listed), "both are listed");
        assert!(adverts(&lab).iter().all(|advert| [1, 2].map(|host| address(host, 0).into()).contains(&advert.source)));
    });
}

#[test]
fn an_address_that_the_kernel_refuses_is_a_fault_with_its_words() {
    live(&[], || {
        // Without IPv6.
        let lab = Lab::new(2);
        let config = |priority| toml(&[Router::new(priority).holding(&["192.0.2.100/24", "2001:db8::100/64"])]);
        let first = Agent::locum(&lab, 1, &config(200));
        let fault = first.router("web", "is in fault", |router| router["reason"] == "address-failed");
        let words = fault["words"].as_str().expect("words");
        assert!(words.starts_with("cannot add address 2001:db8::100/64: Permission denied"), "{words}");
        first.logged("active -> fault (priority 200): cannot add address 2001:db8::100/64");
        // Who cannot hold all of them holds none, and says that it leaves.
        lab.holders.wait(VIP, &[]);
        lab.wire.wait("a resignation", 0, |seen| seen.advert().is_some_and(|advert| advert.priority == 0));
        for conf in ["all", "default", "eth0"] {
            lab.host(1).sysctl(&format!("ipv6/conf/{conf}/disable_ipv6"), "0");
        }
        lab.holders.wait(VIP6, &[1]);
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP6, 1, LONGER);
    });
}
