//! Whether the lab can be believed: keepalived on both sides gives what it is known for.

use crate::agents::{Agent, Router};
use crate::clock::{MS, eventually, in_ms, now};
use crate::common::Need;
use crate::lan::{Lab, address, mac};
use crate::live::{live, median, samples, unless_disturbed};
use crate::power_loss::{VIP, cut_after_an_advert};
use crate::probe::{Probe, believed};

// Its backup claims on time: 3 x 0.5 s + (256 - 100) / 256 x 0.5 s. It drops the address before the backup can follow,
// (256 - 100) / 256 x 0.5 s = 304.6875 ms later.
#[test]
fn measures_keepalived_as_it_is() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let router = |priority| [Router::new(priority).every(500)];
        let _second = Agent::keepalived(&lab, 2, &router(100));
        let gaps = samples("keepalived's gap after a power loss", || {
            let _first = Agent::keepalived(&lab, 1, &router(200));
            lab.holders.wait(VIP, &[1]);
            let gap = cut_after_an_advert(&lab);
            lab.power_on(1);
            gap
        });
        let gap = median(&gaps);
        assert!(gap.abs_diff(1_804_687_500) < 20 * MS, "median of {gaps:?} ns");
        let losses = samples("echoes keepalived loses when it is stopped", || {
            let mut first = Agent::keepalived(&lab, 1, &router(200));
            lab.holders.wait(VIP, &[1]);
            let probe = Probe::start(&lab.client, VIP);
            probe.wait_answer(now());
            let from = now();
            first.stop();
            let moved = lab.holders.wait(VIP, &[2]);
            probe.wait_answer(moved);
            lab.wire.wait("a resignation", from, |seen| seen.resigns(address(1, 0)));
            let spans = lab.holders.spans(VIP, from, now());
            assert_eq!(spans.several, 0, "two held it at once");
            unless_disturbed(&lab, &[(from, now())], (probe.stop().lost(), spans.none))
        });
        let (lost, none) = median(&losses);
        assert!((280..330).contains(&lost), "median of {losses:?}");
        assert!((in_ms(none) - 304.7).abs() < 20.0, "median of {losses:?}");
    });
}

// Without an agent: an address that stays where it is, and what a client sees of it.
#[test]
fn its_faults_are_what_they_are_called() {
    live(&[], || {
        let lab = Lab::new(2);
        lab.host(1).ip("addr add 192.0.2.100/24 dev eth0");
        lab.holders.wait(VIP, &[1]);
        let lost_while = |fault: &dyn Fn(&Lab), end: &dyn Fn(&Lab)| {
            let probe = Probe::start(&lab.client, VIP);
            probe.wait_answer(now());
            fault(&lab);
            let from = now();
            eventually("300 ms", || (now() > from + 300 * MS).then_some(()));
            end(&lab);
            probe.wait_answer(now());
            let echoes = probe.stop();
            let (last, first) = echoes.longest_gap();
            assert!(
                echoes.lost() == 0 || first - last > 250 * MS,
                "{} lost, gap of {} ns",
                echoes.lost(),
                first - last
            );
            echoes.lost()
        };
        assert_eq!(lost_while(&|_| (), &|_| ()), 0, "without a fault");
        assert!(lost_while(&|lab| lab.mute(1), &Lab::heal) > 50);
        assert!(lost_while(&|lab| lab.deafen(1), &Lab::heal) > 50);
        assert!(lost_while(&|lab| lab.disconnect(1), &|lab| lab.reconnect(1)) > 50);
        assert!(lost_while(&|lab| lab.carrier(1, false), &|lab| lab.carrier(1, true)) > 50);
        lab.claim_falsely(2, VIP);
        eventually("the client's mistake", || (believed(&lab.client, VIP) == Some(mac(2))).then_some(()));
        assert_eq!(lab.holders.of(VIP), [1]);
        lab.power_off(1);
        assert_eq!(lab.holders.of(VIP), Vec::<usize>::new());
        assert!(!lab.host(1).ip("addr show eth0").contains("192.0.2.100"));
    });
}
