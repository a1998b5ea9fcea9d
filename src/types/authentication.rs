use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Instant;

/// Which of several keys an advert is authenticated with, 1 to 255 (draft-cassen-vrrp-auth-hmac-00).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(NonZeroU8);

impl KeyId {
    /// 1 to 255; 0 is none.
    pub const fn new(value: u8) -> Option<Self> {
        match NonZeroU8::new(value) {
            Some(value) => Some(KeyId(value)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A key that nodes share: 32 to 64 bytes. It prints as nothing but its kind and leaves the memory when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why the content of a key file is no key. Says nothing of the content but its length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too few bytes to be hard to guess, or more than the hash takes in whole.
    #[error("the key has {0} bytes; it must have 32 to 64")]
    Length(usize),
    /// After `hex:` stands something other than digits, or an odd number of them.
    #[error("after `hex:` an even number of hexadecimal digits must follow, and nothing else")]
    Hex,
    /// Not `hex:`, and not printable ASCII.
    #[error("the key is not printable ASCII; write it as `hex:` and hexadecimal digits")]
    NotAscii,
}

impl Secret {
    /// Fewest bytes.
    pub const MIN: usize = 32;
    /// Most bytes: the block of SHA-256, which a longer key would be hashed down from.
    pub const MAX: usize = 64;

    /// Reads what stands in a key file: printable ASCII as it is, or `hex:` and digits. One newline at the end (or
    /// carriage return and newline) is not part of it.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn parse(content: &[u8]) -> Result<Self, SecretError> {
        let text = content.strip_suffix(b"\n").unwrap_or(content);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let bytes = match text.strip_prefix(b"hex:") {
            Some(digits) => hexadecimal(digits)?,
            None if text.iter().all(|byte| matches!(byte, 0x20..=0x7e)) => Zeroizing::new(text.to_vec()),
            None => return Err(SecretError::NotAscii),
        };
        if (Self::MIN..=Self::MAX).contains(&bytes.len()) {
            Ok(Secret(bytes))
        } else {
            Err(SecretError::Length(bytes.len()))
        }
    }

    /// For computing with it, and nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

fn hexadecimal(digits: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SecretError::Hex);
    }
    // Room for all at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        let (Some(high), Some(low)) = (value(*high), value(*low)) else {
            return Err(SecretError::Hex);
        };
        bytes.push(high << 4 | low);
    }
    Ok(bytes)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

/// What makes each authenticated advert another one: seconds of UTC (32 bits), a binary fraction of a second (16) and a
/// counter (16), in that order as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Sequence(u64);

impl Sequence {
    /// From the 8 bytes of the wire, read as one big-endian number.
    pub const fn from_number(number: u64) -> Self {
        Sequence(number)
    }

    /// As one number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// That of a moment in nanoseconds since 1970 (UTC), its counter zero.
    pub fn at(unix_nanos: u64) -> Self {
        let (seconds, nanos) = (unix_nanos / NANOS, unix_nanos % NANOS);
        let fraction = (nanos << 16) / NANOS;
        // From 2106 on the seconds begin anew, as on the wire.
        Sequence((seconds & 0xffff_ffff) << 32 | fraction << 16)
    }

    /// The next greater one.
    pub fn next(self) -> Self {
        Sequence(self.0.wrapping_add(1))
    }

    /// Whether it is the later one of the two; right across the turn of the seconds in 2106.
    pub fn is_after(self, other: Sequence) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// How far it lies behind a moment (nanoseconds since 1970), in nanoseconds; negative if it is ahead of it.
    pub fn behind(self, unix_nanos: u64) -> i64 {
        let difference = Sequence::at(unix_nanos).0.wrapping_sub(self.0).cast_signed();
        to_nanos(difference)
    }

    /// How far it lies ahead of another one, in nanoseconds; negative if behind.
    pub fn ahead_of(self, other: Sequence) -> i64 {
        to_nanos(self.0.wrapping_sub(other.0).cast_signed())
    }
}

/// From units of 2^-32 seconds; the counter is far below what matters.
fn to_nanos(difference: i64) -> i64 {
    // At most 2^31 seconds, which fit.
    ((i128::from(difference) * i128::from(NANOS)) >> 32) as i64
}

const NANOS: u64 = 1_000_000_000;

