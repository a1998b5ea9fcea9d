use std::net::IpAddr;

use super::{Family, KeyId, Version, Vrid};

/// What sets the adverts that one virtual router may listen to apart from all others, as far as a glance shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitedAdverts {
    /// The family that carries them.
    pub family: Family,
    /// Their version.
    pub version: Version,
    /// Their VRID.
    pub vrid: Vrid,
    /// Who may send them; empty where anybody on the LAN may.
    pub senders: Vec<IpAddr>,
    /// Where each must have a trailer: the keys it may be under.
    pub keys: Option<Vec<KeyId>>,
}
