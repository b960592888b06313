//! A batch in a file: the JSON of the API, or CSV. Read and checked whole before anything is sent.

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord};

use super::switch::WantedSwitch;
use crate::api::parse_batch;

/// Faults that are reported one by one; the others are counted.
const FAULTS_SHOWN: usize = 20;

/// Excel puts it before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The switches of a file, in its order.
#[derive(Debug)]
pub struct BatchFile {
    /// At least one.
    pub entries: Vec<WantedSwitch>,
    positions: Positions,
}

/// Positions of the entries in the file.
#[derive(Debug)]
enum Positions {
    /// The line in which each entry begins, from 1.
    Lines(Vec<u64>),
    /// The number of the entry.
    Numbers,
}

impl BatchFile {
    /// Parses a file's content. The error lists the faults: the first ones, and the number of the others.
    pub fn read(content: &[u8], coins: &[String]) -> Result<Self, Vec<String>> {
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        let is_json = content.trim_ascii_start().first() == Some(&b'{');
        let mut faults = Faults::default();
        let batch = if is_json { read_json(content)? } else { read_csv(content, &mut faults) };
        for (index, entry) in batch.entries.iter().enumerate() {
            if let Some(fault) = entry.fault(coins) {
                faults.add(&batch.place(index), &fault);
            }
        }
        match faults.all() {
            Some(faults) => Err(faults),
            None if batch.entries.is_empty() => Err(vec!["it has no entry".to_owned()]),
            None => Ok(batch),
        }
    }

    /// Position of an entry, in words.
    pub fn place(&self, index: usize) -> String {
        match &self.positions {
            Positions::Lines(lines) => format!("line {}", lines.get(index).copied().unwrap_or(0)),
            Positions::Numbers => format!("entry {}", index + 1),
        }
    }
}

/// Parses JSON as the API does.
fn read_json(content: &[u8]) -> Result<BatchFile, Vec<String>> {
    let batch = parse_batch(content).map_err(|error| vec![error.to_string()])?;
    let entries = batch.groups().flat_map(|(coin, punames)| {
        punames.map(move |user| WantedSwitch { user: user.to_owned(), coin: coin.to_owned() })
    });
    Ok(BatchFile { entries: entries.collect(), positions: Positions::Numbers })
}

fn read_csv(content: &[u8], faults: &mut Faults) -> BatchFile {
    let (mut entries, mut lines) = (Vec::new(), Vec::new());
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
    for (index, record) in reader.records().enumerate() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = line(content, error.position());
                let fault = match error.kind() {
                    ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
                    _ => error.to_string(),
                };
                faults.add(&format!("line {line}"), &fault);
                continue;
            }
        };
        let line = line(content, record.position());
        match (record.len(), record.get(0), record.get(1)) {
            (2, Some(user), Some(coin)) if index > 0 || !is_header(user, coin) => {
                entries.push(WantedSwitch { user: user.to_owned(), coin: coin.to_owned() });
                lines.push(line);
            }
            (2, ..) => {}
            (fields, ..) => faults.add(&format!("line {line}"), &not_two(&record, fields)),
        }
    }
    BatchFile { entries, positions: Positions::Lines(lines) }
}

