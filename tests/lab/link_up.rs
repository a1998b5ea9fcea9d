//! Who has just got a link, or has just started, listens before it claims.

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, SECOND, eventually, now};
use crate::lan::Lab;
use crate::live::live;
use crate::power_loss::VIP;

fn config(priority: u8, more: &str) -> String {
    toml(&[Router::new(priority).every(500).more(more)])
}

/// A host boots behind a switch port that has a carrier, but passes nothing for a while.
#[test]
fn a_port_that_passes_nothing_yet_is_no_reason_to_claim() {
    live(&[], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &config(100, ""));
        lab.holders.wait(VIP, &[2]);
        lab.carrier(1, false);
        lab.block(1);
        let first = Agent::locum(&lab, 1, &config(200, ""));
        first.router("web", "waits", |router| router["reason"] == "no-carrier");
        lab.carrier(1, true);
        let held = first.router("web", "listens", |router| router["reason"] == "awaiting-frames");
        assert_eq!(held["state"], "backup");
        assert!(held["listens_for_ms"].as_u64().is_some_and(|left| left > 5_000 && left <= 10_000), "{held}");
        // More than three times its Active_Down_Interval of 1.6 s.
        lab.stays(VIP, 2, 6 * SECOND);
        let opened = now();
        lab.heal();
        let moved = lab.holders.wait(VIP, &[1]);
        assert!(moved.saturating_sub(opened) < 3 * SECOND, "{} ms", (moved - opened) / MS);
        assert_eq!(first.state("web", "active")["listens_for_ms"], serde_json::Value::Null);
        lab.stays(VIP, 1, 3 * SECOND);
    });
}

/// Where nobody else is, the wait is no longer than ten seconds.
#[test]
fn a_silent_lan_is_listened_to_for_ten_seconds() {
    live(&[], || {
        let lab = Lab::new(1);
        lab.carrier(1, false);
        lab.block(1);
        let first = Agent::locum(&lab, 1, &config(200, ""));
        first.router("web", "waits", |router| router["reason"] == "no-carrier");
        let from = now();
        lab.carrier(1, true);
        let claimed = lab.holders.wait(VIP, &[1]);
        let waited = claimed.saturating_sub(from);
        assert!(waited > 9_900 * MS && waited < 11 * SECOND, "{} ms", waited / MS);
    });
}

#[test]
fn start_delay_listens_and_says_for_how_long() {
    live(&[], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &config(100, ""));
        lab.holders.wait(VIP, &[2]);
        let from = now();
        let first = Agent::locum(&lab, 1, &config(200, "start_delay = \"5s\""));
        let held = first.router("web", "has heard its peer", |router| router["peers"][0]["priority"] == 100);
        assert_eq!((held["state"].as_str(), held["reason"].as_str()), (Some("backup"), Some("start-delay")));
        assert!(held["words"].as_str().is_some_and(|words| words.contains("(start_delay)")), "{held}");
        let moved = lab.holders.wait(VIP, &[1]);
        assert!(moved - from > 5 * SECOND && moved - from < 7 * SECOND, "{} ms", (moved - from) / MS);
        first.logged("only listening for");
        // A new configuration begins no delay.
        lab.carrier(1, false);
        lab.holders.wait(VIP, &[2]);
        first.reload(&config(201, "start_delay = \"1h\""));
        first.logged("configuration reloaded");
        lab.carrier(1, true);
        lab.holders.wait(VIP, &[1]);
    });
}

#[test]
fn a_carrier_that_comes_back_within_link_debounce_moves_nothing() {
    live(&[], || {
        let lab = Lab::new(2);
        let config = |priority| toml(&[Router::new(priority).more("link_debounce = \"2s\"")]);
        let _second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        lab.carrier(1, false);
        eventually("a lost carrier", || lab.host(1).ip("link show eth0").contains("NO-CARRIER").then_some(()));
        lab.carrier(1, true);
        // Switches may have forgotten where the address is.
        lab.wire.wait("its announcement", from, |seen| seen.announces() == Some(VIP));
        lab.stays(VIP, 1, 4 * SECOND);
        assert_eq!(lab.holders.changes(VIP, from), []);
        assert!(!first.log().contains("-> fault"), "{}", first.log());
        lab.carrier(1, false);
        lab.holders.wait(VIP, &[2]);
        assert_eq!(first.state("web", "fault")["reason"], "no-carrier");
    });
}
