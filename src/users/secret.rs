//! Proofs of a user's identity: the stored forms of passwords and tokens, and their comparison.

use argon2::{
    Argon2, Params, PasswordVerifier,
    password_hash::{self, phc::PasswordHash},
};
use bcrypt::HashParts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Most memory of an argon2id hash, in KiB: any client makes the logins' thread take it, for one comparison at a time.
const MAX_KIB: u32 = 256 << 10;

/// Most KiB that a comparison writes, all passes together: a few seconds.
const MAX_WORK: u64 = 4 << 20;

/// Most lanes of an argon2id hash.
const MAX_LANES: u32 = 64;

/// Shortest salt that argon2 takes, in bytes.
const MIN_SALT: usize = 8;

/// Costs of bcrypt hashes; the greatest takes a few seconds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// Longest password that is compared with a hash, in bytes.
pub const MAX_PASSWORD: usize = 1024;

const CREATE: &str = "create one with switcher-api-server user hash";

/// The stored form of a user's password or token. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// SHA-256 of a password that the configuration has in plain text.
    Plain([u8; 32]),
    /// SHA-256 of a token's text. One comparison takes a microsecond, since a token is random.
    Token([u8; 32]),
    /// Argon2id hash as a PHC string. A comparison takes tens of milliseconds.
    Argon2(String),
    /// bcrypt hash, as `htpasswd -B` writes it (`$2y$`). A comparison is as slow.
    Bcrypt(String),
}

impl Secret {
    /// The stored form of a password in plain text.
    pub fn of_password(text: &str) -> Self {
        Self::Plain(sha_256(text.as_bytes()))
    }

    /// Parses the SHA-256 of a token, in hex.
    pub fn of_token_digest(hex: &str) -> Option<Self> {
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
        let byte = |[high, low]: &[u8; 2]| {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes?.try_into().map(Self::Token).ok()
    }

    /// Parses a hash of a password. The error is a fault of the hash, and does not quote it.
    pub fn of_hash(hash: &str) -> Result<Self, String> {
        let stored = hash.to_owned();
        if hash.starts_with("$argon2id$") {
            return argon2_fault(hash).map_or(Ok(Self::Argon2(stored)), Err);
        }
        if ["$2y$", "$2a$", "$2b$"].iter().any(|it| hash.starts_with(it)) {
            return bcrypt_fault(hash).map_or(Ok(Self::Bcrypt(stored)), Err);
        }
        Err(format!(
            "is neither an argon2id hash ($argon2id$…) nor a bcrypt hash ($2y$…); {CREATE}"
        ))
    }

    /// Whether a comparison takes so long that its number must be limited.
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Argon2(_) | Self::Bcrypt(_))
    }

    /// Whether `proof` is the password or the token. Takes the same time for any wrong proof.
    pub fn is_proven_by(&self, proof: &[u8]) -> bool {
        #[cfg(test)]
        tests::SLOW_COMPARISONS.set(tests::SLOW_COMPARISONS.get() + u32::from(self.is_slow()));
        match self {
            Self::Plain(digest) | Self::Token(digest) => sha_256(proof).ct_eq(digest).into(),
            Self::Argon2(hash) => argon2_matches(hash, proof).is_ok(),
            Self::Bcrypt(hash) => bcrypt::verify(proof, hash).unwrap_or(false),
        }
    }
}

pub fn sha_256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn argon2_matches(hash: &str, proof: &[u8]) -> password_hash::Result<()> {
    Argon2::default().verify_password(proof, &PasswordHash::new(hash)?)
}