/// The line in which a record begins. The reader's position is that of the blank lines before it.
fn line(content: &[u8], position: Option<&Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = content.get(start..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}

/// Whether a first line names the columns.
fn is_header(user: &str, coin: &str) -> bool {
    let is_user = ["user", "puname", "sub_account", "sub-account"]
        .iter()
        .any(|name| user.eq_ignore_ascii_case(name));
    is_user && coin.eq_ignore_ascii_case("coin")
}

fn not_two(record: &StringRecord, fields: usize) -> String {
    let hint = match record.get(0) {
        Some(first) if fields == 1 && first.contains([';', '\t']) => {
            "; fields are separated by commas"
        }
        _ => "",
    };
    let s = if fields == 1 { "" } else { "s" };
    format!("has {fields} field{s}, expected two: sub-account,coin{hint}")
}

/// Faults of a file.
#[derive(Default)]
struct Faults {
    shown: Vec<String>,
    count: usize,
}

impl Faults {
    fn add(&mut self, place: &str, fault: &str) {
        self.count += 1;
        if self.shown.len() < FAULTS_SHOWN {
            self.shown.push(format!("{place}: {fault}"));
        }
    }

    fn all(mut self) -> Option<Vec<String>> {
        if self.count > self.shown.len() {
            self.shown.push(format!("and {} more", self.count - self.shown.len()));
        }
        (self.count > 0).then_some(self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<(String, String)>, Vec<String>> {
        let batch = BatchFile::read(content, &[])?;
        Ok(batch.entries.into_iter().map(|entry| (entry.user, entry.coin)).collect())
    }

    fn taken(content: &str) -> String {
        let entries = read(content.as_bytes()).unwrap_or_else(|it| panic!("{content}: {it:?}"));
        let entries: Vec<_> =
            entries.into_iter().map(|(user, coin)| format!("{user}={coin}")).collect();
        entries.join(" ")
    }

    fn faults(content: &[u8]) -> String {
        read(content).expect_err("faults").join("\n")
    }

    #[test]
    fn csv_comes_as_spreadsheets_write_it() {
        for content in [
            "alice,btc\nbob,bcc\n",
            "alice,btc\nbob,bcc",
            "alice,btc\r\nbob,bcc\r\n",
            "\u{feff}alice,btc\r\nbob,bcc\r\n",
            "\n\nalice,btc\n\r\n\nbob,bcc\n\n",
            "user,coin\nalice,btc\nbob,bcc\n",
            "\u{feff}PUNAME,Coin\r\nalice,btc\r\nbob,bcc",
            "\"alice\",\"btc\"\n\"bob\",bcc\n",
        ] {
            assert_eq!(taken(content), "alice=btc bob=bcc", "{content:?}");
        }
        assert_eq!(taken("\"a,b\",btc\n\"say \"\"hi\"\"\",btc\n"), "a,b=btc say \"hi\"=btc");
        assert_eq!(taken("a b , btc\n"), "a b = btc", "blanks belong to the names");
        assert_eq!(taken("alice,btc\nuser,coin\n"), "alice=btc user=coin", "no first line");
    }

    #[test]
    fn bad_lines_are_reported_by_their_numbers() {
        let found = faults(b"alice,btc\n\nbob\ncarol,btc,x\n\xff,btc\na/b,btc\ndave,\n,btc\n");
        let expected = [
            "line 3: has 1 field, expected two: sub-account,coin",
            "line 4: has 3 fields, expected two: sub-account,coin",
            "line 5: is not UTF-8",
            "line 6: the sub-account a/b contains a slash",
            "line 7: sub-account dave: the coin is empty",
            "line 8: the sub-account \"\" is empty",
        ];
        assert_eq!(found, expected.join("\n"));
        assert!(faults(b"alice;btc\n").contains("separated by commas"));
        assert!(faults(b"\"alice,btc\nbob,btc\n").contains("line 1: has 1 field"));
        assert_eq!(faults(b""), "it has no entry");
        assert_eq!(faults(b"user,coin\n"), "it has no entry");
        let many = "a/b,btc\n".repeat(25);
        assert!(
            faults(many.as_bytes())
                .ends_with("line 20: the sub-account a/b contains a slash\nand 5 more")
        );
    }

    #[test]
    fn a_line_number_survives_a_name_of_several_lines() {
        let found = faults(b"\"a\nb\",btc\nbob,btc\nc/d,btc\n");
        assert!(
            found.starts_with("line 1: the sub-account \"a\\nb\" contains a control character")
        );
        assert!(found.ends_with("line 4: the sub-account c/d contains a slash"), "{found}");
    }

    #[test]
    fn json_is_the_apis() {
        let json = r#" {"usercoins":[{"coin":"btc","punames":["alice","bob"]},{"Coin":"bcc","PuNames":["alice"]}]}"#;
        assert_eq!(taken(json), "alice=btc bob=btc alice=bcc");
        assert_eq!(taken(&format!("\u{feff}{json}")), "alice=btc bob=btc alice=bcc");
        assert!(faults(b"{\"usercoins\":5}").contains("wrong JSON"));
        let bad = br#"{"usercoins":[{"coin":"btc","punames":["alice","a/b"]}]}"#;
        assert_eq!(faults(bad), "entry 2: the sub-account a/b contains a slash");
        assert_eq!(faults(br#"{"usercoins":[]}"#), "it has no entry");
    }

    #[test]
    fn coins_are_compared_where_the_daemons_are_known() {
        let coins = ["btc".to_owned(), "bcc".to_owned()];
        assert!(BatchFile::read(b"alice,btc\n", &coins).is_ok());
        let found = BatchFile::read(b"alice,btc\nbob, btc\n", &coins).unwrap_err();
        let expected =
            "line 2: sub-account bob: the coin \" btc\" is not in AvailableCoins (btc, bcc)";
        assert_eq!(found, [expected]);
    }
}
