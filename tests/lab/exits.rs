//! How the agent ends, and why it does not begin.

use nix::sys::signal::Signal;

use crate::agents::{Agent, Router, toml};
use crate::clock::{SECOND, now};
use crate::lan::{Lab, address};
use crate::live::live;
use crate::power_loss::VIP;

fn config() -> String {
    toml(&[Router::new(100)])
}

#[test]
fn a_second_agent_on_the_same_runtime_directory_does_not_begin() {
    live(&[], || {
        let lab = Lab::new(1);
        let agent = Agent::locum(&lab, 1, &config());
        lab.holders.wait(VIP, &[1]);
        let mut second = Agent::locum(&lab, 1, &config());
        assert_eq!(second.ended(), 75);
        second.logged("1.run");
        lab.stays(VIP, 1, 2 * SECOND);
        agent.state("web", "active");
    });
}

#[test]
fn without_its_capabilities_it_says_which_one_is_missing() {
    live(&[], || {
        let lab = Lab::new(1);
        for (missing, name) in [("-net_raw", "CAP_NET_RAW"), ("-net_admin", "CAP_NET_ADMIN")] {
            let mut agent = Agent::locum_as(&lab, 1, &config(), &["--bounding-set", missing]);
            assert_eq!(agent.ended(), 77, "{}", agent.log());
            agent.logged(name);
        }
        assert_eq!(lab.holders.changes(VIP, 0), []);
    });
}

#[test]
fn an_interrupt_is_a_planned_stop_too() {
    live(&[], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &config());
        let mut first = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        first.signal(Signal::SIGINT);
        assert_eq!(first.ended(), 0);
        crate::departures::made_before_broken(&lab, from, 1, 2);
        lab.holders.wait(VIP, &[2]);
    });
}

#[test]
fn a_second_request_to_stop_is_obeyed_at_once() {
    live(&[], || {
        let lab = Lab::new(1);
        // Alone it would wait for a successor until 3.609375 s have passed at adverts of 1 s, 10 s at these.
        let mut agent = Agent::locum(&lab, 1, &toml(&[Router::new(255).every(4000)]));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        agent.signal(Signal::SIGTERM);
        lab.wire.wait("the resignation", from, |seen| seen.resigns(address(1, 0)));
        assert!(agent.status().expect("a status")["stopping"] == true && agent.runs(), "it waits for a successor");
        assert_eq!(lab.holders.of(VIP), [1]);
        let again = now();
        agent.signal(Signal::SIGTERM);
        assert_eq!(agent.ended(), 0);
        let gone = lab.holders.wait(VIP, &[]);
        assert!(gone < again + 5 * SECOND, "it did not wait any longer");
    });
}
