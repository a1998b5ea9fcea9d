//! What the agent's unit and the agent itself deny it, shown to bite, and what is left to it: real time, upgrades.

use crate::judged::judged;
use crate::node::{Node, until};
use crate::steps::{COMPILE, CONFIG, VIP, at_rest, config, with_a_pair};

/// Each line is something that any program of the user `locum` may do, and the agent has no use for.
const TRIES: &str = "\
#!/bin/sh
try() { name=$1; shift; if \"$@\" >/dev/null 2>&1; then echo \"$name: done\"; else echo \"$name: denied\"; fi; }
try write touch /opt/open/file
try home ls /home/somebody
try processes pidof systemd-journald
try memory luajit /opt/compile
try namespace unshare --user true
try owner sh -c 'touch /tmp/tried && chown locum /tmp/tried'
try shared test -e /tmp/shared
";
const NAMES: [&str; 7] = ["write", "home", "processes", "memory", "namespace", "owner", "shared"];

fn all(outcome: &str) -> Vec<String> {
    NAMES.iter().map(|name| format!("{name}: {outcome}")).collect()
}

/// The agent's unit around a shell instead of the agent.
fn the_unit_denies(node: &Node) {
    node.sh("useradd --create-home somebody && chmod 755 /home/somebody && mkdir /opt/open && chmod 777 /opt/open");
    node.sh("touch /tmp/shared");
    node.write("/opt/try", TRIES);
    node.write("/opt/compile", COMPILE);
    let tried =
        |text: &str| -> Vec<String> { text.lines().filter(|line| line.contains(": d")).map(str::to_owned).collect() };
    let free = node.sh("setpriv --reuid=locum --regid=locum --clear-groups sh /opt/try; rm /tmp/tried /opt/open/file");
    assert_eq!(tried(&free), all("done"), "without the unit");
    node.sh("sed -E -e 's,^ExecStart=.*,ExecStart=/bin/sh /opt/try,' -e 's,^Type=.*,Type=oneshot,' \
         -e '/^(Restart|ExecReload|Watchdog|RuntimeDirectory|After|Wants)/d' \
         /usr/lib/systemd/system/locum.service >/etc/systemd/system/tried.service \
         && systemctl daemon-reload && systemctl start tried.service");
    let said = || tried(&node.sh("journalctl --output=cat --unit=tried.service"));
    until("all was tried", || (said().len() == NAMES.len()).then_some(()));
    assert_eq!(said(), all("denied"), "under the unit");
}

/// The agent under its unit: two rights, no new ones, its filter in force beside the unit's, on every thread.
fn the_agent_restricts_itself(node: &Node) {
    assert!(!node.journal().contains("cannot"), "{}", node.journal());
    let pid = node.property("MainPID");
    let tasks = node.sh(&format!("ls /proc/{pid}/task"));
    assert!(tasks.split_whitespace().count() >= 3, "{tasks}");
    for task in tasks.split_whitespace() {
        let names = ["CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];
        let rights = "0000000000003000";
        assert_eq!(node.fields(&format!("{pid}/task/{task}"), &names), [rights, rights, rights, rights, "1", "2"]);
    }
    // A file that the user may read and the unit does not hide: only Landlock is in the way.
    node.sh("mkdir /opt/keys && printf 0123456789abcdef0123456789abcdef >/opt/keys/web");
    node.sh("chown -R locum: /opt/keys && chmod 600 /opt/keys/web");
    let auth = "[virtual_router.web.auth]\nmode = \"permissive\"\nactive_key = 1\n\
                keys = [{ id = 1, file = \"/opt/keys/web\" }]\n";
    node.write(CONFIG, &format!("{}{auth}", config(150)));
    let reload = node.try_sh("locum reload");
    assert!(!reload.status.success(), "a key out of reach");
    let told = String::from_utf8_lossy(&reload.stderr).into_owned();
    assert!(told.contains("/opt/keys/web") && told.contains("Permission denied"), "{told}");
    node.restart();
    node.until_it_holds(VIP);
    node.write(CONFIG, &config(150));
    node.sh("locum reload");
}

/// Landlock stacks sixteen times at most; what is laid is not laid again.
fn twenty_times_a_new_program(node: &Node, other: &Node) {
    let pid = node.property("MainPID");
    let laid = node.fields(&pid, &["Seccomp_filters"]);
    judged("twenty new programs", || {
        at_rest(node, Some(other));
        let since = other.transitions();
        let load = node.under_load(VIP);
        for round in 1..=20 {
            node.sh("locum reload --exec");
            assert_eq!((node.property("MainPID"), node.state().as_str()), (pid.clone(), "active"), "round {round}");
        }
        let echoes = load.end();
        assert!(echoes.sent >= 10 && echoes.lost.is_empty(), "{echoes:?}: {}", node.journal());
        assert_eq!((other.state().as_str(), other.transitions()), ("backup", since), "{}", other.journal());
        Some(())
    });
    assert_eq!(node.fields(&pid, &["Seccomp_filters"]), laid);
    assert!(!node.journal().contains("cannot"), "{}", node.journal());
}

/// The unit gives real time by limits. A host that has none to give refuses it, and the status says so; with the
/// capabilities beside them it is had everywhere.
fn real_time_is_had_or_its_lack_is_told(node: &Node) {
    node.write(CONFIG, &format!("[node]\nrealtime = true\n{}", config(150)));
    node.restart();
    node.until_it_holds(VIP);
    let pid = node.property("MainPID");
    let limits = node.sh(&format!("cat /proc/{pid}/limits"));
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("a limit");
        line.split_whitespace().next().expect("a value").to_owned()
    };
    let told = node.document()["realtime"].clone();
    let refused = told["refused"].to_string();
    match limit("Max realtime priority").parse::<u64>() {
        Ok(most) if most < 10 => assert!(refused.contains("SCHED_FIFO"), "{told}"),
        Ok(_) | Err(_) => assert_eq!(told["priority"], 10, "{told}"),
    }
    assert_eq!(told["memory_locked"] == true, !refused.contains("memory"), "{told}");
    if limit("Max locked memory") == "unlimited" {
        assert_eq!(told["memory_locked"], true, "{told}");
    }

    node.sh("mkdir -p /etc/systemd/system/locum.service.d");
    node.write(
        "/etc/systemd/system/locum.service.d/realtime.conf",
        "[Service]\nAmbientCapabilities=CAP_SYS_NICE CAP_IPC_LOCK\nCapabilityBoundingSet=CAP_SYS_NICE CAP_IPC_LOCK\n",
    );
    node.sh("systemctl daemon-reload");
    node.restart();
    node.until_it_holds(VIP);
    for round in ["after a start", "after an upgrade"] {
        let told = node.document()["realtime"].clone();
        assert_eq!((&told["priority"], &told["memory_locked"]), (&10.into(), &true.into()), "{round}: {told}");
        let pid = node.property("MainPID");
        let threads = node.sh(&format!("chrt --all-tasks --pid {pid}"));
        assert_eq!(threads.matches("SCHED_FIFO").count(), 1, "{round}: {threads}");
        assert_ne!(node.fields(&pid, &["VmLck"]), ["0 kB"], "{round}");
        node.sh("locum reload --exec");
        node.until_it_holds(VIP);
    }
}

#[test]
fn an_agent_under_its_unit() {
    with_a_pair("con", |one, two| {
        the_unit_denies(one);
        the_agent_restricts_itself(one);
        twenty_times_a_new_program(one, two);
        real_time_is_had_or_its_lack_is_told(one);
    });
}
