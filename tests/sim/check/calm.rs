//! How it ends: one holder, the one the rules name, and it stays the same.

use locum::types::Instant;

use super::reference::parameters;
use crate::model::may_be_active;
use crate::world::Scene;

#[derive(Default)]
pub struct Calm {
    /// The holder of each router's addresses from the time on when nothing may change any more.
    settled: Option<(Instant, Vec<Option<usize>>)>,
}

impl Calm {
    pub fn look(&mut self, scene: &Scene) -> Result<(), String> {
        if scene.now < scene.plan.settled_at {
            return Ok(());
        }
        let routers = (0..scene.plan.routers.len()).filter(|router| !is_doubled(scene, *router));
        let found = routers.map(|router| holder(scene, router));
        let found = found.collect::<Result<Vec<_>, String>>()?;
        match &self.settled {
            Some((_, settled)) if *settled == found => {}
            Some((at, settled)) => {
                return Err(format!("holders were {settled:?} at {at} and are {found:?}, although all is calm"));
            }
            None => {
                let routers = (0..scene.plan.routers.len()).filter(|router| !is_doubled(scene, *router));
                for (router, holder) in routers.zip(&found) {
                    deserves(scene, router, *holder)?;
                }
                self.settled = Some((scene.now, found));
            }
        }
        Ok(())
    }
}

/// Whether an IPv6 address of it has been set for good somewhere: whoever claims it finds that out and leaves again.
fn is_doubled(scene: &Scene, router: usize) -> bool {
    scene.plan.foreign_address().is_some_and(|address| address.is_ipv6() && scene.plan.router_of(address) == router)
}

fn holder(scene: &Scene, router: usize) -> Result<Option<usize>, String> {
    let mut answer: Option<Option<usize>> = None;
    for (number, address) in scene.plan.routers[router].addresses.iter().enumerate() {
        let left_out = (0..scene.plan.hosts).any(|host| !scene.plan.has_configured(host, *address));
        if left_out || scene.plan.foreign.is_some_and(|(_, foreign, at)| (foreign, at) == (router, number)) {
            continue;
        }
        let holders: Vec<usize> = (0..scene.plan.hosts).filter(|host| scene.hosts[*host].holds(*address)).collect();
        let this = match holders[..] {
            [] => None,
            [one] => Some(one),
            _ => return Err(format!("all is calm and {holders:?} hold {address}")),
        };
        if answer.is_some_and(|other| other != this) {
            return Err(format!(
                "all is calm and the addresses of r{router} are on several hosts: {address} on {this:?}"
            ));
        }
        answer = Some(this);
    }
    Ok(answer.flatten())
}

/// RFC 9568 section 6: nobody who preempts has a higher priority; holding.md, rule 8: nobody fit leaves an
/// unhealthy one in the place.
fn deserves(scene: &Scene, router: usize, holder: Option<usize>) -> Result<(), String> {
    let plan = &scene.plan;
    let wrong = |what: String| Err(format!("r{router}: all is calm, {holder:?} holds, and {what}"));
    let eligible =
        |host: &usize| scene.hosts[*host].is_eligible(plan, router, scene.now) && !scene.hosts[*host].refuses;
    let candidates: Vec<usize> = (0..plan.hosts).filter(eligible).collect();
    let foreign_only = plan.routers[router].addresses.len() == 1 && plan.foreign.is_some_and(|(_, at, _)| at == router);
    if foreign_only {
        return Ok(());
    }
    let Some(holder) = holder else {
        return if candidates.is_empty() { Ok(()) } else { wrong(format!("{candidates:?} could")) };
    };
    if !candidates.contains(&holder) {
        return wrong(format!("only {candidates:?} may"));
    }
    for other in candidates.into_iter().filter(|other| *other != holder) {
        let [own, others] = [holder, other].map(|host| parameters(scene, host, router));
        if !may_be_active(&own, &others) {
            return wrong(format!("h{other} has priority {} over {}", others.priority, own.priority));
        }
        if scene.hosts[holder].is_unhealthy(plan) && !scene.hosts[other].is_unhealthy(plan) {
            return wrong(format!("is unhealthy, and h{other} is not"));
        }
    }
    Ok(())
}
