//! The addresses to which a client connects.
//!
//! The check runs when a connection is made: a name can resolve to any address, and brokers can advertise any address for other brokers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses to which a client connects; the later variant allows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AllowedHosts {
    /// Excludes the scaler's own machine and link: no loopback, no link-local address such as 169.254.169.254, where clouds serve
    /// credentials, and no address of more than one host.
    RemoteOnly,
    /// Every address is allowed.
    Anywhere,
}

impl AllowedHosts {
    /// Whether a client may connect to this address.
    #[must_use]
    pub fn includes(self, address: IpAddr) -> bool {
        self == Self::Anywhere || !is_here(address)
    }
}

/// The error text for an address that is not allowed.
pub const OUT_OF_REACH: &str = "loopback and link-local broker addresses are blocked by default";

/// Whether an address is of this machine or link, or of no single host.
fn is_here(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_here_v4(address),
        IpAddr::V6(address) => is_here_v6(address),
    }
}

fn is_here_v4(address: Ipv4Addr) -> bool {
    let this_network = address.octets().first() == Some(&0);
    this_network || address.is_loopback() || address.is_link_local() || address.is_multicast() || address.is_broadcast()
}

fn is_here_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // the services that AWS has on every machine
        [0xfd00, 0x0ec2, ..] => true,
        // IPv4 address behind a translator (NAT64)
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
            is_here_v4(Ipv4Addr::new(a, b, c, d))
        }
        _ => {
            address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address.to_ipv4().is_some_and(is_here_v4)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_writing_an_address_of_this_machine_or_link_makes_it_another_hosts() {
        let here = [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "169.254.169.254",
            "169.254.170.23",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
        ];
        for address in here {
            assert!(is_here(address.parse().expect(address)), "{address}");
        }
    }

    #[test]
    fn private_and_public_addresses_are_other_hosts() {
        for address in [
            "10.0.0.1",
            "172.16.5.4",
            "192.168.1.1",
            "100.64.0.1",
            "52.1.2.3",
            "fd00::1",
            "2600:1f18::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_here(address.parse().expect(address)), "{address}");
        }
    }
}
