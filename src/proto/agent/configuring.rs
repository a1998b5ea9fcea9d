//! Taking a configuration over.

use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, Stage};
use crate::config::{Config, RouterConfig};
use crate::proto::effect::Effect;
use crate::proto::router::{NOTHING_LEFT, Router, World};
use crate::report::{Event, Reason};
use crate::types::{Instant, RouterName};

impl Agent {
    pub(super) fn reload(&mut self, now: Instant, config: Config, effects: &mut Vec<Effect>) {
        if self.stage != Stage::Running {
            return;
        }
        let [added, changed, removed] = self.adopt(config, now, effects);
        effects.push(Effect::Tell(Event::Reloaded { added, changed, removed }));
        self.listen(effects);
        self.review(now, effects, |_| true);
    }

    /// Takes a configuration over: what is the same stays as it is. How many routers were added, changed, removed.
    pub(super) fn adopt(&mut self, config: Config, now: Instant, effects: &mut Vec<Effect>) -> [usize; 3] {
        let Config { node, realtime: _, routers: mut wanted, checks, secrets } = config;
        self.node = node;
        self.checks.configure(&checks);
        let addresses = wanted.values().flat_map(|router| router.addresses.iter());
        let held = self.routers.iter().flat_map(|router| router.holding().present());
        let addresses = addresses.map(|address| address.net.addr()).chain(held.map(|(_, net)| net.addr())).collect();
        self.interfaces.set_virtual(addresses);
        self.rename(&wanted);
        let [mut changed, mut removed] = [0, 0];
        let (ears, left) = (&self.ears, NOTHING_LEFT);
        let (interfaces, checks, wall) = (&self.interfaces, &self.checks, &self.wall);
        let mut world = World { now, interfaces, checks, wall, ears, left, effects };
        for router in self.routers.iter_mut().filter(|router| !router.is_ended()) {
            match wanted.remove(router.name()) {
                Some(same) if same == *router.config() => {}
                Some(other) if other.interface == router.config().interface => {
                    router.reconfigure(&mut world, other);
                    changed += 1;
                }
                // On another interface it is another virtual router, though of the same name.
                Some(other) => {
                    router.end(&mut world, Reason::Reconfigured);
                    wanted.insert(router.name().clone(), other);
                    removed += 1;
                }
                None => {
                    router.end(&mut world, Reason::Reconfigured);
                    removed += 1;
                }
            }
        }
        let added = wanted.len();
        let with_agent = self.stage == Stage::New;
        let from = self.wall.reading(now);
        let new = wanted.into_iter().map(|(name, config)| Router::new(name, config, from, with_agent));
        let departing = self.routers.iter().position(Router::is_ended).unwrap_or(self.routers.len());
        self.routers.splice(departing..departing, new);
        self.routers.sort_by_key(Router::is_ended);
        for router in self.routers.iter_mut().filter(|router| !router.is_ended()) {
            router.set_keys(&secrets);
        }
        self.number_routers();
        self.ears.configure(self.steps());
        [added, changed, removed]
    }

    /// A router whose name is gone while another name has its interface, family and VRID is the same one, renamed.
    fn rename(&mut self, wanted: &BTreeMap<RouterName, RouterConfig>) {
        let names: BTreeSet<RouterName> = self.routers.iter().map(|router| router.name().clone()).collect();
        for router in self.routers.iter_mut().filter(|router| !router.is_ended() && !wanted.contains_key(router.name()))
        {
            let new_name = wanted.iter().find(|(name, config)| !names.contains(*name) && router.is_same_as(config));
            if let Some((name, _)) = new_name {
                router.rename(name.clone());
            }
        }
    }

    pub(super) fn number_routers(&mut self) {
        let taking_part = self.routers.iter().enumerate().filter(|(_, router)| !router.is_ended());
        let key = |router: &Router| (router.config().interface, router.config().family, router.config().vrid);
        self.by_vrid = taking_part.map(|(number, router)| (key(router), number)).collect();
        for (number, router) in self.routers.iter().enumerate() {
            self.by_vrid.entry(key(router)).or_insert(number);
        }
        self.deadline_of = self.routers.iter().map(Router::deadline).collect();
        let numbered = self.deadline_of.iter().enumerate();
        self.deadlines = numbered.filter_map(|(number, deadline)| Some(((*deadline)?, number))).collect();
    }
}
