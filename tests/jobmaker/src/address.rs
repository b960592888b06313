//! Which payout addresses a jobmaker takes: those of the Bitcoin main net, as its library knew them.

use bech32::{Bech32, primitives::decode::CheckedHrpstring};

/// Version bytes of the two kinds of base58check addresses: to a key and to a script.
const BASE58_VERSIONS: [u8; 2] = [0x00, 0x05];
const BASE58_PAYLOAD: usize = 21;
const SEGWIT_PREFIX: &str = "bc";
const LAST_WITNESS_VERSION: u8 = 16;

/// The address as the jobmaker spells it after decoding it, or `None` if it is none.
pub(crate) fn spelled(address: &str) -> Option<String> {
    if is_base58check(address) {
        return Some(address.to_owned());
    }
    is_segwit(address).then(|| address.to_ascii_lowercase())
}

fn is_base58check(address: &str) -> bool {
    let decoded = bs58::decode(address).with_check(None).into_vec();
    decoded.is_ok_and(|bytes| {
        bytes.len() == BASE58_PAYLOAD && BASE58_VERSIONS.iter().any(|version| bytes[0] == *version)
    })
}

/// Every witness version with the first checksum: jobmakers are older than bech32m, and taproot
/// addresses are invalid to them.
fn is_segwit(address: &str) -> bool {
    let Ok(checked) = CheckedHrpstring::new::<Bech32>(address) else {
        return false;
    };
    checked.validate_segwit().is_ok_and(|segwit| {
        segwit.hrp().to_lowercase() == SEGWIT_PREFIX
            && segwit.witness_version().to_u8() <= LAST_WITNESS_VERSION
    })
}

#[cfg(test)]
mod tests {
    use super::spelled;

    #[test]
    fn addresses_to_keys_and_scripts_stay_as_they_are() {
        for address in ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4"]
        {
            assert_eq!(spelled(address).as_deref(), Some(address));
        }
    }

    #[test]
    fn segwit_addresses_are_spelled_in_lower_case() {
        let lower = "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3dn";
        assert_eq!(spelled(lower).as_deref(), Some(lower));
        assert_eq!(spelled(&lower.to_uppercase()).as_deref(), Some(lower));
        // Version 1 with the first checksum, as BIP 173 had it.
        let version_1 =
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx";
        assert_eq!(spelled(version_1).as_deref(), Some(version_1));
    }

    #[test]
    fn nothing_else_is_an_address() {
        for text in [
            "",
            "x",
            " 34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4",
            // One character changed.
            "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt5",
            "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3dm",
            // Both cases mixed.
            "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3DN",
            // The test net's, of either kind.
            "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            // Taproot, with bech32m.
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            // A witness version above 16, and a program of a wrong length.
            "BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2",
            "bc1rw5uspcuh",
            "bc1gmk9yu",
        ] {
            assert_eq!(spelled(text), None, "{text:?}");
        }
    }
}
