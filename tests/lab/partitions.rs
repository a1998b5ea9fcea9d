//! LANs that fall apart and heal.

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, SECOND, eventually, now};
use crate::lan::{Lab, mac};
use crate::live::{live, median, samples, unless_disturbed};
use crate::power_loss::VIP;
use crate::probe::{Probe, believed};
use nix::sys::signal::Signal;

fn config(priority: u8) -> String {
    toml(&[Router::new(priority).every(500)])
}

/// Breaks the LAN in a way that makes both hold the address and heals it: how long it takes until one does.
fn heals(what: &str, part: impl Fn(&Lab), join: impl Fn(&Lab)) {
    let lab = Lab::new(2);
    let _second = Agent::locum(&lab, 2, &config(100));
    let _first = Agent::locum(&lab, 1, &config(200));
    lab.holders.wait(VIP, &[1]);
    let times = samples(what, || {
        // The client asks, so that its entry is alive and can be wrong.
        let probe = Probe::start(&lab.client, VIP);
        part(&lab);
        lab.holders.wait(VIP, &[1, 2]);
        let from = now();
        join(&lab);
        let healed = lab.holders.wait(VIP, &[1]);
        let known = eventually("the client's belief", || (believed(&lab.client, VIP) == Some(mac(1))).then(now));
        drop(probe);
        lab.stays(VIP, 1, 2 * SECOND);
        unless_disturbed(&lab, &[(from, known)], (healed.saturating_sub(from), known.saturating_sub(healed)))
    });
    let healed = median(&times.iter().map(|(healed, _)| *healed).collect::<Vec<_>>());
    let known = median(&times.iter().map(|(_, known)| *known).collect::<Vec<_>>());
    // The advert interval and the 50 ms in which the winner's announcement is waited for.
    assert!(healed <= 600 * MS, "one holder after {times:?} ns");
    assert!(known <= SECOND, "the client knows after {times:?} ns");
}

#[test]
fn after_a_partition_one_host_holds_within_an_advert_interval() {
    live(&[], || heals("partition", |lab| lab.disconnect(1), |lab| lab.reconnect(1)));
}

#[test]
fn after_the_active_one_was_mute_one_host_holds_within_an_advert_interval() {
    live(&[], || heals("mute active", |lab| lab.mute(1), Lab::heal));
}

#[test]
fn after_the_backup_was_deaf_one_host_holds_within_an_advert_interval() {
    live(&[], || heals("deaf backup", |lab| lab.deafen(2), Lab::heal));
}

#[test]
fn a_backup_that_stands_still_for_a_while_does_not_claim() {
    live(&[], || {
        let lab = Lab::new(2);
        let second = Agent::locum(&lab, 2, &config(100));
        let _first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        second.state("web", "backup");
        let from = now();
        second.signal(Signal::SIGSTOP);
        // Longer than its Active_Down_Interval of 1.8046875 s.
        lab.wire.watched_until(from + 3 * SECOND);
        second.signal(Signal::SIGCONT);
        lab.stays(VIP, 1, 3 * SECOND);
        assert_eq!(lab.holders.changes(VIP, from), []);
        second.state("web", "backup");
    });
}
