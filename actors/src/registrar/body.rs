//! Body of the request to the backend.

use std::collections::BTreeMap;

/// Stands for the sub-account's name in the operator's values.
const NAME: &str = "{sub_name}";

/// The body as the previous daemon's JSON encoder wrote it (user-list contract, section 5): keys in order, `<`, `>`,
/// `&` and two line separators as escapes, a line end.
pub(super) fn body(post_data: &BTreeMap<String, String>, name: &str) -> Vec<u8> {
    let fields: serde_json::Map<_, _> = post_data
        .iter()
        .map(|(key, value)| (key.clone(), value.replace(NAME, name).into()))
        .collect();
    let mut body = String::new();
    for c in serde_json::Value::Object(fields).to_string().chars() {
        match c {
            // JSON has these characters within strings only.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                crate::domain::push_json_escape(&mut body, c);
            }
            c => body.push(c),
        }
    }
    body.push('\n');
    body.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(fields: &[(&str, &str)], name: &str) -> String {
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        String::from_utf8(body(&fields.collect(), name)).unwrap()
    }

    #[test]
    fn the_name_replaces_its_mark_in_values_only() {
        let fields = [
            ("sub_name", "{sub_name}"),
            ("both", "{sub_name}/{sub_name}"),
            ("{sub_name}", "x"),
            ("Region", "cn"),
        ];
        assert_eq!(
            posted(&fields, "用户"),
            "{\"Region\":\"cn\",\"both\":\"用户/用户\",\"sub_name\":\"用户\",\"{sub_name}\":\"x\"}\n"
        );
        assert_eq!(posted(&[], "alice"), "{}\n");
    }

    #[test]
    fn escapes_are_those_of_the_previous_daemon() {
        let body = posted(&[("a<b", "{sub_name}&\"\\\u{2028}")], "x>y");
        assert_eq!(body, "{\"a\\u003cb\":\"x\\u003ey\\u0026\\\"\\\\\\u2028\"}\n");
    }
}
