//! The states (section 6.4), and ARP, Neighbor Discovery and forwarding (section 8).

use crate::rule::{Rule, excused, rule};

pub const RULES: &[Rule] = &[
    rule(
        43,
        "Initialize, owner: advert, announcements, Active at once (6.4.1)",
        &[
            "lib::proto::election::tests::s641_the_owner_is_active_at_once",
            "agent::election::the_owner_does_not_wait_and_preempts_even_if_told_not_to",
        ],
        &["lib::proto::election::tests::s641_everybody_else_waits_the_active_down_interval"],
    ),
    rule(
        44,
        "Initialize, everybody else: Backup, for an Active_Down_Interval of the own interval (6.4.1)",
        &["lib::proto::election::tests::s641_everybody_else_waits_the_active_down_interval"],
        &[
            "agent::election::a_claim_is_an_advert_first_then_the_address_then_announcements",
            "lib::proto::election::tests::s641_the_owner_is_active_at_once",
        ],
    ),
    excused(
        45,
        "Backup: answers no ARP and no Neighbor Solicitation for the addresses, takes no packet to them (6.4.2)",
        "the kernel does all of that for addresses it has, and a Backup's has none: agent::rfc9568::a_backup_neither_has_nor_announces_the_address, and on the LAN lab::interop",
    ),
    rule(
        46,
        "Backup, shutdown: no more timer, Initialize (6.4.2)",
        &[
            "lib::proto::election::tests::s642_shutdown_of_a_backup_is_silent",
            "agent::election::a_stop_of_a_backup_is_over_at_once_and_a_stop_at_once_does_not_linger",
        ],
        &["lib::proto::election::tests::s642_a_backup_that_was_shut_down_never_claims"],
    ),
    rule(
        47,
        "Backup, timer: advert, then the addresses and their announcements, Active (6.4.2)",
        &[
            "agent::election::a_claim_is_an_advert_first_then_the_address_then_announcements",
            "agent::families::an_ipv6_router_claims_announces_and_then_asks_for_duplicates",
            "io_live::an_added_address_is_announced_and_marked",
        ],
        &["agent::rfc9568::a_backup_neither_has_nor_announces_the_address"],
    ),
    rule(
        48,
        "Backup, priority 0: Active_Down_Timer = Skew_Time (6.4.2)",
        &["lib::proto::election::tests::s642_a_resignation_leaves_the_skew_time"],
        &["lib::proto::election::tests::s642_a_repeated_resignation_does_not_put_the_claim_off"],
    ),
    rule(
        49,
        "Backup, an advert that is as good, or any without Preempt_Mode: learn its interval, start the timer anew (6.4.2)",
        &[
            "lib::proto::election::tests::s642_an_equal_or_higher_advert_restarts_the_timer_with_its_interval",
            "lib::proto::election::tests::s642_without_preempt_a_lower_advert_counts",
            "lab::departures::a_higher_priority_that_does_not_preempt_leaves_the_address_where_it_is",
        ],
        &["lib::proto::election::tests::s642_a_lower_advert_does_not_touch_the_timer_of_a_preempting_backup"],
    ),
    rule(
        50,
        "Backup with Preempt_Mode, a lower advert: nothing (6.4.2)",
        &[
            "lib::proto::election::tests::s642_a_lower_advert_does_not_touch_the_timer_of_a_preempting_backup",
            "lab::departures::a_higher_priority_that_preempts_takes_the_address_back",
        ],
        &["lib::proto::election::tests::s642_without_preempt_a_lower_advert_counts"],
    ),
    excused(
        51,
        "Active: answers ARP with the virtual MAC address, sends Router Advertisements, forwards (6.4.3)",
        "no virtual MAC address and no routing: the kernel answers with the MAC address that was announced, see rule 62",
    ),
    rule(
        52,
        "Active, shutdown: priority 0, Initialize (6.4.3)",
        &[
            "lib::proto::election::tests::s643_shutdown_of_the_active_router_resigns",
            "agent::election::a_stop_resigns_repeats_that_and_goes_with_the_successors_announcement",
        ],
        &[
            "lib::proto::election::tests::s643_an_active_router_that_was_shut_down_says_nothing_more",
            "lib::proto::election::tests::s642_shutdown_of_a_backup_is_silent",
        ],
    ),
    rule(
        53,
        "Active, Adver_Timer: advert, and again after the own interval (6.4.3)",
        &[
            "lib::proto::election::tests::s643_the_rhythm_of_adverts_does_not_drift",
            "lab::pace::a_thousand_adverts_at_10_ms_take_9_99_s_to_a_millisecond",
        ],
        &["lib::proto::election::tests::s643_a_lower_advert_teaches_nothing"],
    ),
    rule(
        54,
        "Active, priority 0: advert at once, timer anew (6.4.3)",
        &[
            "lib::proto::election::tests::s643_a_resignation_is_answered_and_the_adver_timer_reset",
            "agent::election::an_active_router_answers_a_resignation_and_announces_again",
        ],
        &["lib::proto::election::tests::s643_an_active_router_that_was_shut_down_says_nothing_more"],
    ),
    rule(
        55,
        "Active, a higher advert or an equal one of a higher address: Backup, whatever Preempt_Mode says (6.4.3)",
        &[
            "lib::proto::election::tests::s643_a_higher_advert_is_yielded_to_with_or_without_preempt",
            "agent::families::of_two_active_ipv6_routers_with_one_priority_the_higher_source_stays",
        ],
        &[
            "lib::proto::election::tests::s643_a_tie_goes_to_the_higher_address",
            "lib::proto::election::tests::s643_a_lower_advert_is_answered_at_once_and_the_rhythm_goes_on",
        ],
    ),
    rule(
        56,
        "Active, any other advert: thrown away and answered with one at once (6.4.3)",
        &[
            "lib::proto::election::tests::s643_a_lower_advert_is_answered_at_once_and_the_rhythm_goes_on",
            "lab::partitions::after_a_partition_one_host_holds_within_an_advert_interval",
        ],
        &[
            "lib::proto::election::tests::s643_a_lower_advert_teaches_nothing",
            "agent::election::a_lower_advert_is_answered_and_announced_after_at_most_four_times_an_interval",
        ],
    ),
    rule(
        57,
        "The owner preempts always; addresses decide between Active routers only (6.1, 6.4.3)",
        &[
            "agent::election::the_owner_does_not_wait_and_preempts_even_if_told_not_to",
            "lab::interop::keepalived_backs_us_up_and_yields_to_us",
        ],
        &["lib::proto::election::tests::s642_an_equal_advert_counts_whichever_address_it_comes_from"],
    ),
    rule(
        58,
        "A fault is like Initialize: priority 0 where the link is there, and nothing is heard in it",
        &[
            "agent::link::a_tracked_interface_is_followed_through_everything",
            "agent::health::release_leaves_the_election_and_comes_back_as_backup",
        ],
        &[
            "agent::rfc9568::a_router_in_fault_hears_nothing_and_says_nothing",
            "lib::proto::election::tests::initialize_hears_nothing",
        ],
    ),
    rule(
        59,
        "Gratuitous ARP names the virtual address as sender and target (errata 7947, 7949)",
        &[
            "wire::captures::every_captured_announcement_is_the_frame_we_send",
            "io_live::an_added_address_is_announced_and_marked",
        ],
        &["wire::neighbours::what_claims_nothing"],
    ),
    rule(
        60,
        "Unsolicited Neighbor Advertisements: R as the interface forwards, S clear, O set, with the link-layer address (8.2.2)",
        &[
            "wire::captures::every_captured_announcement_is_the_frame_we_send",
            "agent::families::the_router_flag_follows_the_interfaces_forwarding",
        ],
        &[
            "wire::neighbours::flags_of_a_neighbor_advertisement",
            "agent::families::its_adverts_go_from_the_link_local_address_to_the_group",
        ],
    ),
    rule(
        61,
        "Nothing is announced before address and MAC address are there (8.1.2)",
        &[
            "io_live::an_added_address_is_announced_and_marked",
            "io_live::ipv6::an_ipv6_address_serves_at_once_and_is_no_source",
        ],
        &[
            "agent::rfc9568::nothing_is_announced_that_the_kernel_refused",
            "agent::link::an_interface_that_lacks_something_is_a_fault_in_words_and_then_service",
        ],
    ),
    rule(
        62,
        "The MAC address that answers for an address is the one that was announced (8.1.2)",
        &["lab::interop::keepalived_backs_us_up_and_yields_to_us", "lab::interop::we_back_frr_up_and_yield_to_it"],
        &["agent::rfc9568::another_hardware_address_of_the_interface_is_announced_at_once"],
    ),
    rule(
        63,
        "Unsolicited Neighbor Advertisements are heard (8.2.2)",
        &[
            "io_live::ipv6::neighbor_advertisements_alone_are_heard",
            "lab::families::one_election_moves_the_addresses_of_both_families",
        ],
        &["wire::neighbours::a_neighbor_advertisement_that_fails_a_check_claims_nothing"],
    ),
    excused(
        64,
        "Interface identifiers are not made of the virtual MAC address (8.2.1)",
        "there is no interface with a virtual MAC address",
    ),
    excused(
        65,
        "Packets to the virtual addresses are not forwarded by who is not their owner (8.3.1)",
        "nothing is routed: an Active router has the addresses and takes what is sent to them, and a Backup knows nothing of them",
    ),
    rule(
        66,
        "Several owners and equal priorities are told (8.3.2)",
        &[
            "lib::proto::election::tests::e8298_two_owners_are_decided_by_address",
            "agent::families::of_two_active_ipv6_routers_with_one_priority_the_higher_source_stays",
        ],
        &["lib::proto::election::tests::s642_an_equal_advert_counts_whichever_address_it_comes_from"],
    ),
    rule(
        67,
        "A change of state because adverts were late is told with who sent them (2.5)",
        &["agent::rfc9568::an_active_that_is_late_once_is_told_of_with_who_it_is"],
        &[
            "lab::partitions::a_backup_that_stands_still_for_a_while_does_not_claim",
            "agent::election::who_yields_goes_with_the_winners_announcement",
        ],
    ),
    excused(
        68,
        "Versions 2 and 3 at once, for an upgrade (8.4)",
        "optional; a virtual router speaks one version, and says so when the other side speaks the other",
    ),
    rule(
        69,
        "Accept_Mode: off in the RFC, always on here, for what is served is on the host itself (6.1)",
        &[
            "lab::departures::a_planned_stop_costs_at_most_one_echo",
            "lab::power_loss::costs_no_more_than_the_active_down_interval_at_1_s",
        ],
        &["lab::health::where_nobody_is_healthy_and_nobody_may_hold_nobody_holds"],
    ),
];
