//! How adverts look and travel, as a file says it.

use locum::types::{ChecksumForm, Family, Password, Version};

use super::{router, valid};

#[test]
fn each_family_has_its_own_vrids() {
    let one = "interface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.10/24\"]\n";
    let two = one.replace("192.0.2.10/24", "fe80::51/64");
    assert_eq!(valid(&format!("[virtual_router.a]\n{one}[virtual_router.b]\n{two}")).routers.len(), 2);
}

#[test]
fn adverts_list_one_family_as_written_and_all_addresses_are_held() {
    let read = |more: &str| {
        let source = format!(
            "[virtual_router.a]\ninterface = \"eth0\"\nvrid = 51\n{more}\naddresses = [\"fe80::51/64\", \"192.0.2.12/24\",\n\
             {{ address = \"198.51.100.10/24\", interface = \"eth1\" }}, \"2001:db8::10/64\",\n\
             {{ address = \"192.0.2.11/24\", advertise = false }}, \"192.0.2.10/24\"]\n"
        );
        let config = valid(&source).routers.remove(&router("a")).expect("a router");
        let held = [
            "fe80::51/64 on eth0",
            "192.0.2.12/24 on eth0",
            "198.51.100.10/24 on eth1",
            "2001:db8::10/64 on eth0",
            "192.0.2.11/24 on eth0",
            "192.0.2.10/24 on eth0",
        ];
        assert_eq!(config.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), held);
        (config.family, config.advertised.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let ipv4 = ["192.0.2.12", "198.51.100.10", "192.0.2.10"].map(str::to_owned).to_vec();
    assert_eq!(read(""), (Family::Ipv4, ipv4.clone()));
    assert_eq!(read("family = \"ipv4\""), (Family::Ipv4, ipv4));
    let ipv6 = ["fe80::51", "2001:db8::10"].map(str::to_owned).to_vec();
    assert_eq!(read("family = \"ipv6\""), (Family::Ipv6, ipv6));
}

#[test]
fn how_adverts_travel_is_taken() {
    let of = |more: &str| {
        let source = format!("[virtual_router.a]\ninterface = \"eth0\"\nvrid = 51\n{more}\n");
        valid(&source).routers.remove(&router("a")).expect("a router")
    };
    let plain = of("addresses = [\"192.0.2.10/24\"]");
    assert_eq!((plain.version, plain.family, plain.source), (Version::V3, Family::Ipv4, None));
    assert_eq!((plain.checksum, plain.is_unicast()), (ChecksumForm::PseudoHeader, false));
    let unicast = of(
        "addresses = [\"192.0.2.10/24\"]\nsource = \"192.0.2.2\"\nunicast_peers = [\"192.0.2.3\"]\nchecksum = \"message\"",
    );
    assert_eq!(unicast.source, Some([192, 0, 2, 2].into()));
    assert_eq!(unicast.unicast_peers, [std::net::IpAddr::from([192, 0, 2, 3])]);
    assert_eq!((unicast.checksum, unicast.is_unicast()), (ChecksumForm::Message, true));
    let old = of("addresses = [\"192.0.2.10/24\"]\nversion = 2\nadvert_interval = \"1000ms\"");
    assert_eq!((old.version, old.advert_interval.centiseconds()), (Version::V2, 100));
    assert_eq!(old.password, None);
    let old = of("addresses = [\"192.0.2.10/24\"]\nversion = 2\n[virtual_router.a.auth]\npass = \"s3cret\"");
    assert_eq!(old.password, Password::new(b"s3cret"));
    assert_eq!(old.auth, None);
    // A global source goes to unicast peers.
    let global = of("addresses = [\"fe80::51/64\"]\nsource = \"2001:db8::2\"\nunicast_peers = [\"2001:db8::3\"]");
    assert_eq!((global.family, global.is_link_local()), (Family::Ipv6, false));
}

#[test]
fn as_many_ipv6_addresses_as_fit_a_packet_are_listed() {
    // 1500 bytes less 40 of IPv6, 8 of VRRP and 28 of a trailer, by 16.
    let addresses: Vec<String> = (1..=89).map(|n| format!("\"fe80::{n}/64\"")).collect();
    let source =
        format!("[virtual_router.a]\ninterface = \"eth0\"\nvrid = 1\naddresses = [{}]\n", addresses.join(", "));
    assert_eq!(valid(&source).routers[&router("a")].advertised.len(), 89);
}

#[test]
fn as_many_addresses_as_an_advert_counts_are_taken() {
    let addresses: Vec<String> = (1..=255).map(|n| format!("\"10.0.{}.{}/16\"", n / 250, n % 250 + 1)).collect();
    let source =
        format!("[virtual_router.a]\ninterface = \"eth0\"\nvrid = 1\naddresses = [{}]\n", addresses.join(", "));
    assert_eq!(valid(&source).routers[&router("a")].addresses.len(), 255);
}
