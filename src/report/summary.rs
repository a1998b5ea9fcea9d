use std::fmt::Write;

use super::{Reason, RouterState, Trouble};
use crate::types::RouterName;

/// Up to so many virtual routers are named one by one.
const NAMED: usize = 3;
/// Longest line, in characters.
const LONGEST: usize = 200;

/// How one virtual router stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'r> {
    /// Which.
    pub name: &'r RouterName,
    /// Its state.
    pub state: RouterState,
    /// Active although unhealthy.
    pub degraded: bool,
    /// Why.
    pub reason: &'r Reason,
}

/// How all virtual routers stand, in short: what a service manager is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Each is elected, backs up, or is in a fault that may last: nothing that comes by itself is awaited.
    pub settled: bool,
    /// One line for people.
    pub line: String,
}

impl Standing<'_> {
    fn settled(&self) -> bool {
        match self.state {
            RouterState::Active | RouterState::Backup => true,
            RouterState::Initialize => false,
            RouterState::Fault => self.reason.trouble() != Trouble::Waiting,
        }
    }

    fn words(&self) -> String {
        match (self.state, self.degraded) {
            (RouterState::Fault, _) => format!("{} in fault: {}", self.name, self.reason),
            (RouterState::Active, true) => format!("{} active, degraded: {}", self.name, self.reason),
            (RouterState::Active | RouterState::Backup | RouterState::Initialize, _) => {
                format!("{} {}", self.name, self.state)
            }
        }
    }
}

impl Summary {
    /// Of these virtual routers.
    pub fn of(routers: &[Standing<'_>]) -> Self {
        let line = match routers.len() {
            0 => super::no_router(),
            1..=NAMED => routers.iter().map(Standing::words).collect::<Vec<_>>().join("; "),
            _ => counted(routers),
        };
        let line = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
        Summary { settled: routers.iter().all(Standing::settled), line }
    }
}

fn counted(routers: &[Standing<'_>]) -> String {
    let mut line = String::new();
    for state in [RouterState::Active, RouterState::Backup, RouterState::Initialize, RouterState::Fault] {
        let count = routers.iter().filter(|router| router.state == state).count();
        if count > 0 {
            let comma = if line.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            write!(line, "{comma}{count} {state}").ok();
        }
    }
    let odd = routers.iter().find(|router| router.state == RouterState::Fault || router.degraded);
    odd.map_or_else(|| line.clone(), |odd| format!("{line}; {}", odd.words()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CheckResult;

    fn summary(routers: &[(&str, RouterState, bool, Reason)]) -> Summary {
        let names: Vec<RouterName> = routers.iter().map(|(name, ..)| name.parse().expect("a name")).collect();
        let standing = routers.iter().zip(&names);
        let standing = standing.map(|((_, state, degraded, reason), name)| Standing {
            name,
            state: *state,
            degraded: *degraded,
            reason,
        });
        Summary::of(&standing.collect::<Vec<_>>())
    }

    #[test]
    fn few_are_named_and_many_are_counted() {
        use RouterState::{Active, Backup, Fault, Initialize};
        let missing = || Reason::InterfaceMissing("eth1".parse().expect("a name"));
        let waiting = || Reason::WaitingForChecks(vec!["disk".parse().expect("a name")]);
        let sick = || Reason::Degraded(vec![("disk".parse().expect("a name"), CheckResult::Failed)]);
        let up = || Reason::Startup;
        let told = |settled, line: &str| Summary { settled, line: line.to_owned() };
        assert_eq!(summary(&[]), told(true, &crate::report::no_router()));
        assert_eq!(
            summary(&[("web", Active, false, up()), ("db", Backup, false, up()), ("dns", Fault, false, missing())]),
            told(true, &format!("web active; db backup; dns in fault: {}", missing()))
        );
        assert!(!summary(&[("web", Initialize, false, up())]).settled);
        assert!(!summary(&[("web", Active, false, up()), ("db", Fault, false, waiting())]).settled);
        let many = [
            ("a", Active, false, up()),
            ("b", Active, true, sick()),
            ("c", Backup, false, up()),
            ("d", Fault, false, missing()),
        ];
        assert_eq!(summary(&many), told(true, &format!("2 active, 1 backup, 1 fault; b active, degraded: {}", sick())));
    }

    #[test]
    fn it_is_one_line_of_bounded_length() {
        let reason = Reason::SendFailed("eth0".parse().expect("a name"), "no\n".repeat(500));
        let summary = summary(&[("web", RouterState::Fault, false, reason)]);
        assert!(!summary.line.contains('\n') && summary.line.chars().count() == LONGEST);
    }
}
