use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::types::{
    CheckName, Family, Freshness, Instant, InterfaceName, Interval, Mark, Priority, RouterName, RouterRecord, Sequence,
    Version, Vrid,
};

const TITLE: &str = "locum routers 2";
/// Room for many checks and for all numbers that are ever remembered. What is not written stays a hole and takes no memory.
const SLOT: usize = 64 * 1024;
/// Each router has two, written in turn: if this process dies within a write, the other one is an advert older.
const PAIR: usize = 2 * SLOT;
/// The header takes the place of one pair.
const FIRST: usize = PAIR;
/// Most bytes of its line.
const HEADER: usize = 256;
/// Twice as many as a configuration can have: on a reload old ones may still be leaving.
const MOST: usize = 2048;
/// Checksum, sequence, length of the text and count of the numbers come before these two.
const HEAD: usize = 4 + 8 + 2 + 2;
/// Each number that is remembered by itself takes this much after the text: they can be thousands.
const NUMBER: usize = 8;

/// A place for each virtual router, written in one system call.
#[derive(Debug)]
pub struct Slots {
    file: Option<File>,
    places: BTreeMap<Key, Place>,
}

/// Which virtual router a record is of.
pub(super) type Key = (InterfaceName, Family, Vrid);

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
    /// Without the numbers that are remembered by themselves; of those each mark has as many as `ahead` says.
    #[serde(default)]
    freshness: Freshness,
    #[serde(default)]
    ahead: Vec<usize>,
}

impl Slots {
    /// Keeps nothing.
    pub fn nowhere() -> Self {
        Slots { file: None, places: BTreeMap::new() }
    }

