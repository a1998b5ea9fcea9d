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
    // 256 - priority: Skew_Time in 256ths of a second.
    election.start(Instant::from_nanos(7_000_000_000 - (256 - u64::from(priority)) * 1_000_000_000 / 256));
    assert!(matches!(on_time(&mut election, 10_000_000), Outcome::Claim(_)));
    election
}

/// The tick at a time in microseconds, of a host that was awake until then.
fn on_time(election: &mut Election, micros: u64) -> Outcome {
    while let Some(wake) = election.wake_at().filter(|wake| *wake < at_us(micros)) {
        assert_eq!(election.tick(wake, None), Outcome::Nothing);
    }
    election.tick(at_us(micros), None)
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
    assert_eq!(on_time(&mut election, 3_609_000), Outcome::Nothing);
    assert_eq!(on_time(&mut election, 3_609_375), Outcome::Claim(Claim::Silence(Duration::from_micros(3_609_375))));
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
    assert_eq!(on_time(&mut election, 2_109_375), Outcome::Claim(Claim::Resigned));
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
    assert_eq!(election.tick(at(11_003), None), Outcome::Advertise);
    assert_eq!(election.deadline(), Some(at(12_000)));
    // More than an interval late: one advert, not a burst, and the next one where it would have been.
    assert_eq!(election.tick(at(13_900), None), Outcome::Advertise);
    assert_eq!(election.deadline(), Some(at(14_000)));
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
    assert_eq!(on_time(&mut election, 11_770_000), Outcome::Claim(Claim::NoSuccessor));
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

mod stalls {
    use super::*;

    /// Wakes at these milliseconds and at no other time.
    fn wakes(election: &mut Election, times: &[u64]) -> Vec<Outcome> {
        times.iter().map(|millis| election.tick(at(*millis), None)).collect()
    }

    #[test]
    fn a_late_backup_listens_for_one_interval_and_its_skew_time_and_then_claims() {
        let mut election = backup(|_| ());
        assert_eq!(election.wake_at(), Some(at(1_250)));
        assert_eq!(election.tick(at(7_000), None), Outcome::Wait(Duration::from_millis(5_750)));
        assert_eq!(election.deadline(), Some(at_us(7_000_000 + 1_609_375)));
        assert_eq!(on_time(&mut election, 8_609_375), Outcome::Claim(Claim::Silence(Duration::from_micros(8_609_375))));
    }

    #[test]
    fn who_sleeps_again_in_the_same_silence_does_not_wait_again() {
        let mut election = backup(|_| ());
        assert!(matches!(election.tick(at(7_000), None), Outcome::Wait(_)));
        assert!(matches!(election.tick(at(20_000), None), Outcome::Claim(Claim::Silence(_))));
    }

    #[test]
    fn an_advert_begins_another_silence() {
        let mut election = backup(|_| ());
        election.tick(at(7_000), None);
        hear(&mut election, 7_300, HIGHER, active(200), 100);
        assert_eq!(election.deadline(), Some(at_us(10_909_375)));
        assert!(matches!(election.tick(at(20_000), None), Outcome::Wait(_)));
    }

    /// 250 ms is a quarter of the interval.
    #[test]
    fn lateness_that_hides_no_advert_is_borne() {
        assert_eq!(
            wakes(&mut backup(|_| ()), &[1_250, 2_250, 3_250, 3_859]).last(),
            Some(&Outcome::Claim(Claim::Silence(Duration::from_millis(3_859))))
        );
        assert!(matches!(wakes(&mut backup(|_| ()), &[1_250, 2_250, 3_250, 3_860]).last(), Some(Outcome::Wait(_))));
    }

    /// The machine stood still in the middle of the silence and woke before its end: the adverts of that time are lost.
    #[test]
    fn a_stall_that_ends_before_the_silence_does_counts_too() {
        let times = [1_250, 3_500, 3_610];
        assert_eq!(wakes(&mut backup(|_| ()), &times).last(), Some(&Outcome::Wait(Duration::from_millis(1_250))));
    }

    #[test]
    fn who_listened_in_its_sleep_need_not_wait() {
        let mut election = backup(|_| ());
        hear(&mut election, 500, HIGHER, active(200), 100);
        // 500 ms + 1 s: later than that and an advert may be missing.
        let mut deaf = election.clone();
        assert!(matches!(deaf.tick(at(7_000), Some(at(1_501))), Outcome::Wait(_)));
        assert!(matches!(election.tick(at(7_000), Some(at(1_500))), Outcome::Claim(Claim::Silence(_))));
    }

    #[test]
    fn a_resigned_place_is_not_taken_late_either() {
        let mut election = backup(|_| ());
        hear(&mut election, 1_000, HIGHER, Advertised::Resigned, 100);
        assert!(matches!(election.tick(at(2_000), None), Outcome::Wait(_)));
    }

    #[test]
    fn a_deadline_that_a_new_priority_moves_into_the_past_is_none_that_was_missed() {
        let mut election = backup(|p| p.priority = Priority::new(1).unwrap());
        assert_eq!(wakes(&mut election, &[1_250, 2_250, 3_250]), [Outcome::Nothing; 3]);
        // Priority 1: 3996 ms; priority 254: 3008 ms.
        election.set_params(params(254), at(3_800));
        assert!(matches!(election.tick(at(3_800), None), Outcome::Claim(Claim::Silence(_))));
    }

    #[test]
    fn an_active_router_within_its_peers_patience_goes_on() {
        assert_eq!(active_router(100).tick(at(12_999), None), Outcome::Advertise);
    }

    #[test]
    fn one_beyond_it_listens_for_an_interval_and_then_asserts_itself() {
        let mut election = active_router(100);
        assert_eq!(election.tick(at(13_000), None), Outcome::Listen(Duration::from_secs(3)));
        assert_eq!(election.deadline(), Some(at(14_000)));
        assert_eq!(election.tick(at(13_900), None), Outcome::Nothing);
        assert_eq!(election.tick(at(14_000), None), Outcome::Reassert);
        assert_eq!(election.tick(at(15_000), None), Outcome::Advertise);
    }

    #[test]
    fn it_gives_up_to_anybody_it_hears_while_it_listens() {
        let mut election = active_router(200);
        election.tick(at(17_000), None);
        assert_eq!(hear(&mut election, 17_100, LOWER, active(1), 100), Outcome::GiveUp);
        // As any preempting backup it counts from there: 3 s + 56 / 256 s.
        assert_eq!(election.deadline(), Some(at_us(17_100_000 + 3_218_750)));
    }

    /// What was queued is read before the clock is looked at.
    #[test]
    fn it_gives_up_to_anybody_it_finds_in_its_queue() {
        let mut election = active_router(200);
        let outcome = election.hear(at(17_000), at(14_500), LOWER, active(1), interval(100));
        assert_eq!(outcome, Outcome::GiveUp);
        let mut punctual = active_router(200);
        assert_eq!(punctual.hear(at(12_900), at(12_900), LOWER, active(1), interval(100)), Outcome::Assert);
    }

    #[test]
    fn it_takes_a_place_back_that_was_resigned_meanwhile() {
        let mut election = active_router(200);
        election.tick(at(17_000), None);
        assert_eq!(hear(&mut election, 17_100, LOWER, Advertised::Resigned, 100), Outcome::Advertise);
        assert_eq!(election.deadline(), Some(at(18_100)));
    }

    #[test]
    fn a_resumed_router_is_active_on_the_grid_of_its_last_advert() {
        let mut election = Election::new(params(100));
        assert_eq!(election.resume(at(5_000), interval(100)), Outcome::Resume);
        assert_eq!(election.deadline(), Some(at(6_000)));
        assert_eq!(election.tick(at(7_500), None), Outcome::Advertise);
        assert_eq!(election.deadline(), Some(at(8_000)));
        // Its peers still count in the interval that it promised.
        let mut changed = Election::new(Params { advert_interval: interval(300), ..params(100) });
        changed.resume(at(5_000), interval(100));
        assert_eq!(changed.deadline(), Some(at(6_000)));
    }
}

#[test]
fn s642_an_equal_advert_counts_whichever_address_it_comes_from() {
    // Addresses decide between two Active routers only: a Backup with the higher one waits all the same.
    for source in [LOWER, HIGHER] {
        let mut election = backup(|_| ());
        hear(&mut election, 3_000, source, active(100), 100);
        assert_eq!(election.deadline(), Some(at_us(6_609_375)));
    }
}

#[test]
fn s642_becoming_active_goes_back_to_the_own_interval() {
    let mut election = backup(|_| ());
    // Learned: 2 s. 3 * 2 s + 156 / 256 * 2 s = 7218.75 ms.
    hear(&mut election, 1_000, HIGHER, active(200), 200);
    assert!(matches!(on_time(&mut election, 8_218_750), Outcome::Claim(_)));
    assert_eq!(election.deadline(), Some(at_us(9_218_750)));
}

#[test]
fn s642_a_backup_that_was_shut_down_never_claims() {
    let mut election = backup(|_| ());
    election.shut_down();
    assert_eq!(election.tick(at(100_000), None), Outcome::Nothing);
    assert_eq!(hear(&mut election, 100_000, HIGHER, Advertised::Resigned, 100), Outcome::Nothing);
    assert_eq!(election.tick(at(200_000), None), Outcome::Nothing);
}

#[test]
fn s643_an_active_router_that_was_shut_down_says_nothing_more() {
    let mut election = active_router(100);
    election.shut_down();
    assert_eq!(election.deadline(), None);
    assert_eq!(election.tick(at(100_000), None), Outcome::Nothing);
    assert_eq!(hear(&mut election, 100_000, LOWER, active(50), 100), Outcome::Nothing);
}

#[test]
fn s643_a_lower_advert_teaches_nothing() {
    let mut election = active_router(100);
    hear(&mut election, 10_400, LOWER, active(99), 4_095);
    assert_eq!(election.deadline(), Some(at(11_000)));
    assert_eq!(election.tick(at(11_000), None), Outcome::Advertise);
    assert_eq!(election.deadline(), Some(at(12_000)));
}

#[test]
fn priorities_next_to_each_other_are_due_one_after_the_other_even_at_10_ms() {
    let due = |priority| {
        let params = Params { priority: Priority::new(priority).unwrap(), advert_interval: interval(1), ..params(100) };
        let mut election = Election::new(params);
        election.start(at(0));
        election.deadline().unwrap().as_nanos()
    };
    // 3 * 10 ms + 156 / 256 * 10 ms, and 1 / 256 * 10 ms less.
    assert_eq!([due(100), due(101)], [36_093_750, 36_054_687]);
}

/// The first of three resignations was followed by another one; the others come behind its advert.
#[test]
fn a_resignation_of_who_is_not_active_any_more_is_none() {
    let mut election = backup(|_| ());
    election.hear(at(1_000), at(1_000), LOWER, active(200), interval(100));
    election.hear(at(1_500), at(1_500), LOWER, Advertised::Resigned, interval(100));
    assert_eq!(election.deadline(), Some(at_us(2_109_375)));
    election.hear(at(1_600), at(1_600), HIGHER, active(200), interval(100));
    election.hear(at(1_601), at(1_601), LOWER, Advertised::Resigned, interval(100));
    assert_eq!(election.deadline(), Some(at_us(5_209_375)));
    // But that of the one that has followed.
    election.hear(at(1_700), at(1_700), HIGHER, Advertised::Resigned, interval(100));
    assert_eq!(election.deadline(), Some(at_us(2_309_375)));
}

/// The last advert of an Active router that sleeps from then on promised the next one within a second.
#[test]
fn a_sleep_through_the_patience_of_peers_is_one_whatever_interval_comes_next() {
    let mut election = active_router(100);
    assert_eq!(election.tick(at(11_000), None), Outcome::Advertise);
    let slow = Params { advert_interval: interval(500), ..params(100) };
    election.set_params(slow, at(14_500));
    assert!(matches!(election.tick(at(14_500), None), Outcome::Listen(_)));
    assert_eq!(election.deadline(), Some(at(19_500)));
}
