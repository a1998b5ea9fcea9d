use std::fmt;

use serde::{Deserialize, Serialize};

/// The priority a virtual router takes part with: 1 to 255 (RFC 9568 section 5.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// 255: the owner of the addresses.
    pub const OWNER: Priority = Priority(255);
    /// 100, the default of RFC 9568.
    pub const DEFAULT: Priority = Priority(100);
    /// 1: takes part only where nobody better does.
    pub const LOWEST: Priority = Priority(1);

    /// 1 to 255; 0 is no priority but the sign of a resignation, see [`Advertised`].
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            0 => None,
            1..=255 => Some(Priority(value)),
        }
    }

    /// A sum of base priority and weights, cut to what a backup may have: 1 to 254.
    pub fn clamped(sum: i32) -> Self {
        Priority(sum.clamp(1, 254) as u8)
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether this is the owner's priority, 255.
    pub const fn is_owner(self) -> bool {
        self.0 == 255
    }
}

impl TryFrom<u8> for Priority {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Priority::new(value).ok_or("a priority lies between 1 and 255")
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What the priority field of an advert says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Advertised {
    /// 0: the sender has stopped taking part; a backup need not wait out its timer.
    Resigned,
    /// 1 to 255: the sender is Active with this priority.
    Active(Priority),
}

impl Advertised {
    /// From the byte on the wire.
    pub fn from_byte(byte: u8) -> Self {
        Priority::new(byte).map_or(Advertised::Resigned, Advertised::Active)
    }

    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Advertised::Resigned => 0,
            Advertised::Active(priority) => priority.get(),
        }
    }
}
