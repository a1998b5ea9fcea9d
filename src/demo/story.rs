//! What is performed, in order, each step waiting for what the one before must bring about.

use std::path::Path;
use std::time::Duration;

use super::client::{Client, View};
use super::failure::{Doing, Failure};
use super::hosts::{Host, Identity, LB1, LB2, Network, VIRTUAL_ADDRESS};
use super::ledger::{Window, cost};
use super::observer::{Missing, Observer, Record, Stamp};
use super::told::{Event, Remarks, Teller, milliseconds, seconds};
use crate::io::capture::Capture;
use crate::io::clock;

/// Active_Down_Interval of lb2 at adverts of one second: 3 s and (256 - 100)/256 of one (RFC 9568 section 6.1).
const BACKUP_PATIENCE: Duration = Duration::from_millis(3610);
/// For what comes after it: the advert, the address, its announcement, and the time to the next echo.
const TAKING_OVER: Duration = Duration::from_millis(20);
/// How long any step may take before it counts as not coming: some Active_Down_Intervals, of a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Replies that are still under way when the last event is over are waited for this long.
const STRAGGLERS: u64 = 50_000_000;

/// Performs everything and prints it.
pub(super) fn play(folder: &Path) -> Result<(), Failure> {
    let clocks = clock::pair();
    let mut play = Play::prepare(folder)?;
    play.elect()?;
    let client = Client::start(&play.network.client, VIRTUAL_ADDRESS).doing("start the client")?;
    play.answered(LB1, 0, "the client sends 1000 echoes a second, and lb1 answers")?;
    play.settle(LB1)?;
    let power_loss = play.lose_power()?;
    let return_of_lb1 = play.come_back()?;
    let planned_stop = play.stop_as_planned()?;
    let end = clock::pair();
    let late = end.unix_nanos.saturating_add(STRAGGLERS);
    play.wait_for(LB2, "replies to the last echoes", late, |record| reply_of(record, LB2, late))?;
    let view = client.stop().doing("stop the client")?;
    let wall = end.unix_nanos.abs_diff(clocks.unix_nanos);
    let clock_set = wall.abs_diff(u64::try_from(end.boot.since(clocks.boot).as_nanos()).unwrap_or(u64::MAX));
    let begins = [
        ("power loss of lb1", Some(BACKUP_PATIENCE + TAKING_OVER), power_loss),
        ("lb1 comes back", None, return_of_lb1),
        ("planned stop of lb1", None, planned_stop),
    ];
    play.tell_costs(&begins, end.unix_nanos, &view, Duration::from_nanos(clock_set))
}

