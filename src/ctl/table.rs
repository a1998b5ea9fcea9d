use super::span;
use crate::report::RouterState;
use crate::report::status::{AddressState, Auth, Check, Lateness, Priority, Realtime, Router, Status};
use crate::types::Discard;

/// Changes of state that are shown; the document has twenty.
const TRANSITIONS: usize = 5;

/// Clocks of hosts that differ by less are no news.
const TOLD_APART_MS: i64 = 1000;

/// The status document as a person reads it.
pub(super) fn table(status: &Status) -> String {
    let mut text = format!("{}  locum {}  up {}", status.node, status.program, span::words(status.uptime));
    if status.stopping {
        text.push_str("  STOPPING");
    }
    text.push('\n');
    if let Some(line) = realtime(&status.realtime) {
        text.push_str(&format!("{line}\n"));
    }
    if let Some(hint) = &status.hint {
        text.push_str(&format!("\n{hint}\n"));
    }
    text.push_str(&stood_still(&status.lateness));
    for (name, router) in &status.routers {
        text.push('\n');
        text.push_str(&head(name, router, &status.now));
        text.push_str(&rows(&router_rows(router, &status.now)));
    }
    let checks: Vec<(String, String)> =
        status.checks.iter().map(|(name, check)| (name.clone(), check_words(check))).collect();
    if !checks.is_empty() {
        text.push_str("\nchecks\n");
        text.push_str(&rows(&checks));
    }
    let discards: Vec<(String, String)> =
        status.discards.iter().map(|(name, counts)| (name.clone(), counted(counts))).collect();
    if discards.iter().any(|(_, counts)| !counts.is_empty()) {
        text.push_str("\npackets of no virtual router, discarded\n");
        text.push_str(&rows(&discards));
    }
    // Whatever answered, it does not steer this terminal.
    text.retain(|c| c == '\n' || !c.is_control());
    text
}

/// Nothing where it was not asked for.
fn realtime(realtime: &Realtime) -> Option<String> {
    if !realtime.wanted {
        return None;
    }
    let scheduler = realtime.priority.map(|priority| format!("SCHED_FIFO {priority}"));
    let memory = realtime.memory_locked.then(|| "memory locked".to_owned());
    let refused = realtime.refused.iter().map(|what| format!("REFUSED {what}"));
    let parts: Vec<String> = scheduler.into_iter().chain(memory).chain(refused).collect();
    Some(format!("real time: {}", parts.join(", ")))
}

/// What a busy machine does now and then is not worth a line.
fn stood_still(lateness: &Lateness) -> String {
    if lateness.max_ms < 100.0 && lateness.suspended_ms < 100.0 {
        return String::new();
    }
    let span = |millis: f64| {
        if millis < 1000.0 { format!("{millis:.1} ms") } else { format!("{:.2} s", millis / 1000.0) }
    };
    let suspended = match lateness.suspended_ms {
        0.0 => String::new(),
        millis => format!(", suspended for {}", span(millis)),
    };
    format!(
        "\nthis host stood still: up to {} late, {} at last{suspended}\n",
        span(lateness.max_ms),
        span(lateness.last_ms)
    )
}

fn head(name: &str, router: &Router, now: &str) -> String {
    let state = match (router.state, router.degraded) {
        (RouterState::Active, true) => "ACTIVE, DEGRADED",
        (RouterState::Active, false) => "ACTIVE",
        (RouterState::Backup, _) => "BACKUP",
        (RouterState::Fault, _) => "FAULT",
        (RouterState::Initialize, _) => "INITIALIZE",
    };
    let since =
        span::between(&router.since, now).map_or_else(String::new, |seconds| format!(" for {}", span::words(seconds)));
    format!("{name}  {state}{since}: {}\n", router.words)
}

fn router_rows(router: &Router, now: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let every = span_of_millis(router.advert_interval_ms);
    let carried = format!("VRRPv{} by {} {}", router.version, family(&router.family), router.transport);
    let interface = format!("{}, VRID {}, {carried}, adverts every {every}", router.interface, router.vrid);
    rows.push(("interface".to_owned(), interface));
    rows.push(("priority".to_owned(), priority(&router.priority)));
    let active = match (&router.active, router.state) {
        (Some(address), RouterState::Active) => format!("{address} (this host)"),
        (Some(address), RouterState::Backup | RouterState::Fault | RouterState::Initialize) => address.clone(),
        (None, _) => "nobody that is known".to_owned(),
    };
    rows.push(("active".to_owned(), active));
    let addresses = router.addresses.iter().map(|address| {
        let on =
            if address.interface == router.interface { String::new() } else { format!(" on {}", address.interface) };
        let lease = address.lease_left_ms.map(|left| format!(", lease {} more", span::words(left as f64 / 1000.0)));
        (format!("{}{on}", address.address), format!("{}{}", address_words(address.state), lease.unwrap_or_default()))
    });
    push(&mut rows, "addresses", &columns(addresses.collect()));
    push(&mut rows, "peers", &peers(router));
    let mistakes = router.mistakes.iter().map(|mistake| {
        let seen = span::words(mistake.seen_ms_ago as f64 / 1000.0);
        (mistake.token.to_uppercase(), format!("{}; seen {seen} ago", mistake.words))
    });
    push(&mut rows, "mistakes", &columns(mistakes.collect()));
    if router.counters.addresses_restored > 0 {
        let times = router.counters.addresses_restored;
        rows.push(("put back".to_owned(), format!("{times}x, after somebody removed an address")));
    }
    if router.counters.leases_lapsed > 0 {
        let times = router.counters.leases_lapsed;
        rows.push(("lapsed".to_owned(), format!("{times}x, this host having stood still for too long")));
    }
    if let Some(auth) = &router.auth {
        rows.push(("auth".to_owned(), auth_words(auth)));
        let refused = auth.refused.iter().map(|refused| {
            let heard = span::words(refused.heard_ms_ago as f64 / 1000.0);
            (refused.address.clone(), format!("{}, heard {heard} ago, adverts {}", refused.reason, refused.packets))
        });
        push(&mut rows, "refused", &columns(refused.collect()));
    }
    let discards = counted(&router.counters.discards);
    if !discards.is_empty() {
        rows.push(("discarded".to_owned(), discards));
    }
    let skipped = router.last_transitions.len().saturating_sub(TRANSITIONS);
    let changes = router.last_transitions.iter().skip(skipped).map(|change| {
        let when = span::clock(&change.at, now);
        (format!("{when}  {} -> {}", change.from, change.to), change.words.clone())
    });
    push(&mut rows, "changes", &columns(changes.collect()));
    rows
}

