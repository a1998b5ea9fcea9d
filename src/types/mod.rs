//! The vocabulary: small values that can only be valid, shared by every other room.
//!
//! Belongs here: a value two rooms speak of, with its unit and range. Does not belong here: anything
//! that decides (`proto`), touches the system (`io`) or knows a file format or packet (`config`, `wire`).

#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod address;
mod authentication;
mod awaited;
mod channel;
mod check;
mod checksum;
mod discard;
mod exit;
mod facts;
mod family;
mod instant;
mod interval;
mod lifetime;
mod mac;
mod memory;
mod names;
mod password;
mod priority;
mod program;
mod record;
mod version;
mod vrid;

pub use address::VirtualAddress;
pub use authentication::{Freshness, Heard, KeyId, Mark, Secret, SecretError, Sequence, WallOffsets};
pub use awaited::AwaitedAdverts;
pub use channel::Channel;
pub use check::{CheckResult, CheckSpec};
pub use checksum::ChecksumForm;
pub use discard::Discard;
pub use exit::{Exit, Failure};
pub use facts::{AddressOutcome, InterfaceFacts, LeaseOutcome, MarkedAddress};
pub use family::Family;
pub use instant::Instant;
pub use interval::{Interval, IntervalError};
pub use ipnet::{IpNet, Ipv4Net};
pub use lifetime::Lifetime;
pub use mac::MacAddr;
pub use memory::{BackupMemory, Memory};
pub use names::{CheckName, InterfaceName, NameError, RouterName, UserName};
pub use password::Password;
pub use priority::{Advertised, Priority};
pub use program::{ProgramOutcome, ProgramReport, ProgramRequest, RUNNER_SOCKET};
pub use record::{LeftAddress, RouterRecord};
pub use version::Version;
pub use vrid::Vrid;
