//! Adverts leave on time.

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, Moment, now};
use crate::lan::{Lab, address};
use crate::live::{live, median};
use crate::power_loss::VIP;

const INTERVAL: u64 = 10 * MS;
/// Adverts in one window: short enough to fall between two stalls of the machine.
const WINDOW: usize = 200;
const WINDOWS: usize = 5;

/// A thousand adverts at 10 ms, in windows in which the machine did not stand still. What a thousand in one go may be
/// off, 1 ms in 9.99 s, is shared among the windows.
#[test]
fn a_thousand_adverts_at_10_ms_keep_their_pace() {
    live(&[], || {
        let lab = Lab::new(1);
        let _agent = Agent::locum(&lab, 1, &toml(&[Router::new(200).every(10)]));
        lab.holders.wait(VIP, &[1]);
        let (mut from, mut windows, mut aside) = (now(), Vec::new(), 0);
        while windows.len() < WINDOWS {
            lab.wire.watched_until(from + (WINDOW as u64 + 20) * INTERVAL);
            let adverts: Vec<Moment> = lab
                .wire
                .since(from)
                .iter()
                .filter(|seen| seen.asserts(address(1, 0)))
                .map(|seen| seen.at)
                .take(WINDOW)
                .collect();
            let (first, last) = (adverts[0], adverts[WINDOW - 1]);
            if lab.undisturbed(first - 50 * MS, last) {
                windows.push(adverts);
            } else {
                aside += 1;
            }
            assert!(aside < 30, "the machine stood still in {aside} windows");
            from = now();
        }
        let offs: Vec<u64> = windows.iter().map(|times| (times[WINDOW - 1] - times[0]).abs_diff(1_990 * MS)).collect();
        let off = median(&offs);
        assert!(off <= MS / 5, "windows of 1.99 s are off by {offs:?} ns, {aside} set aside");
        let late = median(&windows.iter().flat_map(|times| lateness(times)).collect::<Vec<_>>());
        assert!(late <= MS / 5, "median lateness is {late} ns, {aside} windows set aside");
    });
}

/// How late each advert is, on the pace that the most punctual one sets.
fn lateness(times: &[Moment]) -> Vec<u64> {
    let grid = |number: usize| number as u64 * INTERVAL;
    let start = times.iter().enumerate().map(|(number, at)| at - grid(number)).min().expect("adverts");
    times.iter().enumerate().map(|(number, at)| at - grid(number) - start).collect()
}
