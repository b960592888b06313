//! Reads what `/metrics` says, and accepts nothing that a scraper would not.

use std::collections::{BTreeMap, BTreeSet};

/// All series with their values.
#[derive(Debug)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Panics where the text is not what the format asks for.
    pub fn parse(text: &str) -> Self {
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let lines = text.strip_suffix("# EOF\n").expect("the mark at the end");
        for line in lines.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let mut word = || words.next().unwrap_or_else(|| panic!("{line}"));
                match (word(), word(), word()) {
                    ("TYPE", name, kind) => {
                        assert!(types.insert(name, kind).is_none(), "two types: {line}");
                    }
                    ("HELP" | "UNIT", ..) => {}
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let value = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
            let name = check(series);
            let suffixes = ["_total", "_bucket", "_sum", "_count", "_info", ""];
            let mut families = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
            assert!(families.any(|family| types.contains_key(family)), "no type: {line}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
        Self(samples)
    }

    /// The series of both; where both have one, this one's.
    pub fn and(mut self, other: Self) -> Self {
        other.0.into_iter().for_each(|(series, value)| {
            self.0.entry(series).or_insert(value);
        });
        self
    }

    /// The value of a series.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// The value of a series that there has to be.
    pub fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    pub fn series(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Each metric's labels with all values that they have.
    pub fn labels(&self) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
        let mut all = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
        for series in self.0.keys() {
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let known = all.entry(name.to_owned()).or_default();
            // None of our values holds a quote.
            for label in labels
                .trim_end_matches('}')
                .split_terminator("\",")
                .flat_map(|it| it.split_once("=\""))
            {
                let value = label.1.trim_end_matches('"').to_owned();
                known.entry(label.0.to_owned()).or_default().insert(value);
            }
        }
        all
    }

    /// The values of all series that begin so.
    pub fn sum(&self, start: &str) -> f64 {
        self.0.iter().filter(|(name, _)| name.starts_with(start)).map(|(_, value)| value).sum()
    }
}

/// The name of a series, whose labels are well formed.
fn check(series: &str) -> &str {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    assert!(is_name(name), "{series}");
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("{series}"));
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{series}"));
        assert!(is_name(label), "{series}");
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or_else(|| panic!("{series}"));
        rest = value[end + 1..].strip_prefix(',').unwrap_or(&value[end + 1..]);
    }
    name
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
