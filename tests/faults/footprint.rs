//! Resources that a daemon holds, and the judge of leaks.
//!
//! Footprints are taken at both ends of faultless stretches: rounds in which nothing strikes, all in one session
//! of each daemon. Growth within a session shows between the two ends of a stretch; remains of faults show from
//! one stretch to the next. Footprints are taken at the ends of rounds, when no request is under way, but
//! before the round's znodes are removed, and with them the watches on them.

use std::time::{Duration, Instant};

use crate::judge::Violations;
use crate::support::seconds;
use crate::support::zookeeper::ZooKeeper;

/// Figures of the daemon that is never ended, and of all servers; `None` if one could not be had.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    pub descriptors: Option<u64>,
    pub threads: Option<u64>,
    pub megabytes: Option<u64>,
    /// Of all servers together.
    pub watches: Option<u64>,
}

/// A faultless stretch.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    /// When it was.
    pub name: String,
    /// How many strikes came before it.
    pub strikes: usize,
    pub before: Footprint,
    pub after: Footprint,
}

impl Footprint {
    /// Waits for a while until all figures can be had: a server that has just joined again has none yet.
    pub async fn take(pid: u32, servers: &[ZooKeeper]) -> Self {
        let start = Instant::now();
        loop {
            let footprint = Self::take_now(pid, servers).await;
            let is_whole = footprint.figures().iter().all(|(_, figure, _)| figure.is_some());
            if is_whole || start.elapsed() > seconds(20) {
                return footprint;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn take_now(pid: u32, servers: &[ZooKeeper]) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mut watches = Some(0);
        for server in servers {
            let more = server.figure("zk_watch_count").await;
            watches = watches.zip(more).map(|(sum, more)| sum + more);
        }
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
        Self {
            descriptors: descriptors.ok().map(|entries| entries.count() as u64),
            threads: figure(&status, "Threads:"),
            megabytes: figure(&status, "VmRSS:").map(|kilobytes| kilobytes / 1024),
            watches,
        }
    }

    /// Each value with its name, and its allowed difference.
    fn figures(&self) -> [(&'static str, Option<u64>, u64); 4] {
        [
            ("descriptors", self.descriptors, 16),
            ("threads", self.threads, 4),
            ("megabytes", self.megabytes, 40),
            ("watches", self.watches, 20),
        ]
    }
}

/// A figure of `/proc/PID/status`.
fn figure(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Watches at the end of a round: one for each ack of two sub-pools by each of two daemons, the jobmaker's on their
/// requests, and some in transit. A watch for each sub-account would be hundreds.
const WATCHES: u64 = 40;

/// Figures that have grown within a stretch, or from the first stretch to a later one, and figures that are not
/// there to be compared.
pub fn leaks(stretches: &[Stretch]) -> Violations {
    let mut found = Violations::new();
    for Stretch { name, before, after, .. } in stretches {
        found.extend(grown(before, after, &format!("within the faultless stretch {name:?}")));
        if let Some(watches) = after.watches.filter(|&watches| watches > WATCHES) {
            found.push(format!("a leak: {watches} watches at the end of {name:?}"));
        }
    }
    match stretches {
        [] | [_] => {
            let count = stretches.len();
            found.push(format!("no leak could be found: {count} faultless stretch(es) to compare"));
        }
        [first, later @ ..] => {
            for Stretch { name, before, .. } in later {
                let between = format!("from stretch {:?} to {name:?}", first.name);
                found.extend(grown(&first.after, before, &between));
            }
        }
    }
    found
}

fn grown(earlier: &Footprint, later: &Footprint, when: &str) -> Violations {
    let figures = earlier.figures().into_iter().zip(later.figures());
    let found =
        figures.filter_map(|((name, earlier, allowed), (_, later, _))| match (earlier, later) {
            (Some(earlier), Some(later)) => (later > earlier + allowed)
                .then(|| format!("a leak: {earlier} {name} have become {later} {when}")),
            _ => Some(format!("{name} were not measured {when}")),
        });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Footprint = Footprint {
        descriptors: Some(38),
        threads: Some(10),
        megabytes: Some(45),
        watches: Some(2),
    };

    fn stretch(before: Footprint, after: Footprint) -> Stretch {
        Stretch { name: "a pass".to_owned(), strikes: 0, before, after }
    }

    #[test]
    fn what_stays_is_no_leak() {
        assert_eq!(leaks(&[stretch(USUAL, USUAL), stretch(USUAL, USUAL)]), Violations::new());
    }

    #[test]
    fn every_figure_that_grows_is_found_within_a_stretch_and_between_two() {
        for grown in [
            Footprint { descriptors: Some(55), ..USUAL },
            Footprint { threads: Some(15), ..USUAL },
            Footprint { megabytes: Some(86), ..USUAL },
            Footprint { watches: Some(23), ..USUAL },
        ] {
            let within = [stretch(USUAL, USUAL), stretch(USUAL, grown)];
            assert_eq!(leaks(&within).len(), 1, "{grown:?}: {:?}", leaks(&within));
            let between = [stretch(USUAL, USUAL), stretch(USUAL, USUAL), stretch(grown, grown)];
            assert_eq!(leaks(&between).len(), 1, "{grown:?}: {:?}", leaks(&between));
        }
    }

    #[test]
    fn a_watch_for_each_sub_account_is_found() {
        let many = Footprint { watches: Some(300), ..USUAL };
        let stretches = [stretch(many, many), stretch(many, many)];
        assert_eq!(leaks(&stretches).len(), 2, "{:?}", leaks(&stretches));
    }

    #[test]
    fn a_figure_that_is_missing_is_found() {
        for part in [
            Footprint { descriptors: None, ..USUAL },
            Footprint { threads: None, ..USUAL },
            Footprint { megabytes: None, ..USUAL },
            Footprint { watches: None, ..USUAL },
        ] {
            for stretches in [
                [stretch(part, USUAL), stretch(USUAL, USUAL)],
                [stretch(USUAL, part), stretch(USUAL, USUAL)],
                [stretch(USUAL, USUAL), stretch(part, USUAL)],
                [stretch(USUAL, USUAL), stretch(USUAL, part)],
            ] {
                assert!(!leaks(&stretches).is_empty(), "{stretches:?}");
            }
        }
        assert_eq!(figure("Name:\tx\nThreads:\t12\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048));
        assert_eq!(figure("Threads:\t12\n", "VmRSS:"), None);
        assert_eq!(figure("VmRSS:\tmany\n", "VmRSS:"), None);
    }

    #[test]
    fn nothing_to_compare_is_found() {
        assert!(!leaks(&[]).is_empty());
        assert!(!leaks(&[stretch(USUAL, USUAL)]).is_empty());
    }
}
