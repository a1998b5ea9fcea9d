//! keepalived as the other node: it elects with us, backs us up and is backed up by us.

use std::net::Ipv4Addr;

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, SECOND, in_ms};
use crate::common::Need;
use crate::departures::{cost_of_a_move, made_before_broken, unnoticed};
use crate::lan::Lab;
use crate::live::{live, median, samples};
use crate::power_loss::{VIP, cut_after_an_advert};

const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
/// Active_Down_Interval of the lower priority: 3 x 0.5 s + (256 - 100) / 256 x 0.5 s.
const DOWN: u64 = 1_804_687_500;
/// Longer than that of anybody here.
const LONGER: u64 = 2 * SECOND;

fn router(priority: u8) -> Router {
    Router::new(priority).every(500).holding(&["192.0.2.100/24", "192.0.2.101/24"])
}

/// keepalived has found nothing wrong with what it was sent.
pub fn is_content(keepalived: &Agent) {
    let log = keepalived.log().to_lowercase();
    for complaint in ["invalid", "mismatch", "not present", "bogus", "expected", "dropp", "checksum", "wrong"] {
        let line = log.lines().find(|line| line.contains(complaint));
        assert_eq!(line, None, "keepalived complains");
    }
}

#[test]
fn keepalived_backs_us_up() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let keepalived = Agent::keepalived(&lab, 2, &[router(100)]);
        let mut returns = Vec::new();
        let stops = samples("stopped beside keepalived", || {
            lab.holders.wait(VIP, &[2]);
            let mut first = None;
            let (_, cost) = cost_of_a_move(&lab, 1, || first = Some(Agent::locum(&lab, 1, &toml(&[router(200)]))));
            returns.extend(cost);
            lab.holders.wait(OTHER, &[1]);
            lab.stays(VIP, 1, LONGER);
            assert_eq!(lab.holders.of(OTHER), [1]);
            let mut first = first.expect("it runs");
            let (from, cost) = cost_of_a_move(&lab, 2, || assert_eq!(first.stop(), 0));
            made_before_broken(&lab, from, 1, 2);
            lab.stays(VIP, 2, LONGER);
            assert_eq!(lab.holders.of(OTHER), [2]);
            cost
        });
        unnoticed("stopped beside keepalived", &stops);
        // keepalived drops its addresses when it hears our advert, which our addresses follow.
        let lost = median(&returns.iter().map(|cost| cost.lost).collect::<Vec<_>>());
        assert!(lost <= 5, "{returns:?}");
        is_content(&keepalived);
    });
}

#[test]
fn keepalived_follows_us_after_a_power_loss() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let keepalived = Agent::keepalived(&lab, 2, &[router(100)]);
        let gaps = samples("keepalived's takeover from us", || {
            let _first = Agent::locum(&lab, 1, &toml(&[router(200)]));
            lab.holders.wait(VIP, &[1]);
            let gap = cut_after_an_advert(&lab);
            lab.stays(VIP, 2, LONGER);
            lab.power_on(1);
            gap
        });
        let gap = median(&gaps);
        assert!(gap.abs_diff(DOWN) < 20 * MS, "median of {gaps:?} ns, expected {} ms", in_ms(DOWN));
        is_content(&keepalived);
    });
}

#[test]
fn we_back_keepalived_up() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let second = Agent::locum(&lab, 2, &toml(&[router(100)]));
        let gaps = samples("our takeover from keepalived", || {
            lab.holders.wait(VIP, &[2]);
            // It comes back, and we yield, ...
            let mut keepalived = Agent::keepalived(&lab, 1, &[router(200)]);
            lab.holders.wait(VIP, &[1]);
            lab.holders.wait(OTHER, &[1]);
            lab.stays(VIP, 1, LONGER);
            assert_eq!(second.state("web", "backup")["active"], "192.0.2.1");
            // ... it is stopped, ...
            keepalived.stop();
            lab.holders.wait(VIP, &[2]);
            assert_eq!(second.state("web", "active")["reason"], "active-resigned");
            lab.stays(VIP, 2, LONGER);
            is_content(&keepalived);
            // ... and dies.
            let _keepalived = Agent::keepalived(&lab, 1, &[router(200)]);
            lab.holders.wait(VIP, &[1]);
            let gap = cut_after_an_advert(&lab);
            assert_eq!(second.state("web", "active")["reason"], "active-silent");
            lab.power_on(1);
            gap
        });
        let gap = median(&gaps);
        assert!(gap.abs_diff(DOWN) < 20 * MS, "median of {gaps:?} ns, expected {} ms", in_ms(DOWN));
    });
}
