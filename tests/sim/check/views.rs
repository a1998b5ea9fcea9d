//! What clients believe: every ARP cache names the holder a second after there is one, where nothing gets lost.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use locum::types::Instant;

use super::holders::Holders;
use super::seat::Seat;
use crate::host::Host;
use crate::lan::CLIENTS;
use crate::world::Scene;

/// DESIGN.md, P1.
const WITHIN: Duration = Duration::from_secs(1);
/// Who became the one holder while announcements got lost, or out of the client's sight with no rival left to hear
/// of when the partition healed, cannot know of it; the slow repeat has to do.
const REFRESH: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Views {
    /// The one holder of an address.
    sole: BTreeMap<IpAddr, Sole>,
    /// Holders as they were, as bits.
    before: BTreeMap<IpAddr, u8>,
}

struct Sole {
    router: usize,
    holder: usize,
    since: Instant,
    /// A rival lost power, agent or link, or left, before it could be heard of.
    unaware: bool,
    /// A rival that slept when its lease ended, and may say when it wakes that it was there too.
    sleeper: Option<usize>,
}

impl Views {
    pub fn update(&mut self, scene: &Scene, holders: &Holders, seats: &[Vec<Seat>]) {
        for watched in &holders.addresses {
            let before = self.before.insert(watched.address, watched.holders).unwrap_or_default();
            if watched.holders == before {
                continue;
            }
            self.sole.remove(&watched.address);
            let foreign = scene.plan.foreign_address() == Some(watched.address);
            if watched.holders.count_ones() == 1 && !foreign {
                let holder = watched.holders.trailing_zeros() as usize;
                let rivals = scene.hosts.iter().filter(|host| host.id != holder && (before >> host.id) & 1 == 1);
                let heard_by = scene.lan.clean_since().map(|at| at + scene.plan.longest_interval(watched.router));
                let unheard = heard_by.is_none_or(|by| scene.now < by);
                // Who has just started has taken away what an earlier process left, and says so when it hears of the holder.
                let begins = |rival: &Host| rival.agent.is_some() && scene.now < rival.booted_at + WITHIN;
                let gone = |rival: &Host| {
                    !rival.powered
                        || rival.agent.is_none()
                        || !rival.link
                        || (begins(rival) && !rival.is_eligible(&scene.plan, watched.router, scene.now))
                        || rival.was_gagged(scene.now, scene.plan.longest_interval(watched.router))
                        || (unheard && !seats[rival.id][watched.router].is_active())
                };
                let idle = |rival: &&Host| rival.stall.is_some() || begins(rival);
                let sleeper = rivals.clone().find(idle).map(|rival| rival.id);
                let unaware = rivals.into_iter().any(gone);
                let sole = Sole { router: watched.router, holder, since: scene.now, unaware, sleeper };
                self.sole.insert(watched.address, sole);
            }
        }
    }

    pub fn look(&self, scene: &Scene, seats: &[Vec<Seat>]) -> Result<(), String> {
        let Some(clean_since) = scene.lan.clean_since() else { return Ok(()) };
        for (address, Sole { router, holder, since, unaware, sleeper }) in &self.sole {
            let sleeper = sleeper.map(|sleeper| &scene.hosts[sleeper]);
            let slept = sleeper.is_some_and(|host| host.stall.is_some() || host.agent.is_none());
            let seen = *since >= clean_since && !unaware && !slept;
            let by = if seen { *since + WITHIN } else { clean_since.max(*since) + REFRESH };
            let woke =
                std::iter::once(&scene.hosts[*holder]).chain(sleeper).filter_map(|host| host.woke.map(|(_, at)| at));
            let woke = woke.chain(sleeper.map(|host| host.booted_at));
            let woke = woke.map(|at| at + WITHIN + scene.plan.longest_interval(*router)).max();
            let by = by.max(woke.unwrap_or(by)) + scene.plan.lan_slack() + scene.plan.kernel_slack();
            // Who lingers answers, but announces no more: the successor will.
            if scene.now <= by || scene.hosts[*holder].stall.is_some() || !seats[*holder][*router].is_active() {
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
