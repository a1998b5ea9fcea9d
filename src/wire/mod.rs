//! Bytes: untrusted ones become a value that can only be valid, and such a value becomes bytes again.
//!
//! Belongs here: layouts, lengths, checksums. Does not belong here: what a packet means for an election
//! (`proto`) and how bytes reach the LAN (`io`).

pub mod announcement;
pub mod arp;
pub mod authentication;
pub mod checksum;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod nd;
pub mod vrrp;
