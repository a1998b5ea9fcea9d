//! An agent that hangs, under systemd: whose address it is meanwhile, what ends it, and as what it comes back.

use crate::judged::judged;
use crate::node::{Node, until};
use crate::steps::{CONFIG, VIP, at_rest, config, in_order, with_a_pair};

/// Stops the agent as a debugger does; its process id.
fn hang(node: &Node) -> String {
    let pid = node.property("MainPID");
    node.sh(&format!("kill -STOP {pid}"));
    pid
}

/// Waits until the agent with this process id is gone and another one answers.
fn until_another_answers(node: &Node, pid: &str) {
    until("another agent", || {
        let now = node.property("MainPID");
        (now != pid && now != "0" && node.state() != "no answer").then_some(())
    });
}

/// With the unit as it is shipped.
fn the_address_goes_before_the_watchdog_comes(one: &Node, two: &Node) {
    one.write(CONFIG, &config(150));
    one.sh("locum reload");
    at_rest(one, Some(two));
    one.write(CONFIG, &config(150).replace("vrid", "preempt = false\nvrid"));
    one.sh("locum reload");
    let restarts: u32 = one.property("NRestarts").parse().expect("a number");
    let pid = hang(one);
    until("its address is gone", || (!one.holds(VIP)).then_some(()));
    two.until_it_holds(VIP);
    let since = two.transitions();
    until_another_answers(one, &pid);
    one.until_state("backup");
    assert!(!one.holds(VIP));
    assert_eq!((two.state().as_str(), two.transitions()), ("active", since), "{}", two.journal());
    assert_eq!(one.property("NRestarts"), (restarts + 1).to_string());
    let told = one.journal();
    in_order(
        &told,
        &[
            "Watchdog timeout (limit 10s)!",
            "code=killed, status=9/KILL",
            "Failed with result 'watchdog'",
            "web: an earlier agent here was Active and ended without resigning",
        ],
    );
    assert!(!told.contains("dumped"), "a dump would hold keys: {told}");
    // It was the kernel's hand, before another agent was there to remove it.
    assert!(!told.contains("an earlier agent had left it"), "{told}");
}

/// With adverts so slow, or a watchdog so quick, that the peers still wait when it has been ended.
fn within_its_lease_it_goes_on(one: &Node, two: &Node) {
    at_rest(one, Some(two));
    let since = two.transitions();
    let load = one.under_load(VIP);
    let pid = hang(one);
    until_another_answers(one, &pid);
    one.until_it_holds(VIP);
    let told = one.journal();
    assert!(told.contains("Watchdog timeout (limit 2s)!") && told.contains("resumed: its last advert left"), "{told}");
    let echoes = load.end();
    assert!(echoes.sent >= 10 && echoes.lost.is_empty(), "{echoes:?}: {told}");
    assert_eq!((two.state().as_str(), two.transitions()), ("backup", since), "{}", two.journal());
}

#[test]
fn an_agent_that_hangs() {
    with_a_pair("hng", |one, two| {
        judged("a hung agent", || {
            the_address_goes_before_the_watchdog_comes(one, two);
            Some(())
        });
        one.sh("mkdir -p /etc/systemd/system/locum.service.d");
        one.write("/etc/systemd/system/locum.service.d/quick.conf", "[Service]\nWatchdogSec=2s\n");
        let slow = |priority| config(priority).replace("vrid", "advert_interval = \"3s\"\nvrid");
        two.write(CONFIG, &slow(100));
        one.write(CONFIG, &slow(150));
        two.sh("locum reload");
        one.sh("systemctl daemon-reload");
        one.restart();
        judged("a hung agent within its lease", || {
            within_its_lease_it_goes_on(one, two);
            Some(())
        });
    });
}
