//! Checks an answer against the request that it belongs to.
//!
//! ZooKeeper answers a transaction with one result for each operation, of the operation's kind. An answer of another
//! shape proves neither a commit nor a failure, so the outcome is unknown. The client crate checks neither the number nor
//! the kind, and skips errors whose code is 0.

use zookeeper_client::{
    Error as ClientError, MultiReadResult, MultiWriteError, MultiWriteResult, Stat,
};

use super::{
    Condition, Revision, TransactionError, WriteError, WriteOp, ZnodeRead,
    znode::{Keep, znode_read},
};

/// Code of operations that failed only because another one of the transaction did
/// (`RUNTIMEINCONSISTENCY` in ZooKeeper's source).
const BECAUSE_OF_ANOTHER: i32 = -2;

/// The znodes' new states after a transaction of `ops`. Many servers return none for a create; a set in the same
/// transaction then shows it, since all operations share a zxid. `None` if neither does.
pub(super) fn of_transaction(
    ops: &[WriteOp<'_, impl Condition>],
    results: &[MultiWriteResult],
) -> Result<Vec<Option<Revision>>, TransactionError> {
    if ops.len() != results.len() {
        return Err(unknown_transaction(format!(
            "{} results for a transaction of {} operations",
            results.len(),
            ops.len()
        )));
    }
    let zxid = results.iter().find_map(|result| match result {
        MultiWriteResult::SetData { stat } if Revision::of(stat).is_some() => Some(stat.mzxid),
        _ => None,
    });
    let states = ops.iter().zip(results).map(|(op, result)| match (op, result) {
        (WriteOp::Set { .. }, MultiWriteResult::SetData { stat }) => {
            of_write(op, stat).map_err(TransactionError::Whole)
        }
        (WriteOp::Create { path, .. }, MultiWriteResult::Create { path: created, stat })
            if created == path =>
        {
            let state = of_write(op, stat).map_err(TransactionError::Whole)?;
            Ok(state.or_else(|| zxid.map(Revision::created_by)))
        }
        (WriteOp::Check { .. }, MultiWriteResult::Check)
        | (WriteOp::Delete { .. }, MultiWriteResult::Delete) => Ok(None),
        _ => Err(unknown_transaction(format!("the result {result:?} for {op}"))),
    });
    states.collect()
}

/// The znode's new state after a single write; `None` where a server returns no state for a create.
pub(super) fn of_write(
    op: &WriteOp<'_, impl Condition>,
    stat: &Stat,
) -> Result<Option<Revision>, WriteError> {
    let revision = Revision::of(stat);
    match op {
        WriteOp::Set { .. } if revision.is_none() => Err(unknown(&format!("no state for {op}"))),
        _ => Ok(revision),
    }
}

/// Failure of a transaction of `ops`.
pub(super) fn of_failed_transaction(
    ops: &[WriteOp<'_, impl Condition>],
    error: MultiWriteError,
) -> TransactionError {
    match error {
        MultiWriteError::RequestFailed { source } => TransactionError::Whole(match source.into() {
            // The failure of one operation comes with its index.
            error @ (WriteError::Missing | WriteError::Exists | WriteError::Overtaken) => {
                unknown(&format!("\"{error}\" for a transaction as a whole"))
            }
            error => error,
        }),
        MultiWriteError::OperationFailed { index, source } => {
            let Some(op) = ops.get(index) else {
                return unknown_transaction(format!(
                    "\"{source}\" for operation {index} of a transaction of {}",
                    ops.len()
                ));
            };
            if source == ClientError::UnexpectedErrorCode(BECAUSE_OF_ANOTHER) {
                return unknown_transaction("a failed transaction without a cause".to_owned());
            }
            // The server names the operation, so nothing was applied, even if the code is unknown.
            let error = match source.into() {
                WriteError::Unknown(text) => WriteError::Refused(text),
                error => error,
            };
            match of_failed_write(op, error) {
                error @ WriteError::Unknown(_) => TransactionError::Whole(error),
                error => TransactionError::Operation { index, error },
            }
        }
    }
}

/// Failure of a single write; unknown if this write cannot fail in that way.
pub(super) fn of_failed_write(op: &WriteOp<'_, impl Condition>, error: WriteError) -> WriteError {
    let is_of_another = match op {
        WriteOp::Set { condition, .. }
        | WriteOp::Check { condition, .. }
        | WriteOp::Delete { condition, .. }
            if condition.version().is_some() =>
        {
            error == WriteError::Exists
        }
        WriteOp::Set { .. } | WriteOp::Check { .. } | WriteOp::Delete { .. } => {
            matches!(error, WriteError::Exists | WriteError::Overtaken)
        }
        WriteOp::Create { .. } => error == WriteError::Overtaken,
    };
    if is_of_another { unknown(&format!("\"{error}\" for {op}")) } else { error }
}

/// The states of so many znodes, read in one request, and the bytes of the largest.
pub(super) fn of_read(
    paths: usize,
    results: Vec<MultiReadResult>,
    keep: Keep,
) -> Result<(Vec<ZnodeRead>, usize), WriteError> {
    if results.len() != paths {
        return Err(unknown(&format!("{} results for a read of {paths} znodes", results.len())));
    }
    let mut largest = 0;
    let reads = results.into_iter().map(|result| match result {
        MultiReadResult::Data { data, stat } => znode_read(Ok((data, stat)), keep, &mut largest),
        MultiReadResult::Error { err } => znode_read(Err(err), keep, &mut largest),
        other => Err(unknown(&format!("{other:?} for a read of data"))),
    });
    let reads = reads.collect::<Result<_, _>>()?;
    Ok((reads, largest))
}

fn unknown_transaction(what: String) -> TransactionError {
    TransactionError::Whole(unknown(&what))
}

fn unknown(what: &str) -> WriteError {
    WriteError::Unknown(format!("the answer does not match the request: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PreviousValue;
    use crate::zk::AnyState;

    type Unconditional = WriteOp<'static, AnyState>;

    const SET: Unconditional = WriteOp::Set { path: "/a", data: b"btc", condition: AnyState };
    const CREATE: Unconditional = WriteOp::Create { path: "/b", data: b"btc" };

    fn conditional() -> [WriteOp<'static, Revision>; 2] {
        let condition = Revision::test(1, 1);
        let set = WriteOp::Set { path: "/c", data: b"btc", condition };
        [set, WriteOp::Create { path: "/b", data: b"btc" }]
    }

    fn stat(czxid: i64, version: i32) -> Stat {
        Stat {
            czxid,
            mzxid: czxid,
            pzxid: czxid,
            ctime: 0,
            mtime: 0,
            version,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: 0,
            data_length: 3,
            num_children: 0,
        }
    }

    fn set() -> MultiWriteResult {
        MultiWriteResult::SetData { stat: Stat { mzxid: 9, ..stat(7, 3) } }
    }

    fn created(path: &str) -> MultiWriteResult {
        MultiWriteResult::Create { path: path.to_owned(), stat: stat(-1, -1) }
    }

    fn is_unknown<T: std::fmt::Debug>(answer: &Result<T, TransactionError>) -> bool {
        matches!(answer, Err(TransactionError::Whole(WriteError::Unknown(_))))
    }

    #[test]
    fn a_result_for_each_operation_and_of_its_kind_is_a_commit() {
        let states = of_transaction(&[SET, CREATE], &[set(), created("/b")]);
        // Many servers return no state for a create in a transaction; the set's zxid is that of the create.
        assert_eq!(states, Ok(vec![Some(Revision::test(7, 3)), Some(Revision::test(9, 0))]));
        assert_eq!(of_transaction(&[CREATE], &[created("/b")]), Ok(vec![None]));
        assert_eq!(of_transaction(&[SET; 0], &[]), Ok(Vec::new()));
    }

    #[test]
    fn results_that_do_not_match_the_operations_prove_nothing() {
        for results in [
            Vec::new(),
            vec![set()],
            vec![set(), created("/b"), set()],
            vec![created("/b"), set()],
            vec![set(), set()],
            vec![MultiWriteResult::Check, created("/b")],
            vec![set(), MultiWriteResult::Delete],
            vec![set(), created("/other")],
            vec![MultiWriteResult::SetData { stat: stat(-1, -1) }, created("/b")],
        ] {
            assert!(is_unknown(&of_transaction(&[SET, CREATE], &results)), "{results:?}");
        }
    }

    fn failed(
        ops: &[WriteOp<'_, impl Condition>],
        index: usize,
        source: ClientError,
    ) -> Result<(), TransactionError> {
        Err(of_failed_transaction(ops, MultiWriteError::OperationFailed { index, source }))
    }

    #[test]
    fn a_failure_that_the_operation_cannot_have_proves_nothing() {
        for (index, source) in [
            (2, ClientError::NoNode),
            (usize::MAX, ClientError::NoAuth),
            (0, ClientError::NodeExists),
            (0, ClientError::BadVersion),
            (1, ClientError::BadVersion),
            (0, ClientError::UnexpectedErrorCode(BECAUSE_OF_ANOTHER)),
        ] {
            let answer = failed(&[SET, CREATE], index, source.clone());
            assert!(is_unknown(&answer), "{index} {source}: {answer:?}");
        }
        for (index, source) in [(0, ClientError::NodeExists), (1, ClientError::BadVersion)] {
            let answer = failed(&conditional(), index, source.clone());
            assert!(is_unknown(&answer), "{index} {source}: {answer:?}");
        }
        for (index, source, error) in [
            (0, ClientError::NoNode, WriteError::Missing),
            (1, ClientError::NodeExists, WriteError::Exists),
            (1, ClientError::NoNode, WriteError::Missing),
        ] {
            let expected = Err(TransactionError::Operation { index, error });
            assert_eq!(failed(&[SET, CREATE], index, source.clone()), expected);
            assert_eq!(failed(&conditional(), index, source), expected);
        }
        let expected = Err(TransactionError::Operation { index: 0, error: WriteError::Overtaken });
        assert_eq!(failed(&conditional(), 0, ClientError::BadVersion), expected);
    }

    #[test]
    fn an_operation_that_the_server_names_makes_the_transaction_void() {
        for source in [ClientError::SessionMoved, ClientError::UnexpectedErrorCode(-99)] {
            let error = MultiWriteError::OperationFailed { index: 0, source };
            assert!(matches!(
                of_failed_transaction(&[SET], error),
                TransactionError::Operation { index: 0, error: WriteError::Refused(_) }
            ));
        }
    }

    #[test]
    fn a_failure_of_one_operation_that_names_none_proves_nothing() {
        for source in [ClientError::NoNode, ClientError::NodeExists, ClientError::BadVersion] {
            let error = of_failed_transaction(&[SET], MultiWriteError::RequestFailed { source });
            assert!(is_unknown(&Err::<(), _>(error)));
        }
        let source = ClientError::Throttled;
        let error = of_failed_transaction(&[SET], MultiWriteError::RequestFailed { source });
        assert!(matches!(error, TransactionError::Whole(WriteError::Refused(_))));
    }

    #[test]
    fn a_read_is_of_as_many_znodes_as_were_asked_for() {
        let data = || MultiReadResult::Data { data: b"btc".to_vec(), stat: stat(7, 3) };
        let missing = || MultiReadResult::Error { err: ClientError::NoNode };
        let (read, _) = of_read(2, vec![data(), missing()], PreviousValue::cut).unwrap();
        assert!(matches!(&read[..], [Ok(Some(_)), Ok(None)]));
        for results in [
            vec![data()],
            vec![data(), data(), data()],
            vec![data(), MultiReadResult::Children { children: Vec::new() }],
            vec![data(), MultiReadResult::Error { err: ClientError::UnexpectedErrorCode(0) }],
            vec![data(), MultiReadResult::Error { err: ClientError::BadVersion }],
        ] {
            assert!(of_read(2, results, PreviousValue::cut).is_err());
        }
    }
}
