//! Packets that decide nothing.

use std::net::Ipv4Addr;

use super::bench::*;

/// Times in milliseconds of the lines that tell of discards.
fn told(lines: &[String]) -> Vec<f64> {
    let about = lines.iter().filter(|line| line.contains("discarded"));
    about.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_flood_of_bad_packets_from_a_thousand_sources_makes_ten_lines_a_minute() {
    let mut bench = active_node();
    let mut lines = Vec::new();
    for number in 0..100_000_u32 {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + number % 1_000);
        let mut packet = advert(source, 51, 200);
        match number % 3 {
            0 => packet[8] = 64,
            1 => packet[26] ^= 0xff,
            _ => packet.truncate(24),
        }
        lines.extend(bench.packet(4_000.0 + f64::from(number) * 2.0, &packet));
    }
    let times = told(&lines);
    assert!(times.len() >= 3, "{times:?}");
    for start in &times {
        let minute = times.iter().filter(|at| (*start..start + 60_000.0).contains(at)).count();
        assert!(minute <= 10, "{minute} lines from {start} ms");
    }
    assert!(!lines.iter().any(|line| line.contains("->")), "a bad packet decided something");
    let counts = bench.status().counters.discards;
    assert_eq!(counts.values().sum::<u64>(), 100_000);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["checksum", "truncated", "ttl"]);
}

#[test]
fn our_own_packet_is_known_before_the_first_election_too() {
    let mut router = web();
    router.checks = vec!["app".parse().unwrap()];
    let mut config = config(&[("web", router)]);
    config.checks.insert("app".parse().unwrap(), check(None));
    let mut bench = Bench::up(config, facts());
    assert_eq!(bench.hear(100.0, OWN, 200), ["100.000 discarded own-packet and 0 more"]);
    assert!(bench.status().peers.is_empty());
}

#[test]
fn our_own_packet_come_back_is_counted_and_decides_nothing() {
    let mut bench = active_node();
    assert_eq!(bench.hear(4_100.0, Ipv4Addr::new(192, 0, 2, 2), 200), ["4100.000 discarded own-packet and 0 more"]);
    assert_eq!(bench.status().counters.discards.get("own-packet"), Some(&1));
    assert_eq!(bench.status().counters.adverts_received, 0);
}

#[test]
fn an_unknown_vrid_is_counted_in_silence() {
    let mut bench = node();
    assert_eq!(bench.packet(100.0, &advert(PEER, 99, 200)), [""; 0]);
    let clock = locum::report::WallClock { at: locum::types::Instant::from_nanos(0), unix_nanos: 0 };
    let status = bench.agent.snapshot(clock);
    assert_eq!(status.discards.get("eth0").and_then(|counts| counts.get("foreign-vrid")), Some(&1));
}
