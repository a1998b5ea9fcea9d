use super::diagnostic::either;
use super::keys::{INNER_TABLES, TABLES};

/// keepalived's words for what a table here has under another name, or does not need.
const KEEPALIVED: [(&str, &str); 23] = [
    ("virtual_router_id", "the key is called `vrid`"),
    ("advert_int", "the key is called `advert_interval`"),
    ("virtual_ipaddress", "the key is called `addresses`"),
    ("virtual_ipaddress_excluded", "write `{ address = \"192.0.2.11/24\", advertise = false }` in `addresses`"),
    ("auth_pass", "write `pass` in a table `[virtual_router.NAME.auth]`"),
    ("unicast_peer", "the key is called `unicast_peers`"),
    ("unicast_src_ip", "the key is called `source`"),
    ("mcast_src_ip", "the key is called `source`"),
    ("native_ipv6", "leave it out: the addresses, or `family`, say what the adverts go over"),
    ("track_script", "the key is called `checks`"),
    ("track_interface", "the key is called `track_interfaces`"),
    ("dev", "the key is called `interface`"),
    ("nopreempt", "write `preempt = false`"),
    ("state", "leave it out: the node with the highest `priority` becomes Active"),
    ("vrrp_version", "the key is called `version` and belongs in `[virtual_router.NAME]`"),
    ("vrrp_instance", "the table is called `[virtual_router.NAME]`"),
    ("vrrp_script", "the table is called `[check.NAME]`"),
    ("global_defs", "the table is called `[node]`"),
    ("router_id", "the key is called `name` and belongs in `[node]`"),
    ("interval_ms", "the key is called `interval`, with the unit in its value: \"500ms\""),
    ("command", "the key is called `script`"),
    ("auth_hmac", "the table is called `[virtual_router.NAME.auth]`"),
    ("key", "write `keys = [{ id = 1, file = \"/etc/locum/keys/web\" }]`"),
];

/// Whether a line may hold a secret, by its text: then no message repeats any of it.
pub(super) fn may_hold_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    ["hex:", "pass", "secret", "key", "auth", "file"].iter().any(|word| text.contains(word))
}

/// What to do about an unknown key; `valid` are the names that can stand in its place.
pub(super) fn remedy_for_unknown(word: &str, valid: &[&'static str]) -> String {
    if let Some((_, remedy)) = KEEPALIVED.iter().find(|(theirs, _)| *theirs == word) {
        return (*remedy).to_owned();
    }
    if let Some(near) = nearest(word, valid.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let elsewhere = TABLES.iter().chain(&INNER_TABLES).find(|table| table.keys.iter().any(|key| key.name == word));
    match elsewhere {
        Some(table) => format!("`{word}` belongs in `{}`", table.header),
        None if valid.len() == 1 => format!("only {} can stand here", either(valid)),
        None => format!("what can stand here: {}", either(valid)),
    }
}

/// The candidate that `word` most likely is a misspelling of.
pub(super) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    // A name can be as long as the file, and the distance costs the product of both lengths.
    if word.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    candidates
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        // Of two that a word may be cut from, the one that lacks least.
        .min_by_key(|(distance, candidate)| (*distance, candidate.len().abs_diff(word.len())))
        .map(|(_, candidate)| candidate)
}

/// Edits between two words; a word cut short (`addr`, `int`) counts as one.
fn distance(word: &str, candidate: &str) -> usize {
    let edits = strsim::damerau_levenshtein(word, candidate);
    if word.len() >= 3 && candidate.starts_with(word) { edits.min(1) } else { edits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{Table, VIRTUAL_ROUTER};

    #[test]
    fn misspellings_find_their_key() {
        let names: Vec<&str> = VIRTUAL_ROUTER.keys.iter().map(|key| key.name).collect();
        for (word, near) in [
            ("prioritty", Some("priority")),
            ("Priority", Some("priority")),
            ("advert-interval", Some("advert_interval")),
            ("address", Some("addresses")),
            ("addr", Some("addresses")),
            ("adresses", Some("addresses")),
            ("check", Some("checks")),
            ("vird", Some("vrid")),
            ("track_interface", Some("track_interfaces")),
            ("when_unhealty", Some("when_unhealthy")),
            ("leases", Some("lease")),
            ("auth", Some("auth")),
            ("family", Some("family")),
            ("source", Some("source")),
            ("unicast_peer", Some("unicast_peers")),
            ("xyz", None),
        ] {
            assert_eq!(nearest(word, names.iter().copied()), near, "{word}");
        }
    }

    #[test]
    fn keepalived_words_are_not_our_own() {
        for (word, _) in KEEPALIVED {
            let ours = |table: &Table| table.name == word || table.keys.iter().any(|key| key.name == word);
            assert!(!TABLES.iter().any(ours), "{word}");
        }
    }
}
