//! What a packet is made of, and its checksum.

use crate::rule::{Rule, excused, rule};

pub const RULES: &[Rule] = &[
    rule(
        1,
        "Protocol 112 directly over IP, to 224.0.0.18 or ff02::12 (sections 5.1.1.2, 5.1.2.2)",
        &[
            "wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same",
            "lab::interop::keepalived_backs_us_up_and_yields_to_us",
        ],
        &["wire::faults::version_3_over_ipv4", "wire::faults::version_3_over_ipv6"],
    ),
    rule(
        2,
        "Adverts leave with TTL or hop limit 255 (5.1.1.3, 5.1.2.3)",
        &[
            "wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same",
            "agent::families::its_adverts_go_from_the_link_local_address_to_the_group",
        ],
        &["agent::transport::unicast_adverts_count_from_peers_alone"],
    ),
    rule(
        3,
        "Source: the interface's primary IPv4 or link-local IPv6 address, a virtual one for its owner only (7.2)",
        &[
            "agent::rfc9568::adverts_come_from_the_first_address_that_is_no_virtual_one",
            "agent::families::the_source_of_ipv6_does_not_depend_on_the_kernels_order",
        ],
        &[
            "agent::rfc9568::nobody_but_the_owner_sends_from_a_virtual_address",
            "agent::families::without_an_address_to_send_from_the_fault_says_which",
        ],
    ),
    excused(
        4,
        "Adverts leave from the virtual router's MAC address (7.2, 7.3)",
        "Locum keeps the interface's own MAC address, as keepalived does by default; there is no virtual MAC address yet",
    ),
    rule(
        5,
        "Version 3: version and type, VRID, priority, count, 12 bits of centiseconds, checksum, addresses (5.1)",
        &["wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same"],
        &["wire::faults::version_3_over_ipv4", "wire::faults::a_flipped_bit_is_never_read_as_something_else"],
    ),
    rule(
        6,
        "Version 2: authentication type, whole seconds, and always 8 bytes of authentication data (RFC 3768 5.3)",
        &[
            "wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same",
            "agent::transport::version_2_is_written_with_its_password_and_without",
        ],
        &["wire::faults::version_2", "case::version-2-part-of-second"],
    ),
    rule(
        7,
        "Version 2 is for IPv4 only",
        &["agent::transport::version_2_is_written_with_its_password_and_without"],
        &[
            "wire::faults::version_3_over_ipv6",
            "wire::adverts::what_the_wire_has_no_room_for_is_refused",
            "case::version-2-ipv6",
        ],
    ),
    rule(
        8,
        "Reserved bits are sent as zero and ignored when received (5.2.6)",
        &["wire::adverts::reserved_bits_are_written_as_zero"],
        &["wire::adverts::reserved_bits_are_ignored"],
    ),
    rule(
        9,
        "1 to 255 addresses, as many as fit the MTU; all numbers big-endian (5.2.5)",
        &["wire::adverts::the_longest_lists_fit", "config::adverts::as_many_ipv6_addresses_as_fit_a_packet_are_listed"],
        &[
            "wire::adverts::what_the_wire_has_no_room_for_is_refused",
            "case::addresses-too-many",
            "case::addresses-ipv6-too-many",
        ],
    ),
    rule(
        10,
        "The list is of the family of the IP header (5.2.9)",
        &[
            "config::adverts::adverts_list_one_family_as_written_and_all_addresses_are_held",
            "agent::families::adverts_of_one_family_stand_for_the_addresses_of_both",
        ],
        &["wire::adverts::what_the_wire_has_no_room_for_is_refused", "case::advertise-other-family"],
    ),
    rule(
        11,
        "An IPv6 list begins with a link-local address (5.2.9, erratum 8300); one without is sent with a warning, as keepalived does",
        &[
            "agent::families::its_adverts_go_from_the_link_local_address_to_the_group",
            "lab::interop::we_back_keepalived_up_and_yield_to_it",
        ],
        &["case::address-ipv6-without-link-local"],
    ),
    rule(
        12,
        "Priority 255 is the owner's, 1-254 the others', 100 by default, 0 says who leaves (5.2.4)",
        &[
            "config::a_short_file_gets_the_documented_defaults",
            "agent::election::the_owner_does_not_wait_and_preempts_even_if_told_not_to",
        ],
        &["case::priority-zero", "case::priority-256", "case::priority-owner-weighted-check"],
    ),
    rule(
        13,
        "VRID 1-255 without a default; those of IPv4 and IPv6 have nothing to do with each other (5.2.3)",
        &["config::adverts::each_family_has_its_own_vrids", "agent::families::each_family_has_vrids_of_its_own"],
        &["case::vrid-zero", "case::vrid-256", "case::missing-vrid", "case::vrid-taken"],
    ),
    rule(
        14,
        "Version 2: the checksum covers the message with its authentication data and nothing else (RFC 3768 5.3.8)",
        &["wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same"],
        &["wire::faults::version_2"],
    ),
    rule(
        15,
        "Version 3 over IPv6: the checksum covers the pseudo-header too (5.2.8)",
        &[
            "wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same",
            "lab::interop::frr_backs_us_up_and_yields_to_us",
        ],
        &["wire::faults::version_3_over_ipv6", "case::checksum-ipv6"],
    ),
    rule(
        16,
        "Version 3 over IPv4: over the message alone, or with a pseudo-header as keepalived and FRR have it (5.2.8)",
        &["wire::adverts::the_checksum_over_the_message_alone", "agent::transport::the_checksum_is_made_as_configured"],
        &["wire::adverts::a_checksum_that_is_off_by_one_is_none", "case::checksum-word"],
    ),
    rule(
        17,
        "FRR and old keepalived take 224.0.0.18 into the pseudo-header of what goes to one peer",
        &["wire::adverts::the_checksum_that_names_the_group_though_sent_to_a_peer"],
        &["wire::faults::a_flipped_bit_is_never_read_as_something_else"],
    ),
    rule(
        18,
        "Some peers send the sum over the message alone and take any: theirs is read, and none is taken for it",
        &["wire::adverts::the_checksum_over_the_message_alone"],
        &["agent::rfc9568::adverts_are_made_with_the_configured_checksum_whatever_the_peer_sends"],
    ),
    rule(
        19,
        "The checksum leaves an authentication trailer out over IPv4 and covers it over IPv6",
        &[
            "wire::captures::every_captured_advert_reads_as_configured_and_is_written_the_same",
            "lib::wire::authentication::tests::every_captured_trailer_is_genuine_and_ours_for_the_same_values_is_the_same",
        ],
        &[
            "wire::faults::what_the_checksum_covers_with_a_trailer_is_the_familys_affair",
            "lib::wire::authentication::tests::a_trailer_answers_for_every_bit_but_the_checksum",
        ],
    ),
    rule(
        20,
        "0000 and ffff are the same sum of ones' complement (RFC 1071)",
        &[
            "wire::adverts::both_zeros_of_ones_complement_are_right",
            "lib::wire::checksum::tests::both_zeros_are_one_value",
        ],
        &["wire::adverts::a_checksum_that_is_off_by_one_is_none"],
    ),
];
