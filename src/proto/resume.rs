//! What an earlier process of this host has left behind: taken up where it left off, or cleared away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::effect::Effect;
use super::router::Router;
use crate::report::{Event, Release};
use crate::types::{InterfaceName, LeftAddress, RouterName, RouterRecord, WallOffsets};

/// All that is known of it.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) records: Vec<RouterRecord>,
    pub(crate) left: Vec<LeftAddress>,
}

impl Past {
    /// The record of a router, if there is one.
    pub(crate) fn of(&self, router: &Router) -> Option<&RouterRecord> {
        let config = router.config();
        let key = (config.interface, config.family, config.version, config.vrid);
        self.records.iter().find(|record| (record.interface, record.family, record.version, record.vrid) == key)
    }

    /// The wall clock as it was told last.
    pub(crate) fn wall(&self) -> Option<&WallOffsets> {
        self.records.iter().map(|record| &record.freshness.wall).max_by_key(|wall| wall.read_at)
    }

    /// Removes what no router has taken over, and forgets the routers that are no more.
    pub(crate) fn clear_away(self, routers: &[Router], effects: &mut Vec<Effect>) {
        for RouterRecord { interface, family, vrid, .. } in self.records {
            let key = |router: &Router| (router.config().interface, router.config().family, router.config().vrid);
            if !routers.iter().any(|router| key(router) == (interface, family, vrid)) {
                effects.push(Effect::Forget { interface, family, vrid });
            }
        }
        let mut groups: BTreeMap<(InterfaceName, u32, RouterName), Vec<_>> = BTreeMap::new();
        for LeftAddress { router, interface, index, net } in self.left {
            let held = routers.iter().any(|router| router.holding().present().any(|at| at == (interface, net)));
            if !held {
                groups.entry((interface, index, router)).or_default().push(net);
            }
        }
        for ((interface, index, router), removals) in groups {
            let (how, addresses, after) = (Release::Leftover, removals.len(), Duration::ZERO);
            effects.push(Effect::Tell(Event::Released { router: router.clone(), addresses, how, after }));
            effects.push(Effect::RemoveAddresses { router, interface, index, removals, restore: Vec::new() });
        }
    }
}
