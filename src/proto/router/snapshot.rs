use std::time::Duration;

use super::{Mode, Router};
use crate::proto::election::State;
use crate::proto::eligibility::Checks;
use crate::proto::interfaces::Interfaces;
use crate::proto::peers;
use crate::report::{Standing, WallClock, status};
use crate::types::Family;

impl Router {
    /// How things stand, for the status document.
    pub(crate) fn snapshot(&self, clock: &WallClock, interfaces: &Interfaces, checks: &Checks) -> status::Router {
        status::Router {
            state: self.reported,
            reason: self.reason.token().to_owned(),
            words: self.words(clock.at),
            since: self.since.date(),
            listens_for_ms: self.hold.map(|hold| millis(hold.until().since(clock.at))),
            degraded: self.is_degraded(),
            interface: self.config.interface.to_string(),
            vrid: self.config.vrid.get(),
            version: self.config.version.number(),
            family: self.config.family.word().to_owned(),
            transport: transport(!self.config.is_unicast()),
            advert_interval_ms: millis(self.config.advert_interval.duration()),
            priority: self.priority(checks),
            active: self.active(),
            addresses: self.addresses(clock, interfaces),
            peers: self.peers(clock),
            mistakes: self.mistakes(clock),
            auth: self.auth(clock),
            counters: self.counters(),
            last_transitions: self.last_transitions(),
        }
    }

    /// The reason, with the time that is left now.
    fn words(&self, now: crate::types::Instant) -> String {
        let held = self.hold.map(|hold| hold.reason(now, self.config.interface));
        held.filter(|held| held.token() == self.reason.token()).unwrap_or_else(|| self.reason.clone()).to_string()
    }

    /// The same in short.
    pub(crate) fn standing(&self) -> Standing<'_> {
        Standing { name: &self.name, state: self.reported, degraded: self.is_degraded(), reason: &self.reason }
    }

    fn is_degraded(&self) -> bool {
        matches!((&self.mode, self.election.state()), (Mode::Unhealthy(_), State::Active { .. }))
    }

    fn priority(&self, checks: &Checks) -> status::Priority {
        let contributions = checks.contributions(&self.config.checks);
        let contribution = |(check, weight): (&crate::types::CheckName, i16)| status::Contribution {
            check: check.to_string(),
            weight,
        };
        status::Priority {
            base: self.config.priority.get(),
            effective: self.election.params().priority.get(),
            contributions: contributions.map(contribution).collect(),
        }
    }

    /// Ours while Active; otherwise whoever advertised last and has not been silent for too long.
    fn active(&self) -> Option<String> {
        match self.election.state() {
            State::Active { .. } => Some(self.election.params().source.to_string()),
            State::Initialize | State::Backup(_) => self.peers.active().map(|(peer, _)| peer.to_string()),
        }
    }

    fn addresses(&self, clock: &WallClock, interfaces: &Interfaces) -> Vec<status::Address> {
        let addresses = self.holding.addresses(interfaces).map(|(address, state, until)| status::Address {
            address: address.net.to_string(),
            interface: address.interface.to_string(),
            state,
            lease_left_ms: until.map(|until| millis(until.since(clock.at))),
        });
        addresses.collect()
    }

    fn peers(&self, clock: &WallClock) -> Vec<status::Peer> {
        let peers = self.peers.iter().map(|(source, peer)| status::Peer {
            address: source.to_string(),
            priority: peer.advertised.byte(),
            advert_interval_ms: millis(peer.interval.duration()),
            version: peer.version.number(),
            family: Family::of(*source).word().to_owned(),
            transport: transport(peer.multicast),
            checksum: peer.checksum.word().to_owned(),
            lists_our_addresses: peer.lists_ours,
            heard_ms_ago: millis(clock.at.since(peer.heard_at)),
            adverts: peer.adverts,
            key: match peer.standing {
                peers::Standing::Authenticated { key, .. } => Some(key.get()),
                peers::Standing::Unasked | peers::Standing::Unauthenticated => None,
            },
            clock_behind_ms: match peer.standing {
                peers::Standing::Authenticated { behind, .. } => Some(behind / 1_000_000),
                peers::Standing::Unasked | peers::Standing::Unauthenticated => None,
            },
        });
        peers.collect()
    }

    fn mistakes(&self, clock: &WallClock) -> Vec<status::Mistake> {
        let mistakes = self.mistakes.iter().map(|sighting| status::Mistake {
            token: sighting.mistake.token().to_owned(),
            words: sighting.mistake.to_string(),
            peer: sighting.mistake.peer(),
            since: clock.rfc3339(sighting.since),
            seen_ms_ago: millis(clock.at.since(sighting.seen_at)),
            seen: sighting.seen,
        });
        mistakes.collect()
    }

    fn auth(&self, clock: &WallClock) -> Option<status::Auth> {
        let (mode, active, keys) = self.authentication.setup()?;
        let refused = self.strangers.iter().map(|(source, stranger)| status::Refused {
            address: source.to_string(),
            reason: stranger.reason.token().to_owned(),
            heard_ms_ago: millis(clock.at.since(stranger.heard_at)),
            packets: stranger.packets,
        });
        Some(status::Auth {
            mode: mode.word().to_owned(),
            active_key: active.get(),
            keys: keys.map(crate::types::KeyId::get).collect(),
            unauthenticated: self.counters.unauthenticated,
            refused: refused.collect(),
        })
    }

    fn counters(&self) -> status::Counters {
        status::Counters {
            adverts_sent: self.counters.adverts_sent,
            adverts_received: self.counters.adverts_received,
            became_active: self.counters.became_active,
            resignations_sent: self.counters.resignations_sent,
            resignations_received: self.counters.resignations_received,
            announcements: self.holding.announcements(),
            send_errors: self.counters.send_errors,
            addresses_restored: self.holding.restored(),
            leases_lapsed: self.counters.leases_lapsed,
            discards: self.discards.totals(),
        }
    }

    fn last_transitions(&self) -> Vec<status::Transition> {
        let transitions = self.transitions.iter().map(|(at, from, to, reason)| status::Transition {
            at: at.date(),
            from: *from,
            to: *to,
            reason: reason.token().to_owned(),
            words: reason.to_string(),
        });
        transitions.collect()
    }
}

fn transport(multicast: bool) -> String {
    if multicast { "multicast" } else { "unicast" }.to_owned()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
