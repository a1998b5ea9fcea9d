use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::types::{
    CheckName, Family, Instant, InterfaceName, Interval, Priority, RouterName, RouterRecord, Version, Vrid,
};

const TITLE: &str = "locum routers 1";
/// Room for many checks and marks. What is not written stays a hole and takes no memory.
const SLOT: usize = 16 * 1024;
/// Each router has two, written in turn: if this process dies within a write, the other one is an advert older.
const PAIR: usize = 2 * SLOT;
/// The header takes the place of one pair.
const FIRST: usize = PAIR;
/// Twice as many as a configuration can have: on a reload old ones may still be leaving.
const MOST: usize = 2048;
/// Checksum, sequence and length come before the text.
const HEAD: usize = 4 + 8 + 2;

/// A place for each virtual router, written in one system call that waits for nothing where the directory is kept in
/// memory, as `/run` is.
#[derive(Debug)]
pub struct Slots {
    file: Option<File>,
    places: BTreeMap<Key, Place>,
}

/// Which virtual router a record is of.
type Key = (InterfaceName, Family, Vrid);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    number: usize,
    sequence: u64,
}

/// The text of a slot. Times are nanoseconds since boot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    router: RouterName,
    interface: String,
    family: String,
    version: u8,
    vrid: u8,
    sent_at: Option<u64>,
    interval_cs: u16,
    priority: Priority,
    verdicts: BTreeMap<CheckName, bool>,
    #[serde(default)]
    marks: BTreeMap<String, u64>,
}

impl Slots {
    /// Keeps nothing.
    pub fn nowhere() -> Self {
        Slots { file: None, places: BTreeMap::new() }
    }

    /// Keeps this in place of what was kept of the same virtual router.
    ///
    /// # Errors
    /// The disk's, or that it is more than 16 KiB of text or than 2,048 virtual routers.
    pub fn write(&mut self, record: &RouterRecord) -> io::Result<()> {
        let key = (record.interface, record.family, record.vrid);
        let Some(file) = &self.file else { return Ok(()) };
        let before = match self.places.get(&key) {
            Some(place) => *place,
            None => Place { number: free(&self.places)?, sequence: 0 },
        };
        let place = Place { sequence: before.sequence + 1, ..before };
        let slot = encode(record, place.sequence)?;
        file.write_all_at(&slot, offset(place.number, place.sequence))?;
        self.places.insert(key, place);
        Ok(())
    }

    /// Keeps nothing more of a virtual router.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget(&mut self, key: (InterfaceName, Family, Vrid)) -> io::Result<()> {
        let Some(place) = self.places.remove(&key) else { return Ok(()) };
        match &self.file {
            Some(file) => file.write_all_at(&[0; PAIR], offset(place.number, 0)),
            None => Ok(()),
        }
    }
}

fn free(places: &BTreeMap<Key, Place>) -> io::Result<usize> {
    let taken: std::collections::BTreeSet<usize> = places.values().map(|place| place.number).collect();
    let free = (0..MOST).find(|number| !taken.contains(number));
    free.ok_or_else(|| io::Error::other(format!("{MOST} virtual routers are kept already")))
}

fn offset(number: usize, sequence: u64) -> u64 {
    let second = if sequence.is_multiple_of(2) { 0 } else { SLOT };
    (FIRST + number * PAIR + second) as u64
}

fn encode(record: &RouterRecord, sequence: u64) -> io::Result<Vec<u8>> {
    let text = Text {
        router: record.name.clone(),
        interface: record.interface.to_string(),
        family: record.family.word().to_owned(),
        version: record.version.number(),
        vrid: record.vrid.get(),
        sent_at: record.sent_at.map(Instant::as_nanos),
        interval_cs: record.interval.centiseconds(),
        priority: record.priority,
        verdicts: record.verdicts.clone(),
        marks: record.marks.clone(),
    };
    let text = serde_json::to_vec(&text)?;
    let length = u16::try_from(text.len()).ok().filter(|_| text.len() <= SLOT - HEAD);
    let length = length.ok_or_else(|| io::Error::other("more checks and marks than 16 KiB hold"))?;
    let mut slot = vec![0; 4];
    slot.extend(sequence.to_le_bytes());
    slot.extend(length.to_le_bytes());
    slot.extend(text);
    let checksum = checksum(slot.get(4..).unwrap_or_default()).to_le_bytes();
    slot.iter_mut().zip(checksum).for_each(|(byte, sum)| *byte = sum);
    Ok(slot)
}

