//! What the scenarios played have drawn, counted when it happens: what is never drawn is never tested.

use std::collections::BTreeMap;
use std::fmt;

use locum::types::{Family, Version};

use crate::scenario::{Change, Fault, RouterPlan, Scenario};
use crate::world::Scene;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Drawn(BTreeMap<&'static str, u64>);

/// All that the long run and the short one must have seen.
const ALL: [&str; 41] = [
    "version 2",
    "adverts in IPv6",
    "addresses of both families",
    "authenticated",
    "unicast",
    "two virtual routers",
    "one VRID in both families",
    "an owner",
    "an address of somebody else",
    "power loss",
    "killed",
    "left as if killed",
    "stopped",
    "started",
    "link lost",
    "a partition",
    "loss",
    "loss in one direction",
    "loss of some in one direction",
    "a stall",
    "a deaf stall",
    "no advert leaves",
    "some adverts do not leave",
    "an addition fails",
    "a removal fails",
    "a check is well",
    "a check fails",
    "a check hangs",
    "reload of the same",
    "reload of a priority",
    "reload of Preempt_Mode",
    "reload of an interval",
    "reload takes addresses away",
    "reload adds addresses",
    "a clock ahead",
    "a clock behind",
    "an authenticated clock ahead for an hour or more",
    "an authenticated clock behind for an hour or more",
    "a replay",
    "a lease ends",
    "a question is answered",
];

impl Drawn {
    pub fn note(&mut self, what: &'static str) {
        debug_assert!(ALL.contains(&what), "{what}");
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Drawn) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// What was never drawn.
    pub fn missing(&self) -> Vec<&'static str> {
        ALL.into_iter().filter(|what| !self.0.contains_key(what)).collect()
    }

    pub fn plan(&mut self, plan: &Scenario) {
        for RouterPlan { version, family, authenticated, addresses, seats, .. } in &plan.routers {
            let other = |address: &std::net::IpAddr| Family::of(*address) != *family;
            let traits = [
                ("version 2", *version == Version::V2),
                ("adverts in IPv6", *family == Family::Ipv6),
                ("addresses of both families", addresses.iter().any(other)),
                ("authenticated", *authenticated),
                ("an owner", seats.iter().any(|seat| seat.priority.is_owner())),
            ];
            traits.into_iter().filter(|(_, has)| *has).for_each(|(what, _)| self.note(what));
        }
        let one_vrid = matches!(&plan.routers[..], [one, other] if one.vrid == other.vrid);
        let traits = [
            ("unicast", plan.unicast),
            ("two virtual routers", plan.routers.len() > 1),
            ("one VRID in both families", one_vrid),
            ("an address of somebody else", plan.foreign.is_some()),
        ];
        traits.into_iter().filter(|(_, has)| *has).for_each(|(what, _)| self.note(what));
    }

    /// A fault that is about to happen; one that changes nothing is none.
    pub fn fault(&mut self, scene: &Scene, fault: Fault) {
        let runs = |host: usize| scene.hosts[host].agent.is_some() && !scene.hosts[host].stopping;
        let authenticated = scene.plan.routers.iter().any(|router| router.authenticated);
        let what = match fault {
            Fault::Crash(host) if runs(host) => "power loss",
            Fault::Kill(host) if runs(host) => "killed",
            Fault::Leave(host) if runs(host) => "left as if killed",
            Fault::Stop(host) if runs(host) => "stopped",
            Fault::Boot(host) if !runs(host) => "started",
            Fault::LinkDown(host) if runs(host) => "link lost",
            Fault::Partition(_) => "a partition",
            Fault::Dirty(..) => "loss",
            Fault::Worsen(one_way) if one_way.percent == 100 => "loss in one direction",
            Fault::Worsen(_) => "loss of some in one direction",
            Fault::Stall(host, deaf) if runs(host) => {
                if deaf {
                    "a deaf stall"
                } else {
                    "a stall"
                }
            }
            Fault::Gag(host, percent) if runs(host) => {
                if percent == 100 {
                    "no advert leaves"
                } else {
                    "some adverts do not leave"
                }
            }
            Fault::Reload(host, change) if runs(host) => match change {
                Change::Nothing => "reload of the same",
                Change::Priority(..) => "reload of a priority",
                Change::Preempt(..) => "reload of Preempt_Mode",
                Change::Interval(..) => "reload of an interval",
                Change::Addresses(router, without) => {
                    let before = scene.plan.seat(host, router).without;
                    let all = (1u8 << scene.plan.routers[router].addresses.len()) - 1;
                    match (before & all, without & all) {
                        (before, without) if without & !before != 0 => "reload takes addresses away",
                        (before, without) if before & !without != 0 => "reload adds addresses",
                        _ => "reload of the same",
                    }
                }
            },
            Fault::SetClock(host, off) if authenticated && runs(host) && off >= 3_600 => {
                "an authenticated clock ahead for an hour or more"
            }
            Fault::SetClock(host, off) if authenticated && runs(host) && off <= -3_600 => {
                "an authenticated clock behind for an hour or more"
            }
            Fault::SetClock(_, off) if off > 0 => "a clock ahead",
            Fault::SetClock(_, off) if off < 0 => "a clock behind",
            Fault::Replay(_) if authenticated => "a replay",
            _ => return,
        };
        self.note(what);
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.0.iter().map(|(what, times)| format!("{what} {times}")).collect();
        write!(f, "{}", each.join(", "))
    }
}