    /// Keeps this in place of what was kept of the same virtual router.
    ///
    /// # Errors
    /// The disk's, or that it is more than 64 KiB or than 2,048 virtual routers.
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
    pub fn forget(&mut self, key: Key) -> io::Result<()> {
        let Some(place) = self.places.remove(&key) else { return Ok(()) };
        match &self.file {
            Some(file) => blank(file, place.number),
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

/// A slot without its head is none.
fn blank(file: &File, number: usize) -> io::Result<()> {
    file.write_all_at(&[0; HEAD], offset(number, 0))?;
    file.write_all_at(&[0; HEAD], offset(number, 1))
}

fn encode(record: &RouterRecord, sequence: u64) -> io::Result<Vec<u8>> {
    let Freshness { sent, marks, wall } = &record.freshness;
    let ahead = || marks.iter().flat_map(|mark| &mark.ahead);
    let without = |mark: &Mark| Mark {
        source: mark.source,
        key: mark.key,
        clocks: mark.clocks.clone(),
        greatest: mark.greatest,
        ahead: Vec::new(),
    };
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
        freshness: Freshness { sent: sent.clone(), marks: marks.iter().map(without).collect(), wall: wall.clone() },
        ahead: marks.iter().map(|mark| mark.ahead.len()).collect(),
    };
    let text = serde_json::to_vec(&text)?;
    let count = ahead().count();
    let (length, numbers) = (u16::try_from(text.len()).ok(), u16::try_from(count).ok());
    let fits = HEAD + text.len() + count * NUMBER <= SLOT;
    let both = length.zip(numbers).filter(|_| fits);
    let (length, numbers) = both.ok_or_else(|| io::Error::other("more checks and peers than 64 KiB hold"))?;
    let mut slot = vec![0; 4];
    slot.extend(sequence.to_le_bytes());
    slot.extend(length.to_le_bytes());
    slot.extend(numbers.to_le_bytes());
    slot.extend(text);
    ahead().for_each(|sequence| slot.extend(sequence.number().to_le_bytes()));
    let checksum = checksum(slot.get(4..).unwrap_or_default()).to_le_bytes();
    slot.iter_mut().zip(checksum).for_each(|(byte, sum)| *byte = sum);
    Ok(slot)
}

/// FNV-1a: against what is cut off or mixed, not against malice, which has no business in this directory.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Length of the text of a slot, and of all that follows the head.
fn lengths(head: &[u8; HEAD]) -> (usize, usize) {
    let [.., low, high, few, many] = *head;
    let text = usize::from(u16::from_le_bytes([low, high]));
    (text, text + usize::from(u16::from_le_bytes([few, many])) * NUMBER)
}

/// The sequence and the record of a slot; `None` for one that was cut off or makes no sense.
fn decode(slot: &[u8]) -> Option<(u64, RouterRecord)> {
    let head = slot.first_chunk::<HEAD>()?;
    let (length, all) = lengths(head);
    let sequence = u64::from_le_bytes(slot.get(4..12)?.try_into().ok()?);
    let summed = slot.get(4..HEAD + all)?;
    if slot.get(..4)? != checksum(summed).to_le_bytes() {
        return None;
    }
    let text: Text = serde_json::from_slice(slot.get(HEAD..HEAD + length)?).ok()?;
    let (numbers, _) = slot.get(HEAD + length..HEAD + all)?.as_chunks::<NUMBER>();
    let mut numbers = numbers.iter().map(|bytes| Sequence::from_number(u64::from_le_bytes(*bytes)));
    let mut freshness = text.freshness;
    for (mark, count) in freshness.marks.iter_mut().zip(text.ahead) {
        mark.ahead = numbers.by_ref().take(count).collect();
    }
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
        freshness,
    };
    Some((sequence, record))
}

/// Reads what there is, which stays until it is replaced: whoever dies before that leaves it to the next one. And what
/// there was against the old content, if anything.
pub(super) fn open(path: &Path, epoch: &str) -> io::Result<(Slots, Vec<RouterRecord>, Option<String>)> {
    let file = super::open(path)?;
    let old = read(&file, epoch)?;
    if old.found.is_empty() {
        file.set_len(0)?;
    }
    for number in old.senseless {
        blank(&file, number)?;
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

fn read(file: &File, epoch: &str) -> io::Result<Old> {
    let (mut old, length) = (Old::default(), file.metadata()?.len());
    if length > (FIRST + MOST * PAIR) as u64 {
        old.refused = Some("larger than it can be".to_owned());
        return Ok(old);
    }
    if length == 0 {
        return Ok(old);
    }
    let head = read_at(file, 0, HEADER)?;
    let head = head.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    match head.and_then(|head| head.strip_prefix(TITLE)).and_then(|rest| rest.strip_prefix(' ')) {
        Some(of) if of == epoch => {}
        // Of another boot or namespace.
        Some(_) => return Ok(old),
        None => {
            old.refused = Some(format!("its first line is not \"{TITLE} ...\""));
            return Ok(old);
        }
    }
    for number in (0..MOST).take_while(|number| offset(*number, 0) < length) {
        let slots = [read_slot(file, offset(number, 0))?, read_slot(file, offset(number, 1))?];
        let written = slots.iter().flatten().count();
        let newest = slots.iter().flatten().filter_map(|slot| decode(slot)).max_by_key(|(sequence, _)| *sequence);
        match newest {
            Some((sequence, record)) => old.found.push((Place { number, sequence }, record)),
            None if written > 0 => old.senseless.push(number),
            None => {}
        }
    }
    let count = old.senseless.len();
    old.refused = (count > 0).then(|| format!("the records of {count} virtual routers make no sense"));
    Ok(old)
}

/// As much of a slot as its head says it has; `None` for one that was never written. The holes between are not read.
fn read_slot(file: &File, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let head = read_at(file, offset, HEAD)?;
    match head.first_chunk::<HEAD>() {
        Some(head) if *head != [0; HEAD] => {
            let (_, all) = lengths(head);
            read_at(file, offset, (HEAD + all).min(SLOT)).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// So many bytes, or as many as there are until the end of the file.
fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut filled) = (vec![0; length], 0);
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;
    use crate::types::{Heard, KeyId, WallOffsets};

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
            freshness: freshness(2, 3),
        }
    }

    /// What is remembered of so many senders, with so many numbers by themselves in all.
    fn freshness(senders: u8, numbers: usize) -> Freshness {
        let number = |number: usize| Sequence::from_number(u64::MAX - number as u64);
        let heard =
            |number: usize| Heard { last: Sequence::from_number(u64::MAX), at: Instant::from_nanos(number as u64) };
        let mark = |sender: u8| Mark {
            source: std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0x1234, 0x5678, 0x9abc, u16::from(sender) | 0xd000).into(),
            key: KeyId::new(255).expect("an id"),
            clocks: (0..4).map(heard).collect(),
            greatest: number(0),
            // The first has none.
            ahead: (0..numbers).filter(|_| sender == 1).map(number).collect(),
        };
        let former = vec![(i64::MIN, Instant::from_nanos(u64::MAX)); 3];
        let wall = WallOffsets { current: Some(i64::MIN), read_at: Instant::from_nanos(u64::MAX), former };
        Freshness { sent: vec![number(0); 4], marks: (0..senders).map(mark).collect(), wall }
    }

    fn found(path: &Path) -> (Vec<RouterRecord>, Option<String>) {
        let old = read(&File::open(path).expect("a file"), EPOCH).expect("read");
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
        std::fs::write(&path, &bytes).expect("written");
        assert_eq!(found(&path), (vec![record(51, Some(1))], None));
        bytes[FIRST + SLOT + 30] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        let (none, refused) = found(&path);
        assert_eq!((none, refused.as_deref()), (Vec::new(), Some("the records of 1 virtual routers make no sense")));
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
            let (length, _) = lengths(slot.first_chunk().expect("a head"));
            let text = String::from_utf8(slot[HEAD..HEAD + length].to_vec()).expect("text").replace(was, is);
            let mut forged = vec![0; 4];
            forged.extend(1_u64.to_le_bytes());
            forged.extend(u16::try_from(text.len()).expect("a length").to_le_bytes());
            forged.extend([0; 2]);
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
        let large = |numbers| RouterRecord { freshness: freshness(32, numbers), ..record(51, Some(2)) };
        assert!(slots.write(&large(8192)).is_err());
        assert_eq!(found(&path).0, [record(51, Some(1))]);
        // The most that is ever remembered has room, and some to spare for checks.
        slots.write(&large(4096 + 1024)).expect("kept");
        assert_eq!(found(&path).0, [large(4096 + 1024)]);
    }
}