fn argon2_fault(hash: &str) -> Option<String> {
    let Some((hash, params)) = PasswordHash::new(hash).ok().and_then(|hash| {
        let params = Params::try_from(&hash).ok()?;
        let is_whole = hash.salt.as_ref()?.len() >= MIN_SALT && hash.hash.is_some();
        is_whole.then_some((hash, params))
    }) else {
        return Some(format!("is no whole argon2id hash (PHC string); {CREATE}"));
    };
    if !matches!(hash.version, None | Some(16 | 19)) {
        return Some(format!("has a version of argon2id other than 16 and 19; {CREATE}"));
    }
    let (kib, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if kib > MAX_KIB {
        return Some(format!("takes {kib} KiB for each login (m), at most {MAX_KIB}; {CREATE}"));
    }
    let work = u64::from(kib) * u64::from(passes);
    if work > MAX_WORK {
        return Some(format!(
            "takes too long for each login: memory times passes (m·t) is {work} KiB, at most {MAX_WORK}; {CREATE}"
        ));
    }
    (lanes > MAX_LANES).then(|| format!("has {lanes} lanes (p), at most {MAX_LANES}; {CREATE}"))
}

fn bcrypt_fault(hash: &str) -> Option<String> {
    let Ok(parts) = hash.parse::<HashParts>() else {
        return Some(format!("is no whole bcrypt hash, which has 60 characters; {CREATE}"));
    };
    let (cost, least, most) = (parts.get_cost(), BCRYPT_COSTS.start(), BCRYPT_COSTS.end());
    (!BCRYPT_COSTS.contains(&cost)).then(|| {
        format!(
            "has the cost {cost}, expected {least} to {most}: a login would take too long; {CREATE}"
        )
    })
}

#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Comparisons with a slow hash by this thread.
        pub static SLOW_COMPARISONS: Cell<u32> = const { Cell::new(0) };
    }

    // Of argon2-cffi (the reference implementation) and of libxcrypt.
    const ARGON2: &str =
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$kZ7POr3OiZPvoeK2E5qXX0oQ1j95ocrxEiBI+cUMJ1s";
    const ARGON2_V16: &str =
        "$argon2id$v=16$m=64,t=2,p=2$c29tZXNhbHQ$2YkVFRmOIYh5jzcfyS4X5/Tc8HC1o98fcDWgfuoHmrI";
    const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";

    #[test]
    fn hashes_of_common_tools_are_accepted() {
        let other_names = ["$2a$", "$2b$"].map(|name| BCRYPT.replace("$2y$", name));
        for hash in [ARGON2, ARGON2_V16, BCRYPT, &other_names[0], &other_names[1]] {
            let secret = Secret::of_hash(hash).unwrap();
            assert!(secret.is_slow() && secret.is_proven_by(b"hunter2"), "{hash}");
            for wrong in ["hunter1", "", "hunter22", "Hunter2"] {
                assert!(!secret.is_proven_by(wrong.as_bytes()), "{hash} {wrong}");
            }
        }
    }

    #[test]
    fn faults_name_the_limit_and_never_quote_the_hash() {
        let bcrypt = |cost: &str| BCRYPT.replace("$04$", cost);
        let argon2 = |params: &str| ARGON2.replace("m=8,t=1,p=1", params);
        for (hash, fault) in [
            (String::new(), "is neither an argon2id hash"),
            ("hunter2".to_owned(), "is neither an argon2id hash"),
            (ARGON2.replace("2id", "2i"), "is neither an argon2id hash"),
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00".to_owned(), "is neither"),
            (BCRYPT.replace("$2y$", "$2x$"), "is neither"),
            (ARGON2[..46].to_owned(), "is no whole argon2id hash"),
            (ARGON2.replace("v=19", "v=20"), "16 and 19"),
            (argon2("m=8,t=1,p=1,x=1"), "is no whole argon2id hash"),
            (ARGON2.replace("c29tZXNhbHQ", "c29tZQ"), "is no whole argon2id hash"),
            (argon2("m=262145,t=1,p=1"), "takes 262145 KiB for each login (m), at most 262144"),
            (argon2("m=262144,t=17,p=1"), "(m·t) is 4456448 KiB, at most 4194304"),
            (argon2("m=8,t=4000000000,p=1"), "(m·t) is 32000000000 KiB"),
            (argon2("m=1024,t=1,p=65"), "has 65 lanes (p), at most 64"),
            (bcrypt("$17$"), "has the cost 17, expected 4 to 16"),
            (bcrypt("$03$"), "has the cost 3"),
            (BCRYPT[..59].to_owned(), "is no whole bcrypt hash"),
            (format!("{}é", &BCRYPT[..58]), "is no whole bcrypt hash"),
        ] {
            let found = Secret::of_hash(&hash).err().unwrap_or_else(|| panic!("accepted: {hash}"));
            assert!(found.contains(fault), "{hash}: {found}");
            assert!(hash.is_empty() || !found.contains(&hash), "{found}");
        }
        assert!(Secret::of_hash(&argon2("m=262144,t=16,p=1")).is_ok());
        assert!(Secret::of_hash(&bcrypt("$16$")).is_ok());
    }

    #[test]
    fn a_digest_of_a_token_has_64_hex_digits() {
        let hex = "00ff".repeat(16);
        let bytes: [u8; 32] = std::array::from_fn(|at| if at % 2 == 0 { 0 } else { 0xff });
        assert!(Secret::of_token_digest(&hex) == Some(Secret::Token(bytes)));
        assert!(Secret::of_token_digest(&hex.to_uppercase()) == Some(Secret::Token(bytes)));
        for wrong in ["", "00", &hex[1..], &format!("{hex}00"), &hex.replace("00", "0g")] {
            assert!(Secret::of_token_digest(wrong).is_none(), "{wrong}");
        }
    }
}
