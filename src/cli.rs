//! The command line: what can be typed.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

use crate::report::WallClock;
use crate::types::Instant;

/// What `--version` says after the name.
static VERSION: LazyLock<String> =
    LazyLock::new(|| version(env!("CARGO_PKG_VERSION"), env!("LOCUM_COMMIT"), env!("LOCUM_SECONDS")));

/// A version with the commit and the day it was built from, as far as they are known.
fn version(number: &str, commit: &str, seconds: &str) -> String {
    if commit.is_empty() && seconds.is_empty() {
        return format!("{number} (development build)");
    }
    let commit = if commit.is_empty() { "unknown commit" } else { commit };
    let date = seconds.parse::<u64>().map_or("unknown date".to_owned(), |seconds| {
        let clock = WallClock { at: Instant::from_nanos(0), unix_nanos: seconds.saturating_mul(1_000_000_000) };
        clock.date().split('T').next().unwrap_or_default().to_owned()
    });
    format!("{number} ({commit} {date})")
}

/// Failover agent: two or more hosts elect, over VRRP, the one that holds a floating IP address.
#[derive(Debug, Parser)]
#[command(name = "locum", version = VERSION.as_str(), arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent, in the foreground
    #[command(after_help = "SIGHUP reads the configuration again. SIGTERM and SIGINT resign, wait for the successor \
                            and stop; a second one stops at once.")]
    Run {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/locum/locum.toml")]
        config: PathBuf,
        /// Where the agent keeps its lock and its socket
        #[command(flatten)]
        runtime: RuntimeDir,
    },
    /// Check a configuration, with the parser of `run`
    Check {
        /// The configuration
        #[arg(value_name = "FILE", default_value = "/etc/locum/locum.toml")]
        file: PathBuf,
    },
    /// Show how things stand: who is Active, and why
    Status {
        /// Print the status document as JSON
        #[arg(long)]
        json: bool,
        /// Which agent to ask
        #[command(flatten)]
        runtime: RuntimeDir,
    },
    /// Have the agent read its configuration again
    #[command(
        after_help = "A configuration with mistakes is refused, and nothing changes. With --exec the program on \
                            disk tries itself and the configuration first; only if it would run does it take over."
    )]
    Reload {
        /// Also have the program that is on disk take over, in the same process, without a gap
        #[arg(long)]
        exec: bool,
        /// Which agent to tell
        #[command(flatten)]
        runtime: RuntimeDir,
    },
    /// Show failovers on this machine: two agents and a client that counts its losses, in namespaces
    Demo,
    /// Start programs for the agent, as a service beside it; without one the agent sees to that by itself
    #[command(hide = true)]
    Runner {
        /// What it is there for
        #[arg(long, value_enum, default_value = "service")]
        role: RunnerRole,
        /// The agent of a keeper
        #[arg(long, value_name = "PID", default_value = "0")]
        agent: i32,
        /// Which agent to serve
        #[command(flatten)]
        runtime: RuntimeDir,
    },
    /// Whether this program could take over from the agent that hands it a document; the agent asks by itself
    #[command(hide = true)]
    Probe {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The agent's runtime directory
        #[command(flatten)]
        runtime: RuntimeDir,
    },
}

/// What a process that starts programs is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RunnerRole {
    /// It listens in the runtime directory.
    Service,
    /// The agent has started it to keep a worker going.
    Keeper,
    /// The keeper has started it.
    Worker,
}

/// Which agent of this host is meant.
#[derive(Debug, Args)]
pub struct RuntimeDir {
    /// Runtime directory of the agent
    #[arg(long = "runtime-dir", value_name = "DIR", default_value = "/run/locum")]
    pub path: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_version_tells_commit_and_day_as_far_as_they_are_known() {
        assert_eq!(version("0.1.0", "868ef74d63ac", "1795256525"), "0.1.0 (868ef74d63ac 2026-11-21)");
        assert_eq!(version("0.1.0", "868ef74d63ac+changes", "1795256525"), "0.1.0 (868ef74d63ac+changes 2026-11-21)");
        assert_eq!(version("0.1.0", "", "0"), "0.1.0 (unknown commit 1970-01-01)");
        assert_eq!(version("0.1.0", "", ""), "0.1.0 (development build)");
    }

    #[test]
    fn names_and_defaults_are_those_that_are_promised() {
        let cli = Cli::try_parse_from(["locum", "run"]).expect("valid");
        assert!(matches!(cli.command, Command::Run { config, runtime }
            if config.as_os_str() == "/etc/locum/locum.toml" && runtime.path.as_os_str() == "/run/locum"));
        let cli = Cli::try_parse_from(["locum", "status", "--json", "--runtime-dir", "/tmp/x"]).expect("valid");
        assert!(matches!(cli.command, Command::Status { json: true, runtime } if runtime.path.as_os_str() == "/tmp/x"));
        assert!(Cli::try_parse_from(["locum", "stats"]).is_err());
    }
}
