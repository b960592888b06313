//! Text in HTML, escaped.

use std::fmt;

/// Plain text.
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// A line of a description, with code between backticks.
pub struct Line<'a>(pub &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.split('`').enumerate() {
            match index % 2 {
                0 => Plain(part).fmt(f)?,
                _ => write!(f, "<code>{}</code>", Plain(part))?,
            }
        }
        Ok(())
    }
}

/// A description: paragraphs, and lists whose lines begin with `* `.
pub struct Prose<'a>(pub &'a str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for paragraph in self.0.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            if paragraph.starts_with("* ") {
                f.write_str("<ul>")?;
                for item in paragraph.split('\n') {
                    write!(f, "<li>{}</li>", Line(item.trim_start_matches("* ")))?;
                }
                f.write_str("</ul>\n")?;
            } else {
                writeln!(f, "<p>{}</p>", Line(paragraph))?;
            }
        }
        Ok(())
    }
}

/// Beginning of a table, up to its rows.
pub fn table(columns: &[&str]) -> String {
    let cells = columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", Plain(column)));
    format!("<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n", cells.collect::<String>())
}

/// End of a table, after its rows.
pub const TABLE_END: &str = "</tbody>\n</table>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(
            Plain(r#"<a href="x">&'"#).to_string(),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"
        );
        assert_eq!(Line("a `<b>` c").to_string(), "a <code>&lt;b&gt;</code> c");
        assert_eq!(
            Prose("a\n\n* b\n* `c`").to_string(),
            "<p>a</p>\n<ul><li>b</li><li><code>c</code></li></ul>\n"
        );
    }
}
