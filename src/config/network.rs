//! Networks of clients: an address, or a network in CIDR notation.

use std::{net::IpAddr, str::FromStr};

/// Addresses that share the first `prefix` bits with `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(
            |_| "expected an address or a network, like 10.0.0.5, 10.0.0.0/8 or fd00::/8",
        )?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => prefix.parse().ok(),
            Some(_) => None,
            None => Some(bits),
        };
        let prefix = prefix.filter(|prefix| *prefix <= bits);
        let prefix = prefix.ok_or("expected a prefix of 0 to 32 bits, for IPv6 of 0 to 128")?;
        let network = match address.to_canonical() {
            // IPv4 addresses as IPv6 writes them: the first 96 bits say only that.
            IpAddr::V4(address) if bits == 128 && prefix >= 96 => {
                Self { address: address.into(), prefix: prefix - 96 }
            }
            _ => Self { address, prefix },
        };
        if network.masked(network.address) != bits_of(network.address) {
            return Err(
                "the address has bits behind the prefix; write the network's first address",
            );
        }
        Ok(network)
    }
}

impl Network {
    /// Whether the network has this address; an IPv4 address inside IPv6 counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == bits_of(self.address)
    }

    /// Whether it has all addresses of IPv4 or of IPv6.
    pub fn has_all(&self) -> bool {
        self.prefix == 0
    }

    fn masked(&self, address: IpAddr) -> u128 {
        // The bits of an IPv4 address begin at the 97th.
        let length = if address.is_ipv4() { 96 + self.prefix } else { self.prefix };
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or_default();
        let kept = if address.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX };
        bits_of(address) & mask & kept
    }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        for (network, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5", "10.0.0.4", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::1", "::1", true),
            ("192.0.2.128/25", "192.0.2.129", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("::ffff:127.0.0.0/104", "127.0.0.1", true),
            ("::ffff:127.0.0.0/104", "128.0.0.1", false),
            ("::ffff:10.0.0.5", "::ffff:10.0.0.5", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), is_in, "{network:?} {address}");
        }
    }

    #[test]
    fn only_a_network_without_prefix_has_all_addresses() {
        for (network, has_all) in [
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("::ffff:0.0.0.0/96", true),
            ("0.0.0.0", false),
            ("10.0.0.0/8", false),
            ("::/96", false),
        ] {
            assert_eq!(network.parse::<Network>().unwrap().has_all(), has_all, "{network}");
        }
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "::/129",
            "pool.example",
            "10.0.0",
            "10.*",
            "10.0.0.0/8/8",
            "[::1]",
            "10.0.0.0/255.0.0.0",
            "fd00::1/8",
            "10.0.0.0/99999999999",
            "::ffff:10.0.0.1/104",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
