//! Parameters of `/switch`, from the query, an urlencoded form or a multipart form, in the order of Go's `FormValue`.
//!
//! The values of an urlencoded form precede the query's, those of a multipart form follow. The first value of a name
//! counts, even an empty one. A malformed pair is skipped without an error.
//!
//! The flags of a batch (`dry_run`, `results`) are decoded more strictly: a typing error must not turn a dry run into
//! a real one.

use std::borrow::Cow;

use actix_web::web::Bytes;
use futures_util::{FutureExt, stream};
use multer::Multipart;

/// Values of the parameters in `names`. No others are kept, since a body may have millions.
#[derive(Debug)]
pub struct Parameters<'a, const N: usize> {
    names: [&'static str; N],
    values: [Option<Cow<'a, str>>; N],
}

impl<'a, const N: usize> Parameters<'a, N> {
    pub fn new(names: [&'static str; N]) -> Self {
        Self { names, values: [const { None }; N] }
    }

    /// The first values, in the order of the names; empty where there is none. Bytes outside UTF-8 have become
    /// U+FFFD, which no name of a sub-account or a coin may contain.
    pub fn first(&self) -> [&str; N] {
        self.values.each_ref().map(|value| value.as_deref().unwrap_or_default())
    }

    /// Adds the pairs of a query or of an urlencoded form behind the present ones.
    pub fn add_urlencoded(&mut self, text: &'a [u8]) {
        for pair in text.split(|&byte| byte == b'&') {
            // Go refuses the semicolon, which was once a separator.
            if pair.is_empty() || pair.contains(&b';') {
                continue;
            }
            let (name, value) = halves(pair);
            if let Some(name) = unescape(name)
                && let Some(place) = self.missing(&name)
                && let Some(value) = unescape(value.unwrap_or_default())
            {
                *place = Some(value);
            }
        }
    }

    /// Adds the values of a multipart form, without files. A malformed form adds nothing.
    pub fn add_multipart(&mut self, content_type: &str, body: Bytes) {
        // The whole body is there, so nothing waits.
        let form = multipart_values(content_type, body, self.names).now_or_never().flatten();
        for (value, found) in self.values.iter_mut().zip(form.into_iter().flatten()) {
            *value = value.take().or(found.map(Cow::Owned));
        }
    }

    /// The place of the value called `name`, if it has none yet.
    fn missing(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        let index = self.names.iter().position(|wanted| *wanted == name)?;
        Some(&mut self.values[index]).filter(|value| value.is_none())
    }
}

/// The first values of `names` in a multipart form; `None` if it is malformed.
async fn multipart_values<const N: usize>(
    content_type: &str,
    body: Bytes,
    names: [&'static str; N],
) -> Option<[Option<String>; N]> {
    let boundary = multer::parse_boundary(content_type).ok()?;
    let body = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut multipart = Multipart::new(body, boundary);
    let mut values = [const { None }; N];
    while let Some(field) = multipart.next_field().await.ok()? {
        let wanted = names.iter().position(|wanted| field.name() == Some(wanted));
        let wanted = wanted.filter(|_| field.file_name().is_none());
        let value = field.bytes().await.ok()?;
        if let Some(index) = wanted
            && values[index].is_none()
        {
            values[index] = Some(String::from_utf8_lossy(&value).into_owned());
        }
    }
    Some(values)
}

/// Decodes the flags called `names` in a query; an absent flag is false.
///
/// Names match in any case. A value is `true`, `1`, `false` or `0`; any other or missing value, and two that
/// contradict each other, are an error with the flag's name. The semicolon separates flags as `&` does, while Go's
/// server skips the pairs around one.
pub fn flags<const N: usize>(
    query: &str,
    names: [&'static str; N],
) -> Result<[bool; N], &'static str> {
    let mut flags = [None; N];
    for pair in query.as_bytes().split(|byte| b"&;".contains(byte)) {
        let (name, value) = halves(pair);
        let Some(name) = unescape(name) else { continue };
        let index = names.iter().position(|wanted| wanted.eq_ignore_ascii_case(&name));
        let Some(index) = index else { continue };
        let is_set = match value.and_then(unescape).as_deref() {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => return Err(names[index]),
        };
        if flags[index].replace(is_set).is_some_and(|before| before != is_set) {
            return Err(names[index]);
        }
    }
    Ok(flags.map(Option::unwrap_or_default))
}

/// Decodes all pairs of a query, for pages that refuse unknown parameters. The error is a malformed pair.
pub fn pairs(query: &str) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), &str>> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = halves(pair.as_bytes());
        unescape(name).zip(unescape(value.unwrap_or_default())).ok_or(pair)
    })
}

