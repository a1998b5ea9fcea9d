//! A glance at each packet in the kernel (classic BPF), so that a flood of what cannot count is not in the way of what may.

use std::net::IpAddr;

use socket2::SockFilter;

use crate::types::{AwaitedAdverts, Family, KeyId, Version};

/// Comparisons of one kind for one virtual router; whoever has more is not looked at that closely.
const MOST: usize = 64;
/// Kernels give a filter little memory: one that is longer looks at less.
const LONGEST: usize = 2000;
/// Header of a v3 message and trailer.
const REST: u32 = 8 + 28;

// linux/bpf_common.h
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD: u16 = 0x20;
const LOAD_LENGTH: u16 = 0x80;
/// Relative to X.
const BYTE_AT: u16 = 0x50;
const HALF_AT: u16 = 0x48;
const X_IS: u16 = 0x01;
const X_IS_HEADER_LENGTH: u16 = 0xb1;
const X_IS_A: u16 = 0x07;
const LESS_X: u16 = 0x1c;
const PLUS_X: u16 = 0x0c;
const SHIFT_LEFT: u16 = 0x64;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// SKF_NET_OFF: offsets from here on count from the IP header, which the packet of an IPv6 socket lacks.
const NETWORK: u32 = 0xfff0_0000;

/// What is done with those that may count, and with all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdicts {
    pub(super) may_count: bool,
    pub(super) others: bool,
}

impl Verdicts {
    fn yes(self) -> SockFilter {
        verdict(self.may_count)
    }

    fn no(self) -> SockFilter {
        verdict(self.others)
    }
}

fn verdict(passes: bool) -> SockFilter {
    SockFilter::new(RETURN, 0, 0, if passes { super::LARGEST as u32 } else { 0 })
}

/// A program that tells packets apart that may be listened to from those that no virtual router can take. It may take one
/// of the latter for one of the former, never the other way round.
pub(super) fn program(family: Family, awaited: &[AwaitedAdverts], verdicts: Verdicts) -> Vec<SockFilter> {
    let close = assemble(family, awaited, verdicts, MOST);
    if close.len() <= LONGEST { close } else { assemble(family, awaited, verdicts, 0) }
}

fn assemble(family: Family, awaited: &[AwaitedAdverts], verdicts: Verdicts, most: usize) -> Vec<SockFilter> {
    let (hops, start, shift) = match family {
        Family::Ipv4 => (8, SockFilter::new(X_IS_HEADER_LENGTH, 0, 0, 0), 2),
        Family::Ipv6 => (NETWORK + 7, SockFilter::new(X_IS, 0, 0, 0), 4),
    };
    let mut program = vec![
        SockFilter::new(LOAD_BYTE, 0, 0, hops),
        SockFilter::new(IF_EQUAL, 1, 0, 255),
        verdicts.no(),
        // At least the header of a message.
        start,
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(LESS_X, 0, 0, 0),
        SockFilter::new(IF_AT_LEAST, 1, 0, 8),
        verdicts.no(),
    ];
    for router in awaited.iter().filter(|router| router.family == family) {
        let block = block(router, verdicts, shift, most);
        let skip = u8::try_from(block.len()).unwrap_or(u8::MAX);
        program.push(SockFilter::new(BYTE_AT, 0, 0, 1));
        program.push(SockFilter::new(IF_EQUAL, 0, skip, u32::from(router.vrid.get())));
        program.extend(block);
    }
    program.push(verdicts.no());
    program
}

/// Of one VRID; ends with a verdict, and is far shorter than a jump can be long.
fn block(router: &AwaitedAdverts, verdicts: Verdicts, shift: u32, most: usize) -> Vec<SockFilter> {
    let mut block = vec![
        SockFilter::new(BYTE_AT, 0, 0, 0),
        SockFilter::new(IF_EQUAL, 1, 0, u32::from(router.version.number()) << 4 | 1),
        verdicts.no(),
    ];
    if (1..=most).contains(&router.senders.len()) {
        let (at, senders): (u32, Vec<u32>) = last_words(router);
        block.push(SockFilter::new(LOAD_WORD, 0, 0, at));
        among(&mut block, &senders, verdicts);
    }
    let keys = router.keys.as_ref().filter(|keys| (1..=most).contains(&keys.len()) && router.version == Version::V3);
    if let Some(keys) = keys {
        block.extend([
            // X is the end of the addresses less the header of the message.
            SockFilter::new(BYTE_AT, 0, 0, 3),
            SockFilter::new(SHIFT_LEFT, 0, 0, shift),
            SockFilter::new(PLUS_X, 0, 0, 0),
            SockFilter::new(X_IS_A, 0, 0, 0),
            SockFilter::new(LOAD_LENGTH, 0, 0, 0),
            SockFilter::new(LESS_X, 0, 0, 0),
            SockFilter::new(IF_EQUAL, 1, 0, REST),
            verdicts.no(),
            SockFilter::new(BYTE_AT, 0, 0, 8),
            SockFilter::new(IF_EQUAL, 1, 0, 1),
            verdicts.no(),
            SockFilter::new(HALF_AT, 0, 0, 10),
            SockFilter::new(IF_EQUAL, 1, 0, 0),
            verdicts.no(),
            SockFilter::new(BYTE_AT, 0, 0, 9),
        ]);
        let keys: Vec<u32> = keys.iter().map(|key: &KeyId| u32::from(key.get())).collect();
        among(&mut block, &keys, verdicts);
    }
    block.push(verdicts.yes());
    block
}

/// Goes on behind it if A is one of these.
fn among(block: &mut Vec<SockFilter>, values: &[u32], verdicts: Verdicts) {
    for (before, value) in values.iter().enumerate() {
        let onward = u8::try_from(values.len() - before).unwrap_or(u8::MAX);
        block.push(SockFilter::new(IF_EQUAL, onward, 0, *value));
    }
    block.push(verdicts.no());
}

/// The last 32 bits of each sender's address, and where they are in a packet.
fn last_words(router: &AwaitedAdverts) -> (u32, Vec<u32>) {
    let last = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => (address.to_bits() & u128::from(u32::MAX)) as u32,
    };
    let at = match router.family {
        Family::Ipv4 => 12,
        Family::Ipv6 => NETWORK + 8 + 12,
    };
    (at, router.senders.iter().map(last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Vrid;

    #[test]
    fn a_full_configuration_fits() {
        let keys: Vec<KeyId> = (1..=64).filter_map(KeyId::new).collect();
        let senders: Vec<IpAddr> = (1..=64).map(|host| IpAddr::from([192, 0, 2, host])).collect();
        let of = |vrid| AwaitedAdverts {
            family: Family::Ipv4,
            version: Version::V3,
            vrid: Vrid::new(vrid).expect("a VRID"),
            senders: senders.clone(),
            keys: Some(keys.clone()),
        };
        let verdicts = Verdicts { may_count: true, others: false };
        let one = program(Family::Ipv4, &[of(1)], verdicts);
        assert_eq!(one.len(), 8 + 2 + 3 + 1 + 65 + 15 + 65 + 1 + 1);
        let all: Vec<_> = (1..=255).map(of).collect();
        assert_eq!(program(Family::Ipv4, &all, verdicts).len(), 8 + 255 * 6 + 1);
        assert_eq!(program(Family::Ipv6, &all, verdicts).len(), 9);
    }
}
