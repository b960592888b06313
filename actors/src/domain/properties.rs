//! Properties of any text as a name, for property tests and a fuzz target. A violated property panics.

use super::{
    Coinbase, CoinbaseUpdate, CoinbaseUpdateError, Puname, PunameError, SubPool, ZnodeDir,
    is_invisible,
};

/// Checks a text as a sub-account's name, a sub-pool's name, a directory, and a coinbase.
///
/// A name is accepted if and only if the contract allows it; an accepted one cannot leave its directory.
pub fn names(text: &str) {
    sub_account(text);
    directory(text);
    let sub_pool = SubPool::parse(text, "pool3");
    assert_eq!(sub_pool.is_some(), is_component(text) && text.len() <= 1000, "{text:?}");
    assert_eq!(SubPool::parse("btc", text).is_some(), sub_pool.is_some());
    coinbase(text);
}

/// One component of a znode's path (contract, section 2, error 102).
fn is_component(text: &str) -> bool {
    let is_refused = |c: char| {
        let code = u32::from(c);
        c == '/'
            || c.is_control()
            || code > 0xffff
            || (0xe000..=0xf8ff).contains(&code)
            || code >= 0xfff0
    };
    !matches!(text, "" | "." | "..") && !text.contains(is_refused)
}

fn sub_account(text: &str) {
    let is_name = |text: &str| is_component(text) && text.len() <= 200;
    match Puname::parse(text) {
        Ok(name) => assert!(is_name(text) && name.as_str() == text, "{text:?} is taken"),
        Err(PunameError::Empty) => assert_eq!(text, ""),
        Err(PunameError::Invalid(_)) => assert!(!is_name(text) && !text.is_empty(), "{text:?}"),
    }
    if let Ok(name) = Puname::parse_lower_case(text) {
        assert_eq!(name.as_str().chars().count(), text.chars().count(), "{text:?}");
        assert_eq!(Puname::parse_lower_case(name.as_str()), Ok(name.clone()), "{text:?}");
        assert!(is_name(name.as_str()));
        let shown = name.shown().to_string();
        let is_quoted = shown.starts_with('"') && shown.ends_with('"') && shown.len() > 1;
        assert!(is_quoted || shown == name.as_str(), "{shown:?}");
        assert!(is_quoted || !shown.contains(|c: char| c == ',' || c.is_whitespace()), "{shown:?}");
        assert!(!shown.contains(is_invisible), "{shown:?}");
    }
    if text.is_ascii() {
        let lower = Puname::parse(&text.to_ascii_lowercase());
        assert_eq!(Puname::parse_lower_case(text), lower);
    }
}

fn directory(text: &str) {
    let components = text.strip_prefix('/').map(|inner| inner.strip_suffix('/').unwrap_or(inner));
    let is_directory = text.len() <= 1000
        && components.is_some_and(|inner| text == "/" || inner.split('/').all(is_component));
    let dir = ZnodeDir::parse(text);
    assert_eq!(dir.is_ok(), is_directory, "{text:?}: {dir:?}");
    let Ok(dir) = dir else { return };
    assert!(dir.as_str().starts_with('/') && dir.as_str().ends_with('/'));
    assert_eq!(ZnodeDir::parse(dir.node()).as_ref(), Ok(&dir));
    assert!(dir.contains(&dir) && dir.child("a").starts_with(dir.as_str()));
    if let Some(parent) = dir.parent() {
        assert!(parent.contains(&dir) && !dir.contains(&parent));
        assert_eq!(ZnodeDir::parse(parent.as_str()), Ok(parent));
    }
}

/// An accepted update requests the given values, and a jobmaker keeps whole characters of the text.
fn coinbase(text: &str) {
    const KEPT: usize = 30;
    let Some(sub_pool) = SubPool::parse("btc", "pool3") else { return };
    let asked = Coinbase { coinbase_info: text.to_owned(), payout_addr: text.to_owned() };
    match CoinbaseUpdate::new(&sub_pool, asked.clone(), KEPT) {
        Ok(update) => {
            assert_eq!(update.coinbase(), &asked);
            let request = update.request();
            assert!(request.len() <= 8192);
            let kept = &text.as_bytes()[..text.len().min(KEPT)];
            assert!(std::str::from_utf8(kept).is_ok(), "{text:?} would be cut within a character");
            let read: serde_json::Value = serde_json::from_slice(&request).expect("it is JSON");
            let expected = serde_json::json!({
                "coin": "btc", "subpool_name": "pool3", "coinbase_info": text, "payout_addr": text,
            });
            assert_eq!(read, expected);
        }
        Err(CoinbaseUpdateError::TooLong(bytes)) => assert!(bytes > 8192 && text.len() > 600),
        Err(CoinbaseUpdateError::CutsCharacter(_)) => {
            assert!(std::str::from_utf8(&text.as_bytes()[..KEPT]).is_err(), "{text:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_is_taken_exactly_if_the_contract_has_it_so(pieces in vec(prop_oneof![
            3 => prop::sample::select(&[
                "/", ".", "..", "a", "A b", "\u{0}", "\u{1f}", "\u{7f}", "\u{9f}", "\u{a0}", "\u{d7ff}",
                "\u{e000}", "\u{f8ff}", "\u{f900}", "\u{ffef}", "\u{fff0}", "\u{ffff}", "\u{10000}", "Σ", "İ",
                "\u{2028}", "\u{202e}", "\u{3164}", "\u{fe0f}", "\u{2800}", "\r\n", "\u{1b}[2J", ", ", "\"", "\\", "'", "<", "用户",
                "0123456789012345678901234567890123456789012345678",
            ][..]).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ], 0..8), times in prop_oneof![8 => Just(1), 1 => Just(5), 1 => Just(200)]) {
            names(&pieces.concat().repeat(times));
        }
    }
}
