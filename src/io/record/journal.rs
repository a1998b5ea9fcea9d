use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::types::{InterfaceName, IpNet, RouterName};

const TITLE: &str = "locum addresses 1";
/// More than all addresses that a configuration can name, some of them several times.
const LARGEST: u64 = 16 << 20;
/// A journal is written anew when it has this many lines that no longer count.
const STALE: usize = 4096;

/// An address that was added and not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// For which virtual router.
    pub router: RouterName,
    /// Where.
    pub interface: InterfaceName,
    /// With the prefix length it was added with.
    pub net: IpNet,
}

/// The addresses that are ours: one line for each addition before it happens, and one for each removal after it.
#[derive(Debug)]
pub struct Journal {
    file: Option<File>,
    path: PathBuf,
    head: String,
    added: BTreeMap<(InterfaceName, IpNet), RouterName>,
    stale: usize,
}

impl Journal {
    /// Remembers for as long as this process lives, and keeps nothing.
    pub fn nowhere() -> Self {
        Journal { file: None, path: PathBuf::new(), head: String::new(), added: BTreeMap::new(), stale: 0 }
    }

    /// These are about to be added on an interface.
    ///
    /// # Errors
    /// The disk's: should this process be killed, they will be somebody else's.
    pub fn add(&mut self, router: &RouterName, interface: InterfaceName, nets: &[IpNet]) -> io::Result<()> {
        let mut lines = String::new();
        for net in nets {
            let before = self.added.insert((interface, *net), router.clone());
            if before.as_ref() != Some(router) {
                lines.push_str(&format!("+ {router} {interface} {net}\n"));
                self.stale += usize::from(before.is_some());
            }
        }
        self.append(&lines)
    }

    /// These are gone from an interface, or were never there, or are somebody else's.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&mut self, interface: InterfaceName, nets: &[IpNet]) -> io::Result<()> {
        let mut lines = String::new();
        for net in nets {
            if self.added.remove(&(interface, *net)).is_some() {
                lines.push_str(&format!("- {interface} {net}\n"));
                self.stale += 2;
            }
        }
        self.append(&lines)
    }

    fn append(&mut self, lines: &str) -> io::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !lines.is_empty()) else { return Ok(()) };
        file.write_all(lines.as_bytes())?;
        if self.stale > STALE { self.rewrite() } else { Ok(()) }
    }

    /// Puts a new file in the place of the old one, whole or not at all.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut text = self.head.clone();
        for ((interface, net), router) in &self.added {
            text.push_str(&format!("+ {router} {interface} {net}\n"));
        }
        let next = self.path.with_extension("new");
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = super::open(&next)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&next, &self.path)?;
        self.file = Some(file);
        self.stale = 0;
        Ok(())
    }
}

/// Reads the journal there and begins it anew with the same addresses; what there was against the old one, if anything.
pub(super) fn open(path: &Path, epoch: &str) -> io::Result<(Journal, Vec<Added>, Option<String>)> {
    let mut file = super::open(path)?;
    let read = match super::read_all(&mut file, LARGEST)? {
        Some(bytes) => read(&bytes, epoch),
        None => Err(format!("larger than {LARGEST} bytes")),
    };
    let (added, refused) = match read {
        Ok(added) => (added, None),
        Err(why) => (BTreeMap::new(), Some(why)),
    };
    let head = format!("{TITLE} {epoch}\n");
    let mut journal = Journal { file: None, path: path.to_owned(), head, added, stale: 0 };
    journal.rewrite()?;
    let added = journal.added.iter().map(|((interface, net), router)| Added {
        router: router.clone(),
        interface: *interface,
        net: *net,
    });
    let added = added.collect();
    Ok((journal, added, refused))
}

/// What counts at the end. A last line that was cut off was of an addition that never began.
fn read(bytes: &[u8], epoch: &str) -> Result<BTreeMap<(InterfaceName, IpNet), RouterName>, String> {
    let mut added = BTreeMap::new();
    if bytes.is_empty() {
        return Ok(added);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not text at byte {}", error.valid_up_to()))?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut lines = whole.lines();
    let head = lines.next().unwrap_or_default();
    match head.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix(' ')) {
        Some(of) if of == epoch => {}
        // Of another boot or namespace: nothing of that is here.
        Some(_) => return Ok(added),
        None => return Err(format!("its first line is not \"{TITLE} ...\"")),
    }
    for (number, line) in lines.enumerate() {
        change(&mut added, line).ok_or_else(|| format!("line {} makes no sense", number + 2))?;
    }
    Ok(added)
}

