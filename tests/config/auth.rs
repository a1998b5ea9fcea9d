//! The table `auth`: what it is read as, and that nothing repeats a key.

use std::path::Path;

use locum::config::{AuthMode, keys, parse, render, summary};
use locum::types::Password;

use super::{router, valid};

/// Each key of the tables is read with its own example, and required where it says so.
#[test]
fn the_tables_within_tables_tell_the_truth() {
    let head = "[virtual_router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.10/24\"]\n";
    let auth = |without: &str| {
        let lines = keys::VIRTUAL_ROUTER_AUTH.keys.iter().filter(|key| ![without, "pass"].contains(&key.name));
        let body: String = lines.map(|key| format!("{} = {}\n", key.name, key.example)).collect();
        format!("{head}[virtual_router.web.auth]\n{body}")
    };
    assert!(valid(&auth("")).routers[&router("web")].auth.is_some());
    for key in keys::VIRTUAL_ROUTER_AUTH.keys.iter().filter(|key| key.name != "pass") {
        assert_eq!(key.default, keys::Default::Required);
        let diagnostics = parse(&auth(key.name), "host").expect_err(key.name);
        assert!(diagnostics.iter().any(|d| d.message.contains(&format!("`{}`", key.name))), "{}", key.name);
    }
    for key in keys::AUTH_KEY.keys {
        assert_eq!(key.default, keys::Default::Required);
        let element = keys::AUTH_KEY.keys.iter().filter(|other| other.name != key.name);
        let element: Vec<String> = element.map(|key| format!("{} = {}", key.name, key.example)).collect();
        let text = format!("{}keys = [{{ {} }}]\n", auth("keys"), element.join(", "));
        let diagnostics = parse(&text, "host").expect_err(key.name);
        assert!(diagnostics.iter().any(|d| d.message.contains(&format!("`{}`", key.name))), "{}", key.name);
    }
}

#[test]
fn authentication_is_read_as_written() {
    let config = valid(
        r#"
        [virtual_router.web]
        interface = "eth0"
        vrid = 51
        addresses = ["192.0.2.10/24"]

        [virtual_router.web.auth]
        mode = "receive-only"
        active_key = 255
        keys = [{ id = 255, file = "/etc/locum/keys/new" }, { id = 1, file = "/etc/locum/keys/old" }]
        "#,
    );
    let auth = config.routers[&router("web")].auth.as_ref().expect("it is there");
    assert_eq!((auth.mode, auth.active_key.get()), (AuthMode::ReceiveOnly, 255));
    let keys: Vec<(u8, &str)> = auth.keys.iter().map(|(id, file)| (id.get(), file.to_str().expect("ASCII"))).collect();
    assert_eq!(keys, [(1, "/etc/locum/keys/old"), (255, "/etc/locum/keys/new")]);
    let files: Vec<&Path> = config.key_files().into_iter().collect();
    assert_eq!(files, [Path::new("/etc/locum/keys/new"), Path::new("/etc/locum/keys/old")]);
    assert!(config.secrets.is_empty());
}

#[test]
fn version_2_has_a_password_and_nothing_else() {
    let head = "[virtual_router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.10/24\"]\nversion = 2\n";
    let config = valid(&format!("{head}auth.pass = \"s3cret\"\n"));
    let web = &config.routers[&router("web")];
    assert_eq!(web.password.map(Password::bytes), Some(*b"s3cret\0\0"));
    assert_eq!(web.auth, None);
}

/// Whoever writes the key itself into the file, be it rightly quoted or not, does not find it in a log.
#[test]
fn no_message_repeats_what_may_be_a_key() {
    const SECRET: &str = "5f3e-horse-battery-staple-correct-0a1b";
    let head = "[virtual_router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.10/24\"]\n";
    let mut told = 0;
    for line in [
        "pass = \"KEY\"",
        "version = 2\nauth.pass = \"KEY\"",
        "version = 2\nauth.pass = KEY",
        "auth_pass = KEY",
        "auth = \"KEY\"",
        "auth = { mode = \"enforce\", active_key = \"KEY\", keys = [] }",
        "auth = { mode = \"enforce\", active_key = 1, keys = \"KEY\" }",
        "auth = { mode = \"enforce\", active_key = 1, keys = [\"KEY\"] }",
        "auth = { mode = \"enforce\", active_key = 1, keys = [{ id = 1, file = \"KEY\" }] }",
        "auth = { mode = \"enforce\", active_key = 1, keys = [{ id = 1, file = \"hex:KEY\" }] }",
        "auth = { mode = \"enforce\", active_key = 1, keys = [{ id = 1, key = \"KEY\" }] }",
        "auth = { mode = \"enforce\", active_key = 1, keys = [{ id = 1, file = KEY }] }",
        "[virtual_router.web.auth]\nkey = \"KEY\"",
        "[virtual_router.web.auth]\nkeys = [{ id = \"KEY\", file = \"/etc/locum/keys/web\" }]",
        "[virtual_router.web.auth]\nfile = KEY",
        "secret = 'KEY",
    ] {
        let source = format!("{head}{}\n", line.replace("KEY", SECRET));
        let diagnostics = parse(&source, "host").expect_err(line);
        let text = render(&diagnostics, "locum.toml", &source, false) + &summary(&diagnostics, "locum.toml", &source);
        for part in ["horse", "battery", "staple"] {
            assert!(!text.contains(part), "{line}:\n{text}");
        }
        told += diagnostics.len();
    }
    assert!(told >= 14);
}
