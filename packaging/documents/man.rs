//! The manual pages: locum(8) from the command's definition, locum.toml(5) from the table of keys.

use std::fmt::Write;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use locum::cli::Cli;
use locum::config::keys::{self, Default, Key, Kind};

/// Sections of locum(8) that no definition knows, each line as roff.
const DESCRIPTION: &str = r#".SH DESCRIPTION
A
.B locum
runs on each of two or more hosts of one LAN and sees to it that a floating IP address is held by exactly one healthy
one. The hosts elect over VRRP (RFC 9568); each runs the checks that its configuration names, and one that dies, fails a
check or is stopped is replaced by another.
.SH COMMANDS
"#;

const ABOUT_RUN: &str = r#".SH SIGNALS
.TP
.B SIGHUP
reads the configuration again. One with mistakes is refused, and nothing changes.
.TP
.BR SIGTERM ", " SIGINT
resign, keep the addresses answering until the successor has them, and stop. A second one stops at once.
.TP
.B SIGUSR1
ends the agent without resigning; its addresses stay, and the next one goes on where it was if its peers still wait. This is
how
.B systemctl restart locum
ends it.
.SH EXIT STATUS
"#;

const AFTER_EXITS: &str = r#".SH FILES
.TP
.I /etc/locum/locum.toml
the configuration, see
.BR locum.toml (5).
.TP
.I /usr/share/locum/locum.schema.json
its JSON Schema, for editors. The first line of the configuration can name it:
.EX
#:schema file:///usr/share/locum/locum.schema.json
.EE
.TP
.I /run/locum
the runtime directory: lock and status socket. The socket is for root and the group
.BR locum .
.TP
.I /usr/lib/locum
ready check scripts:
.BR check\-http ,
.BR check\-tcp " and"
.BR check\-process .
.TP
.IR locum.service ", " locum\-runner.service
the agent, and what starts the programs of its checks. To start, stop and reload the first is enough.
.SH SECURITY
The agent needs CAP_NET_RAW and CAP_NET_ADMIN, has no other right and runs as the user
.BR locum .
The programs of checks are started by
.BR locum\-runner.service ,
as the user that a check names or else as
.BR locum .
They get none of the agent's rights, and no file or system call is denied to them beyond what is denied to their user. Key files belong to
.B locum
and are for nobody else (mode 0600).
.SH SEE ALSO
.BR locum.toml (5),
.BR systemctl (1),
.BR nft (8)
"#;

/// What each exit code means.
pub const EXITS: [(u8, &str); 9] = [
    (0, "fine"),
    (1, "the answer is no"),
    (64, "wrong usage"),
    (66, "no such file"),
    (69, "no agent there"),
    (70, "a defect of ours"),
    (75, "another agent uses this runtime directory"),
    (77, "not permitted; the message names the missing capability"),
    (78, "the configuration has mistakes"),
];

/// Text as roff takes it literally.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// `text` into `page`; writing to a string cannot fail.
macro_rules! put {
    ($page:expr, $($text:tt)*) => { writeln!($page, $($text)*).expect("a string takes all") };
}

fn head(page: &mut String, name: &str, section: u8, what: &str) {
    let version = env!("CARGO_PKG_VERSION");
    put!(page, ".TH {} {section} \"\" \"locum {version}\" \"System Administration\"", name.to_uppercase());
    put!(page, ".SH NAME\n{} \\- {what}", plain(name));
}

