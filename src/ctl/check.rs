use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use super::firewall::{self, Adverts};
use super::{lists, print};
use crate::config::{self, Config, Diagnostic, RouterConfig};
use crate::io::{files, keys, system};
use crate::report::{Reason, first_steps};
use crate::types::{Exit, Failure, Family};

/// Largest file that is read; the parser says what it makes of one that is larger than it takes.
const LARGEST: usize = 2 << 20;

/// `locum check`: prints every problem of a configuration, and what of it this host lacks; of a valid one what to do
/// next, or what the firewall must let in.
///
/// # Errors
/// The file is missing, cannot be read, or is not valid.
pub fn check(file: &Path) -> Result<(), Failure> {
    let name = file.display().to_string();
    let source = files::read_text(file, LARGEST).map_err(|error| Failure::new(error.exit(), error.to_string()))?;
    match config::parse(&source, &system::host_name()) {
        Ok(config::Parsed { config, mut warnings }) => {
            warnings.extend(lacking(&config, &source));
            warnings.extend(keys_of_root(&config, &source));
            let unusable = unusable_keys(&config, &source);
            warnings.extend(unusable.iter().cloned());
            tell(&warnings, &name, &source);
            if !unusable.is_empty() {
                return Err(not_valid(&name));
            }
            print(&format!("{name}: fine, {}{}", next(&config, &name), lists::for_keepalived(&config)))
        }
        Err(problems) => {
            tell(&problems, &name, &source);
            Err(not_valid(&name))
        }
    }
}

fn not_valid(name: &str) -> Failure {
    Failure::new(Exit::Configuration, format!("{name}: not valid, nothing would be run"))
}

/// Key files that `run` would refuse.
fn unusable_keys(config: &Config, source: &str) -> Vec<Diagnostic> {
    let files = config.key_files().into_iter();
    let errors = files.filter_map(|file| keys::read(file).err().map(|error| (file, error)));
    let told = errors.map(|(file, error)| {
        let message = format!("key file {error}");
        Diagnostic::error_at(source, &file.display().to_string(), message, &error.remedy(file))
    });
    told.collect()
}

/// Key files that root can read, but not the agent of the package.
fn keys_of_root(config: &Config, source: &str) -> Vec<Diagnostic> {
    let files = config.key_files().into_iter().filter(|file| keys::is_roots_alone(file));
    let told = files.map(|file| {
        let file = file.display().to_string();
        let message = format!("key file {file}: is root's alone, and under systemd the agent runs as `locum`");
        Diagnostic::warning_at(source, &file, message, &format!("chown locum {file}"))
    });
    told.collect()
}

/// How much a valid configuration asks for, and what is left to do.
fn next(config: &Config, name: &str) -> String {
    let routers = match config.routers.len() {
        0 => {
            let steps = first_steps(name);
            let steps = steps.iter().enumerate().map(|(at, step)| format!("  {}. {step}\n", at + 1));
            return format!("no virtual router yet. What to do next:\n{}", steps.collect::<String>());
        }
        1 => "1 virtual router".to_owned(),
        count => format!("{count} virtual routers"),
    };
    let of_router = |router: &config::RouterConfig| {
        let interface = router.interface;
        adverts(router).into_iter().map(move |adverts| (interface, adverts))
    };
    format!("{routers}\n\n{}", firewall::advice(&config.routers.values().flat_map(of_router).collect()))
}

/// What this router must hear of the others.
fn adverts(router: &config::RouterConfig) -> Vec<Adverts> {
    match router.family {
        _ if router.is_unicast() => router.unicast_peers.iter().map(|peer| Adverts::Unicast(*peer)).collect(),
        Family::Ipv4 => vec![Adverts::MulticastV4],
        Family::Ipv6 => vec![Adverts::MulticastV6],
    }
}

fn tell(diagnostics: &[Diagnostic], name: &str, source: &str) {
    let text = config::render(diagnostics, name, source, system::stderr_has_colour());
    // If standard error is closed the exit code still tells.
    write!(std::io::stderr(), "{text}").ok();
}

/// What the configuration names and this host does not have. None of it is an error: it may come later.
fn lacking(config: &Config, source: &str) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (name, check) in &config.checks {
        let program = check.program();
        if let Err(error) = system::can_execute(&program) {
            let why = system::why_not_started(&program, &error);
            let message = format!("check `{name}` cannot run here: {why}");
            let remedy = "until it can run it counts as failed";
            warnings.push(Diagnostic::warning_at(source, &program.display().to_string(), message, remedy));
        }
    }
    for interface in config.interfaces().iter().filter(|name| !system::interface_exists(name)) {
        let message = format!("this host has no interface `{interface}`");
        let remedy = "a virtual router waits in fault until its interfaces exist";
        warnings.push(Diagnostic::warning_at(source, interface.as_str(), message, remedy));
    }
    for router in config.routers.values() {
        let (interface, bytes) = (router.interface, router.advert_length());
        if let Some(mtu) = system::mtu(&interface).filter(|mtu| usize::try_from(*mtu).is_ok_and(|mtu| mtu < bytes)) {
            let message = Reason::AdvertTooLarge { interface, bytes, mtu }.to_string();
            let remedy = "a virtual router whose adverts do not fit stays in fault";
            warnings.push(Diagnostic::warning_at(source, interface.as_str(), message, remedy));
        }
    }
    let here = system::addresses();
    // Over IPv6 adverts come from the link-local address.
    let from_the_first = |router: &&RouterConfig| router.family == Family::Ipv4 && router.source.is_none();
    for router in config.routers.values().filter(from_the_first).filter(|router| router.priority.is_owner()) {
        let moved = |address: &IpAddr| router.addresses.iter().any(|moved| moved.net.addr() == *address);
        let on = here.iter().filter(|(name, _)| name == router.interface.as_str()).map(|(_, address)| address);
        let mut sources = on.filter(|address| address.is_ipv4()).peekable();
        if sources.peek().is_some() && sources.all(moved) {
            let interface = router.interface;
            let message = format!("`{interface}` has no address besides those that this router moves");
            let remedy =
                "adverts come from one of them, and no host that holds it hears them (Linux): add another address";
            warnings.push(Diagnostic::warning_at(source, interface.as_str(), message, remedy));
        }
    }
    let peers: BTreeSet<IpAddr> =
        config.routers.values().flat_map(|router| router.unicast_peers.iter().copied()).collect();
    for peer in peers.into_iter().filter(|peer| system::has_address(*peer)) {
        let message = format!("`unicast_peers` names {peer}, which is an address of this host");
        let remedy = "list the other nodes only; a virtual router whose peer is itself stays in fault";
        warnings.push(Diagnostic::warning_at(source, &peer.to_string(), message, remedy));
    }
    warnings
}
