/// Where the configuration is unless `--config` names another file.
pub const CONFIG_FILE: &str = "/etc/locum/locum.toml";

/// What an administrator does next while no virtual router is configured, in this order: the file to edit, the
/// command to check it, the one to start or reload the agent, the one to look, the firewall line to add.
pub fn first_steps(file: &str) -> [String; 5] {
    let check = if file == CONFIG_FILE { "locum check".to_owned() } else { format!("locum check {file}") };
    [
        format!("edit {file}"),
        format!("run `{check}`"),
        "run `systemctl enable locum` and `systemctl reload-or-restart locum`".to_owned(),
        "run `locum status`".to_owned(),
        "let adverts through the firewall (nftables: `meta l4proto 112 accept`); `locum check` prints the exact lines"
            .to_owned(),
    ]
}

/// The same in one line that a service manager's status shows whole, for it, the log and the status document.
pub fn no_router() -> String {
    format!(
        "no virtual router is configured: 1. edit {CONFIG_FILE} 2. locum check 3. systemctl reload-or-restart locum \
         4. locum status 5. let IP protocol 112 through the firewall"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_come_in_the_order_in_which_they_are_done() {
        assert_eq!(
            no_router(),
            "no virtual router is configured: 1. edit /etc/locum/locum.toml 2. locum check 3. systemctl \
             reload-or-restart locum 4. locum status 5. let IP protocol 112 through the firewall"
        );
        assert_eq!(first_steps("/tmp/a.toml")[..2], ["edit /tmp/a.toml", "run `locum check /tmp/a.toml`"]);
    }
}
