use std::collections::BTreeMap;
use std::path::Path;

use crate::io::channel::Peer;
use crate::io::users::{self, Identity};
use crate::io::{capabilities, system};
use crate::types::UserName;

/// Most users that are remembered; with more, all are asked for anew.
const MAX_USERS: usize = 256;

/// Whether who has connected may have programs started: root and our own user. A runner that may change users serves
/// only who may change addresses: the agent may, and no check program that runs as the agent's user.
pub(super) fn may_ask(peer: Peer) -> Result<(), &'static str> {
    if peer.uid != 0 && peer.uid != users::own_uid() {
        return Err("it is neither root's nor ours");
    }
    if capabilities::may_change_users() && !capabilities::may_change_addresses(peer.pid) {
        return Err("it has no CAP_NET_ADMIN, so it is no agent");
    }
    Ok(())
}

/// The users that were asked for, as they were found. Who is not found is looked for again each time.
#[derive(Debug, Default)]
pub(super) struct Users(BTreeMap<Option<UserName>, Identity>);

impl Users {
    /// This user; or, where none is named, the package's where we are root and it exists, else our own.
    pub(super) fn find(&mut self, name: Option<&UserName>) -> Result<&Identity, String> {
        if self.0.len() >= MAX_USERS {
            self.0.clear();
        }
        let name = name.cloned();
        let found = match self.0.remove(&name) {
            Some(known) => known,
            None => look_up(name.as_ref())?,
        };
        Ok(self.0.entry(name).or_insert(found))
    }
}

fn look_up(name: Option<&UserName>) -> Result<Identity, String> {
    let failed = |error: std::io::Error| format!("the users of this host cannot be looked up: {error}");
    if let Some(name) = name {
        let found = users::named(name).map_err(failed)?;
        return found.ok_or_else(|| format!("this host has no user {name}; see `getent passwd {name}`"));
    }
    // As whom root's runner starts what names no other one.
    if users::own_uid() == 0
        && let Some(found) = users::package().map_err(failed)?
    {
        return Ok(found);
    }
    users::own().map_err(failed)
}

/// What the system said, and what it means where the program was to run as another user.
pub(super) fn why_not_started(program: &Path, user: &Identity, error: &std::io::Error) -> String {
    match &user.name {
        Some(name) if user.is_another() && !capabilities::may_change_users() => {
            let program = program.display();
            format!("{program}: no right to run it as {name} ({error}); locum-runner.service has it")
        }
        Some(_) | None => system::why_not_started(program, error),
    }
}