/// locum(8).
pub fn locum() -> String {
    let mut command = Cli::command();
    command.build();
    let mut page = String::new();
    head(&mut page, "locum", 8, "failover agent that keeps a floating IP address on one healthy host");
    put!(page, ".SH SYNOPSIS");
    for sub in shown(&command) {
        put!(page, ".br\n.B locum {}\n{}", sub.get_name(), plain(&usage(sub)));
    }
    page.push_str(DESCRIPTION);
    for sub in shown(&command) {
        put!(page, ".SS locum {}", sub.get_name());
        put!(page, "{}.", plain(&sub.get_about().expect("described").to_string()));
        sub.get_arguments().filter(|arg| !arg.is_hide_set()).for_each(|arg| argument(&mut page, arg));
        if let Some(help) = sub.get_after_help() {
            put!(page, ".PP\n{}", plain(&help.to_string()));
        }
    }
    put!(page, ".SH OPTIONS");
    command.get_arguments().for_each(|arg| argument(&mut page, arg));
    page.push_str(ABOUT_RUN);
    for (code, meaning) in EXITS {
        put!(page, ".TP\n.B {code}\n{meaning}");
    }
    page.push_str(AFTER_EXITS);
    page
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn usage(sub: &Command) -> String {
    let named = |arg: &Arg| format!("[{}]", spelled(arg, true));
    let own = sub.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help");
    own.map(named).collect::<Vec<_>>().join(" ")
}

/// `--config FILE`, `-h, --help`, `FILE`.
fn spelled(arg: &Arg, short_form: bool) -> String {
    let short = arg.get_short().filter(|_| !short_form).map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flags = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    let takes = arg.get_action().takes_values();
    let value = arg.get_value_names().filter(|_| takes).map(|names| names.join(" "));
    [Some(flags).filter(|flags| !flags.is_empty()), value].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn argument(page: &mut String, arg: &Arg) {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let takes = arg.get_action().takes_values();
    let default =
        if takes && !default.is_empty() { format!(" Default: {}.", default.join(" ")) } else { String::new() };
    put!(page, ".TP\n\\fB{}\\fR\n{}.{}", plain(&spelled(arg, false)), plain(&help), plain(&default));
}

const FILE_FORMAT: &str = r#".SH DESCRIPTION
The file is TOML. A key or a table that is not listed here is an error; so is a value out of its range, and
.B locum check
tells all of them at once. A file without a virtual router is valid: the agent runs and holds nothing.
.PP
A duration is a string of an integer and ms, s, m or h, or of decimal seconds ("1.5s"). Names are letters, digits, \-, _
and \&., at most 64 bytes, and stand where a table below says
.IR NAME .
.PP
.B systemctl reload locum
takes a changed file over without dropping an address that stays.
"#;

const EXAMPLE: &str = r#".SH EXAMPLE
.EX
[virtual_router.web]
interface = "eth0"
vrid = 51
priority = 150
addresses = ["192.0.2.10/24"]
checks = ["haproxy"]

[check.haproxy]
script = ["/usr/lib/locum/check\-process", "haproxy"]
.EE
.SH SEE ALSO
.BR locum (8)
"#;

/// locum.toml(5).
pub fn locum_toml() -> String {
    let mut page = String::new();
    head(&mut page, "locum.toml", 5, "configuration of locum");
    page.push_str(FILE_FORMAT);
    for table in keys::TABLES.iter().chain(&keys::INNER_TABLES) {
        put!(page, ".SH {}\n{}", plain(table.header), plain(table.doc));
        for key in table.keys {
            put!(page, ".TP\n.B {}\n{}", plain(key.name), plain(key.doc));
            put!(page, "{}. {}", plain(&sentence(&takes(key))), plain(&default(key)));
            put!(page, ".br\nExample: {} = {}", plain(key.name), plain(key.example));
        }
    }
    page.push_str(EXAMPLE);
    page
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a value of it looks like.
pub fn takes(key: &Key) -> String {
    match key.kind {
        Kind::Name => "a name".to_owned(),
        Kind::User => "the name of a user".to_owned(),
        Kind::Interface => "the name of an interface".to_owned(),
        Kind::Integer { min, max } if min == max => format!("{min}"),
        Kind::Integer { min, max } => format!("an integer, {min} to {max}"),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Duration { min, max } => format!("a duration, {} to {}", duration(min), duration(max)),
        Kind::Choice(choices) => choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(" or "),
        Kind::Address => "an address with prefix length".to_owned(),
        Kind::Host => "the address of a host".to_owned(),
        Kind::Hosts => "an array of addresses of hosts".to_owned(),
        Kind::Addresses => "an array of addresses with prefix length, or of tables with one".to_owned(),
        Kind::Checks => "an array of names of checks".to_owned(),
        Kind::Interfaces => "an array of names of interfaces".to_owned(),
        Kind::Command => "an array of an absolute path and arguments".to_owned(),
        Kind::Table => "a table of its own".to_owned(),
        Kind::Password => "a string of 1 to 8 bytes".to_owned(),
        Kind::Keys => "an array of tables, one for each key".to_owned(),
        Kind::File => "the absolute path of a file".to_owned(),
    }
}

fn duration(value: Duration) -> String {
    let millis = value.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        1000.. => format!("{}s", value.as_secs_f64()),
        _ => format!("{millis}ms"),
    }
}

/// What it is when it is left out.
pub fn default(key: &Key) -> String {
    match key.default {
        Default::Required => "Required.".to_owned(),
        Default::Value(value) => format!("Default: {value}."),
        Default::Words(words) => format!("Default: {words}."),
    }
}
