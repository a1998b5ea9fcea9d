//! The users of this host, as its user database tells of them, and who we are.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, getgrouplist};

use crate::types::UserName;

/// The user that the packages make.
pub const PACKAGE_USER: &str = "locum";

/// As whom a program runs.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Their name; `None` for a user without an entry.
    pub name: Option<String>,
    /// Their home folder; the root folder for a user without an entry.
    pub home: PathBuf,
    pub(super) change: Option<Change>,
}

impl Identity {
    /// Its number, where it is not who we are.
    pub(super) fn other_uid(&self) -> Option<u32> {
        self.change.as_ref().map(|change| change.uid.as_raw())
    }

    /// Whether this is not who we are.
    pub fn is_another(&self) -> bool {
        self.change.is_some()
    }
}

/// What must be changed to run as another user.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// Our effective user.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The user of this name; `None` if there is none. May ask other hosts, where the user database is kept there.
///
/// # Errors
/// The database cannot be read.
pub fn named(name: &UserName) -> io::Result<Option<Identity>> {
    let Some(user) = User::from_name(name.as_str())? else { return Ok(None) };
    if user.uid == nix::unistd::geteuid() {
        return Ok(Some(of(Some(user), None)));
    }
    let groups = getgrouplist(&CString::new(user.name.as_str())?, user.gid)?;
    let change = Change { uid: user.uid, gid: user.gid, groups };
    Ok(Some(of(Some(user), Some(change))))
}

/// The user of the package, as whom its agent runs; `None` where there is none.
///
/// # Errors
/// The database cannot be read.
pub fn package() -> io::Result<Option<Identity>> {
    PACKAGE_USER.parse().map_or(Ok(None), |name| named(&name))
}

/// The one we are.
///
/// # Errors
/// The database cannot be read.
pub fn own() -> io::Result<Identity> {
    Ok(of(User::from_uid(nix::unistd::geteuid())?, None))
}

fn of(user: Option<User>, change: Option<Change>) -> Identity {
    match user {
        Some(user) => Identity { name: Some(user.name), home: user.dir, change },
        None => Identity { name: None, home: "/".into(), change },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_nobody_else_is_made_up() {
        let root = named(&"root".parse().expect("a name")).expect("readable").expect("there");
        assert_eq!(root.name.as_deref(), Some("root"));
        assert_eq!(root.change.is_none(), nix::unistd::geteuid().is_root());
        assert!(named(&"locum-no-such-user".parse().expect("a name")).expect("readable").is_none());
    }
}