/// FNV-1a: against what is cut off or mixed, not against malice, which has no business in this directory.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The sequence and the record of a slot; `None` for one that was never written, was cut off or makes no sense.
fn decode(slot: &[u8]) -> Option<(u64, RouterRecord)> {
    let sequence = u64::from_le_bytes(slot.get(4..12)?.try_into().ok()?);
    let length = usize::from(u16::from_le_bytes(slot.get(12..HEAD)?.try_into().ok()?));
    let summed = slot.get(4..HEAD + length)?;
    if slot.get(..4)? != checksum(summed).to_le_bytes() {
        return None;
    }
    let text: Text = serde_json::from_slice(slot.get(HEAD..HEAD + length)?).ok()?;
    let record = RouterRecord {
        interface: text.interface.parse().ok()?,
        family: [Family::Ipv4, Family::Ipv6].into_iter().find(|family| family.word() == text.family)?,
        version: [Version::V2, Version::V3].into_iter().find(|version| version.number() == text.version)?,
        vrid: Vrid::new(text.vrid)?,
        name: text.router,
        sent_at: text.sent_at.map(Instant::from_nanos),
        interval: Interval::from_centiseconds(text.interval_cs).ok()?,
        priority: text.priority,
        verdicts: text.verdicts,
        marks: text.marks,
    };
    Some((sequence, record))
}