/// An event: its name, the longest gap it may cause, and when it began.
type Begin = (&'static str, Option<Duration>, Stamp);

#[derive(Debug)]
struct Play {
    network: Network,
    observer: Observer,
    teller: Teller,
    hosts: Vec<Host>,
}

impl Play {
    fn prepare(folder: &Path) -> Result<Self, Failure> {
        let mut network = Network::build(folder)?;
        let (switch, port) = network.client_port()?;
        let capture = switch.run(|| Capture::open(port)).doing("capture on the client's cable")?;
        let observer = Observer::start(capture).doing("start the observer")?;
        Ok(Play { network, observer, teller: Teller::new(now()), hosts: Vec::new() })
    }

    fn elect(&mut self) -> Result<(), Failure> {
        self.teller.line(&format!(
            "Two hosts on a LAN of their own inside this machine, lb1 (priority {}) and lb2 (priority {}), share the\n\
             address {VIRTUAL_ADDRESS}. Each runs this agent with adverts of 1 s; a client sends echoes to the address.\n",
            LB1.priority, LB2.priority
        ))?;
        let from = now();
        for identity in [LB1, LB2] {
            let host = self.network.switch_on(identity)?;
            self.hosts.push(host);
        }
        self.teller.at(from, "lb1 and lb2 are switched on and their agents started")?;
        let advert = self.wait_for(LB1, "its first advert", from, |record| advert_of(record, LB1, from))?;
        self.teller.at(advert, "lb1 has heard of nobody better: it is Active")?;
        self.announced(LB1, advert)
    }

    fn lose_power(&mut self) -> Result<Stamp, Failure> {
        let from = now();
        let host = self.take(LB1)?;
        self.network.cut_off(host)?;
        self.teller.at(from, "lb1 is cut off and its agent killed (a power loss)")?;
        let advert = self.wait_for(LB2, "its advert", from, |record| advert_of(record, LB2, from))?;
        let silence = self.silence(LB1, advert);
        self.teller.at(advert, &format!("lb2 has heard nothing for {}: it is Active", seconds(silence)))?;
        self.announced(LB2, advert)?;
        self.answered(LB2, from, "the client's echoes are answered again, by lb2")?;
        self.settle(LB2)?;
        Ok(from)
    }

    fn come_back(&mut self) -> Result<Stamp, Failure> {
        let from = now();
        let host = self.network.switch_on(LB1)?;
        self.hosts.push(host);
        self.teller.at(from, "lb1 is switched on again, with nothing left of before, and its agent started")?;
        let advert = self.wait_for(LB1, "its advert", from, |record| advert_of(record, LB1, from))?;
        self.teller.at(advert, "lb1 has heard of nobody better: it is Active, and takes over from lb2")?;
        self.announced(LB1, advert)?;
        self.answered(LB1, from, "the client's echoes are answered by lb1")?;
        self.settle(LB1)?;
        Ok(from)
    }

    fn stop_as_planned(&mut self) -> Result<Stamp, Failure> {
        let from = now();
        let mut host = self.take(LB1)?;
        host.stop_agent()?;
        self.teller.at(from, "lb1's agent is told to stop (a planned departure)")?;
        let resigned = self.wait_for(LB1, "its resignation", from, |record| resignation_of(record, LB1, from))?;
        self.teller.at(resigned, "lb1 resigns (an advert of priority 0)")?;
        let advert = self.wait_for(LB2, "its advert", resigned, |record| advert_of(record, LB2, resigned))?;
        let waited = milliseconds(span(resigned, advert));
        self.teller.at(advert, &format!("lb2 follows {waited} after the resignation: it is Active"))?;
        self.announced(LB2, advert)?;
        self.answered(LB2, from, "the client's echoes are answered by lb2")?;
        let status = self.wait_for(LB1, "the end of its agent", from, |_| host.agent_ended())?;
        self.teller.at(now(), &format!("lb1's agent has ended ({status})"))?;
        if !status.success() {
            return Err(self.no_takeover(LB1, "did not leave as planned", from));
        }
        self.settle(LB2)?;
        Ok(from)
    }

    fn take(&mut self, identity: &Identity) -> Result<Host, Failure> {
        let found = self.hosts.iter().position(|host| host.identity.name == identity.name);
        let gone = || std::io::Error::other("it is not switched on");
        found.map(|at| self.hosts.swap_remove(at)).ok_or_else(gone).doing(&format!("find {}", identity.name))
    }

    fn announced(&mut self, who: &Identity, from: Stamp) -> Result<(), Failure> {
        let stamp = self.wait_for(who, "its announcement", from, |record| announcement_of(record, who, from))?;
        let after = milliseconds(span(from, stamp));
        self.teller.at(stamp, &format!("{} announces {VIRTUAL_ADDRESS}, {after} after its advert", who.name))
    }

    fn answered(&mut self, who: &Identity, from: Stamp, text: &str) -> Result<(), Failure> {
        let stamp = self.wait_for(who, "its answer to an echo", from, |record| reply_of(record, who, from))?;
        self.teller.at(stamp, text)
    }

    /// Lets an event end: one more advert, so that what follows at once is within its figures.
    fn settle(&mut self, who: &Identity) -> Result<(), Failure> {
        let from = now();
        self.wait_for(who, "its next advert", from, |record| advert_of(record, who, from)).map(drop)
    }

    /// Waits for something of `who`; what does not come is the demo's verdict.
    fn wait_for<T>(
        &mut self,
        who: &Identity,
        what: &str,
        from: Stamp,
        found: impl FnMut(&Record) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut host = self.hosts.iter_mut().find(|host| host.identity.name == who.name);
        let hopeless = || {
            let status = host.as_mut()?.agent_ended()?;
            Some(format!("its agent has ended by itself ({status})"))
        };
        let missing = match self.observer.wait_for(PATIENCE, hopeless, found) {
            Ok(found) => return Ok(found),
            Err(Missing::Late) => format!("waited {} for {what}", seconds(PATIENCE)),
            Err(Missing::Hopeless(why)) => format!("waited for {what}, but {why}"),
        };
        Err(self.no_takeover(who, &format!("did not do its part: {missing}"), from))
    }

    /// What there is to find out why.
    fn no_takeover(&self, who: &Identity, what: &str, from: Stamp) -> Failure {
        let record = self.observer.record();
        let mut text =
            format!("{} {what}\nOn the client's cable in the last {}:", who.name, seconds(span(from, now())));
        for identity in [LB1, LB2] {
            text += &seen_of(&record, identity, from);
        }
        drop(record);
        for identity in [LB1, LB2] {
            text += &format!("\nThe last lines of the log of {}'s agent:\n", identity.name);
            text += &self.network.last_lines(identity);
        }
        Failure::NoTakeover(text)
    }

    /// How long before `at` the last advert of `who` came.
    fn silence(&self, who: &Identity, at: Stamp) -> Duration {
        let record = self.observer.record();
        let last = record.adverts.iter().rev().find(|(stamp, from, _)| *stamp < at && *from == who.address);
        last.map_or(Duration::ZERO, |(stamp, ..)| span(*stamp, at))
    }

    fn tell_costs(&self, begins: &[Begin], end: Stamp, view: &View, clock_set: Duration) -> Result<(), Failure> {
        let record = self.observer.record();
        let ends = begins.iter().skip(1).map(|(_, _, from)| *from).chain([end]);
        let events: Vec<Event> = begins
            .iter()
            .zip(ends)
            .map(|(&(name, bound, from), to)| Event {
                name,
                bound,
                cost: cost(&record, &view.pauses, Window { from, to }),
            })
            .collect();
        let last = record.replies.iter().filter(|(stamp, ..)| *stamp < end).map(|(_, number, _)| *number).max();
        let remarks = Remarks {
            captured: record.replies.iter().filter(|(_, number, _)| Some(*number) <= last).count(),
            received: view.replies.iter().filter(|number| Some(**number) <= last).count(),
            missed: record.missed,
            clock_set,
        };
        drop(record);
        self.teller.table(&events, &[LB1, LB2])?;
        self.teller.remarks(&events, &remarks)
    }
}

fn advert_of(record: &Record, who: &Identity, from: Stamp) -> Option<Stamp> {
    let mut after = record.adverts.iter().skip(record.adverts.partition_point(|(stamp, ..)| *stamp <= from));
    after.find(|(_, address, priority)| *address == who.address && *priority > 0).map(|(stamp, ..)| *stamp)
}

fn resignation_of(record: &Record, who: &Identity, from: Stamp) -> Option<Stamp> {
    let mut after = record.adverts.iter().skip(record.adverts.partition_point(|(stamp, ..)| *stamp <= from));
    after.find(|(_, address, priority)| *address == who.address && *priority == 0).map(|(stamp, ..)| *stamp)
}

fn announcement_of(record: &Record, who: &Identity, from: Stamp) -> Option<Stamp> {
    let announcements = &record.announcements;
    let mut after = announcements.iter().skip(announcements.partition_point(|(stamp, ..)| *stamp <= from));
    after.find(|(_, address, mac)| *address == VIRTUAL_ADDRESS && *mac == who.mac).map(|(stamp, ..)| *stamp)
}

fn reply_of(record: &Record, who: &Identity, from: Stamp) -> Option<Stamp> {
    let mut after = record.replies.iter().skip(record.replies.partition_point(|(stamp, ..)| *stamp <= from));
    after.find(|(_, _, mac)| *mac == who.mac).map(|(stamp, ..)| *stamp)
}

/// One line on what was seen of a host.
fn seen_of(record: &Record, who: &Identity, from: Stamp) -> String {
    let adverts = || record.adverts.iter().filter(|(stamp, address, _)| *stamp > from && *address == who.address);
    let priority =
        adverts().next_back().map_or(String::new(), |(_, _, priority)| format!(" (the last of priority {priority})"));
    let announcements = record.announcements.iter().filter(|(stamp, _, mac)| *stamp > from && *mac == who.mac).count();
    let replies = record.replies.iter().filter(|(stamp, _, mac)| *stamp > from && *mac == who.mac).count();
    format!(
        "\n  {} ({}): adverts {}{priority}, announcements {announcements}, answered echoes {replies}",
        who.name,
        who.address,
        adverts().count()
    )
}

fn span(from: Stamp, to: Stamp) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

fn now() -> Stamp {
    clock::pair().unix_nanos
}
