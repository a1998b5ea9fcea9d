//! Section by section of RFC 9568; times are literals in milliseconds.

use std::net::Ipv4Addr;

use super::*;

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 5));
const LOWER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 4));
const HIGHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 6));

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn at_us(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1_000)
}

fn interval(centiseconds: u16) -> Interval {
    Interval::from_centiseconds(centiseconds).unwrap()
}

fn params(priority: u8) -> Params {
    Params {
        version: Version::V3,
        priority: Priority::new(priority).unwrap(),
        advert_interval: interval(100),
        preempt: true,
        preempt_delay: Duration::ZERO,
        source: OWN,
        reluctant: false,
        not_before: Instant::default(),
    }
}

fn active(priority: u8) -> Advertised {
    Advertised::Active(Priority::new(priority).unwrap())
}

/// Priority 100: Skew_Time 609.375 ms, Active_Down_Interval 3609.375 ms.
fn backup(change: impl FnOnce(&mut Params)) -> Election {
    let mut params = params(100);
    change(&mut params);
    let mut election = Election::new(params);
    assert_eq!(election.start(at(0)), Outcome::Nothing);
    election
}

fn active_router(priority: u8) -> Election {
    let mut election = Election::new(params(priority));
    election.start(at(0));
    assert!(matches!(election.tick(at(10_000)), Outcome::Claim(_)));
    election
}

fn hear(election: &mut Election, when: u64, source: IpAddr, advertised: Advertised, centiseconds: u16) -> Outcome {
    election.hear(at(when), at(when), source, advertised, interval(centiseconds))
}

#[test]
fn s641_the_owner_is_active_at_once() {
    let mut election = Election::new(params(255));
    assert_eq!(election.start(at(0)), Outcome::Claim(Claim::Owner));
    assert_eq!(election.deadline(), Some(at(1_000)));
}

#[test]
fn s641_everybody_else_waits_the_active_down_interval() {
    let mut election = backup(|_| ());
    assert_eq!(election.deadline(), Some(at_us(3_609_375)));
    assert_eq!(election.tick(at(3_609)), Outcome::Nothing);
    assert_eq!(election.tick(at_us(3_609_375)), Outcome::Claim(Claim::Silence(Duration::from_micros(3_609_375))));
    assert_eq!(election.deadline(), Some(at_us(4_609_375)));
}

#[test]
fn s642_shutdown_of_a_backup_is_silent() {
    let mut election = backup(|_| ());
    assert!(!election.shut_down());
    assert_eq!(election.deadline(), None);
}

#[test]
fn s642_a_resignation_leaves_the_skew_time() {
    let mut election = backup(|_| ());
    hear(&mut election, 1_000, HIGHER, active(200), 100);
    hear(&mut election, 1_500, HIGHER, Advertised::Resigned, 100);
    assert_eq!(election.deadline(), Some(at_us(2_109_375)));
    assert_eq!(election.tick(at_us(2_109_375)), Outcome::Claim(Claim::Resigned));
}

#[test]
fn s642_an_equal_or_higher_advert_restarts_the_timer_with_its_interval() {
    let mut election = backup(|_| ());
    hear(&mut election, 1_000, HIGHER, active(100), 100);
    assert_eq!(election.deadline(), Some(at_us(4_609_375)));
    // Learned: 2 s. 3 * 2 s + 156 / 256 * 2 s = 7218.75 ms.
    hear(&mut election, 2_000, HIGHER, active(200), 200);
    assert_eq!(election.deadline(), Some(at_us(9_218_750)));
    // Its skew after a resignation is that of the learned interval: 1218.75 ms.
    hear(&mut election, 3_000, HIGHER, Advertised::Resigned, 200);
    assert_eq!(election.deadline(), Some(at_us(4_218_750)));
}

#[test]
fn s642_a_repeated_resignation_does_not_put_the_claim_off() {
    let mut election = backup(|_| ());
    hear(&mut election, 3_000, HIGHER, Advertised::Resigned, 100);
    hear(&mut election, 3_600, HIGHER, Advertised::Resigned, 100);
    assert_eq!(election.deadline(), Some(at_us(3_609_375)));
}

#[test]
fn s642_a_lower_advert_does_not_touch_the_timer_of_a_preempting_backup() {
    let mut election = backup(|_| ());
    hear(&mut election, 3_000, HIGHER, active(99), 500);
    assert_eq!(election.deadline(), Some(at_us(3_609_375)));
}

#[test]
fn s642_without_preempt_a_lower_advert_counts() {
    let mut election = backup(|p| p.preempt = false);
    hear(&mut election, 3_000, LOWER, active(1), 100);
    assert_eq!(election.deadline(), Some(at_us(6_609_375)));
}

#[test]
fn a_preempt_delay_runs_from_the_first_lower_advert_and_the_down_timer_after_it() {
    let mut election = backup(|p| p.preempt_delay = Duration::from_secs(5));
    for second in 1..=8 {
        hear(&mut election, second * 1_000, LOWER, active(50), 100);
    }
    // 1 s + 5 s: the advert at 5 s was the last that counted.
    assert_eq!(election.deadline(), Some(at_us(8_609_375)));
}

#[test]
fn a_preempt_delay_does_not_delay_taking_over_from_the_dead_and_begins_anew_after_a_higher_one() {
    let mut election = backup(|p| p.preempt_delay = Duration::from_secs(300));
    hear(&mut election, 1_000, LOWER, active(50), 100);
    assert_eq!(election.deadline(), Some(at_us(4_609_375)));
    hear(&mut election, 2_000, HIGHER, active(200), 100);
    hear(&mut election, 302_000, LOWER, active(50), 100);
    assert_eq!(election.deadline(), Some(at_us(305_609_375)));
}

