use std::collections::BTreeMap;

use super::{CheckName, Instant, InterfaceName, Interval, Vrid};

/// What an agent that is replaced while it runs knows, and a record for those that crash has no use for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The virtual routers that back up and hear their Active router.
    pub backups: Vec<BackupMemory>,
    /// The verdicts of the checks, where there are any.
    pub verdicts: BTreeMap<CheckName, bool>,
}

/// How far the wait of one virtual router in Backup has come. Interface and VRID say which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupMemory {
    /// The interface of its adverts.
    pub interface: InterfaceName,
    /// Its VRID there.
    pub vrid: Vrid,
    /// When the last advert came that counts.
    pub heard_at: Instant,
    /// The interval that the Active router advertises (Active_Adver_Interval).
    pub interval: Interval,
    /// When an Active router of lower priority may be preempted, where a delay runs.
    pub preempt_at: Option<Instant>,
}
