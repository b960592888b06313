//! Parameters of `/switch`: out of the query, an urlencoded form or a multipart form, in the order in
//! which Go's `FormValue` looks at them.
//!
//! A form's values come before the query's, a multipart form's after them, and the first value of a
//! name counts, be it empty. A pair that is not well-formed is passed over, not an error.
//!
//! The flags of a batch (`dry_run`, `results`) are read more strictly: whoever wants a dry run must not get a real
//! one for a slip.

use std::borrow::Cow;

use actix_web::web::Bytes;
use futures_util::{FutureExt, stream};
use multer::Multipart;

/// The values of the parameters that are asked for. No others are kept: a body may have millions.
#[derive(Debug)]
pub struct Parameters<'a, const N: usize> {
    names: [&'static str; N],
    values: [Option<Cow<'a, str>>; N],
}

impl<'a, const N: usize> Parameters<'a, N> {
    /// None of `names` has a value yet.
    pub fn new(names: [&'static str; N]) -> Self {
        Self { names, values: [const { None }; N] }
    }

    /// The first values, in the names' order; empty where there is none. Bytes that are not UTF-8 have become
    /// U+FFFD, which no sub-account's or coin's name may contain.
    pub fn first(&self) -> [&str; N] {
        self.values.each_ref().map(|value| value.as_deref().unwrap_or_default())
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
            if let Some(value) = name.and_then(|name| self.missing(&name))
                && let Some(found) = unescape(halves.next().unwrap_or_default())
            {
                *value = Some(found);
            }
        }
    }

    /// Adds the values of a multipart form, files left out. One that is not well-formed adds nothing.
    pub fn add_multipart(&mut self, content_type: &str, body: Bytes) {
        // All of the body is there, so there is nothing to wait for.
        let form = multipart_values(content_type, body, self.names).now_or_never().flatten();
        for (value, found) in self.values.iter_mut().zip(form.into_iter().flatten()) {
            *value = value.take().or(found.map(Cow::Owned));
        }
    }

    /// The place of a value that is asked for and was not found yet.
    fn missing(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        let index = self.names.iter().position(|wanted| *wanted == name)?;
        Some(&mut self.values[index]).filter(|value| value.is_none())
    }
}

/// The first values of `names` in a multipart form; `None` if it is not well-formed.
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

/// Which of `names` a query sets; a name that is not there is not set.
///
/// Names match whatever their case. A value is `true`, `1`, `false` or `0`: any other, none, and two that contradict
/// each other are an error, which tells the name. Go's server passes over what is around a semicolon; here it
/// parts flags as `&` does.
pub fn flags<const N: usize>(
    query: &str,
    names: [&'static str; N],
) -> Result<[bool; N], &'static str> {
    let mut flags = [None; N];
    for pair in query.as_bytes().split(|byte| b"&;".contains(byte)) {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let Some(name) = unescape(halves.next().unwrap_or_default()) else { continue };
        let index = names.iter().position(|wanted| wanted.eq_ignore_ascii_case(&name));
        let Some(index) = index else { continue };
        let is_set = match halves.next().and_then(unescape).as_deref() {
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

    fn first(query: &str, name: &'static str) -> String {
        let mut parameters = Parameters::new([name]);
        parameters.add_urlencoded(query.as_bytes());
        parameters.first().concat()
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
    fn a_flag_is_set_clearly_or_refused() {
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
    fn the_media_type_is_what_stands_before_the_parameters() {
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
