//! Parses `UsersFile`: `{"users":[{"name","password" or "token_sha256","roles":[…]}]}`.

use std::{collections::HashMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use switcher_actors::{Quoted, clip};

use super::{Role, Roles, Secret, User};

/// Longest name in bytes.
const MAX_NAME: usize = 64;

const SHAPE: &str = r#"{"users": [{"name": …, "password": …, "roles": […]}]}"#;

const CREATE: &str = "create one with switcher-api-server user token";

/// Parses the file's text. `api_user` is the name of `APIUser`, which no other user may have. The error lists all
/// problems, each with the user's name and without any secret.
pub fn parse(text: &str, api_user: Option<&str>) -> Result<Vec<User>, Vec<String>> {
    let entries = entries(text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let (mut users, mut by_name, mut by_token) = (Vec::new(), HashMap::new(), HashMap::new());
    for (number, entry) in (1..).zip(entries) {
        let parsed = Entry::parse(&entry);
        let label = parsed.label(number);
        for fault in parsed.faults {
            problems.push(format!("{label} {fault}"));
        }
        if let Some(name) = &parsed.name
            && let Some(first) = by_name.insert(name.clone(), number)
        {
            problems.push(format!("{label} is listed twice, as entries {first} and {number}"));
        }
        if parsed.name.as_deref().is_some_and(|name| api_user == Some(name)) {
            problems.push(format!("{label} has the name of APIUser; rename or remove one of them"));
        }
        if let Some(Secret::Token(digest)) = parsed.secret
            && let Some(other) = by_token.insert(digest, label.clone())
        {
            problems.push(format!("{label} has the same token as {other}; {CREATE}"));
        }
        if let (Some(name), Some(secret)) = (parsed.name, parsed.secret) {
            users.push(User { name: name.into(), secret, roles: parsed.roles });
        }
    }
    if problems.is_empty() { Ok(users) } else { Err(problems) }
}

/// The entries of the list. Errors of the library quote values, so only those of the syntax are shown.
fn entries(text: &str) -> Result<Vec<Box<RawValue>>, String> {
    let whole: Fields<Box<RawValue>> = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            format!("is no JSON object, expected {SHAPE}")
        } else {
            format!("is no JSON: {error}")
        }
    })?;
    match &whole.0[..] {
        [(name, list)] if name == "users" => serde_json::from_str(list.get())
            .map_err(|_| format!("has no list in its field \"users\", expected {SHAPE}")),
        fields => match fields.iter().find(|(name, _)| name != "users") {
            Some((name, _)) => Err(format!("has an unknown field {}", shown(name))),
            None => Err(format!("needs the field \"users\" once, expected {SHAPE}")),
        },
    }
}

/// Parts of an entry, and its faults.
#[derive(Default)]
struct Entry {
    name: Option<String>,
    secret: Option<Secret>,
    roles: Roles,
    faults: Vec<String>,
}

impl Entry {
    fn parse(text: &RawValue) -> Self {
        let mut entry = Self::default();
        let Ok(Fields::<Value>(fields)) = serde_json::from_str(text.get()) else {
            entry.faults.push(format!("is no object, expected {SHAPE}"));
            return entry;
        };
        let mut known = HashMap::new();
        for (name, value) in &fields {
            if !["name", "password", "token_sha256", "roles"].contains(&name.as_str()) {
                entry.faults.push(format!("has an unknown field {}", shown(name)));
            } else if known.insert(name.as_str(), value).is_some() {
                entry.faults.push(format!("has the field {} twice", Quoted(name)));
            }
        }
        let field = |name| known.get(name).copied();
        entry.parse_name(field("name"));
        match (field("password"), field("token_sha256")) {
            (Some(hash), None) => entry.parse_password(hash),
            (None, Some(digest)) => entry.parse_token(digest),
            (None, None) => entry.fault("has neither a password nor a token_sha256; add one"),
            (Some(_), Some(_)) => {
                entry.fault("has both a password and a token_sha256; remove one of them");
            }
        }
        entry.parse_roles(field("roles"));
        entry
    }

