//! The authentication trailer behind a VRRP message (draft-cassen-vrrp-auth-hmac-00).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Type = 1    |    Key id     |         Reserved = 0          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       Seconds (UTC)                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           Fraction            |            Counter            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        First 16 bytes of HMAC-SHA256 (RFC 2104)               |
//! ```

use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::vrrp::TRAILER_LEN;
use crate::types::{KeyId, Secret, Sequence};

const TYPE_HMAC_SHA256: u8 = 1;
const TAG_LEN: usize = 16;
/// Bytes of the trailer that the tag covers.
const PREFIX_LEN: usize = TRAILER_LEN - TAG_LEN;

/// A trailer of the right form, read; whether it is genuine is another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Under which key.
    pub key: KeyId,
    /// Which advert of its sender it is.
    pub sequence: Sequence,
    tag: [u8; TAG_LEN],
}

/// A key made ready for computing. It prints as nothing but its kind and leaves the memory when dropped.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Makes a shared key ready.
    pub fn new(secret: &Secret) -> Self {
        // HMAC fills a key up with zeros to the block of its hash, which no secret is longer than.
        let mut block = Zeroizing::new([0; Secret::MAX]);
        for (byte, given) in block.iter_mut().zip(secret.expose()) {
            *byte = *given;
        }
        Key(Hmac::new((&*block).into()))
    }

    fn tag(&self, source: IpAddr, message: &[u8], prefix: &[u8; PREFIX_LEN]) -> [u8; TAG_LEN] {
        let mut hmac = self.0.clone();
        hmac.update(&pseudo_header(source, message));
        // The checksum field counts as zero: over IPv6 the kernel fills it in after us.
        let (head, rest) = message.split_at_checked(6).unwrap_or((message, &[]));
        hmac.update(head);
        hmac.update(&[0; 2]);
        hmac.update(rest.get(2..).unwrap_or_default());
        hmac.update(prefix);
        hmac.update(&[0; TAG_LEN]);
        let mut tag = [0; TAG_LEN];
        for (byte, full) in tag.iter_mut().zip(hmac.finalize().into_bytes()) {
            *byte = full;
        }
        tag
    }
}

/// Family, version, VRID, zero, and the source in 16 bytes, an IPv4 one in the first four.
fn pseudo_header(source: IpAddr, message: &[u8]) -> [u8; 20] {
    let (version_type, vrid) = match message {
        [version_type, vrid, ..] => (*version_type, *vrid),
        _ => (0, 0),
    };
    let mut header = [0; 20];
    let (family, address) = match source {
        IpAddr::V4(source) => {
            let [a, b, c, d] = source.octets();
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(source) => (6, source.octets()),
    };
    let fields = [family, version_type >> 4, vrid, 0].into_iter().chain(address);
    for (byte, field) in header.iter_mut().zip(fields) {
        *byte = field;
    }
    header
}

/// Reads the bytes behind a message; `None` if they are no trailer of this kind.
pub fn parse(bytes: &[u8]) -> Option<Seal> {
    let bytes: &[u8; TRAILER_LEN] = bytes.try_into().ok()?;
    let [TYPE_HMAC_SHA256, key, 0, 0, s0, s1, s2, s3, s4, s5, s6, s7, tag @ ..] = *bytes else {
        return None;
    };
    let sequence = Sequence::from_number(u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]));
    Some(Seal { key: KeyId::new(key)?, sequence, tag })
}

impl Seal {
    /// Whether whoever has the key has sent this message from this source. `message` is the VRRP message without the
    /// trailer; its checksum does not count. The time it takes does not depend on the tag.
    pub fn is_genuine(&self, key: &Key, source: IpAddr, message: &[u8]) -> bool {
        let expected = key.tag(source, message, &prefix(self.key, self.sequence));
        expected.ct_eq(&self.tag).into()
    }
}

fn prefix(key: KeyId, sequence: Sequence) -> [u8; PREFIX_LEN] {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sequence.number().to_be_bytes();
    [TYPE_HMAC_SHA256, key.get(), 0, 0, s0, s1, s2, s3, s4, s5, s6, s7]
}

