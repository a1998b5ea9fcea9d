//! What a stranger on the LAN can send, and what it does to us: nothing but numbers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, eventually, now};
use crate::lan::{Lab, address};
use crate::live::{live, median};
use crate::power_loss::VIP;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const SOURCES: u32 = 1_000;
const PACKETS: u32 = 100_000;

/// A VRRP message for VRID 51 that is right but for what `spoil` does to it before the checksum is put in.
fn message(spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = vec![0x31, 51, 250, 1, 0, 50, 0, 0, 192, 0, 2, 100];
    spoil(&mut message);
    let words = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    if let [_, _, _, _, _, _, high, low, ..] = message.as_mut_slice() {
        let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded to 16 bits");
        (*high, *low) = (checksum.to_be_bytes()[0], checksum.to_be_bytes()[1]);
    }
    message
}

/// Bad packets: the reason that the status counts them under, TTL, and the message.
fn bad() -> Vec<(&'static str, u8, Vec<u8>)> {
    let mut broken = message(|_| ());
    broken[6] ^= 0x55;
    vec![
        ("ttl", 254, message(|_| ())),
        ("checksum", 255, broken),
        ("version", 255, message(|bytes| bytes[0] = 0x41)),
        (
            "version-2",
            255,
            message(|bytes| {
                (bytes[0], bytes[5]) = (0x21, 1);
                bytes.extend([0; 8]);
            }),
        ),
        ("type", 255, message(|bytes| bytes[0] = 0x32)),
        ("zero-interval", 255, message(|bytes| bytes[5] = 0)),
        (
            "no-addresses",
            255,
            message(|bytes| {
                bytes[3] = 0;
                bytes.truncate(8)
            }),
        ),
        ("truncated", 255, message(|bytes| bytes.truncate(7))),
        ("foreign-vrid", 255, message(|bytes| bytes[1] = 99)),
    ]
}

/// Sends from a host, each packet as the next of a thousand sources; the kernel fills in length and header checksum.
fn send(lab: &Lab, host: usize, packets: Vec<(u8, Vec<u8>)>, pause_after: u32) {
    lab.host(host).within(move || {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
        socket.bind_device(Some(b"eth0")).expect("an interface");
        socket.set_header_included_v4(true).expect("headers of our own");
        let group = SockAddr::from(SocketAddrV4::new(GROUP, 0));
        for (number, (ttl, message)) in (0..).zip(packets) {
            let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 9, 0, 0)) + 1 + number % SOURCES);
            let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, ttl, 112, 0, 0];
            packet.extend(source.octets());
            packet.extend(GROUP.octets());
            packet.extend(message);
            eventually("room in the send queue", || socket.send_to(&packet, &group).ok());
            if number % pause_after == pause_after - 1 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
}

/// All discards in a status document by reason, whichever router or interface they are counted for.
fn discards(agent: &Agent) -> BTreeMap<String, u64> {
    let status = agent.status().expect("a status");
    let routers = status["routers"].as_object().expect("routers").values();
    let counted = routers.map(|router| router["counters"]["discards"].clone());
    let elsewhere = status["discards"].as_object().expect("discards").values().cloned();
    let mut all = BTreeMap::new();
    for part in counted.chain(elsewhere) {
        for (reason, count) in part.as_object().expect("reasons") {
            *all.entry(reason.clone()).or_default() += count.as_u64().expect("a count");
        }
    }
    all
}

#[test]
fn every_bad_packet_is_counted_under_its_reason() {
    live(&[], || {
        let lab = Lab::new(2);
        let agent = Agent::locum(&lab, 1, &toml(&[Router::new(100).every(500)]));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        let packets = bad().into_iter().flat_map(|(_, ttl, message)| vec![(ttl, message); 5]).collect();
        send(&lab, 2, packets, 1);
        let expected: BTreeMap<String, u64> = bad().into_iter().map(|(reason, ..)| (reason.to_owned(), 5)).collect();
        let mut last = BTreeMap::new();
        eventually("the counters", || {
            last = discards(&agent);
            (last.values().sum::<u64>() >= 5 * bad().len() as u64).then_some(())
        });
        assert_eq!(last, expected);
        assert_eq!(lab.holders.changes(VIP, from), [], "nothing of it moves an address");
    });
}

