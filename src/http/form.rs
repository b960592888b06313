//! Parameters of `/switch`: out of the query, an urlencoded form or a multipart form, in the order in
//! which Go's `FormValue` looks at them.
//!
//! A form's values come before the query's, a multipart form's after them, and the first value of a
//! name counts, be it empty. A pair that is not well-formed is passed over, not an error.

use std::borrow::Cow;

use actix_web::web::Bytes;
use futures_util::stream;
use multer::Multipart;

/// Values of a request, first the ones that win.
#[derive(Debug, Default)]
pub struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// The first value of that name; empty if there is none. Bytes that are not UTF-8 have become
    /// U+FFFD, which no sub-account's or coin's name may contain.
    pub fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Adds the pairs of a query or of an urlencoded form, after those that are there.
    pub fn add_urlencoded(&mut self, text: &'a [u8]) {
        for pair in text.split(|&byte| byte == b'&') {
            // Go refuses the semicolon, which some once took for a separator.
            if pair.is_empty() || pair.contains(&b';') {
                continue;
            }
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = unescape(halves.next().unwrap_or_default());
            let value = unescape(halves.next().unwrap_or_default());
            if let (Some(name), Some(value)) = (name, value) {
                self.0.push((name, value));
            }
        }
    }

    /// Adds the values of a multipart form, files left out. One that is not well-formed adds nothing.
    pub async fn add_multipart(&mut self, content_type: &str, body: Bytes) {
        if let Some(values) = multipart_values(content_type, body).await {
            self.0.extend(values.into_iter().map(|(name, value)| (name.into(), value.into())));
        }
    }
}

async fn multipart_values(content_type: &str, body: Bytes) -> Option<Vec<(String, String)>> {
    let boundary = multer::parse_boundary(content_type).ok()?;
    let body = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut multipart = Multipart::new(body, boundary);
    let mut values = Vec::new();
    while let Some(field) = multipart.next_field().await.ok()? {
        let name = field.name().map(ToOwned::to_owned);
        let is_file = field.file_name().is_some();
        let value = field.bytes().await.ok()?;
        if let (Some(name), false) = (name, is_file) {
            values.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
    }
    Some(values)
}

/// The media type of a `Content-Type` header: lower case, without parameters.
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Undoes `+` and `%XX`; `None` if an escape is cut or not hexadecimal.
fn unescape(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.contains(&b'%') && !text.contains(&b'+') {
        return Some(String::from_utf8_lossy(text));
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => hex(*rest.next()?)? << 4 | hex(*rest.next()?)?,
            byte => byte,
        });
    }
    Some(Cow::Owned(String::from_utf8_lossy(&plain).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(query: &str, name: &str) -> String {
        let mut parameters = Parameters::default();
        parameters.add_urlencoded(query.as_bytes());
        parameters.first(name).to_owned()
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(first("puname=a+b", "puname"), "a b");
        assert_eq!(first("puname=a%2Bb", "puname"), "a+b");
        assert_eq!(first("%70uname=%E7%94%A8%e6%88%b7", "puname"), "用户");
        assert_eq!(first("puname=%ff", "puname"), "\u{fffd}");
    }

    #[test]
    fn the_first_value_counts_be_it_empty() {
        assert_eq!(first("a=1&a=2", "a"), "1");
        assert_eq!(first("a=&a=2", "a"), "");
        assert_eq!(first("a&a=2", "a"), "");
        assert_eq!(first("b=1", "a"), "");
        assert_eq!(first("a==", "a"), "=");
    }

    #[test]
    fn a_pair_that_is_not_well_formed_is_passed_over() {
        assert_eq!(first("a=%zz&a=2", "a"), "2");
        assert_eq!(first("a=%4&a=2", "a"), "2");
        assert_eq!(first("a=1;b=2&a=3", "a"), "3");
        assert_eq!(first("&&a=2&", "a"), "2");
    }

    #[test]
    fn the_media_type_is_what_stands_before_the_parameters() {
        assert_eq!(media_type(" Multipart/Form-Data ; boundary=x"), "multipart/form-data");
        assert_eq!(media_type(";;;"), "");
    }

    #[actix_web::test]
    async fn a_multipart_form_comes_after_the_query_and_whole_or_not_at_all() {
        let part = |name: &str, value: &str| {
            format!("--BB\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file =
            "--BB\r\nContent-Disposition: form-data; name=\"coin\"; filename=\"x\"\r\n\r\nltc\r\n";
        let whole = format!("{}{file}{}--BB--\r\n", part("puname", "alice"), part("coin", "bcc"));
        let mut parameters = Parameters::default();
        parameters.add_urlencoded(b"puname=bob");
        parameters.add_multipart("multipart/form-data; boundary=BB", whole.clone().into()).await;
        assert_eq!((parameters.first("puname"), parameters.first("coin")), ("bob", "bcc"));

        let mut parameters = Parameters::default();
        let cut = whole[..whole.len() - 20].to_owned();
        parameters.add_multipart("multipart/form-data; boundary=BB", cut.into()).await;
        assert_eq!(parameters.first("puname"), "");
    }
}
