//! Both families under one election, and an IPv6 address that another host has.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};

use crate::agents::{Agent, Router, toml};
use crate::clock::{SECOND, eventually, now};
use crate::lan::{Lab, mac};
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
