//! A firewall on the host itself drops what its agent sends.

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, SECOND, now};
use crate::common::Need;
use crate::lan::{Lab, address};
use crate::live::{live, median, samples, tell};
use crate::power_loss::VIP;

const FIREWALL: &str = "table inet guard {\n chain out {\n type filter hook output priority 0; policy accept;\n \
                        ip protocol 112 drop\n }\n}\n";

fn config(priority: u8) -> String {
    toml(&[Router::new(priority).every(500)])
}

#[test]
fn an_active_whose_adverts_do_not_leave_says_so_and_hands_over() {
    live(&[], || {
        let lab = Lab::new(2);
        let second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        second.state("web", "backup");
        let from = now();
        lab.host(1).nft(FIREWALL);
        lab.holders.wait(VIP, &[2]);
        let fault = first.state("web", "fault");
        assert_eq!(fault["reason"], "send-failed");
        let words = fault["words"].as_str().expect("words");
        assert!(words.contains("Operation not permitted") && words.contains("IP protocol 112"), "{words}");
        let spans = lab.holders.spans(VIP, from, now());
        assert!(spans.several < 500 * MS && spans.none < 500 * MS, "{spans:?}");
        // It tries again and again, and takes nothing by it.
        let errors = |agent: &Agent| agent.state("web", "fault")["counters"]["send_errors"].as_u64().expect("a count");
        let before = errors(&first);
        lab.stays(VIP, 2, 5 * SECOND);
        assert!(errors(&first) > before);
        let lines =
            first.log().lines().filter(|line| line.contains("send-failed") || line.contains("cannot send")).count();
        assert_eq!(lines, 1, "{}", first.log());
        let opened = now();
        lab.host(1).nft("delete table inet guard\n");
        let back = lab.holders.wait(VIP, &[1]);
        assert!(back - opened < 4 * SECOND, "{} ms", (back - opened) / MS);
        assert_eq!(first.state("web", "active")["reason"], "preempting");
        lab.stays(VIP, 1, 3 * SECOND);
    });
}

#[test]
fn a_firewall_is_found_out_within_an_interval_and_named() {
    live(&[], || {
        let lab = Lab::new(2);
        let first = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
        lab.holders.wait(VIP, &[1]);
        let _second = Agent::locum(&lab, 2, &toml(&[Router::new(100)]));
        let times = samples("a firewall", || {
            let from = now();
            lab.host(1).nft(FIREWALL);
            let fault = first.router("web", "names it", |web| web["reason"] == "send-failed");
            assert!(fault["words"].as_str().is_some_and(|words| words.contains("Operation not permitted")), "{fault}");
            lab.holders.wait(VIP, &[2]);
            let to = now();
            lab.host(1).nft("delete table inet guard\n");
            lab.holders.wait(VIP, &[1]);
            first.state("web", "active");
            lab.stays(VIP, 1, SECOND);
            let spans = lab.holders.spans(VIP, from, to);
            (!lab.stalls.within(from, to, 300 * MS)).then_some((to - from, spans.several))
        });
        let found: Vec<u64> = times.iter().map(|(found, _)| *found).collect();
        tell("a firewall, until the backup holds", &found);
        tell("a firewall, two holders", &times.iter().map(|(_, several)| *several).collect::<Vec<_>>());
        // The next advert is the first that does not leave; the backup must be told, or lose its patience.
        assert!(median(&found) < 5 * SECOND, "{times:?} ns");
        assert!(times.iter().all(|(_, several)| *several <= 1_500 * MS), "{times:?} ns");
    });
}

#[test]
fn who_boots_behind_such_a_firewall_never_holds_the_address() {
    live(&[], || {
        let lab = Lab::new(2);
        let second = Agent::locum(&lab, 2, &config(100));
        lab.holders.wait(VIP, &[2]);
        lab.host(1).nft(FIREWALL);
        let from = now();
        let first = Agent::locum(&lab, 1, &config(200));
        assert_eq!(first.state("web", "fault")["reason"], "send-failed");
        lab.stays(VIP, 2, 4 * SECOND);
        assert_eq!(lab.holders.changes(VIP, from), []);
        assert!(!lab.wire.since(from).iter().any(|seen| seen.mac[5] == 1 && seen.announces() == Some(VIP)));
        // A better one is heard: whether it could send is not known.
        second.reload(&config(250));
        let unproven = first.state("web", "backup");
        assert_eq!(unproven["reason"], "send-unproven");
        lab.host(1).nft("delete table inet guard\n");
        lab.power_off(2);
        lab.holders.wait(VIP, &[1]);
        lab.wire.wait("its adverts", from, |seen| seen.asserts(address(1, 0)));
        first.state("web", "active");
    });
}

/// A card that sends nothing any more: its queue is full, and the kernel throws away what comes.
#[test]
fn an_active_whose_queue_is_full_for_good_says_so_and_hands_over() {
    live(&[Need::Tool("tc")], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &config(100));
        let first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        let from = now();
        // No packet is as small as the room there is.
        lab.host(1)
            .try_run("tc", &["qdisc", "add", "dev", "eth0", "root", "bfifo", "limit", "1"], "")
            .expect("a queue");
        lab.holders.wait(VIP, &[2]);
        let fault = first.state("web", "fault");
        assert_eq!(fault["reason"], "send-failed");
        let words = fault["words"].as_str().expect("words");
        assert!(words.contains("No buffer space available"), "{words}");
        let spans = lab.holders.spans(VIP, from, now());
        assert!(spans.several < 500 * MS, "{spans:?}");
        lab.stays(VIP, 2, 3 * SECOND);
        lab.host(1).try_run("tc", &["qdisc", "del", "dev", "eth0", "root"], "").expect("no queue");
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP, 1, 2 * SECOND);
    });
}

/// Its kernel says of each advert that nobody there takes it; those still leave, and the group's do not fail for it.
#[test]
fn a_unicast_peer_without_an_agent_is_no_reason_not_to_be_active() {
    live(&[], || {
        let lab = Lab::new(2);
        let peers = "source = \"192.0.2.1\"\nunicast_peers = [\"192.0.2.2\"]";
        let from = now();
        let agent = Agent::locum(&lab, 1, &toml(&[Router::new(200).every(200).more(peers)]));
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP, 1, 4 * SECOND);
        let web = agent.state("web", "active");
        assert_eq!(web["counters"]["send_errors"], 0, "{web:#}");
        assert!(lab.wire.since(from).iter().filter(|seen| seen.asserts(address(1, 0))).count() >= 15);
        assert!(!agent.log().contains("cannot"), "{}", agent.log());
    });
}