/// Whoever was heard, a line each.
fn peers(router: &Router) -> Vec<String> {
    let peers = router.peers.iter().map(|peer| {
        let said = match peer.priority {
            0 => "resigned".to_owned(),
            priority => format!("priority {priority}"),
        };
        let heard = span::words(peer.heard_ms_ago as f64 / 1000.0);
        let key = peer.key.map(|key| format!(", key {key}")).unwrap_or_default();
        let apart = peer.clock_behind_ms.filter(|behind| behind.abs() >= TOLD_APART_MS).map(clock_words);
        let apart = apart.unwrap_or_default();
        let odd = if peer.lists_our_addresses { "" } else { ", LISTS OTHER ADDRESSES" };
        (
            peer.address.clone(),
            format!("{said}, heard {heard} ago, adverts {}, {}{key}{apart}{odd}", peer.adverts, peer.checksum),
        )
    });
    let peers = columns(peers.collect());
    // Our own packets come back are nobody's.
    let refused = |(reason, count): (&String, &u64)| *count > 0 && reason != Discard::OwnPacket.token();
    match (peers.is_empty(), router.counters.discards.iter().any(refused)) {
        (true, true) => vec!["nobody whose adverts count has been heard since the start".to_owned()],
        (true, false) => vec!["nobody has been heard since the start".to_owned()],
        (false, _) => peers,
    }
}

/// The first line gets the label, the others stand below it.
fn push(rows: &mut Vec<(String, String)>, label: &str, lines: &[String]) {
    for (number, line) in lines.iter().enumerate() {
        rows.push((if number == 0 { label.to_owned() } else { String::new() }, line.clone()));
    }
}

fn family(token: &str) -> String {
    token.replacen("ipv", "IPv", 1)
}

fn priority(priority: &Priority) -> String {
    let parts: Vec<String> = priority
        .contributions
        .iter()
        .filter(|part| part.weight != 0)
        .map(|part| format!("{:+} {}", part.weight, part.check))
        .collect();
    match (parts.is_empty(), priority.base == priority.effective) {
        (true, true) => priority.effective.to_string(),
        (true, false) => format!("{} (base {})", priority.effective, priority.base),
        (false, _) => format!("{} (base {}, {})", priority.effective, priority.base, parts.join(", ")),
    }
}

fn auth_words(auth: &Auth) -> String {
    let keys: Vec<String> = auth.keys.iter().map(ToString::to_string).collect();
    let without = match auth.unauthenticated {
        0 => String::new(),
        count => format!(", accepted without: {count}"),
    };
    format!("{}, key {} of {}{without}", auth.mode, auth.active_key, keys.join(", "))
}

fn clock_words(behind_ms: i64) -> String {
    let by = span::words(behind_ms.unsigned_abs() as f64 / 1000.0);
    format!(", its clock {by} {}", if behind_ms < 0 { "ahead" } else { "behind" })
}

fn address_words(state: AddressState) -> &'static str {
    match state {
        AddressState::Absent => "not here",
        AddressState::Adding => "being added",
        AddressState::Held => "held",
        AddressState::Lingering => "held until the successor has it",
        AddressState::Foreign => "here, but set by somebody else: left alone",
    }
}

fn check_words(check: &Check) -> String {
    let verdict = match check.healthy {
        Some(true) => "healthy",
        Some(false) => "FAILING",
        None => "no result yet",
    };
    let mut words = verdict.to_owned();
    if let Some(result) = check.last_result {
        words.push_str(&format!(", {result}"));
    }
    if let Some(ago) = check.result_ms_ago {
        words.push_str(&format!(" {} ago", span::words(ago as f64 / 1000.0)));
    }
    if check.runs > 0 {
        words.push_str(&format!(", {} of {} runs failed", check.failures, check.runs));
    }
    if !check.output.is_empty() {
        words.push_str(&format!(": {}", check.output));
    }
    words
}

fn counted(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let counted: Vec<String> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| format!("{reason} {count}")).collect();
    counted.join(", ")
}

fn span_of_millis(millis: u64) -> String {
    match (millis / 1000, millis % 1000) {
        (0, _) => format!("{millis}ms"),
        (seconds, 0) => format!("{seconds}s"),
        (_, _) => format!("{}s", millis as f64 / 1000.0),
    }
}

/// Labels in one column, what they stand for in the next.
fn rows(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(label, text)| format!("  {label:width$}  {text}\n")).collect()
}

/// The same within a line.
fn columns(pairs: Vec<(String, String)>) -> Vec<String> {
    let width = pairs.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    pairs.into_iter().map(|(left, right)| format!("{left:width$}  {right}")).collect()
}

#[cfg(test)]
mod tests;
