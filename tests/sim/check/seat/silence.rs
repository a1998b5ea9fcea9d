//! What a seat does whose adverts do not leave (holding.md, rule 14): a claim that nobody heard is none, and an Active router
//! that nobody hears is out of service before long, with the address only until a successor is heard.

use std::time::Duration;

use locum::proto::Effect;
use locum::report::{Event, Reason, RouterState};
use locum::types::Instant;

use super::super::{Cause, Heard};
use super::{Patience, Seat, State, Terms, terms};
use crate::host::router_number;
use crate::world::Scene;

impl Seat {
    /// Takes in that an advert did not leave.
    pub(super) fn notice_silence(&mut self, now: Instant, cause: &Cause<'_>, router: usize, terms: &Terms) {
        if matches!(cause, Cause::Unsent(of) if *of == router) {
            (self.left_at, self.unsent) = (self.left_before, true);
            if self.claiming {
                let again = if self.mute { Patience::Retry } else { Patience::RetrySoon };
                self.fall_silent(now, terms, again);
            }
        }
        if self.mute && !terms.eligible {
            (self.mute, self.state, self.claiming) = (false, State::Out, false);
        }
    }

    /// Whether an effect says that nothing leaves it, or that it is not known whether something would.
    pub(super) fn falls_silent(
        &mut self,
        scene: &Scene,
        (host, router): (usize, usize),
        effect: &Effect,
        heard: Option<(&Heard, Instant)>,
    ) -> Result<bool, String> {
        let Effect::Tell(Event::Transition { router: name, to, reason, .. }) = effect else { return Ok(false) };
        let terms = terms(scene, host, router);
        match (to, reason) {
            _ if router_number(name) != router => Ok(false),
            (RouterState::Fault, Reason::SendFailed(..)) => {
                if scene.hosts[host].link && !self.unsent {
                    return Err(format!("h{host} r{router}: nothing keeps its adverts from leaving: {self:?}"));
                }
                if let State::Active { .. } = self.state {
                    self.fall_silent(scene.now, &terms, Patience::Retry);
                    // Whoever made it so is Active.
                    if let Some((heard, received)) = heard {
                        self.hear(scene.now, received, heard, &terms);
                    }
                }
                (self.mute, self.yielded, self.may_challenge) = (true, true, true);
                Ok(true)
            }
            (RouterState::Backup, Reason::SendUnproven(..)) => Ok(matches!(self.state, State::Backup { .. })),
            (RouterState::Initialize | RouterState::Backup | RouterState::Active | RouterState::Fault, _) => Ok(false),
        }
    }

    fn fall_silent(&mut self, now: Instant, terms: &Terms, again: Patience) {
        self.listen(now, terms, again);
        (self.mute, self.yielded) = (true, true);
        (self.sleep, self.degraded_since) = (None, None);
    }

    /// Never Active for long while nothing leaves its host.
    pub(super) fn is_heard(&self, scene: &Scene, host: usize, terms: &Terms) -> Result<(), &'static str> {
        let here = &scene.hosts[host];
        let woke = here.woke.map_or(Instant::default(), |(_, at)| at);
        let patience = terms.interval * 6 + scene.plan.late * 2 + Duration::from_millis(1);
        match here.gagged_since {
            Some(since) if here.gag == 100 && self.is_active() && scene.now > since.max(woke) + patience => {
                Err("is Active although nothing leaves its host")
            }
            Some(_) | None => Ok(()),
        }
    }
}
