//! The hosts and their agents, and what is done to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Child;

use nix::sys::signal::Signal;

use super::plan::{Cast, Fault};
use crate::agents::{Agent, Router, toml};
use crate::clock::{Moment, eventually, now};
use crate::health;
use crate::lan::{Lab, sent_by, sent_to};
use crate::power_loss::VIP;

/// The priorities of the hosts, by number.
const PRIORITIES: [u8; 4] = [0, 200, 100, 50];
/// What keeps adverts on their host.
const FIREWALL: &str = "table inet guard {\n chain out {\n type filter hook output priority 0; policy accept;\n ip protocol 112 drop\n }\n}\n";

/// A fault that was done, and when; one that is not over yet has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub fault: Fault,
    pub from: Moment,
    pub to: Option<Moment>,
}

pub struct Stage {
    pub lab: Lab,
    cast: Cast,
    /// Of hosts 1 and up.
    agents: Vec<Agent>,
    /// Whose check is ok while it is there.
    healthy: Vec<PathBuf>,
    checks: Vec<String>,
    /// How often the priority of each was changed.
    reloads: Vec<u8>,
    /// What the LAN loses, by the fault's place in the round.
    losses: BTreeMap<usize, Vec<String>>,
    commands: BTreeMap<usize, Child>,
    /// What somebody said that nobody should have said.
    pub complaints: Vec<String>,
}

impl Stage {
    pub fn new(cast: Cast) -> Self {
        let lab = Lab::new(cast.hosts());
        let mut stage = Stage {
            cast,
            agents: Vec::new(),
            healthy: Vec::new(),
            checks: Vec::new(),
            reloads: vec![0; cast.hosts() + 1],
            losses: BTreeMap::new(),
            commands: BTreeMap::new(),
            complaints: Vec::new(),
            lab,
        };
        for host in 1..=cast.hosts() {
            // Adverts can come from here when the other one is gone.
            stage.lab.host(host).ip(&format!("addr add 198.18.9.{host}/24 dev eth0"));
            let (check, file) = health::check(&stage.lab, host);
            // No slow machine is to be taken for a failing check.
            stage.checks.push(format!("{check}timeout = \"5s\"\n"));
            stage.healthy.push(file);
            let agent = if host > cast.ours {
                Agent::keepalived(&stage.lab, host, &[stage.router(host)])
            } else {
                stage.start(host)
            };
            stage.agents.push(agent);
        }
        stage
    }

    fn router(&self, host: usize) -> Router {
        let mut router = Router::new(PRIORITIES[host] - self.reloads[host] % 2);
        router.preempt = self.cast.preempt;
        router
    }

    fn config(&self, host: usize) -> String {
        toml(&[self.router(host).more("checks = [\"file\"]")]) + &self.checks[host - 1]
    }

    fn start(&self, host: usize) -> Agent {
        Agent::locum(&self.lab, host, &self.config(host))
    }

    fn agent(&mut self, host: usize) -> &mut Agent {
        &mut self.agents[host - 1]
    }

    /// Whether each of ours says of itself what is true: that one is Active, and the others back it up, all at their full
    /// priority.
    pub fn agree(&self, holder: usize) -> bool {
        (1..=self.cast.ours).all(|host| {
            let expected = if host == holder { "active" } else { "backup" };
            let status = self.agents[host - 1].status();
            let web = status.map(|status| status["routers"]["web"].clone()).unwrap_or_default();
            web["state"] == expected && web["priority"]["effective"] == self.router(host).priority
        })
    }

    /// Does it; `number` is its place in the round.
    pub fn begin(&mut self, number: usize, fault: Fault) -> Done {
        if let Fault::Leave { host } | Fault::Reload { host } | Fault::Broken { host } | Fault::Replace { host } = fault
        {
            self.await_up(host);
        }
        let from = now();
        match fault {
            Fault::Kill { host, back } => {
                self.agent(host).signal(Signal::SIGKILL);
                self.agent(host).ended();
                if back == 0 {
                    *self.agent(host) = self.start(host);
                }
            }
            Fault::Leave { host } => {
                self.agent(host).signal(Signal::SIGUSR1);
                self.expect_end(host, &[0], "SIGUSR1");
                *self.agent(host) = self.start(host);
            }
            Fault::Stop { host, .. } => self.agent(host).signal(Signal::SIGTERM),
            Fault::Freeze { host, .. } => self.agent(host).signal(Signal::SIGSTOP),
            Fault::FreezeAll { .. } => self.ours().for_each(|agent| agent.signal(Signal::SIGSTOP)),
            Fault::Reload { host } => {
                self.reloads[host] += 1;
                let config = self.config(host);
                self.agent(host).reload(&config);
            }
            Fault::Broken { host } => self.agent(host).reload("this is no configuration"),
            Fault::Replace { host } => {
                let command = self.agent(host).command(&["reload", "--exec"]);
                self.commands.insert(number, spawn(command));
            }
            Fault::Unhealthy { host, .. } => fs::remove_file(&self.healthy[host - 1]).expect("the file"),
            Fault::Unaddress => self.unaddress(),
            Fault::Unprimary { host, .. } => drop(self.lab.host(host).ip(&own("del", host))),
            Fault::Firewall { host, .. } => self.lab.host(host).nft(FIREWALL),
            Fault::Cable { host, .. } => self.lab.carrier(host, false),
            Fault::Part { host, .. } => self.lab.disconnect(host),
            Fault::Mute { host, .. } => self.lose(number, vec![format!("{} drop", sent_by(host))]),
            Fault::Deaf { host, .. } => self.lose(number, vec![format!("{} drop", sent_to(host))]),
            Fault::Lossy { percent, .. } => self.lose(number, vec![format!("numgen random mod 100 < {percent} drop")]),
            Fault::Claimant => self.claim_falsely(),
        }
        let to = (fault.span() == 0).then(now);
        Done { fault, from, to }
    }

