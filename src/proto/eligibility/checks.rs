use std::collections::BTreeMap;

use crate::types::{CheckName, CheckResult, CheckSpec, Instant};

/// The verdicts of all checks, by name.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    known: BTreeMap<CheckName, CheckState>,
}

/// One check: what is asked of it, and what its results made of it.
#[derive(Debug)]
pub(crate) struct CheckState {
    spec: CheckSpec,
    /// After `rise` and `fall`; `None` until the first result.
    pub(crate) healthy: Option<bool>,
    /// Results in a row that speak against the verdict.
    against: u32,
    pub(crate) last: Option<(CheckResult, Instant)>,
    pub(crate) output: String,
    pub(crate) runs: u64,
    pub(crate) failures: u64,
}

impl CheckState {
    fn new(spec: CheckSpec) -> Self {
        CheckState { spec, healthy: None, against: 0, last: None, output: String::new(), runs: 0, failures: 0 }
    }

    /// Takes in a result; true if the verdict changed. The first one decides alone.
    fn record(&mut self, now: Instant, result: CheckResult, output: String) -> bool {
        self.last = Some((result, now));
        self.output = output;
        self.runs += 1;
        self.failures += u64::from(!result.is_ok());
        let ok = result.is_ok();
        let needed = if ok { self.spec.rise } else { self.spec.fall };
        match self.healthy {
            Some(healthy) if healthy == ok => {
                self.against = 0;
                false
            }
            Some(_) if self.against + 1 < needed => {
                self.against += 1;
                false
            }
            Some(_) | None => {
                self.healthy = Some(ok);
                self.against = 0;
                true
            }
        }
    }

    /// What a weighted check adds now: before the first result neither bonus nor penalty.
    fn contribution(&self) -> Option<i16> {
        let weight = self.spec.weight?;
        match self.healthy {
            Some(true) => Some(weight.max(0)),
            Some(false) => Some(weight.min(0)),
            None => Some(0),
        }
    }
}

impl Checks {
    /// Takes over the configured checks; one that stays the same keeps its verdict.
    pub(crate) fn configure(&mut self, specs: &BTreeMap<CheckName, CheckSpec>) {
        self.known.retain(|name, state| specs.get(name) == Some(&state.spec));
        for (name, spec) in specs {
            self.known.entry(name.clone()).or_insert_with(|| CheckState::new(spec.clone()));
        }
    }

    /// Takes in a result; the new verdict if it changed. A check that is not configured (any more) is nobody's.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        name: &CheckName,
        result: CheckResult,
        output: String,
    ) -> Option<bool> {
        let state = self.known.get_mut(name)?;
        if state.record(now, result, output) { state.healthy } else { None }
    }

    /// The verdict of an earlier process stands until the results of this one change it.
    pub(crate) fn recall(&mut self, verdicts: &BTreeMap<CheckName, bool>) {
        for (name, healthy) in verdicts {
            if let Some(state) = self.known.get_mut(name) {
                state.healthy.get_or_insert(*healthy);
            }
        }
    }

    /// The verdicts that there are.
    pub(crate) fn verdicts<'a>(&'a self, names: &'a [CheckName]) -> impl Iterator<Item = (&'a CheckName, bool)> + 'a {
        names.iter().filter_map(|name| Some((name, self.known.get(name)?.healthy?)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&CheckName, &CheckState)> {
        self.known.iter()
    }

    pub(crate) fn without_result(&self, names: &[CheckName]) -> Vec<CheckName> {
        let waits = |name: &&CheckName| self.known.get(*name).is_some_and(|state| state.healthy.is_none());
        names.iter().filter(waits).cloned().collect()
    }

    /// Checks without weight whose verdict is bad.
    pub(crate) fn failing(&self, names: &[CheckName]) -> Vec<(CheckName, CheckResult)> {
        let failing = |name: &CheckName| {
            let state = self.known.get(name)?;
            let bad = state.spec.weight.is_none() && state.healthy == Some(false);
            let result = state.last.map_or(CheckResult::Failed, |(result, _)| result);
            // While it recovers its last result may be ok; the verdict is what counts.
            let result = if result.is_ok() { CheckResult::Failed } else { result };
            bad.then(|| (name.clone(), result))
        };
        names.iter().filter_map(failing).collect()
    }

    /// What each weighted check adds to the priority now.
    pub(crate) fn contributions<'a>(
        &'a self,
        names: &'a [CheckName],
    ) -> impl Iterator<Item = (&'a CheckName, i16)> + 'a {
        names.iter().filter_map(|name| Some((name, self.known.get(name)?.contribution()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn state(rise: u32, fall: u32, weight: Option<i16>) -> CheckState {
        CheckState::new(CheckSpec {
            name: "c".parse().unwrap(),
            script: vec!["/bin/true".to_owned()],
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            weight,
            user: None,
        })
    }

    fn verdicts(state: &mut CheckState, results: &str) -> String {
        let mut verdicts = String::new();
        for letter in results.chars() {
            let result = match letter {
                'o' => CheckResult::Ok,
                't' => CheckResult::TimedOut,
                'c' => CheckResult::CouldNotRun,
                'k' => CheckResult::Killed,
                _ => CheckResult::Failed,
            };
            state.record(Instant::from_nanos(1), result, String::new());
            verdicts.push(if state.healthy == Some(true) { 'H' } else { 'f' });
        }
        verdicts
    }

    #[test]
    fn the_first_result_decides_alone_then_rise_and_fall_count_in_a_row() {
        assert_eq!(verdicts(&mut state(2, 3, None), "oxxoxxxooxo"), "HHHHHHffHHH");
        assert_eq!(verdicts(&mut state(2, 3, None), "xoxoo"), "ffffH");
    }

    #[test]
    fn everything_but_ok_is_a_failure() {
        assert_eq!(verdicts(&mut state(1, 1, None), "otockok"), "HfHffHf");
    }

    #[test]
    fn weights_add_while_ok_or_subtract_while_failed() {
        let contributions = |weight, results: &str| {
            let mut state = state(1, 1, Some(weight));
            verdicts(&mut state, results);
            state.contribution()
        };
        assert_eq!(contributions(20, ""), Some(0));
        assert_eq!(contributions(20, "o"), Some(20));
        assert_eq!(contributions(20, "x"), Some(0));
        assert_eq!(contributions(-20, ""), Some(0));
        assert_eq!(contributions(-20, "o"), Some(0));
        assert_eq!(contributions(-20, "x"), Some(-20));
    }
}
