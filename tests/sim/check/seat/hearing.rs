//! What an advert is to a seat: RFC 9568 sections 6.4.2 and 6.4.3, and what is added for those who slept.

use locum::types::Instant;

use super::super::Heard;
use super::{Duty, Patience, Seat, State, Terms};

impl Seat {
    pub(super) fn hear(&mut self, now: Instant, received: Instant, heard: &Heard, terms: &Terms) -> Duty {
        if heard.priority > 0 {
            (self.heard_at, self.heard_interval, self.heard_from) =
                (Some(received), heard.interval, Some(heard.source));
        } else {
            self.answers = Some(now);
        }
        let listen = |from, preempt_at| State::Backup {
            from,
            active: Some(heard.source),
            interval: heard.interval,
            patience: Patience::Full,
            preempt_at,
        };
        match self.state {
            State::Out => Duty::Nothing,
            State::Backup { from, active, interval, preempt_at, patience } => {
                if heard.priority == 0 {
                    // Repeated, it does not put the claim off; and whoever is not Active any more has nothing to leave.
                    let leaves = active.is_none_or(|active| active == heard.source);
                    if !terms.unhealthy && patience != Patience::Skew && leaves {
                        let (from, active, patience) = (received, None, Patience::Skew);
                        self.state = State::Backup { from, active, interval, patience, preempt_at: None };
                    }
                } else if !terms.preempt || heard.priority >= terms.priority {
                    self.state = listen(received, None);
                } else {
                    let mut received = received;
                    if patience == Patience::Lapsed {
                        // What was queued is old: a silence begins with the lapse.
                        received = received.max(from);
                        self.state = listen(received, None);
                    }
                    let until = preempt_at.unwrap_or(received + terms.preempt_delay);
                    if !terms.preempt_delay.is_zero() && received < until {
                        self.state = listen(received, Some(until));
                    } else if let (false, State::Backup { preempt_at, .. }) =
                        (terms.preempt_delay.is_zero(), &mut self.state)
                    {
                        *preempt_at = Some(until);
                    }
                }
                let tells = heard.priority > 0 && (std::mem::take(&mut self.leftover) || patience == Patience::Lapsed);
                if tells { Duty::Concede } else { Duty::Nothing }
            }
            State::Active { .. } if self.sleep.is_some_and(|sleep| sleep.sure) => match heard.priority {
                // Whoever asks is answered, and then it is awake.
                0 => Duty::Nothing,
                _ => Duty::GiveUp,
            },
            State::Active { .. } => {
                let better = (heard.priority, heard.source) > (terms.priority, terms.source);
                if better {
                    if self.claiming {
                        // Of which nothing was told yet; it may still hold what it had resigned or yielded before.
                        (self.yielded, self.may_challenge) = (true, true);
                    }
                    let tells = self.claiming && std::mem::take(&mut self.leftover);
                    (self.state, self.claiming) = (listen(received, None), false);
                    if tells { Duty::Concede } else { Duty::Yield }
                } else if self.answered_at.is_none_or(|at| now >= at + terms.interval / 4) {
                    self.answered_at = Some(now);
                    Duty::Answer
                } else {
                    Duty::Nothing
                }
            }
        }
    }
}