/// Name and value of a pair, escaped.
fn halves(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(equals) => (&pair[..equals], Some(&pair[equals + 1..])),
        None => (pair, None),
    }
}

/// The media type of a `Content-Type` header: lower case, without parameters.
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Decodes `+` and `%XX`; `None` for a truncated or non-hexadecimal escape.
pub(super) fn unescape(text: &[u8]) -> Option<Cow<'_, str>> {
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

    fn first(query: &str, name: &'static str) -> String {
        let mut parameters = Parameters::new([name]);
        parameters.add_urlencoded(query.as_bytes());
        parameters.first().concat()
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(first("puname=a+b", "puname"), "a b");
        assert_eq!(first("puname=a%2Bb", "puname"), "a+b");
        assert_eq!(first("%70uname=%E7%94%A8%e6%88%b7", "puname"), "用户");
        assert_eq!(first("puname=%ff", "puname"), "\u{fffd}");
    }

    #[test]
    fn the_first_value_counts_even_an_empty_one() {
        assert_eq!(first("a=1&a=2", "a"), "1");
        assert_eq!(first("a=&a=2", "a"), "");
        assert_eq!(first("a&a=2", "a"), "");
        assert_eq!(first("b=1", "a"), "");
        assert_eq!(first("a==", "a"), "=");
    }

    #[test]
    fn a_malformed_pair_is_skipped() {
        assert_eq!(first("a=%zz&a=2", "a"), "2");
        assert_eq!(first("a=%4&a=2", "a"), "2");
        assert_eq!(first("a=1;b=2&a=3", "a"), "3");
        assert_eq!(first("&&a=2&", "a"), "2");
    }

    #[test]
    fn an_unclear_flag_is_refused() {
        let read = |query| flags(query, ["dry_run", "results"]);
        for query in ["", "x=1&dryrun=true&%zz=1", "dry_run=false&results=0", "dry_run=0;x"] {
            assert_eq!(read(query), Ok([false, false]), "{query}");
        }
        for query in ["dry_run=true", "a&dry%5Frun=%31", "x;DRY_RUN=1", "dry_run=1&dry_run=true"] {
            assert_eq!(read(query), Ok([true, false]), "{query}");
        }
        assert_eq!(read("dry_run=true;results=true"), Ok([true, true]));
        for value in ["", "=", "=yes", "=True", "=+true", "=tru", "=%zz", "=true=", "=1&dry_run=0"]
        {
            let query = format!("results=true&dry_run{value}");
            assert_eq!(flags(&query, ["dry_run", "results"]), Err("dry_run"), "{value}");
        }
    }

    #[test]
    fn all_pairs_of_a_query_are_decoded_or_refused() {
        let read = |query| pairs(query).collect::<Result<Vec<_>, _>>();
        let pair = |name: &'static str, value: &'static str| (Cow::from(name), Cow::from(value));
        assert_eq!(
            read("&a=1;2&&b=%E7%94%A8+x&a").unwrap(),
            [pair("a", "1;2"), pair("b", "用 x"), pair("a", "")]
        );
        assert_eq!(read("a=1&b=%zz&c=%"), Err("b=%zz"));
    }

    #[test]
    fn the_media_type_has_no_parameters() {
        assert_eq!(media_type(" Multipart/Form-Data ; boundary=x"), "multipart/form-data");
        assert_eq!(media_type(";;;"), "");
    }

    #[test]
    fn a_multipart_form_comes_after_the_query_and_whole_or_not_at_all() {
        let part = |name: &str, value: &str| {
            format!("--BB\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file =
            "--BB\r\nContent-Disposition: form-data; name=\"coin\"; filename=\"x\"\r\n\r\nltc\r\n";
        let whole = format!("{}{file}{}--BB--\r\n", part("puname", "alice"), part("coin", "bcc"));
        let mut parameters = Parameters::new(["puname", "coin"]);
        parameters.add_urlencoded(b"puname=bob");
        parameters.add_multipart("multipart/form-data; boundary=BB", whole.clone().into());
        assert_eq!(parameters.first(), ["bob", "bcc"]);

        let mut parameters = Parameters::new(["puname", "coin"]);
        let cut = whole[..whole.len() - 20].to_owned();
        parameters.add_multipart("multipart/form-data; boundary=BB", cut.into());
        assert_eq!(parameters.first(), ["", ""]);
    }
}
