//! What clients believe: every ARP cache names the holder a second after there is one, where nothing gets lost.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use locum::types::Instant;

use super::holders::Holders;
use crate::lan::CLIENTS;
use crate::world::Scene;

/// DESIGN.md, P1.
const WITHIN: Duration = Duration::from_secs(1);
/// Who became the one holder while announcements got lost, or out of the client's sight with no rival left to hear
/// of when the partition healed, cannot know of it; the slow repeat has to do.
const REFRESH: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Views {
    /// The one holder of an address and since when it is the one.
    sole: BTreeMap<Ipv4Addr, (usize, Instant)>,
}

impl Views {
    pub fn update(&mut self, scene: &Scene, holders: &Holders) {
        for watched in &holders.addresses {
            let foreign = scene.hosts.iter().any(|host| host.addresses.get(&watched.address).is_some_and(|held| !held.ours));
            let holder = watched.holders.trailing_zeros() as usize;
            if watched.holders.count_ones() == 1 && !foreign {
                let sole = self.sole.entry(watched.address).or_insert((holder, scene.now));
                if sole.0 != holder {
                    *sole = (holder, scene.now);
                }
            } else {
                self.sole.remove(&watched.address);
            }
        }
    }

    pub fn look(&self, scene: &Scene, _holders: &Holders) -> Result<(), String> {
        let Some(clean_since) = scene.lan.clean_since() else { return Ok(()) };
        for (address, (holder, since)) in &self.sole {
            let by = if *since >= clean_since { *since + WITHIN } else { clean_since + REFRESH };
            let by = by + scene.plan.lan_slack() + scene.plan.kernel_slack();
            if scene.now <= by {
                continue;
            }
            for client in 0..CLIENTS {
                let believed = scene.lan.caches[client].get(address);
                if believed != Some(holder) {
                    let since = scene.now.since(*since);
                    return Err(format!(
                        "client {client} sends {address} to {believed:?}, but h{holder} alone has it, for {since:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}