    /// Undoes it.
    pub fn end(&mut self, number: usize, fault: Fault) -> Moment {
        match fault {
            Fault::Kill { host, .. } => *self.agent(host) = self.start(host),
            Fault::Stop { host, .. } => {
                // One that has only just been started may not know the signal yet, and ends all the same.
                self.expect_end(host, &[0, -(Signal::SIGTERM as i32)], "SIGTERM");
                *self.agent(host) = self.start(host);
            }
            Fault::Freeze { host, .. } => self.agent(host).signal(Signal::SIGCONT),
            Fault::FreezeAll { .. } => self.ours().for_each(|agent| agent.signal(Signal::SIGCONT)),
            Fault::Broken { host } => {
                let config = self.config(host);
                self.agent(host).configure(&config);
            }
            Fault::Replace { .. } => {
                let output =
                    self.commands.remove(&number).expect("it was started").wait_with_output().expect("its end");
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    self.complaints.push(format!("{fault}: {said}"));
                }
            }
            Fault::Unhealthy { host, .. } => fs::write(&self.healthy[host - 1], "").expect("the file"),
            Fault::Unprimary { host, .. } => drop(self.lab.host(host).ip(&own("add", host))),
            Fault::Firewall { host, .. } => self.lab.host(host).nft("delete table inet guard\n"),
            Fault::Cable { host, .. } => self.lab.carrier(host, true),
            Fault::Part { host, .. } => self.lab.reconnect(host),
            Fault::Mute { .. } | Fault::Deaf { .. } | Fault::Lossy { .. } => {
                self.losses.remove(&number);
                self.apply_losses();
            }
            Fault::Leave { .. } | Fault::Reload { .. } | Fault::Unaddress | Fault::Claimant => {}
        }
        now()
    }

    /// What must hold whatever was done: every agent runs, and none says that it has a defect.
    pub fn are_alive(&mut self) {
        for host in 1..=self.cast.hosts() {
            if !self.agent(host).runs() {
                self.complaints.push(format!("the agent of host {host} has ended"));
            }
            if let Some(line) = self.agent(host).log().lines().find(|line| line.contains("panicked")) {
                self.complaints.push(format!("host {host}: {line}"));
            }
        }
    }

    /// Lines of each agent's log, with its host.
    pub fn logs(&self) -> Vec<(usize, String)> {
        let of = |(host, agent): (usize, &Agent)| {
            agent.log().lines().map(|line| (host, line.to_owned())).collect::<Vec<_>>()
        };
        (1..).zip(&self.agents).flat_map(of).collect()
    }

    /// Until an agent answers it does not know the signals that it is sent, either.
    fn await_up(&self, host: usize) {
        eventually(&format!("the agent of host {host} answers"), || self.agents[host - 1].status().map(drop));
    }

    fn ours(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().take(self.cast.ours)
    }

    fn expect_end(&mut self, host: usize, codes: &[i32], how: &str) {
        let code = self.agent(host).ended();
        if !codes.contains(&code) {
            self.complaints.push(format!("host {host} ended with {code} after {how}"));
        }
    }

    fn unaddress(&self) {
        for host in self.lab.holders.of(VIP) {
            // It may be gone by itself by now.
            self.lab.host(host).try_run("ip", &["addr", "flush", "dev", "eth0", "to", "192.0.2.100/32"], "").ok();
        }
    }

    fn claim_falsely(&self) {
        let held = self.lab.holders.of(VIP);
        if let Some(host) = (1..=self.cast.hosts()).find(|host| !held.contains(host)) {
            self.lab.claim_falsely(host, VIP);
        }
    }

    fn lose(&mut self, number: usize, rules: Vec<String>) {
        self.losses.insert(number, rules);
        self.apply_losses();
    }

    fn apply_losses(&self) {
        let rules: Vec<String> = self.losses.values().flatten().cloned().collect();
        self.lab.lose_only(&rules);
    }
}

fn spawn(mut command: std::process::Command) -> Child {
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program")
}

fn own(verb: &str, host: usize) -> String {
    format!("addr {verb} 192.0.2.{host}/24 dev eth0")
}