/// What is remembered of one sender under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The sender's address.
    pub source: IpAddr,
    /// The key.
    pub key: KeyId,
    /// The last number by each clock it was heard with, in the order of hearing; at most 4, mostly 1.
    pub clocks: Vec<Heard>,
    /// The greatest number ever accepted.
    pub greatest: Sequence,
    /// Numbers accepted that another clock may come to yet; at most 4096 of all marks of a router together, mostly none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<Sequence>,
}

/// A number and when it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The number.
    pub last: Sequence,
    /// When it was accepted.
    pub at: Instant,
}

/// What one virtual router must not forget over a restart, so that no advert is taken twice and none of its own refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// The last number sent by each clock, in the order of sending; at most 4, mostly 1.
    pub sent: Vec<Sequence>,
    /// The marks of its peers, at most 32.
    pub marks: Vec<Mark>,
    /// The wall clock by which all this was judged.
    pub wall: WallOffsets,
}

/// The wall clock as it runs, and as it ran before it was set; all as nanoseconds since 1970 at the boot of the host
/// (CLOCK_REALTIME less CLOCK_BOOTTIME).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallOffsets {
    /// As it runs; `None` if it was never told.
    pub current: Option<i64>,
    /// When it was told last.
    pub read_at: Instant,
    /// As it ran before, each with when that ended, oldest first; at most 3, mostly none.
    pub former: Vec<(i64, Instant)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_ascii_or_hex_of_32_to_64_bytes() {
        let ascii = "correct horse battery staple, 32";
        assert_eq!(ascii.len(), 32);
        assert_eq!(Secret::parse(ascii.as_bytes()).unwrap().expose(), ascii.as_bytes());
        assert_eq!(Secret::parse(format!("{ascii}\n").as_bytes()).unwrap().expose(), ascii.as_bytes());
        assert_eq!(Secret::parse(format!("{ascii}\r\n").as_bytes()).unwrap().expose(), ascii.as_bytes());
        // Only one newline is not part of it, and a second one is no printable character.
        assert_eq!(Secret::parse(format!("{ascii}\n\n").as_bytes()), Err(SecretError::NotAscii));
        let hex = format!("hex:{}", "0aF1".repeat(16));
        assert_eq!(Secret::parse(hex.as_bytes()).unwrap().expose(), [0x0a, 0xf1].repeat(16));
        for (content, error) in [
            ("a".repeat(31), SecretError::Length(31)),
            ("a".repeat(65), SecretError::Length(65)),
            (String::new(), SecretError::Length(0)),
            (format!("hex:{}", "00".repeat(31)), SecretError::Length(31)),
            (format!("hex:{}", "00".repeat(65)), SecretError::Length(65)),
            (format!("hex:{}0", "00".repeat(32)), SecretError::Hex),
            (format!("hex: {}", "00".repeat(32)), SecretError::Hex),
            (format!("hex:{}+1", "00".repeat(32)), SecretError::Hex),
            ("ä".repeat(20), SecretError::NotAscii),
        ] {
            assert_eq!(Secret::parse(content.as_bytes()), Err(error), "{}", content.len());
        }
        assert!(Secret::parse("a".repeat(64).as_bytes()).is_ok());
    }

    #[test]
    fn a_key_does_not_print() {
        let secret = Secret::parse("a".repeat(40).as_bytes()).unwrap();
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "Secret Some(\n    Secret,\n)");
    }

    #[test]
    fn a_sequence_is_the_moment_it_was_made_at() {
        // The first advert of v3-ipv4-hmac.pcap was captured 1795220602.143680 s after 1970 and says 6b00e47a 244f 0000.
        let captured = Sequence::from_number(0x6b00_e47a_244f_0000);
        let behind = captured.behind(1_795_220_602_143_680_000);
        assert!((0..2_000_000).contains(&behind), "{behind} ns");
        assert_eq!(Sequence::at(1_795_220_602_500_000_000).number(), 0x6b00_e47a_8000_0000);
        assert_eq!(Sequence::at(1_795_220_602_500_000_000).behind(1_795_220_600_500_000_000), -2_000_000_000);
    }

    #[test]
    fn the_turn_of_the_seconds_in_2106_is_no_step() {
        let last = Sequence::at(4_294_967_295_900_000_000);
        let first = Sequence::at(4_294_967_296_100_000_000);
        assert!(first.number() < last.number() && first.is_after(last) && !last.is_after(first));
        assert!((199_900_000..200_100_000).contains(&last.behind(4_294_967_296_100_000_000)));
    }
}
