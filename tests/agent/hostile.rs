//! A million packets that nobody meant well with.

use std::time::Duration;

use locum::proto::Input;
use nix::time::{ClockId, clock_gettime};

use super::bench::*;

#[path = "../fuzz/properties/advert.rs"]
mod advert;

/// The captures whose packets are mutated.
const CAPTURES: [&[u8]; 8] = [
    include_bytes!("../vectors/v3-ipv4.pcap"),
    include_bytes!("../vectors/v3-ipv4-unicast.pcap"),
    include_bytes!("../vectors/v3-ipv4-hmac.pcap"),
    include_bytes!("../vectors/v3-ipv6.pcap"),
    include_bytes!("../vectors/v3-ipv6-hmac.pcap"),
    include_bytes!("../vectors/v2-ipv4.pcap"),
    include_bytes!("../vectors/v2-ipv4-pass.pcap"),
    include_bytes!("../vectors/v2-ipv4-hmac.pcap"),
];
const PACKETS: u32 = 1_000_000;
/// CPU time that no single packet may take, hundreds of times what one does take.
const LONGEST: Duration = Duration::from_millis(20);

/// xorshift64*: the same numbers on every machine.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// The frames of a little-endian pcap file.
fn frames(pcap: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = &pcap[24..];
    std::iter::from_fn(move || {
        let len = u32::from_le_bytes(rest.get(8..12)?.try_into().unwrap()) as usize;
        let (frame, behind) = rest[16..].split_at(len);
        rest = behind;
        Some(frame.to_vec())
    })
}

/// A frame as it was, with bytes or bits changed, cut, longer, put together from two, or made of nothing but chance.
fn mutated(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = seeds[rng.below(seeds.len())].clone();
    for _ in 0..rng.below(4) {
        let (place, kind, byte) = (rng.below(frame.len().max(1)), rng.below(7), rng.below(256) as u8);
        match kind {
            0..=2 => frame.iter_mut().skip(place).take(1).for_each(|old| *old = byte),
            3 => frame.iter_mut().skip(place).take(1).for_each(|old| *old ^= 1 << (byte % 8)),
            4 => frame.truncate(place),
            5 => frame.resize(frame.len() + usize::from(byte) * 8, byte),
            _ => {
                let other = &seeds[rng.below(seeds.len())];
                frame.truncate(place);
                frame.extend(other.iter().skip(place));
            }
        }
    }
    if rng.below(20) == 0 {
        frame.iter_mut().for_each(|old| *old = rng.below(256) as u8);
    }
    frame
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Everything the status says became of packets.
fn accounted(bench: &Bench) -> u64 {
    let counters = bench.status().counters;
    counters.adverts_received + counters.discards.values().sum::<u64>() + bench.discards_of_others()
}

#[test]
fn a_million_random_and_mutated_packets_each_have_their_count_and_none_takes_long() {
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    let seeds: Vec<Vec<u8>> = CAPTURES.iter().flat_map(|pcap| frames(pcap)).collect();
    let mut bench = active_node();
    let mut slow = Vec::new();
    for number in 0..PACKETS {
        let millis = 4_000.0 + f64::from(number) * 0.02;
        let frame = mutated(&mut rng, &seeds);
        // Those to `web` decide more.
        let mut packet = frame.get(14..).unwrap_or_default().to_vec();
        if rng.below(2) == 0 {
            packet.iter_mut().skip(21).take(1).for_each(|vrid| *vrid = 51);
        }
        // Behind a checksum that does not fit, little more is looked at.
        if rng.below(2) == 0 {
            packet = advert::repaired(&packet).unwrap_or(packet);
        }
        advert::check(&packet);
        let before = cpu_time();
        bench.packet(millis, &packet);
        bench.give(millis, Input::Frame { interface: eth0(), bytes: &frame });
        if cpu_time() - before > LONGEST {
            slow.push((packet, frame));
        }
        if number % 10_000 == 0 {
            assert_eq!(accounted(&bench), u64::from(number) + 1);
        }
    }
    assert_eq!(accounted(&bench), u64::from(PACKETS));
    let counters = bench.status().counters;
    assert!(counters.adverts_received > 1_000 && counters.discards.len() >= 12, "{counters:?}");
    // A machine that stood still meanwhile does so not again with the same packet.
    for (packet, frame) in slow {
        let before = cpu_time();
        bench.packet(30_000.0, &packet);
        bench.give(30_000.0, Input::Frame { interface: eth0(), bytes: &frame });
        assert!(cpu_time() - before <= LONGEST, "{packet:02x?} {frame:02x?}");
    }
}
