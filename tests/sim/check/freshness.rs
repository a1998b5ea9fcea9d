//! Which authenticated adverts count (DESIGN.md, section 3; holding.md, rule 9): none twice, none after a newer one, and
//! of what a peer says in its turn no advert is refused for the sake of a clock.

use std::collections::{BTreeMap, BTreeSet};

use locum::types::Instant;

use super::Heard;
use crate::host::source;
use crate::world::Scene;

/// As many adverts may be lost without a takeover.
const MOST_REFUSED: usize = 2;

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
    /// Which counted of all that were made while the sender's clock was ahead.
    ahead: BTreeSet<u64>,
    /// Adverts in their turn that were refused one after the other, in whatever copies they came; the last may be taken yet.
    refused: BTreeSet<Instant>,
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
        // Copies by different clocks are judged apart, and may overtake each other on the way.
        let lately = known.newest.is_some_and(|newest| newest.since(sent_at) <= scene.plan.lan_slack());
        let overtaken = scene.hosts[sender].clock_off != 0 && lately;
        // A stated limit: what was sent by a clock that was ahead, and never came, is new to whoever missed it, once.
        let missed = heard.ahead && !known.ahead.contains(&copy);
        let fits = in_turn || another || overtaken || missed;
        if counts && !fits {
            return wrong("takes an advert that is no newer than one it has taken");
        }
        if counts {
            scene.strangers.remove(&(host, sender));
            if heard.ahead {
                known.ahead.insert(copy);
            }
            if in_turn {
                *known = Known { newest: Some(sent_at), ahead: std::mem::take(&mut known.ahead), ..Known::default() };
            }
            if in_turn || another {
                known.copies.insert(copy);
            }
            return Ok(());
        }
        let off = scene.hosts[host].clock_off != scene.hosts[sender].clock_off;
        // Stated limits: of whom nothing is known, only what is within the window counts; and who lost its power and whose
        // clock is behind then begins with numbers that others have heard of it.
        if known.newest.is_none() && off {
            scene.strangers.insert((host, sender));
        }
        let due = in_turn && sender != host && (known.newest.is_some() || !off);
        if due {
            known.refused.insert(sent_at);
        }
        // Each copy of an advert is for another clock. One or two may be refused: who begins anew while its clock comes up to
        // numbers that it has used does not know the last of them.
        if known.refused.range(..sent_at).count() >= MOST_REFUSED {
            return wrong("has refused every copy of adverts in a row");
        }
        Ok(())
    }
}
