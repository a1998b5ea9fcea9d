use std::net::IpAddr;

use crate::config::{Config, RouterConfig};

/// What a keepalived peer must be told of each virtual router that holds more than its adverts list: up to 2.3.2 it
/// drops adverts whose list differs from its own, and two hosts then hold the addresses.
pub(super) fn for_keepalived(config: &Config) -> String {
    let split = |router: &&RouterConfig| router.addresses.len() > router.advertised.len();
    let told = config.routers.iter().filter(|(_, router)| split(router)).map(|(name, router)| {
        let listed = |address: IpAddr| router.advertised.contains(&address);
        let words = |wanted: bool| {
            let chosen = router.addresses.iter().filter(|address| listed(address.net.addr()) == wanted);
            let words = chosen.map(|address| match address.interface == router.interface {
                true => address.net.to_string(),
                false => format!("{} dev {}", address.net, address.interface),
            });
            words.collect::<Vec<_>>().join(", ")
        };
        format!(
            "{name}: a keepalived peer must have\n  in virtual_ipaddress           {}\n  in virtual_ipaddress_excluded  {}\n",
            words(true),
            words(false)
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(addresses: &str) -> String {
        let text = format!("[virtual_router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = {addresses}\n");
        for_keepalived(&crate::config::parse(&text, "lb1").expect("a valid file").config)
    }

    #[test]
    fn a_list_that_is_split_is_told_in_keepaliveds_words() {
        assert_eq!(told("[\"192.0.2.10/24\", \"192.0.2.11/24\"]"), "");
        let expected = "\
web: a keepalived peer must have
  in virtual_ipaddress           192.0.2.10/24, 198.51.100.10/24 dev eth1
  in virtual_ipaddress_excluded  2001:db8::10/64, 192.0.2.11/24
";
        let addresses = "[\"192.0.2.10/24\", \"2001:db8::10/64\", \
                         { address = \"198.51.100.10/24\", interface = \"eth1\" }, \
                         { address = \"192.0.2.11/24\", advertise = false }]";
        assert_eq!(told(addresses), expected);
    }
}
