//! The LAN of the demo: a switch, two hosts with an agent each, and a client.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::failure::{Doing, Failure};
use crate::io::lan::{End, Lan};
use crate::io::namespace::NetNamespace;
use crate::io::program;
use crate::types::{InterfaceName, IpNet, MacAddr};

/// The address that moves; from the block for documentation (RFC 5737), and on this LAN only anyway.
pub(super) const VIRTUAL_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const PREFIX: u8 = 24;
const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// The switch's end of the client's cable, where the observer captures.
const CLIENT_PORT: &str = "client";
const BRIDGE: &str = "switch";
const HOST_INTERFACE: &str = "eth0";
/// Lines of an agent's log that are shown after a failure.
const LOG_LINES: usize = 15;

/// What makes a host the one it is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: &'static str,
    pub(super) address: Ipv4Addr,
    pub(super) mac: MacAddr,
    pub(super) priority: u8,
}

/// The host that holds the address while all is well.
pub(super) const LB1: &Identity = &Identity {
    name: "lb1",
    address: Ipv4Addr::new(192, 0, 2, 2),
    mac: MacAddr([0x02, 0, 0, 0, 0, 0x01]),
    priority: 150,
};

/// Its backup.
pub(super) const LB2: &Identity = &Identity {
    name: "lb2",
    address: Ipv4Addr::new(192, 0, 2, 3),
    mac: MacAddr([0x02, 0, 0, 0, 0, 0x02]),
    priority: 100,
};

/// The switch, the client, and the folder of all that the agents write.
#[derive(Debug)]
pub(super) struct Network {
    switch: Lan,
    here: NetNamespace,
    pub(super) client: NetNamespace,
    folder: PathBuf,
}

/// A host that is switched on: a network namespace and a running agent.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) identity: &'static Identity,
    agent: Child,
    /// Held as long as the host is on.
    _namespace: NetNamespace,
}

impl Network {
    /// Builds it in the network namespace of this thread, with nothing but the client plugged in.
    pub(super) fn build(folder: &Path) -> Result<Self, Failure> {
        let here = NetNamespace::of_this_thread().doing("find out the network namespace")?;
        let client = NetNamespace::new().doing("make a network namespace")?;
        let mut network = Network {
            switch: Lan::of(&here).doing("open a netlink socket")?,
            here,
            client: client.clone(),
            folder: folder.to_owned(),
        };
        network.build_switch().doing("build a switch")?;
        network.plug_in(CLIENT_PORT, &client, CLIENT_ADDRESS, None).doing("plug the client in")?;
        Ok(network)
    }

    fn build_switch(&mut self) -> io::Result<()> {
        let bridge = interface(BRIDGE)?;
        self.switch.add_bridge(&bridge)?;
        self.switch.set_up(&bridge, true)
    }

    /// Runs a cable from `port` of the switch to the interface of a machine, and gives that its address.
    fn plug_in(
        &mut self,
        port: &str,
        machine: &NetNamespace,
        address: Ipv4Addr,
        mac: Option<MacAddr>,
    ) -> io::Result<()> {
        let (port, name, loopback) = (interface(port)?, interface(HOST_INTERFACE)?, interface("lo")?);
        self.switch.add_cable(End { name: port, mac: None }, End { name, mac }, machine)?;
        let mut inside = Lan::of(machine)?;
        inside.set_up(&loopback, true)?;
        inside.add_address(&name, net(address)?)?;
        inside.set_up(&name, true)?;
        self.switch.set_up(&port, true)?;
        self.switch.plug_in(&port, &interface(BRIDGE)?)
    }

    /// Switches a host on: an empty machine on the LAN, and its agent.
    pub(super) fn switch_on(&mut self, identity: &'static Identity) -> Result<Host, Failure> {
        let name = identity.name;
        let namespace = NetNamespace::new().doing("make a network namespace")?;
        self.plug_in(name, &namespace, identity.address, Some(identity.mac)).doing(&format!("plug {name} in"))?;
        let log = self.log(identity);
        let agent =
            start_agent(identity, &namespace, &self.folder, &log).doing(&format!("start the agent of {name}"))?;
        Ok(Host { identity, agent, _namespace: namespace })
    }

