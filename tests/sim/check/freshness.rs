//! Which authenticated adverts count (DESIGN.md, section 3; holding.md, rule 9): none twice, none after a newer one, and
//! of what a peer says in its turn no advert is refused for the sake of a clock.

use std::collections::{BTreeMap, BTreeSet};

use locum::types::Instant;

use super::Heard;
use crate::host::source;
use crate::world::Scene;

/// Clocks that differ by less than this are right to each other (LEAST_WINDOW, less the way here).
const SECONDS: u64 = 4;

#[derive(Default)]
pub struct Freshness {
    /// What each host knows of each sender, by host, router and number of the sender.
    known: BTreeMap<(usize, usize, usize), Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the newest advert that counted was sent.
    newest: Option<Instant>,
    /// Which of its copies counted.
    copies: BTreeSet<u64>,
    /// An advert in its turn that has been refused so far, in whatever copy it came.
    refused: Option<Instant>,
}

impl Freshness {
    /// The power of a host fails: what it knew is gone, and so is what it has sent.
    pub fn forget(&mut self, host: usize) {
        self.known.retain(|(here, _, sender), _| *here != host && *sender != host);
    }

    pub fn judge(
        &mut self,
        scene: &mut Scene,
        (host, router): (usize, usize),
        heard: &Heard,
        counts: bool,
    ) -> Result<(), String> {
        let Some(sender) = (0..scene.plan.hosts).find(|other| source(*other, heard.family) == heard.source) else {
            return Err(format!("nobody is {}", heard.source));
        };
        let known = self.known.entry((host, router, sender)).or_default();
        let wrong = |what: &str| Err(format!("h{host} r{router}: {what} of h{sender}: {heard:?}"));
        let (sent_at, copy) = heard.sent;
        let in_turn = known.newest.is_none_or(|newest| sent_at > newest);
        let another = known.newest == Some(sent_at) && !known.copies.contains(&copy);
        if counts && sender == host {
            return wrong("takes its own advert for one");
        }
        if counts && !in_turn && !another {
            return wrong("takes an advert that is no newer than one it has taken");
        }
        if counts {
            scene.strangers.remove(&(host, sender));
            if in_turn {
                *known = Known { newest: Some(sent_at), ..Known::default() };
            }
            known.copies.insert(copy);
            return Ok(());
        }
        let off = scene.hosts[host].clock_off.abs_diff(scene.hosts[sender].clock_off);
        // A stated limit: of whom nothing is known, only what is within the window counts.
        if known.newest.is_none() && off >= SECONDS {
            scene.strangers.insert((host, sender));
        }
        let due = in_turn && sender != host && (known.newest.is_some() || off < SECONDS);
        // Each copy of an advert is for another clock.
        match known.refused {
            Some(sent) if due && sent < sent_at => wrong("has refused every copy of an advert"),
            Some(_) | None => {
                known.refused = due.then_some(sent_at);
                Ok(())
            }
        }
    }
}
