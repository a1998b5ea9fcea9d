use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::firewall::{self, Adverts};
use super::print;
use crate::config::{self, Config, Diagnostic, Severity};
use crate::io::{files, system};
use crate::report::first_steps;
use crate::types::{Exit, Failure, Family, InterfaceName};

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
            tell(&warnings, &name, &source);
            print(&format!("{name}: fine, {}", next(&config, &name)))
        }
        Err(problems) => {
            tell(&problems, &name, &source);
            Err(Failure::new(Exit::Configuration, format!("{name}: not valid, nothing would be run")))
        }
    }
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
            warnings.push(warning(source, &program.display().to_string(), message, remedy));
        }
    }
    let of_router = |router: &config::RouterConfig| {
        let carriers: Vec<InterfaceName> = router.addresses.iter().map(|address| address.interface).collect();
        std::iter::once(router.interface).chain(carriers).chain(router.track_interfaces.clone())
    };
    let interfaces: BTreeSet<InterfaceName> = config.routers.values().flat_map(of_router).collect();
    for interface in interfaces.iter().filter(|name| !system::interface_exists(name)) {
        let message = format!("this host has no interface `{interface}`");
        let remedy = "a virtual router waits in fault until its interfaces exist";
        warnings.push(warning(source, interface.as_str(), message, remedy));
    }
    warnings
}

/// A warning at the first place where the file says this text in quotes.
fn warning(source: &str, text: &str, message: String, remedy: &str) -> Diagnostic {
    let quoted = ['"', '\''].map(|quote| format!("{quote}{text}{quote}"));
    let span = quoted.iter().find_map(|quoted| source.find(quoted).map(|at| at..at + quoted.len()));
    Diagnostic {
        severity: Severity::Warning,
        span: span.unwrap_or(0..0),
        message,
        remedy: Some(remedy.to_owned()),
        related: None,
    }
}