    /// A power loss: from one moment to the next nothing leaves the host any more. First the cable, whose far end
    /// keeps its carrier as with a switch between, so that not even the agent's death is heard of; then the rest.
    pub(super) fn cut_off(&mut self, mut host: Host) -> Result<(), Failure> {
        let name = host.identity.name;
        let port = interface(name).doing("name a port")?;
        self.switch.unplug(&port).doing(&format!("cut {name} off"))?;
        program::kill_group(host.agent.id().cast_signed()).doing(&format!("kill the agent of {name}"))?;
        host.agent.wait().doing(&format!("wait for the agent of {name}"))?;
        // Nothing of the machine is to be left when it is switched on again, its addresses least of all.
        self.switch.remove(&port).doing(&format!("remove the cable of {name}"))
    }

    /// The last lines that the agent of a host wrote, indented.
    pub(super) fn last_lines(&self, identity: &Identity) -> String {
        let text =
            fs::read(self.log(identity)).unwrap_or_else(|error| format!("there is no log: {error}").into_bytes());
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(LOG_LINES);
        lines.iter().skip(skipped).map(|line| format!("  {line}\n")).collect()
    }

    fn log(&self, identity: &Identity) -> PathBuf {
        self.folder.join(format!("{}.log", identity.name))
    }

    /// The kernel index of the switch's end of the client's cable.
    pub(super) fn client_port(&mut self) -> Result<(NetNamespace, u32), Failure> {
        let port = interface(CLIENT_PORT).and_then(|port| self.switch.index(&port)).doing("find the client's port")?;
        Ok((self.here.clone(), port))
    }
}

impl Host {
    /// Tells the agent to stop, as a service manager would.
    pub(super) fn stop_agent(&self) -> Result<(), Failure> {
        let told = i32::try_from(self.agent.id()).map_err(std::io::Error::other);
        let told = told.and_then(|agent| program::tell(agent, program::Told::Terminate));
        told.doing(&format!("stop the agent of {}", self.identity.name))
    }

    /// How the agent ended, if it has.
    pub(super) fn agent_ended(&mut self) -> Option<ExitStatus> {
        self.agent.try_wait().ok().flatten()
    }
}

/// Starts an agent as a service manager would, in a process group of its own so that all of it can be killed.
fn start_agent(identity: &Identity, namespace: &NetNamespace, folder: &Path, log: &Path) -> io::Result<Child> {
    let config = folder.join(format!("{}.toml", identity.name));
    let runtime = folder.join(identity.name);
    fs::write(&config, configuration(identity))?;
    // After a power loss the folder of before is gone, as it is with /run on a host.
    if runtime.exists() {
        fs::remove_dir_all(&runtime)?;
    }
    fs::create_dir(&runtime)?;
    let output = File::create(log)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("locum").arg("run").arg("--config").arg(&config).arg("--runtime-dir").arg(&runtime);
    // What a service manager told this process is not meant for the agents.
    for variable in [super::stage::MARK, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    namespace.spawn(&mut command)
}

fn configuration(identity: &Identity) -> String {
    let Identity { name, priority, .. } = identity;
    format!(
        "[node]\nname = \"{name}\"\n\n[virtual_router.web]\ninterface = \"{HOST_INTERFACE}\"\nvrid = 51\n\
         priority = {priority}\naddresses = [\"{VIRTUAL_ADDRESS}/{PREFIX}\"]\nadvert_interval = \"1s\"\n"
    )
}

fn net(address: Ipv4Addr) -> io::Result<IpNet> {
    IpNet::new(address.into(), PREFIX).map_err(io::Error::other)
}

fn interface(name: &str) -> io::Result<InterfaceName> {
    name.parse().map_err(io::Error::other)
}