#[test]
fn the_timer_counts_from_the_lan_not_from_the_reading() {
    let mut election = backup(|_| ());
    election.hear(at(2_000), at(1_000), HIGHER, active(200), interval(100));
    assert_eq!(election.deadline(), Some(at_us(4_609_375)));
}

#[test]
fn a_changed_priority_moves_the_timer_at_once() {
    let mut election = backup(|_| ());
    hear(&mut election, 1_000, HIGHER, active(200), 100);
    // Priority 228: skew 28 / 256 s = 109.375 ms.
    election.set_params(params(228), at(1_500));
    assert_eq!(election.deadline(), Some(at_us(4_109_375)));
}

#[test]
fn s643_the_rhythm_of_adverts_does_not_drift() {
    let mut election = active_router(100);
    assert_eq!(election.tick(at(11_003)), Outcome::Advertise);
    assert_eq!(election.deadline(), Some(at(12_000)));
    // More than an interval late: one advert, not a burst, and the next one where it would have been.
    assert_eq!(election.tick(at(14_500)), Outcome::Advertise);
    assert_eq!(election.deadline(), Some(at(15_000)));
}

#[test]
fn s643_shutdown_of_the_active_router_resigns() {
    assert!(active_router(100).shut_down());
}

#[test]
fn s643_a_resignation_is_answered_and_the_adver_timer_reset() {
    let mut election = active_router(100);
    assert_eq!(hear(&mut election, 10_400, HIGHER, Advertised::Resigned, 100), Outcome::Advertise);
    assert_eq!(election.deadline(), Some(at(11_400)));
}

#[test]
fn s643_a_higher_advert_is_yielded_to_with_or_without_preempt() {
    for preempt in [true, false] {
        let mut election = active_router(100);
        election.set_params(Params { preempt, ..params(100) }, at(10_000));
        assert_eq!(hear(&mut election, 10_400, LOWER, active(101), 200), Outcome::Yield);
        assert_eq!(election.deadline(), Some(at_us(10_400_000 + 7_218_750)));
    }
}

#[test]
fn s643_a_tie_goes_to_the_higher_address() {
    assert_eq!(hear(&mut active_router(100), 10_400, HIGHER, active(100), 100), Outcome::Yield);
    assert_eq!(hear(&mut active_router(100), 10_400, LOWER, active(100), 100), Outcome::Assert);
    // Unsigned, in network order: 192.0.2.5 is above 10.255.255.255 and below 223.0.0.1.
    assert_eq!(
        hear(&mut active_router(100), 10_400, Ipv4Addr::new(10, 255, 255, 255).into(), active(100), 100),
        Outcome::Assert
    );
    assert_eq!(
        hear(&mut active_router(100), 10_400, Ipv4Addr::new(223, 0, 0, 1).into(), active(100), 100),
        Outcome::Yield
    );
}

#[test]
fn s643_a_lower_advert_is_answered_at_once_and_the_rhythm_goes_on() {
    let mut election = active_router(100);
    assert_eq!(hear(&mut election, 10_400, HIGHER, active(99), 100), Outcome::Assert);
    assert_eq!(election.deadline(), Some(at(11_000)));
}

#[test]
fn e8298_two_owners_are_decided_by_address() {
    let owner = || {
        let mut election = Election::new(params(255));
        election.start(at(0));
        election
    };
    assert_eq!(hear(&mut owner(), 400, HIGHER, active(255), 100), Outcome::Yield);
    assert_eq!(hear(&mut owner(), 400, LOWER, active(255), 100), Outcome::Assert);
    assert_eq!(hear(&mut owner(), 400, HIGHER, active(254), 100), Outcome::Assert);
}

#[test]
fn initialize_hears_nothing() {
    let mut election = Election::new(params(100));
    assert_eq!(hear(&mut election, 400, HIGHER, active(200), 100), Outcome::Nothing);
    assert_eq!(election.deadline(), None);
}

#[test]
fn who_steps_back_takes_the_place_again_if_nobody_does() {
    let mut election = active_router(100);
    election.step_back(at(10_500), Duration::from_millis(1_270));
    assert_eq!(election.deadline(), Some(at(11_770)));
    assert_eq!(election.tick(at(11_770)), Outcome::Claim(Claim::NoSuccessor));
}

#[test]
fn who_steps_back_gives_a_successor_its_full_patience() {
    let mut election = active_router(100);
    election.set_params(params(1), at(10_500));
    election.step_back(at(10_500), Duration::from_millis(1_270));
    hear(&mut election, 10_900, LOWER, active(50), 100);
    // Priority 1: 3 s + 255 / 256 s.
    assert_eq!(election.deadline(), Some(at_us(10_900_000 + 3_996_093) + Duration::from_nanos(750)));
}

#[test]
fn the_reluctant_leave_a_resigned_place_to_others() {
    let mut election = backup(|p| p.reluctant = true);
    hear(&mut election, 1_000, HIGHER, active(200), 100);
    hear(&mut election, 1_500, HIGHER, Advertised::Resigned, 100);
    assert_eq!(election.deadline(), Some(at_us(4_609_375)));
}

#[test]
fn a_shorter_interval_is_kept_from_now_on() {
    let mut election = active_router(100);
    election.set_params(Params { advert_interval: interval(10), ..params(100) }, at(10_200));
    assert_eq!(election.deadline(), Some(at(10_300)));
}