#[test]
fn a_flood_of_bad_packets_neither_moves_the_address_nor_fills_the_log() {
    live(&[], || {
        let lab = Lab::new(3);
        let config = |priority| toml(&[Router::new(priority).every(500)]);
        let second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        second.state("web", "backup");
        let from = now();
        let kinds = bad();
        let nth = |number: u32| kinds[number as usize % kinds.len()].clone();
        send(&lab, 3, (0..PACKETS).map(nth).map(|(_, ttl, message)| (ttl, message)).collect(), 50);
        let to = now();
        lab.wire.watched_until(to + 2_000 * MS);
        assert_eq!(lab.holders.changes(VIP, from), [], "the address stays where it is");
        let adverts = lab.wire.since(from).into_iter().filter(|seen| seen.asserts(address(1, 0)));
        let times: Vec<u64> = adverts.map(|seen| seen.at).collect();
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(median(&gaps).abs_diff(500 * MS) < 10 * MS, "{gaps:?} ns between adverts");
        // One that waited for a processor is late by that; more than a few would be the flood's doing.
        let late = times.windows(2).filter(|pair| pair[1] - pair[0] > 550 * MS);
        let late = late.filter(|pair| lab.undisturbed(pair[0], pair[1])).count();
        assert!(late <= gaps.len() / 4, "{late} late: {gaps:?} ns between adverts");
        let minutes = (to - from).div_ceil(60_000 * MS);
        for agent in [&first, &second] {
            let log = agent.log();
            let lines = log.lines().filter(|line| line.contains("discarded"));
            let (ours, others): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains("web"));
            let most = usize::try_from(10 * minutes).expect("a few");
            assert!(!ours.is_empty() && ours.len() <= most, "{ours:#?}");
            assert!(others.len() <= most, "{others:#?}");
            let mut counted = discards(agent);
            // Most of what no virtual router can take is not looked at one by one; the rest, and packets that found the
            // socket's queue full, are counted without a closer reason.
            let unread = counted.remove("unread").unwrap_or_default();
            let overrun = counted.remove("overrun").unwrap_or_default();
            let each = u64::from(PACKETS).div_ceil(kinds.len() as u64);
            assert!(counted.keys().map(String::as_str).eq(reasons()), "{counted:?}");
            assert!(counted.values().all(|count| *count <= each), "{counted:?}");
            // Those that only a closer look tells.
            for reason in ["checksum", "no-addresses", "zero-interval"] {
                assert!(counted[reason] > each / 2, "{reason}: {counted:?}");
            }
            let all = counted.values().sum::<u64>() + unread + overrun;
            // What came after the last one that was read is told with the next.
            assert!(all > u64::from(PACKETS) * 9 / 10, "{unread} unread, {overrun} overrun, {counted:?}");
        }
    });
}

/// Somebody among unicast hosts whom they do not know, at a higher priority than theirs.
#[test]
fn whoever_is_not_listed_is_counted_and_named_and_decides_nothing() {
    live(&[], || {
        let lab = Lab::new(3);
        lab.turn_on_ipv6();
        let config = |host: usize, priority: u8, addresses: [&str; 2], peers: [usize; 2]| {
            let list = |prefix: &str| {
                format!(
                    "source = \"{prefix}{host}\"\nunicast_peers = {:?}",
                    peers.map(|peer| format!("{prefix}{peer}"))
                )
            };
            let web = Router::new(priority).every(500).holding(&addresses[..1]).more(&list("192.0.2."));
            let six = Router::new(priority).named("six", 52).every(500).holding(&addresses[1..]);
            toml(&[web, six.more(&list("2001:db8::"))])
        };
        // Nobody is host 9.
        let ours = ["192.0.2.100/24", "2001:db8::100/64"];
        let second = Agent::locum(&lab, 2, &config(2, 100, ours, [1, 9]));
        let first = Agent::locum(&lab, 1, &config(1, 200, ours, [2, 9]));
        for router in ["web", "six"] {
            first.state(router, "active");
            second.router(router, "follows", |router| router["peers"][0]["priority"] == 200);
        }
        let from = now();
        let theirs = ["192.0.2.103/24", "2001:db8::103/64"];
        let _stranger = Agent::locum(&lab, 3, &config(3, 250, theirs, [1, 2]));
        for agent in [&first, &second] {
            for (router, source) in [("web", "192.0.2.3"), ("six", "2001:db8::3")] {
                let counted =
                    |router: &serde_json::Value| router["counters"]["discards"]["unlisted"].as_u64() >= Some(3);
                let shown = agent.router(router, "counts it", counted);
                let peers = shown["peers"].as_array().expect("peers");
                assert!(peers.iter().all(|peer| peer["address"] != source), "{shown:#}");
                agent.logged(&format!(
                    "{router}: packet on eth0 from {source} discarded: its sender is not among `unicast_peers`"
                ));
            }
        }
        lab.wire.watched_until(now() + 2_000 * MS);
        for address in ["192.0.2.100", "2001:db8::100"] {
            let address: std::net::IpAddr = address.parse().expect("an address");
            assert_eq!(lab.holders.changes(address, from), [], "{address} stays where it is");
        }
    });
}

/// The reasons in the order of their names.
fn reasons() -> Vec<&'static str> {
    let mut names: Vec<&str> = bad().into_iter().map(|(reason, ..)| reason).collect();
    names.sort_unstable();
    names
}
