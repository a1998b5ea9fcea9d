//! keepalived as the other node, over IPv6, in version 2 and by unicast; and both families under one election.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};

use serde_json::Value;

use crate::agents::{Agent, Router, toml};
use crate::clock::{SECOND, eventually, now};
use crate::common::Need;
use crate::judges::is_content;
use crate::lan::{Lab, mac};
use crate::live::live;
use crate::power_loss::VIP;
use crate::wire::Advert;

const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
/// Longer than the Active_Down_Interval of anybody here: 3 x 1 s + (256 - 100) / 256 x 1 s.
const LONGER: u64 = 4 * SECOND;

/// How the two nodes of a pair write the same router: by host and priority.
struct Pair<'a> {
    ours: &'a dyn Fn(usize, u8) -> Router,
    theirs: &'a dyn Fn(usize, u8) -> Router,
    vip: IpAddr,
}

/// Both roles, each through a planned stop and a power loss; `shown` looks at our status beside an Active keepalived.
fn through_everything(lab: &Lab, pair: &Pair<'_>, shown: impl Fn(&Value)) {
    let power_on = |host| {
        lab.power_on(host);
        if pair.vip.is_ipv6() {
            lab.give_ipv6(host);
        }
    };
    let first = || Agent::locum(lab, 1, &toml(&[(pair.ours)(1, 200)]));
    {
        let keepalived = Agent::keepalived(lab, 2, &[(pair.theirs)(2, 100)]);
        let mut ours = first();
        lab.holders.wait(pair.vip, &[1]);
        lab.stays(pair.vip, 1, LONGER);
        assert_eq!(ours.stop(), 0);
        lab.holders.wait(pair.vip, &[2]);
        lab.stays(pair.vip, 2, LONGER);
        let _ours = first();
        lab.holders.wait(pair.vip, &[1]);
        lab.stays(pair.vip, 1, LONGER);
        lab.power_off(1);
        lab.holders.wait(pair.vip, &[2]);
        lab.stays(pair.vip, 2, LONGER);
        is_content(&keepalived);
        power_on(1);
    }
    let start = || Agent::keepalived(lab, 1, &[(pair.theirs)(1, 200)]);
    lab.power_off(2);
    power_on(2);
    let ours = Agent::locum(lab, 2, &toml(&[(pair.ours)(2, 100)]));
    let mut keepalived = start();
    lab.holders.wait(pair.vip, &[1]);
    lab.stays(pair.vip, 1, LONGER);
    shown(&ours.state("web", "backup"));
    keepalived.stop();
    lab.holders.wait(pair.vip, &[2]);
    lab.stays(pair.vip, 2, LONGER);
    is_content(&keepalived);
    let _keepalived = start();
    lab.holders.wait(pair.vip, &[1]);
    lab.stays(pair.vip, 1, LONGER);
    lab.power_off(1);
    lab.holders.wait(pair.vip, &[2]);
    lab.stays(pair.vip, 2, LONGER);
    assert_eq!(ours.state("web", "active")["reason"], "active-silent");
}

fn adverts(lab: &Lab) -> Vec<Advert> {
    lab.wire.since(0).iter().filter_map(|seen| seen.advert().cloned()).collect()
}

fn peer(router: &Value) -> [&str; 4] {
    let peer = &router["peers"][0];
    assert_eq!(peer["lists_our_addresses"], true, "{peer}");
    ["family", "transport", "checksum", "address"].map(|field| peer[field].as_str().expect("a word"))
}

#[test]
fn keepalived_and_we_share_an_ipv6_address() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        lab.turn_on_ipv6();
        let router = |_, priority| Router::new(priority).holding(&["fe80::100/64", "2001:db8::100/64"]);
        let pair = Pair { ours: &router, theirs: &router, vip: VIP6.into() };
        through_everything(&lab, &pair, |router| {
            assert_eq!(peer(router), ["ipv6", "multicast", "pseudo-header", "fe80::1"]);
        });
        let adverts = adverts(&lab);
        assert!(adverts.iter().all(|advert| advert.destination == "ff02::12".parse::<IpAddr>().expect("the group")));
        assert!(adverts.iter().all(|advert| advert.source.to_string().starts_with("fe80::")));
    });
}

#[test]
fn keepalived_and_we_share_a_password_in_version_2() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let ours =
            |_, priority| Router::new(priority).more("version = 2\n[virtual_router.web.auth]\npass = \"s3cret\"\n");
        let theirs = |_, priority| {
            Router::new(priority).more("version 2\n authentication {\n auth_type PASS\n auth_pass s3cret\n }\n")
        };
        through_everything(&lab, &Pair { ours: &ours, theirs: &theirs, vip: VIP.into() }, |router| {
            assert_eq!(peer(router), ["ipv4", "multicast", "message", "192.0.2.1"]);
            assert_eq!((&router["peers"][0]["version"], &router["version"]), (&2.into(), &2.into()));
        });
        assert!(adverts(&lab).iter().all(|advert| (advert.version, advert.centiseconds) == (2, 100)));
    });
}

#[test]
fn keepalived_and_we_share_an_address_by_unicast() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let ours = |host, priority| {
            let lines = format!("source = \"192.0.2.{host}\"\nunicast_peers = [\"192.0.2.{}\"]\n", 3 - host);
            Router::new(priority).more(&lines)
        };
        let theirs = |host, priority| {
            let lines = format!("unicast_src_ip 192.0.2.{host}\n unicast_peer {{\n 192.0.2.{}\n }}\n", 3 - host);
            Router::new(priority).more(&lines)
        };
        through_everything(&lab, &Pair { ours: &ours, theirs: &theirs, vip: VIP.into() }, |router| {
            assert_eq!(peer(router), ["ipv4", "unicast", "pseudo-header", "192.0.2.1"]);
        });
        assert!(adverts(&lab).iter().all(|advert| !advert.destination.is_multicast()));
    });
}

/// Whom the client sends to when it sends to an IPv6 address.
fn believed(lab: &Lab, address: Ipv6Addr) -> Option<String> {
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