/// Reads what there is, which stays until it is replaced: whoever dies before that leaves it to the next one. And what
/// there was against the old content, if anything.
pub(super) fn open(path: &Path, epoch: &str) -> io::Result<(Slots, Vec<RouterRecord>, Option<String>)> {
    let mut file = super::open(path)?;
    let old = match super::read_all(&mut file, (FIRST + MOST * PAIR) as u64)? {
        Some(bytes) => read(&bytes, epoch),
        None => Old { refused: Some("larger than it can be".to_owned()), ..Old::default() },
    };
    if old.found.is_empty() {
        file.set_len(0)?;
    }
    for number in old.senseless {
        file.write_all_at(&[0; PAIR], offset(number, 0))?;
    }
    file.write_all_at(format!("{TITLE} {epoch}\n").as_bytes(), 0)?;
    let places =
        old.found.iter().map(|(place, record)| ((record.interface, record.family, record.vrid), *place)).collect();
    let records = old.found.into_iter().map(|(_, record)| record).collect();
    Ok((Slots { file: Some(file), places }, records, old.refused))
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Old {
    found: Vec<(Place, RouterRecord)>,
    /// Places of records that make no sense.
    senseless: Vec<usize>,
    refused: Option<String>,
}

fn read(bytes: &[u8], epoch: &str) -> Old {
    let mut old = Old::default();
    if bytes.is_empty() {
        return old;
    }
    let head = bytes.get(..FIRST).unwrap_or(bytes);
    let head = head.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    match head.and_then(|head| head.strip_prefix(TITLE)).and_then(|rest| rest.strip_prefix(' ')) {
        Some(of) if of == epoch => {}
        // Of another boot or namespace.
        Some(_) => return old,
        None => {
            old.refused = Some(format!("its first line is not \"{TITLE} ...\""));
            return old;
        }
    }
    for (number, pair) in bytes.get(FIRST..).unwrap_or_default().chunks(PAIR).enumerate() {
        let newest = pair.chunks(SLOT).filter_map(decode).max_by_key(|(sequence, _)| *sequence);
        match newest {
            Some((sequence, record)) => old.found.push((Place { number, sequence }, record)),
            None if pair.iter().any(|byte| *byte != 0) => old.senseless.push(number),
            None => {}
        }
    }
    let count = old.senseless.len();
    old.refused = (count > 0).then(|| format!("the records of {count} virtual routers make no sense"));
    old
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    const EPOCH: &str = "boot b namespace 4:5";

    fn record(vrid: u8, sent_at: Option<u64>) -> RouterRecord {
        RouterRecord {
            interface: "eth0".parse().expect("a name"),
            family: Family::Ipv4,
            version: Version::V3,
            vrid: Vrid::new(vrid).expect("a VRID"),
            name: "web".parse().expect("a name"),
            sent_at: sent_at.map(Instant::from_nanos),
            interval: Interval::DEFAULT,
            priority: Priority::DEFAULT,
            verdicts: BTreeMap::from([("app".parse().expect("a name"), true)]),
            marks: BTreeMap::from([("sent/1".to_owned(), u64::MAX)]),
        }
    }

    fn found(path: &Path) -> (Vec<RouterRecord>, Option<String>) {
        records(&std::fs::read(path).expect("a file"), EPOCH)
    }

    fn records(bytes: &[u8], epoch: &str) -> (Vec<RouterRecord>, Option<String>) {
        let old = read(bytes, epoch);
        (old.found.into_iter().map(|(_, record)| record).collect(), old.refused)
    }

    #[test]
    fn the_newest_of_each_router_is_found_again() {
        let scratch = Scratch::new("slots");
        let path = scratch.0.join("routers");
        let (mut slots, records, refused) = open(&path, EPOCH).expect("a file");
        assert_eq!((records, refused), (Vec::new(), None));
        for sent_at in 1..=5 {
            slots.write(&record(51, Some(sent_at))).expect("kept");
            slots.write(&record(52, Some(100 + sent_at))).expect("kept");
        }
        slots.write(&record(52, None)).expect("kept");
        assert_eq!(found(&path), (vec![record(51, Some(5)), record(52, None)], None));
        slots
            .forget(("eth0".parse().expect("a name"), Family::Ipv4, Vrid::new(51).expect("a VRID")))
            .expect("forgotten");
        assert_eq!(found(&path), (vec![record(52, None)], None));
        // Its place is free for another one.
        slots.write(&record(53, Some(7))).expect("kept");
        assert_eq!(found(&path), (vec![record(53, Some(7)), record(52, None)], None));
        // A successor that dies at once leaves everything to the next one, and goes on in the same places.
        let (_, again, _) = open(&path, EPOCH).expect("a file");
        assert_eq!(again, [record(53, Some(7)), record(52, None)]);
        let (mut slots, _, _) = open(&path, EPOCH).expect("a file");
        slots.write(&record(52, Some(9))).expect("kept");
        assert_eq!(found(&path), (vec![record(53, Some(7)), record(52, Some(9))], None));
        // Another boot finds nothing in it.
        let (_, none, refused) = open(&path, "boot c namespace 4:5").expect("a file");
        assert_eq!((none, refused), (Vec::new(), None));
        assert_eq!(found(&path), (Vec::new(), None));
    }

    #[test]
    fn of_a_torn_record_the_one_before_counts() {
        let scratch = Scratch::new("torn");
        let path = scratch.0.join("routers");
        let (mut slots, _, _) = open(&path, EPOCH).expect("a file");
        slots.write(&record(51, Some(1))).expect("kept");
        slots.write(&record(51, Some(2))).expect("kept");
        let mut bytes = std::fs::read(&path).expect("a file");
        // The second write went to the first slot of the pair.
        bytes[FIRST + 30] ^= 1;
        assert_eq!(records(&bytes, EPOCH), (vec![record(51, Some(1))], None));
        bytes[FIRST + SLOT + 30] ^= 1;
        let (none, refused) = records(&bytes, EPOCH);
        assert_eq!((none, refused.as_deref()), (Vec::new(), Some("the records of 1 virtual routers make no sense")));
        std::fs::write(&path, &bytes).expect("written");
        open(&path, EPOCH).expect("a file");
        assert_eq!(found(&path), (Vec::new(), None));
    }

    #[test]
    fn hostile_bytes_are_told_of_and_count_for_nothing() {
        let scratch = Scratch::new("hostile");
        let path = scratch.0.join("routers");
        std::fs::write(&path, [0xff; 100_000]).expect("written");
        let (_, records, refused) = open(&path, EPOCH).expect("a file");
        assert!(records.is_empty() && refused.is_some());
        let huge = std::fs::File::create(&path).expect("a file");
        huge.set_len(1 << 40).expect("a hole");
        let (_, records, refused) = open(&path, EPOCH).expect("a file");
        assert!(records.is_empty() && refused.is_some());
        // Well summed, but no record: a VRID of 0, an interval of 41 s.
        for (was, is) in
            [("\"vrid\":51", "\"vrid\":00"), ("\"interval_cs\":100", "\"interval_cs\":9999"), ("eth0", "e/h0")]
        {
            let slot = encode(&record(51, Some(1)), 1).expect("a slot");
            let text = String::from_utf8(slot[HEAD..].to_vec()).expect("text").replace(was, is);
            let mut forged = vec![0; 4];
            forged.extend(1_u64.to_le_bytes());
            forged.extend(u16::try_from(text.len()).expect("a length").to_le_bytes());
            forged.extend(text.bytes());
            let sum = checksum(&forged[4..]).to_le_bytes();
            forged[..4].copy_from_slice(&sum);
            assert_eq!(decode(&forged), None, "{text}");
        }
    }

    #[test]
    fn more_than_its_place_holds_is_refused_and_what_was_kept_stays() {
        let scratch = Scratch::new("large");
        let path = scratch.0.join("routers");
        let (mut slots, _, _) = open(&path, EPOCH).expect("a file");
        slots.write(&record(51, Some(1))).expect("kept");
        let marks = (0..1000).map(|number| (format!("192.0.2.{number}/1"), u64::MAX)).collect();
        let large = RouterRecord { marks, ..record(51, Some(2)) };
        assert!(slots.write(&large).is_err());
        assert_eq!(found(&path).0, [record(51, Some(1))]);
    }
}