    fn parse_name(&mut self, value: Option<&Value>) {
        let name = match value.map(Value::as_str) {
            None => return self.fault("has no name"),
            Some(None) => return self.fault("has a name that is no text"),
            Some(Some(name)) => name,
        };
        if name.is_empty() || name.len() > MAX_NAME {
            self.fault(format!("has a name of {} bytes, expected 1 to {MAX_NAME}", name.len()));
        }
        if name.contains(':') {
            self.fault("has a colon in its name, which HTTP Basic authentication cannot carry");
        }
        if name.contains(char::is_control) {
            self.fault("has a control character in its name");
        }
        self.name = Some(name.to_owned());
    }

    fn parse_password(&mut self, value: &Value) {
        let hash = value.as_str().ok_or_else(|| "is no text".to_owned());
        match hash.and_then(Secret::of_hash) {
            Ok(secret) => self.secret = Some(secret),
            Err(fault) => self.fault(format!("has a password that {fault}")),
        }
    }

    fn parse_token(&mut self, value: &Value) {
        self.secret = value.as_str().and_then(Secret::of_token_digest);
        if self.secret.is_none() {
            self.fault(format!(
                "has a token_sha256 that is not 64 hex digits, the SHA-256 of a token; {CREATE}"
            ));
        }
    }

    fn parse_roles(&mut self, value: Option<&Value>) {
        let names: Option<Vec<&str>> = value
            .and_then(Value::as_array)
            .and_then(|items| items.iter().map(Value::as_str).collect());
        let Some(names) = names else {
            return self.fault(r#"has no list of texts as roles, expected like ["viewer"]"#);
        };
        if names.is_empty() {
            self.fault("has no role; add viewer, switcher, payout or admin");
        }
        let mut roles = Vec::new();
        for name in names {
            match name.parse::<Role>() {
                Ok(role) => roles.push(role),
                Err(()) => self.fault(format!(
                    "has the role {}, expected viewer, switcher, payout or admin",
                    shown(name)
                )),
            }
        }
        self.roles = roles.into_iter().collect();
    }

    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// The user in problems; its number in the list where it has no usable name.
    fn label(&self, number: usize) -> String {
        match &self.name {
            Some(name) if !name.is_empty() => format!("user {}", shown(name)),
            _ => format!("entry {number}"),
        }
    }
}

/// Quoted, at most 64 characters.
fn shown(text: &str) -> String {
    let (start, ellipsis) = clip(text, MAX_NAME);
    format!("{}{ellipsis}", Quoted(start))
}

/// The fields of a JSON object in their order, with those that occur twice.
struct Fields<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Fields<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for FieldsVisitor<V> {
    type Value = Fields<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // `hunter2`, by libxcrypt.
    const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";
    const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn problems(text: &str) -> Vec<String> {
        parse(text, Some("admin")).err().unwrap_or_else(|| panic!("accepted: {text}"))
    }

