//! The body of an undo.

use serde::Deserialize;
use switcher_actors::{COMMENT_BYTES, RequestId, cut};

use super::UndoError;

/// An undo that was requested.
#[derive(Debug, PartialEq, Eq)]
pub struct UndoRequest {
    /// The request to take back.
    pub request: RequestId,
    /// Whether to report the changes without writing.
    pub dry_run: bool,
    /// Whether to delete the znodes that the request created.
    pub delete_created: bool,
    /// The user's reason.
    pub comment: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    request: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    delete_created: bool,
    comment: Option<String>,
}

impl UndoRequest {
    /// Parses a body. Anything unclear is refused: a typing error in `dry_run` must not cause real writes.
    pub fn parse(body: &[u8]) -> Result<Self, UndoError> {
        let fields: Fields = serde_json::from_slice(body).map_err(UndoError::body)?;
        let Fields { request: digits, dry_run, delete_created, comment } = fields;
        let request = RequestId::parse(&digits).ok_or_else(|| UndoError::request(&digits))?;
        let comment = comment.and_then(|comment| cut(&comment, COMMENT_BYTES));
        Ok(Self { request, dry_run, delete_created, comment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_cut_at_a_character() {
        let parse = |comment: &str| {
            let body = format!(r#"{{"request":"00000000000000ff","comment":"{comment}"}}"#);
            UndoRequest::parse(body.as_bytes()).unwrap()
        };
        let undo = parse(&"é".repeat(150));
        assert_eq!(undo.comment.as_deref(), Some("é".repeat(100).as_str()));
        assert_eq!(
            (undo.request, undo.dry_run, undo.delete_created),
            (RequestId(0xff), false, false)
        );
        assert_eq!(parse(&format!("x{}", "é".repeat(150))).comment.unwrap().len(), 199);
        assert_eq!(parse("").comment, None);
    }

    #[test]
    fn unclear_bodies_are_refused_with_the_reason() {
        for (body, part) in [
            (r#"{"dry_run":true}"#, "missing field `request`"),
            (r#"{"request":"00000000000000ff","dryrun":true}"#, "unknown field `dryrun`"),
            (r#"{"request":"00000000000000ff","dry_run":"true"}"#, "expected a boolean"),
            (r#"{"request":"00000000000000ff","dry_run":1}"#, "expected a boolean"),
            (r#"{"request":"00000000000000ff","dry_run":true,"dry_run":false}"#, "duplicate field"),
            (r#"{"request":255}"#, "expected a string"),
            (r#"{"request":"ff"}"#, "16 hexadecimal digits"),
            (r#"{"request":"00000000000000fg"}"#, "16 hexadecimal digits"),
            ("[]", ""),
            ("", "EOF"),
        ] {
            let error = UndoRequest::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("nothing was written"),
                "{body}: {error}"
            );
        }
    }
}
