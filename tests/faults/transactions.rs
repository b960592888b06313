//! ZooKeeper's transaction log: every write that a server has taken, in ZooKeeper's order.
//!
//! The files are read as they are: ZooKeeper's own printer (`TxnLogToolkit`, `LogFormatter`) separates data by characters
//! that data may contain, and each version has another one. The format has been the same since 3.4.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

/// A transaction with an effect on znodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its place in ZooKeeper's order.
    pub zxid: i64,
    /// The client's session.
    pub session: i64,
    /// By the leader's clock, in milliseconds since 1970.
    pub time: i64,
    pub steps: Vec<Step>,
}

/// A write within a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Create {
        path: String,
        data: String,
    },
    Set {
        path: String,
        data: String,
        /// The version since then.
        version: i32,
    },
    Delete {
        path: String,
    },
}

/// State of a znode: the transaction that created it, and its version.
pub type State = (i64, i32);

/// A write of a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub zxid: i64,
    pub session: i64,
    /// In milliseconds since 1970.
    pub time: i64,
    /// `None` if it deleted the znode, like `value`.
    pub state: Option<State>,
    pub value: Option<String>,
    /// State and value before; `None` without a znode.
    pub before: Option<(State, String)>,
}

/// The transactions in a server's data directory, oldest first. What a server has not written to its end is left out.
///
/// # Errors
/// If a file cannot be read, or contains something unknown.
pub fn read(data: &Path) -> io::Result<Vec<Transaction>> {
    let mut found = BTreeMap::new();
    for file in std::fs::read_dir(data.join("version-2"))? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with("log.") {
            let bytes = std::fs::read(file.path())?;
            found.extend(transactions(&bytes)?.into_iter().map(|it| (it.zxid, it)));
        }
    }
    Ok(found.into_values().collect())
}

/// The transactions that most of the servers have: a leader that falls may leave one that never took place.
pub fn committed(of_servers: Vec<Vec<Transaction>>) -> Vec<Transaction> {
    let most = of_servers.len() / 2 + 1;
    let mut counted: BTreeMap<i64, (Transaction, usize)> = BTreeMap::new();
    for transaction in of_servers.into_iter().flatten() {
        counted.entry(transaction.zxid).or_insert((transaction, 0)).1 += 1;
    }
    counted.into_values().filter(|(_, count)| *count >= most).map(|(it, _)| it).collect()
}

/// The writes of each znode, by path.
pub fn writes(transactions: &[Transaction]) -> HashMap<String, Vec<Write>> {
    let mut found: HashMap<String, Vec<Write>> = HashMap::new();
    for Transaction { zxid, session, time, steps } in transactions {
        for step in steps {
            let (path, data) = match step {
                Step::Create { path, data } | Step::Set { path, data, .. } => (path, Some(data)),
                Step::Delete { path } => (path, None),
            };
            let of_znode = found.entry(path.clone()).or_default();
            let last = of_znode.last();
            let before = last.and_then(|it: &Write| it.state.zip(it.value.clone()));
            let state = match step {
                Step::Create { .. } => Some((*zxid, 0)),
                // Created before the log began.
                Step::Set { version, .. } => {
                    Some((before.as_ref().map_or(0, |((created, _), _)| *created), *version))
                }
                Step::Delete { .. } => None,
            };
            let (zxid, session, time, value) = (*zxid, *session, *time, data.cloned());
            of_znode.push(Write { zxid, session, time, state, value, before });
        }
    }
    found
}

/// Identifier of a log file.
const MAGIC: &[u8] = b"ZKLG";
/// Ends each transaction.
const END: &[u8] = b"B";

fn transactions(file: &[u8]) -> io::Result<Vec<Transaction>> {
    let mut rest = Fields(file);
    let mut found = Vec::new();
    // Magic, version, id of the database.
    if rest.bytes(4) != Some(MAGIC) || rest.bytes(12).is_none() {
        return Ok(found);
    }
    // The file is longer than its content, by zeros. A server that was killed, or its full disk, leaves a part at the end.
    while let Some(sum) = rest.long()
        && let Some(length) = rest.int().filter(|length| *length > 0)
        && let Some(body) = rest.bytes(length as usize)
        && rest.bytes(1) == Some(END)
        && adler32(body) == sum
    {
        found.extend(Fields(body).transaction()?);
    }
    Ok(found)
}

fn adler32(bytes: &[u8]) -> i64 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for chunk in bytes.chunks(5_000) {
        for byte in chunk {
            low += u32::from(*byte);
            high += low;
        }
        (low, high) = (low % 65_521, high % 65_521);
    }
    i64::from(high << 16 | low)
}

/// Types of transactions.
const CREATE: i32 = 1;
const DELETE: i32 = 2;
const SET: i32 = 5;
const SET_ACL: i32 = 7;
const CHECK: i32 = 13;
const MULTI: i32 = 14;
/// Since 3.5.
const CREATE_2: i32 = 15;
const ERROR: i32 = -1;
const CREATE_SESSION: i32 = -10;
const CLOSE_SESSION: i32 = -11;

