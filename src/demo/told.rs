//! What the demo prints: a timeline as it happens, and a table of costs.

use std::io::{self, Write};
use std::time::Duration;

use super::failure::{Doing, Failure};
use super::hosts::Identity;
use super::ledger::Cost;
use super::observer::Stamp;

/// What two clocks may drift apart while the demo runs without one having been set.
const CLOCK_SLACK: Duration = Duration::from_millis(5);

/// Tells what happens on standard output, line by line.
#[derive(Debug)]
pub(super) struct Teller {
    begin: Stamp,
}

/// One event with what it cost.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// The longest gap that the protocol allows; `None`: no gap at all is due.
    pub(super) bound: Option<Duration>,
    pub(super) cost: Cost,
}

/// What stands behind the figures.
#[derive(Debug)]
pub(super) struct Remarks {
    /// Replies that the capture saw.
    pub(super) captured: usize,
    /// Replies that the client's own socket received.
    pub(super) received: usize,
    /// Frames that the capture missed.
    pub(super) missed: u32,
    /// By how much the clock on the wall was set meanwhile.
    pub(super) clock_set: Duration,
}

impl Teller {
    /// Times are told from `begin` on.
    pub(super) fn new(begin: Stamp) -> Self {
        Teller { begin }
    }

    /// A line of the timeline.
    pub(super) fn at(&self, stamp: Stamp, text: &str) -> Result<(), Failure> {
        let since = Duration::from_nanos(stamp.saturating_sub(self.begin));
        self.line(&format!("{:>9}  {text}", seconds(since)))
    }

    /// A line without a time.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
            result => result.doing("write to standard output"),
        }
    }

    /// The table.
    pub(super) fn table(&self, events: &[Event], hosts: &[&Identity]) -> Result<(), Failure> {
        self.line("")?;
        self.line(&format!(
            "{:<22}{:>8}{:>8}{:>14}{:>14}  holder",
            "event", "echoes", "lost", "longest gap", "due within"
        ))?;
        for Event { name, bound, cost } in events {
            let holder = hosts.iter().find(|host| Some(host.mac) == cost.holder).map_or("nobody", |host| host.name);
            let bound = bound.map_or("no loss".to_owned(), seconds);
            let (sent, lost, gap) = (cost.sent, cost.lost, milliseconds(cost.gap));
            self.line(&format!("{name:<22}{sent:>8}{lost:>8}{gap:>14}{bound:>14}  {holder}"))?;
        }
        self.line("")
    }

    /// Where the figures come from, and what casts a doubt on them.
    pub(super) fn remarks(&self, events: &[Event], remarks: &Remarks) -> Result<(), Failure> {
        let Remarks { captured, received, missed, clock_set } = remarks;
        self.line(
            "Due: after a power loss, the 3.610 s that lb2 waits at adverts of 1 s and 20 ms; otherwise, no loss.",
        )?;
        self.line("Figures: a capture on the client's cable, stamped by the kernel.")?;
        match captured == received {
            true => self.line(&format!("The client's own socket agrees: {received} replies."))?,
            false => self.line(&format!(
                "The client's own socket does not agree: it received {received} replies, the capture saw {captured}."
            ))?,
        }
        for Event { name, bound, cost } in events {
            if cost.paused_in_gap > Duration::ZERO {
                self.line(&format!(
                    "This machine did not run the client for {} of the longest gap of \"{name}\".",
                    milliseconds(cost.paused_in_gap)
                ))?;
            }
            let excess =
                bound.is_some_and(|bound| cost.gap > bound + cost.paused_in_gap) || bound.is_none() && cost.lost > 0;
            if excess {
                self.line(&format!("\"{name}\" cost more than it should."))?;
            }
        }
        if *missed > 0 {
            self.line(&format!(
                "The capture missed {missed} frames: the figures are too bad by up to as many echoes."
            ))?;
        }
        if *clock_set > CLOCK_SLACK {
            self.line(&format!(
                "The clock was set by {} meanwhile: times are wrong by as much.",
                milliseconds(*clock_set)
            ))?;
        }
        Ok(())
    }
}

/// Seconds with milliseconds: `3.609 s`.
pub(super) fn seconds(span: Duration) -> String {
    format!("{}.{:03} s", span.as_secs(), span.subsec_millis())
}

/// Milliseconds with one decimal: `3412.3 ms`.
pub(super) fn milliseconds(span: Duration) -> String {
    format!("{}.{} ms", span.as_millis(), span.subsec_micros() % 1000 / 100)
}
