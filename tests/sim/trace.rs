//! What happened last, to be read when a seed fails: time, host, what.

use std::collections::VecDeque;

use locum::types::Instant;

use crate::scenario::START;

/// Lines kept unless the whole trace is wanted.
const KEPT: usize = 60;

pub struct Trace {
    lines: VecDeque<String>,
    whole: bool,
}

impl Trace {
    pub fn new(whole: bool) -> Self {
        Trace { lines: VecDeque::new(), whole }
    }

    /// Whether the everyday is wanted too: adverts, frames, wake-ups.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    pub fn line(&mut self, now: Instant, host: Option<usize>, what: impl FnOnce() -> String) {
        if !self.whole && self.lines.len() >= KEPT {
            self.lines.pop_front();
        }
        let host = host.map_or_else(|| "  ".to_owned(), |host| format!("h{host}"));
        self.lines.push_back(format!("{:12.6} {host} {}", now.since(START).as_secs_f64(), what()));
    }

    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