fn change(added: &mut BTreeMap<(InterfaceName, IpNet), RouterName>, line: &str) -> Option<()> {
    let mut words = line.split(' ');
    let (sign, mut next) = (words.next()?, || words.next());
    match sign {
        "+" => {
            let router = next()?.parse().ok()?;
            added.insert((next()?.parse().ok()?, next()?.parse().ok()?), router);
        }
        "-" => drop(added.remove(&(next()?.parse().ok()?, next()?.parse().ok()?))),
        _ => return None,
    }
    next().is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    const EPOCH: &str = "boot b namespace 4:5";

    fn eth0() -> InterfaceName {
        "eth0".parse().expect("a name")
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("an address")
    }

    fn web() -> RouterName {
        "web".parse().expect("a name")
    }

    fn reads(text: &str) -> Result<Vec<String>, String> {
        let added = read(text.as_bytes(), EPOCH)?;
        Ok(added.into_iter().map(|((interface, net), router)| format!("{router} {interface} {net}")).collect())
    }

    #[test]
    fn what_was_added_and_not_removed_is_found_again() {
        let scratch = Scratch::new("journal");
        let path = scratch.0.join("addresses");
        let (mut journal, added, refused) = open(&path, EPOCH).expect("a journal");
        assert_eq!((added, refused), (Vec::new(), None));
        journal
            .add(&web(), eth0(), &[net("192.0.2.10/24"), net("192.0.2.11/32"), net("2001:db8::1/64")])
            .expect("kept");
        journal.remove(eth0(), &[net("192.0.2.11/32"), net("192.0.2.99/24")]).expect("kept");
        let text = fs::read_to_string(&path).expect("a file");
        assert_eq!(
            text,
            "locum addresses 1 boot b namespace 4:5\n+ web eth0 192.0.2.10/24\n+ web eth0 192.0.2.11/32\n\
             + web eth0 2001:db8::1/64\n- eth0 192.0.2.11/32\n"
        );
        // Cut off within the last line: that addition had not begun.
        fs::write(&path, format!("{text}+ web eth0 192.0.2.12/2")).expect("written");
        let (_, added, refused) = open(&path, EPOCH).expect("a journal");
        let found: Vec<_> = added.iter().map(|added| (added.router.as_str(), added.net)).collect();
        assert_eq!(found, [("web", net("192.0.2.10/24")), ("web", net("2001:db8::1/64"))]);
        assert_eq!(refused, None);
        // Another boot.
        let (_, added, refused) = open(&path, "boot c namespace 4:5").expect("a journal");
        assert_eq!((added, refused), (Vec::new(), None));
    }

    #[test]
    fn what_makes_no_sense_counts_for_nothing() {
        let head = "locum addresses 1 boot b namespace 4:5\n";
        assert_eq!(reads(&format!("{head}+ web eth0 192.0.2.10/24\n")), Ok(vec!["web eth0 192.0.2.10/24".to_owned()]));
        assert_eq!(
            reads("+ web eth0 192.0.2.10/24\n"),
            Err("its first line is not \"locum addresses 1 ...\"".to_owned())
        );
        for line in [
            "",
            "+ web eth0",
            "+ web eth0 192.0.2.10",
            "+ web eth0 192.0.2.10/24 more",
            "? eth0 192.0.2.10/24",
            "+ a/b eth0 192.0.2.10/24",
        ] {
            assert_eq!(
                reads(&format!("{head}{line}\n+ web eth0 192.0.2.10/24\n")),
                Err("line 2 makes no sense".to_owned()),
                "{line}"
            );
        }
        assert!(read(b"locum addresses 1\xff\n", EPOCH).is_err());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let scratch = Scratch::new("grows");
        let path = scratch.0.join("addresses");
        let (mut journal, _, _) = open(&path, EPOCH).expect("a journal");
        for _ in 0..10_000 {
            journal.add(&web(), eth0(), &[net("192.0.2.10/24")]).expect("kept");
            journal.remove(eth0(), &[net("192.0.2.10/24")]).expect("kept");
        }
        let length = fs::metadata(&path).expect("a file").len();
        assert!(length < 200_000, "{length} bytes");
    }
}
