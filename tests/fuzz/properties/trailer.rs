//! What holds for any bytes behind a message, and for a trailer that is genuine until one bit of it changes.

use std::net::IpAddr;

use locum::types::{KeyId, Secret, Sequence};
use locum::wire::authentication::{Key, emit, parse};

/// A key as it might stand in a file.
const SECRET: &[u8] = b"hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// What comes before the message in an input: which bit to turn, who sends, under which key, and the number.
const HEAD: usize = 2 + 1 + 16 + 1 + 8;

/// Panics if something does not hold.
pub fn check(bytes: &[u8]) {
    is_read_as_it_stands(bytes);
    is_read_as_it_stands(bytes.get(..28).unwrap_or_default());
    if let Some((head, message)) = bytes.split_first_chunk::<HEAD>() {
        answers_for_every_bit(head, message);
    }
}

fn is_read_as_it_stands(bytes: &[u8]) {
    let Some(seal) = parse(bytes) else { return };
    assert_eq!(bytes.len(), 28);
    assert_eq!((bytes[0], bytes[1], bytes[2], bytes[3]), (1, seal.key.get(), 0, 0));
    assert_eq!(seal.sequence.number().to_be_bytes(), bytes[4..12]);
    // A guess of 128 bits would be news.
    assert!(!seal.is_genuine(&key(), IpAddr::from([192, 0, 2, 1]), &bytes[..12]));
}

fn answers_for_every_bit(head: &[u8; HEAD], message: &[u8]) {
    let [turned_high, turned_low, family, rest @ ..] = *head;
    let (address, rest) = rest.split_first_chunk::<16>().expect("an address");
    let (id, number) = rest.split_first_chunk::<1>().expect("a key");
    let [a, b, c, d, ..] = *address;
    let source = if family % 2 == 0 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(*address) };
    let id = KeyId::new(id[0].max(1)).expect("not 0");
    let sequence = Sequence::from_number(u64::from_be_bytes(number.try_into().expect("8 bytes")));
    let trailer = emit(id, &key(), sequence, source, message);
    let seal = parse(&trailer).expect("what was written is read");
    assert_eq!((seal.key, seal.sequence), (id, sequence));
    assert!(seal.is_genuine(&key(), source, message));

    let turned = usize::from(u16::from_be_bytes([turned_high, turned_low]));
    let mut both = [&trailer[..], message].concat();
    let bit = turned % (both.len() * 8);
    both[bit / 8] ^= 1 << (bit % 8);
    let (changed, other) = both.split_at(28);
    // The checksum alone is nobody's business: over IPv6 the kernel fills it in.
    let at = (bit / 8).checked_sub(28);
    let counts = !matches!(at, Some(6 | 7));
    let genuine = parse(changed).is_some_and(|seal| seal.is_genuine(&key(), source, other));
    assert_eq!(genuine, !counts, "bit {bit}");
    if source != IpAddr::from([0; 4]) {
        assert!(!seal.is_genuine(&key(), IpAddr::from([0; 4]), message), "from somebody else");
    }
}

fn key() -> Key {
    Key::new(&Secret::parse(SECRET).expect("a key"))
}