    #[test]
    fn users_have_a_name_a_secret_and_roles() {
        let name = "王 wang@example.com".to_owned() + &"x".repeat(64 - 20);
        let text = json!({"users": [
            {"name": name, "password": BCRYPT, "roles": ["payout", "switcher"]},
            {"name": "backend", "token_sha256": DIGEST, "roles": ["switcher"]},
        ]});
        let users = parse(&text.to_string(), None).unwrap();
        let names: Vec<_> = users.iter().map(|user| &*user.name).collect();
        assert_eq!(names, [name.as_str(), "backend"]);
        let roles: Vec<_> = users[0].roles.iter().collect();
        assert_eq!(roles, [Role::Switcher, Role::Payout]);
        assert!(users[0].secret.is_proven_by(b"hunter2"));
        assert!(users[1].secret == Secret::of_token_digest(DIGEST).unwrap());
        assert_eq!(parse(r#"{"users": []}"#, None).unwrap().len(), 0);
    }

    #[test]
    fn all_bad_entries_are_reported_at_once_with_their_users() {
        let long = "x".repeat(65);
        let text = json!({"users": [
            {"name": "a", "password": BCRYPT, "roles": ["viewer"], "rolls": 1, "comment": ""},
            {"name": "b", "roles": ["viewer"]},
            {"name": "c", "password": BCRYPT, "token_sha256": DIGEST, "roles": ["viewer"]},
            {"name": "d", "password": "hunter2", "roles": ["viewer"]},
            {"name": "e", "password": 5, "roles": ["viewer"]},
            {"name": "f", "token_sha256": &DIGEST[1..], "roles": ["viewer"]},
            {"name": "g", "password": BCRYPT, "roles": []},
            {"name": "h", "password": BCRYPT, "roles": ["viewers", "root"]},
            {"name": "i", "password": BCRYPT},
            {"name": "j", "password": BCRYPT, "roles": "viewer"},
            {"name": "", "password": BCRYPT, "roles": ["viewer"]},
            {"name": long, "password": BCRYPT, "roles": ["viewer"]},
            {"name": "k:l", "password": BCRYPT, "roles": ["viewer"]},
            {"name": "m\n", "password": BCRYPT, "roles": ["viewer"]},
            {"password": BCRYPT, "roles": ["viewer"]},
            {"name": 7, "password": BCRYPT, "roles": ["viewer"]},
            {"name": "n", "token_sha256": DIGEST, "roles": ["viewer"]},
            {"name": "o", "token_sha256": DIGEST.to_uppercase(), "roles": ["viewer"]},
            {"name": "n", "password": BCRYPT, "roles": ["viewer"]},
            BCRYPT,
            {"name": "admin", "password": BCRYPT, "roles": ["viewer"]},
        ]});
        let found = problems(&text.to_string());
        let expected = [
            r#"user "a" has an unknown field "rolls""#,
            r#"user "a" has an unknown field "comment""#,
            r#"user "b" has neither a password nor a token_sha256"#,
            r#"user "c" has both a password and a token_sha256"#,
            r#"user "d" has a password that is neither an argon2id hash"#,
            r#"user "e" has a password that is no text"#,
            r#"user "f" has a token_sha256 that is not 64 hex digits"#,
            r#"user "g" has no role"#,
            r#"user "h" has the role "viewers", expected viewer"#,
            r#"user "h" has the role "root", expected viewer"#,
            r#"user "i" has no list of texts as roles"#,
            r#"user "j" has no list of texts as roles"#,
            "entry 11 has a name of 0 bytes",
            &format!("user \"{}\"… has a name of 65 bytes", &long[..64]),
            r#"user "k:l" has a colon in its name"#,
            r#"user "m\n" has a control character in its name"#,
            "entry 15 has no name",
            "entry 16 has a name that is no text",
            r#"user "o" has the same token as user "n""#,
            r#"user "n" is listed twice, as entries 17 and 19"#,
            "entry 20 is no object",
            r#"user "admin" has the name of APIUser"#,
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for start in expected {
            assert!(found.iter().any(|it| it.starts_with(start)), "{start}: {found:#?}");
        }
        for secret in [&BCRYPT[7..], &DIGEST[..20], "hunter2"] {
            assert!(!found.iter().any(|it| it.contains(secret)), "{found:#?}");
        }
    }

    #[test]
    fn a_file_of_another_shape_is_refused() {
        for (text, problem) in [
            ("", "is no JSON: EOF"),
            ("{\"users\": [", "is no JSON: EOF"),
            ("{\"users\": [}", "is no JSON: expected value at line 1 column 12"),
            ("[]", "is no JSON object"),
            ("\"$2y$\"", "is no JSON object, expected {\"users\""),
            ("{}", "needs the field \"users\" once"),
            (r#"{"users": [], "users": []}"#, "needs the field \"users\" once"),
            (r#"{"user": []}"#, "has an unknown field \"user\""),
            (r#"{"users": [], "comment": ""}"#, "has an unknown field \"comment\""),
            (r#"{"users": {"name": "a"}}"#, "has no list in its field \"users\""),
            (
                r#"{"users": [{"name": "a", "name": "b"}]}"#,
                "user \"b\" has the field \"name\" twice",
            ),
        ] {
            let found = problems(text);
            assert!(found[0].starts_with(problem), "{text}: {found:?}");
        }
    }
}