/// What is left of a transaction.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.bytes(8)?.try_into().ok()?))
    }

    /// Bytes after their length, which is -1 for none.
    fn buffer(&mut self) -> Option<&'a [u8]> {
        let length = self.int()?;
        self.bytes(length.max(0) as usize)
    }

    fn text(&mut self) -> Option<String> {
        self.buffer().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// `None` for one without an effect on znodes. (Nothing here makes ephemeral znodes whose end matters.)
    fn transaction(&mut self) -> io::Result<Option<Transaction>> {
        let head = |this: &mut Self| {
            let (session, _) = (this.long()?, this.int()?);
            Some((session, this.long()?, this.long()?, this.int()?))
        };
        let (session, zxid, time, kind) = head(self).ok_or_else(|| unreadable("a head"))?;
        let mut steps = Vec::new();
        if kind == MULTI {
            for _ in 0..self.int().ok_or_else(|| unreadable("a number of steps"))? {
                let kind = self.int().ok_or_else(|| unreadable("a step's type"))?;
                let data = self.buffer().ok_or_else(|| unreadable("a step"))?;
                // One step that failed undoes all, though those before it are logged as they were meant.
                if kind == ERROR {
                    return Ok(None);
                }
                steps.extend(Fields(data).step(kind)?);
            }
        } else {
            steps.extend(self.step(kind)?);
        }
        Ok((!steps.is_empty()).then_some(Transaction { zxid, session, time, steps }))
    }

    fn step(&mut self, kind: i32) -> io::Result<Option<Step>> {
        let step = match kind {
            CREATE | CREATE_2 => {
                self.text().zip(self.text()).map(|(path, data)| Step::Create { path, data })
            }
            SET => self
                .text()
                .zip(self.text())
                .zip(self.int())
                .map(|((path, data), version)| Step::Set { path, data, version }),
            DELETE => self.text().map(|path| Step::Delete { path }),
            SET_ACL | CHECK | ERROR | CREATE_SESSION | CLOSE_SESSION => return Ok(None),
            _ => return Err(unreadable(&format!("a transaction of type {kind}"))),
        };
        step.map(Some).ok_or_else(|| unreadable("a step's fields"))
    }
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} in ZooKeeper's log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::zookeeper::ZooKeeper;
    use zookeeper_client::{Acls, CreateMode};

    #[tokio::test]
    async fn the_log_of_a_killed_server_has_all_acknowledged_writes() {
        let mut server = ZooKeeper::private().await;
        let client = server.client().await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/a", b"c0", &options).await.unwrap();
        client.set_data("/a", b"c1, \n", None).await.unwrap();
        let mut both = client.new_multi_writer();
        both.add_create("/b", b"c2", &options).unwrap();
        both.add_set_data("/a", b"c3", None).unwrap();
        both.commit().await.unwrap();
        let mut neither = client.new_multi_writer();
        neither.add_set_data("/b", b"never", None).unwrap();
        neither.add_set_data("/a", b"never", Some(77)).unwrap();
        neither.commit().await.unwrap_err();
        client.delete("/a", None).await.unwrap();
        server.kill9();
        server.restart().await;
        let again = server.client().await;
        again.create("/a", b"c4", &options).await.unwrap();
        let (_, stat) = again.get_data("/a").await.unwrap();

        let found = read(&server.data()).unwrap();
        assert_eq!(committed(vec![found.clone(), Vec::new(), found.clone()]), found);
        assert_eq!(committed(vec![found.clone(), Vec::new(), Vec::new()]), []);
        let writes = writes(&found);
        let shown = |path: &str| -> Vec<_> {
            let version = |state: Option<State>| state.map(|(_, version)| version);
            let writes = writes[path].iter();
            writes
                .map(|it| {
                    (version(it.state), it.value.as_deref(), it.before.as_ref().map(|it| it.0.1))
                })
                .collect()
        };
        assert_eq!(
            shown("/a"),
            [
                (Some(0), Some("c0"), None),
                (Some(1), Some("c1, \n"), Some(0)),
                (Some(2), Some("c3"), Some(1)),
                (None, None, Some(2)),
                (Some(0), Some("c4"), None),
            ]
        );
        assert_eq!(shown("/b"), [(Some(0), Some("c2"), None)]);
        let [first, .., last] = &writes["/a"][..] else { panic!("some writes") };
        assert_eq!((last.state, last.zxid), (Some((stat.czxid, 0)), stat.mzxid));
        assert_eq!(first.session, client.session_id().0);
        assert_eq!(writes["/a"][2].zxid, writes["/b"][0].zxid);
    }

    #[test]
    fn a_torn_end_is_left_out() {
        let body = [
            &7_i64.to_be_bytes()[..],
            &[0; 4],
            &9_i64.to_be_bytes(),
            &[0; 8],
            &DELETE.to_be_bytes(),
            &[0, 0, 0, 2],
            b"/a",
        ]
        .concat();
        let mut file = [
            MAGIC,
            &[0; 12],
            &adler32(&body).to_be_bytes(),
            &(body.len() as i32).to_be_bytes(),
            &body,
            END,
        ]
        .concat();
        let count = |file: &[u8]| transactions(file).unwrap().len();
        assert_eq!(count(&file), 1);
        assert_eq!(count(&[&file[..], &[0; 40]].concat()), 1);
        assert_eq!(count(&[&file[..], &file[16..file.len() - 1]].concat()), 1);
        assert_eq!(count(&[&file[..], &file[16..]].concat()), 2);
        let last = file.len() - 2;
        file[last] ^= 1;
        assert_eq!(count(&file), 0);
        assert_eq!((count(b"ZKLG"), count(b"")), (0, 0));
    }
}
