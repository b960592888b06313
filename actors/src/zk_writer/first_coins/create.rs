//! Creates znodes that are missing. One that exists is a success, whatever it holds.

use super::messages::NotCreated;
use crate::{
    domain::{SwitchOutcome, ZnodeDir},
    zk::Connection,
    zk_writer::{
        if_absent::IfAbsent,
        progress::Progress,
        write::{Step, Target, Writing},
    },
};

/// Creates the children of `dir` with these names and data, as far as they are missing. Returns for each whether it was
/// created, or why it is not known to be there. Reads first: nearly all exist after a restart, and a creation that
/// fails costs the server a sync.
pub(super) async fn create_missing(
    connection: &Connection,
    dir: &ZnodeDir,
    children: &[(&str, &str)],
) -> Vec<Result<bool, NotCreated>> {
    let paths: Vec<String> = children.iter().map(|(name, _)| dir.child(name)).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let reads = match connection.read(&paths).await {
        Ok(reads) => reads,
        Err(error) => {
            return vec![Err(NotCreated::Open(format!("not read: {error}"))); children.len()];
        }
    };
    let mut steps: Vec<Step<'_, IfAbsent>> = Vec::with_capacity(children.len());
    for ((path, (_, data)), read) in paths.iter().zip(children).zip(reads) {
        let mut step = Step::new(path, data.as_bytes(), Target::Missing, None);
        // A znode that may not be read exists.
        step.outcome = (!matches!(read, Ok(None))).then_some(SwitchOutcome::Unchanged);
        steps.push(step);
    }
    let (limit, operation) = (connection.transaction_limit(), connection.operation_bytes(dir));
    let mut ends = Vec::with_capacity(children.len());
    let (mut part, mut bytes) = (Vec::new(), 0);
    let mut steps = steps.into_iter().zip(children).peekable();
    while let Some((step, (name, data))) = steps.next() {
        if step.outcome.is_none() {
            bytes += operation + name.len() + data.len();
        }
        part.push(step);
        let next = steps.peek().map(|(_, (name, data))| operation + name.len() + data.len());
        if next.is_none_or(|next| bytes + next > limit) {
            // "Exists" is a success, so an entry of unknown outcome can be tried again.
            let progress = Progress::default();
            let mut writing = Writing::new(connection, dir, &progress, std::mem::take(&mut part));
            writing.run().await;
            ends.extend(writing.steps.iter().map(|step| match &step.written().result.outcome {
                SwitchOutcome::Applied => Ok(true),
                SwitchOutcome::Unchanged => Ok(false),
                other => {
                    let cause = other.cause().unwrap_or("not written").to_owned();
                    Err(if matches!(other, SwitchOutcome::Refused(_)) {
                        NotCreated::Refused(cause)
                    } else {
                        NotCreated::Open(cause)
                    })
                }
            }));
            bytes = 0;
        }
    }
    ends
}
