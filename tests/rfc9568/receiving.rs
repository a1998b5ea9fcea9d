//! Which adverts count (section 7.1), and the timers (section 6).

use crate::rule::{Rule, rule};

pub const RULES: &[Rule] = &[
    rule(
        21,
        "TTL or hop limit must be 255, of unicast too",
        &[
            "wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same",
            "agent::transport::unicast_adverts_count_from_peers_alone",
        ],
        &[
            "wire::faults::version_3_over_ipv4",
            "wire::faults::version_3_over_ipv6",
            "lab::hostile::every_bad_packet_is_counted_under_its_reason",
        ],
    ),
    rule(
        22,
        "The version must be the virtual router's",
        &["agent::transport::version_2_wants_the_same_interval_and_password"],
        &["agent::transport::the_other_version_is_told_by_its_number", "wire::faults::version_3_over_ipv4"],
    ),
    rule(
        23,
        "The checksum must be right, in one of the forms in use",
        &[
            "agent::transport::unicast_adverts_count_from_peers_alone",
            "wire::adverts::the_checksum_over_the_message_alone",
        ],
        &[
            "wire::faults::version_3_over_ipv4",
            "agent::rfc9568::adverts_are_made_with_the_configured_checksum_whatever_the_peer_sends",
            "lab::hostile::every_bad_packet_is_counted_under_its_reason",
        ],
    ),
    rule(
        24,
        "The type must be 1, Advertisement (5.2.2)",
        &["wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same"],
        &["wire::faults::version_3_over_ipv4", "wire::faults::version_2"],
    ),
    rule(
        25,
        "The packet must be complete; padding of a short frame behind it is no matter",
        &[
            "wire::adverts::padding_of_short_frames_is_tolerated",
            "wire::adverts::bytes_behind_the_list_are_covered_by_the_checksum_or_not",
        ],
        &["wire::faults::version_3_over_ipv4", "wire::faults::version_2"],
    ),
    rule(
        26,
        "The VRID must be configured on the interface the advert came in by",
        &[
            "agent::rfc9568::the_virtual_router_of_an_interface_hears_its_adverts",
            "lab::order::each_interface_has_elections_of_its_own",
        ],
        &[
            "agent::noise::an_unknown_vrid_is_counted_in_silence",
            "agent::rfc9568::an_advert_on_another_interface_is_for_another_virtual_router",
        ],
    ),
    rule(
        27,
        "The owner does not throw adverts away but hears them (erratum 8298)",
        &["lib::proto::election::tests::e8298_two_owners_are_decided_by_address"],
        &["agent::election::the_owner_does_not_wait_and_preempts_even_if_told_not_to"],
    ),
    rule(
        28,
        "An advert without addresses is none (erratum 8299)",
        &["wire::adverts::the_longest_lists_fit"],
        &["wire::faults::version_3_over_ipv4", "wire::faults::version_3_over_ipv6", "case::addresses-none-listed"],
    ),
    rule(
        29,
        "An advert with an interval of zero is none (erratum 8301)",
        &["wire::adverts::the_shortest_and_the_longest_interval_are_read"],
        &["wire::faults::version_3_over_ipv4", "wire::faults::version_2"],
    ),
    rule(
        30,
        "An IPv6 list should begin with a link-local address (erratum 8300); keepalived's without one count all the same",
        &["wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same"],
        &["wire::adverts::an_ipv6_list_without_a_link_local_address_is_read_and_written"],
    ),
    rule(
        31,
        "Version 3: another interval is learned and told, not refused (5.2.7)",
        &["lib::proto::election::tests::s642_an_equal_or_higher_advert_restarts_the_timer_with_its_interval"],
        &["agent::rfc9568::a_slower_active_router_is_given_its_own_time"],
    ),
    rule(
        32,
        "Version 2: another interval is refused (RFC 3768 7.1)",
        &[
            "agent::transport::version_2_wants_the_same_interval_and_password",
            "lab::interop::keepalived_backs_us_up_and_yields_to_us",
        ],
        &["agent::rfc9568::version_2_counts_no_advert_of_another_interval"],
    ),
    rule(
        33,
        "Another list is told, not refused",
        &["agent::transport::a_peer_that_lists_other_addresses_is_shown"],
        &["agent::rfc9568::an_advert_with_another_list_decides_all_the_same"],
    ),
    rule(
        34,
        "Version 2: type of authentication and password must be the virtual router's (RFC 3768 7.1)",
        &[
            "agent::transport::version_2_wants_the_same_interval_and_password",
            "lab::interop::we_back_keepalived_up_and_yield_to_it",
        ],
        &["wire::faults::version_2", "case::auth-pass-too-long"],
    ),
    rule(
        35,
        "The lengths that the IP header states must be those of the packet, padding apart",
        &["wire::adverts::padding_of_short_frames_is_tolerated"],
        &["wire::faults::version_3_over_ipv4", "wire::faults::version_3_over_ipv6"],
    ),
    rule(
        36,
        "Who speaks to the group hears no unicast, and the other way round",
        &["agent::transport::unicast_adverts_go_to_every_peer_and_to_nobody_else"],
        &[
            "agent::transport::a_multicast_router_hears_no_unicast",
            "agent::transport::unicast_adverts_count_from_peers_alone",
        ],
    ),
    rule(
        37,
        "Advertisement_Interval: 1 s by default, 1-4095 cs, in version 2 whole seconds (6.1)",
        &[
            "config::a_short_file_gets_the_documented_defaults",
            "lib::types::interval::tests::the_range_is_that_of_twelve_bits_without_zero",
        ],
        &["case::interval-too-short", "case::interval-too-long", "case::version-2-part-of-second"],
    ),
    rule(
        38,
        "Active_Adver_Interval: the own one at first and when Active, else that of the Active router (6.1, 6.4)",
        &[
            "lib::proto::election::tests::s642_an_equal_or_higher_advert_restarts_the_timer_with_its_interval",
            "lib::proto::election::tests::s641_everybody_else_waits_the_active_down_interval",
        ],
        &[
            "lib::proto::election::tests::s642_becoming_active_goes_back_to_the_own_interval",
            "lib::proto::election::tests::s643_a_lower_advert_teaches_nothing",
        ],
    ),
    rule(
        39,
        "Version 3: Skew_Time = (256 - priority) * Active_Adver_Interval / 256 (6.1)",
        &["lib::proto::election::timers::tests::literals_worked_out_by_hand"],
        &["lib::proto::election::tests::s642_an_equal_or_higher_advert_restarts_the_timer_with_its_interval"],
    ),
    rule(
        40,
        "Version 2: Skew_Time = (256 - priority) / 256 s, whatever the interval (RFC 3768 6.1)",
        &["agent::transport::the_skew_of_version_2_is_part_of_a_second"],
        &["lib::proto::election::timers::tests::the_skew_of_version_2_does_not_depend_on_the_interval"],
    ),
    rule(
        41,
        "Active_Down_Interval = 3 * Active_Adver_Interval + Skew_Time (6.1)",
        &[
            "lib::proto::election::tests::s641_everybody_else_waits_the_active_down_interval",
            "lab::power_loss::costs_no_more_than_the_active_down_interval_at_1_s",
        ],
        &[
            "lib::proto::election::tests::a_changed_priority_moves_the_timer_at_once",
            "agent::election::a_claim_is_an_advert_first_then_the_address_then_announcements",
        ],
    ),
    rule(
        42,
        "Times are kept to the nanosecond, so that backups take their turns",
        &[
            "lib::proto::election::timers::tests::literals_worked_out_by_hand",
            "lab::order::three_hosts_follow_each_other_by_priority",
        ],
        &["lib::proto::election::tests::priorities_next_to_each_other_are_due_one_after_the_other_even_at_10_ms"],
    ),
];
