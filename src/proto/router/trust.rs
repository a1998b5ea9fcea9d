//! Whom a virtual router listens to.

use super::{Router, World};
use crate::config::Secrets;
use crate::proto::effect::Effect;
use crate::proto::peers::Standing;
use crate::report::Event;
use crate::types::{Discard, Instant};
use crate::wire::vrrp::Received;

impl Router {
    /// Takes over keys and mode as configured.
    pub(crate) fn set_keys(&mut self, secrets: &Secrets) {
        self.authentication.configure(self.config.auth.as_ref(), secrets);
    }

    /// Whether an advert may decide anything, and says so if its sender's clock is odd.
    pub(super) fn examine(
        &mut self,
        world: &mut World<'_>,
        received_at: Instant,
        received: &Received,
    ) -> Result<Standing, Discard> {
        let interval = self.config.advert_interval;
        let standing = self.authentication.examine((received_at, world.wall, interval), received)?;
        match standing {
            Standing::Unasked => {}
            Standing::Unauthenticated => self.counters.unauthenticated += 1,
            Standing::Authenticated { behind, .. } => {
                let peer = received.source;
                if self.authentication.is_odd(received_at, peer, behind, interval) {
                    let (router, behind_ms) = (self.name.clone(), behind / 1_000_000);
                    world.effects.push(Effect::Tell(Event::ClocksApart { router, peer, behind_ms }));
                }
            }
        }
        Ok(standing)
    }
}