/// The trailer for a message that is sent from this source.
pub fn emit(id: KeyId, key: &Key, sequence: Sequence, source: IpAddr, message: &[u8]) -> [u8; TRAILER_LEN] {
    let prefix = prefix(id, sequence);
    let tag = key.tag(source, message, &prefix);
    let mut trailer = [0; TRAILER_LEN];
    for (byte, field) in trailer.iter_mut().zip(prefix.into_iter().chain(tag)) {
        *byte = field;
    }
    trailer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key 7 of the configurations beside the captures.
    const SECRET: &str = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const IPV4: &[u8] = include_bytes!("../../tests/vectors/v3-ipv4-hmac.pcap");
    const IPV6: &[u8] = include_bytes!("../../tests/vectors/v3-ipv6-hmac.pcap");
    const VERSION_2: &[u8] = include_bytes!("../../tests/vectors/v2-ipv4-hmac.pcap");

    /// The first advert of v3-ipv4-hmac.pcap: its message and its trailer.
    const MESSAGE: [u8; 12] = [0x31, 0x3a, 0xc8, 0x01, 0x00, 0x64, 0x10, 0x09, 0x0a, 0x63, 0x01, 0x01];
    const TRAILER: [u8; 28] = [
        0x01, 0x07, 0x00, 0x00, 0x6b, 0x00, 0xe4, 0x7a, 0x24, 0x4f, 0x00, 0x00, 0xdf, 0xdf, 0x56, 0x11, 0xb6, 0xaf,
        0xdc, 0xe6, 0xec, 0x75, 0xaf, 0x90, 0x19, 0xb2, 0x68, 0x5c,
    ];

    fn key() -> Key {
        Key::new(&Secret::parse(SECRET.as_bytes()).unwrap())
    }

    fn source() -> IpAddr {
        "10.99.0.1".parse().unwrap()
    }

    /// Source, message and trailer of every advert of a capture.
    fn adverts(pcap: &[u8]) -> Vec<(IpAddr, Vec<u8>, [u8; TRAILER_LEN])> {
        let mut adverts = Vec::new();
        let mut rest = &pcap[24..];
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            let frame = &rest[16..16 + length];
            rest = &rest[16 + length..];
            let (source, payload) = match (&frame[12..14], frame[20]) {
                ([0x08, 0x00], _) => (<[u8; 4]>::try_from(&frame[26..30]).unwrap().into(), &frame[34..]),
                ([0x86, 0xdd], 112) => (<[u8; 16]>::try_from(&frame[22..38]).unwrap().into(), &frame[54..]),
                _ => continue,
            };
            let (message, trailer) = payload.split_last_chunk().unwrap();
            adverts.push((source, message.to_vec(), *trailer));
        }
        adverts
    }

    #[test]
    fn every_captured_trailer_is_genuine_and_ours_for_the_same_values_is_the_same() {
        for (pcap, count) in [(IPV4, 7), (IPV6, 7), (VERSION_2, 7)] {
            let adverts = adverts(pcap);
            assert_eq!(adverts.len(), count);
            for (source, message, trailer) in adverts {
                let seal = parse(&trailer).unwrap();
                assert_eq!(seal.key.get(), 7);
                assert!(seal.is_genuine(&key(), source, &message), "{source} {message:02x?}");
                let written = emit(KeyId::new(7).unwrap(), &key(), seal.sequence, source, &message);
                assert_eq!(written, trailer);
            }
        }
    }

    #[test]
    fn the_first_captured_trailer_reads_as_it_was_written() {
        let seal = parse(&TRAILER).unwrap();
        assert_eq!((seal.key.get(), seal.sequence.number()), (7, 0x6b00_e47a_244f_0000));
        let sequence = Sequence::from_number(0x6b00_e47a_244f_0000);
        assert_eq!(emit(KeyId::new(7).unwrap(), &key(), sequence, source(), &MESSAGE), TRAILER);
    }

    #[test]
    fn a_trailer_answers_for_every_bit_but_the_checksum() {
        let genuine = |source: &str, message: &[u8], trailer: &[u8]| {
            parse(trailer).is_some_and(|seal| seal.is_genuine(&key(), source.parse().unwrap(), message))
        };
        for bit in 0..MESSAGE.len() * 8 {
            let mut message = MESSAGE;
            message[bit / 8] ^= 1 << (bit % 8);
            // Within a byte only the version counts twice, the checksum not at all.
            assert_eq!(genuine("10.99.0.1", &message, &TRAILER), (48..64).contains(&bit), "bit {bit}");
        }
        for bit in 0..TRAILER_LEN * 8 {
            let mut trailer = TRAILER;
            trailer[bit / 8] ^= 1 << (bit % 8);
            assert!(!genuine("10.99.0.1", &MESSAGE, &trailer), "bit {bit} of the trailer");
        }
        assert!(!genuine("10.99.0.2", &MESSAGE, &TRAILER));
        assert!(!genuine("a63:1::", &MESSAGE, &TRAILER));
        assert!(!genuine("10.99.0.1", &MESSAGE[..11], &TRAILER));
        let other = Key::new(&Secret::parse("another key, of 32 bytes, as it must".as_bytes()).unwrap());
        assert!(!parse(&TRAILER).unwrap().is_genuine(&other, source(), &MESSAGE));
    }

    #[test]
    fn what_has_not_the_form_of_a_trailer_is_none() {
        assert!(parse(&TRAILER).is_some());
        assert_eq!((parse(&TRAILER[..27]), parse(&[&TRAILER[..], &[0]].concat()), parse(&[])), (None, None, None));
        for (at, value) in [(0, 0), (0, 2), (1, 0), (2, 1), (3, 1)] {
            let mut trailer = TRAILER;
            trailer[at] = value;
            assert_eq!(parse(&trailer), None, "byte {at} = {value}");
        }
    }

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", key()), "Key");
    }
}
