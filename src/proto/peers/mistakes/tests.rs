use super::*;
use crate::types::Interval;

const PATIENCE: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Instant {
    Instant::from_nanos((100_000 + seconds) * 1_000_000_000)
}

fn web() -> RouterName {
    "web".parse().unwrap()
}

fn peer(host: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, host])
}

fn owner(host: u8) -> Mistake {
    Mistake::SecondOwner { peer: peer(host) }
}

fn interval(host: u8) -> Mistake {
    let theirs = Interval::from_centiseconds(50).unwrap();
    Mistake::Interval { peer: peer(host), theirs, ours: Interval::DEFAULT }
}

/// Seen once a second from `from` to `to`: the seconds at which it was told, and how many more each line speaks of.
fn told(mistakes: &mut Mistakes, mistake: &Mistake, from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut lines = Vec::new();
    for second in from..=to {
        let mut events = mistakes.tick(at(second), &web());
        events.extend(mistakes.see(at(second), &web(), mistake.clone(), PATIENCE).expect("room for it"));
        for event in events {
            let Event::Mistake { more, .. } = event else { panic!("{event:?}") };
            lines.push((second, more));
        }
    }
    lines
}

#[test]
fn one_that_lasts_is_told_at_once_and_ever_more_seldom() {
    let mut mistakes = Mistakes::new(at(0));
    let lines = told(&mut mistakes, &owner(3), 0, 10_000);
    assert_eq!(lines, [(0, 0), (600, 598), (1_800, 1_199), (4_200, 2_399), (9_000, 4_799)]);
}

#[test]
fn one_that_is_not_seen_again_ends_after_the_patience_and_is_told_once_in_ten_minutes_if_it_returns() {
    let mut mistakes = Mistakes::new(at(0));
    told(&mut mistakes, &owner(3), 0, 10);
    assert_eq!(mistakes.deadline(), Some(at(40)));
    assert_eq!(mistakes.tick(at(39), &web()), []);
    let (lasted, unseen) = (Duration::from_secs(40), Some(PATIENCE));
    let over = Event::MistakeOver { router: web(), mistake: owner(3), lasted, unseen };
    assert_eq!(mistakes.tick(at(40), &web()), [over]);
    assert_eq!(mistakes.iter().count(), 0);
    // It comes and goes.
    assert_eq!(told(&mut mistakes, &owner(3), 100, 101), []);
    assert_eq!(mistakes.iter().map(|sighting| (sighting.since, sighting.seen)).collect::<Vec<_>>(), [(at(100), 2)]);
    assert_eq!(mistakes.tick(at(131), &web()), [], "what was not told to begin is not told to end");
    assert_eq!(told(&mut mistakes, &owner(3), 599, 601), [(600, 12)]);
    // Long after, it is a new one.
    mistakes.tick(at(700), &web());
    mistakes.tick(at(5_000), &web());
    assert_eq!((mistakes.known.len(), mistakes.deadline()), (0, None));
    assert_eq!(told(&mut mistakes, &owner(3), 5_001, 5_002), [(5_001, 0)]);
}

#[test]
fn an_advert_without_it_shows_that_it_is_corrected() {
    let mut mistakes = Mistakes::new(at(0));
    for host in [3, 4] {
        told(&mut mistakes, &owner(host), 0, 5);
        told(&mut mistakes, &interval(host), 0, 5);
    }
    let refused = Mistake::Refused { peer: peer(3), reason: Discard::AuthBad };
    told(&mut mistakes, &refused, 0, 5);
    let lasted = Duration::from_secs(6);
    let over = Event::MistakeOver { router: web(), mistake: interval(3), lasted, unseen: None };
    assert_eq!(mistakes.correct(at(6), &web(), peer(3), &[owner(3)]), [over]);
    let left: Vec<&Mistake> = mistakes.iter().map(|sighting| &sighting.mistake).collect();
    assert_eq!(left, [&refused, &interval(4), &owner(3), &owner(4)]);
}

#[test]
fn a_forger_with_many_names_is_neither_remembered_nor_told_without_end_and_hides_no_other_kind() {
    let mut mistakes = Mistakes::new(at(0));
    let (mut lines, mut remembered) = (0, 0);
    for second in 0..120 {
        for host in 0..=255 {
            let seen = mistakes.see(at(second), &web(), owner(host), PATIENCE);
            remembered = remembered.max(mistakes.known.len());
            lines += usize::from(matches!(seen, Some(Some(_))));
        }
    }
    assert_eq!((lines, remembered), (4, 4));
    assert_eq!(told(&mut mistakes, &interval(3), 120, 120), [(120, 0)]);
    // Each with a name of its own for a minute: those that are over make room, and the lines stay few.
    let mut times = Vec::new();
    for second in 200..1_400_u64 {
        times.extend(mistakes.tick(at(second), &web()).iter().filter(|event| is_begin(event)).map(|_| second));
        let host = u8::try_from(second % 251).unwrap();
        if let Some(Some(_)) = mistakes.see(at(second), &web(), owner(host), Duration::from_millis(500)) {
            times.push(second);
        }
        assert!(mistakes.known.len() <= 5);
    }
    assert!(times.len() > 90, "{times:?}");
    for start in &times {
        let minute = times.iter().filter(|second| (*start..start + 60).contains(second)).count();
        assert!(minute <= 10, "{minute} lines from {start}");
    }
}

fn is_begin(event: &Event) -> bool {
    matches!(event, Event::Mistake { .. })
}
