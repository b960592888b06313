//! Znode directories. They must not overlap: if a sub-account's znode were a sub-pool's, a switch would overwrite a
//! payout request.

use switcher_actors::{
    ElectionLock, Quoted, SubPoolSettings, ZnodeDir, is_invisible, is_quote, is_separator,
};

use super::Reader;

const WATCH_DIR: &str = "ZKSwitcherWatchDir";
const SUB_POOLS: &str = "ZKSubPoolUpdateBaseDir";
const LOCK: &str = "ZKPollerLockPath";
const INDEX: &str = "ZKUserCaseInsensitiveIndex";
const REQUESTS: &str = "ZKAutoRegWatchDir";
const HELD: &str = "ZKHeldSwitchDir";

/// ZooKeeper's own znodes.
const ZOOKEEPER: &str = "/zookeeper/";

/// Directories that are set and valid.
#[derive(Debug, Default)]
pub(super) struct Directories {
    pub(super) watch_dir: Option<ZnodeDir>,
    pub(super) sub_pools: Option<ZnodeDir>,
    pub(super) lock: Option<ZnodeDir>,
    pub(super) index: Option<ZnodeDir>,
    pub(super) requests: Option<ZnodeDir>,
    pub(super) held: Option<ZnodeDir>,
}

impl Reader {
    /// Reads all directories and refuses those that overlap or are ZooKeeper's own. `needs_held` says whether switches
    /// can be held, or the registrar's lock is needed. With `lower_case` there is no index.
    pub(super) fn directories(&mut self, needs_held: bool, lower_case: bool) -> Directories {
        let example = "an absolute znode path, like /stratumSwitcher/btcbcc/";
        let watch_dir = self.required(WATCH_DIR, example);
        let watch_dir = watch_dir.and_then(|text| self.dir(WATCH_DIR, &text));
        let mut if_set = |key| {
            let text = self.text(key);
            if text.is_empty() { None } else { self.dir(key, &text) }
        };
        let (sub_pools, lock) = (if_set(SUB_POOLS), if_set(LOCK));
        let (index, requests, held) = (if_set(INDEX), if_set(REQUESTS), if_set(HELD));
        let index = self.index(index, lower_case);
        // A default next to a misplaced directory would be a second problem with one cause.
        let placed = watch_dir.as_ref().filter(|dir| misplacement(dir).is_none());
        let usual_held = placed.map(|dir| dir.with_suffix("_held"));
        let held = held.or(usual_held);
        let mut found = vec![
            (WATCH_DIR, &watch_dir),
            (SUB_POOLS, &sub_pools),
            (LOCK, &lock),
            (INDEX, &index),
            (REQUESTS, &requests),
        ];
        // The default must not refuse a configuration that needs no such directory.
        if needs_held || !self.peek(HELD).is_empty() {
            found.push((HELD, &held));
        }
        let found: Vec<_> =
            found.into_iter().filter_map(|(key, dir)| Some((key, dir.as_ref()?))).collect();
        for (index, &(key, dir)) in found.iter().enumerate() {
            self.expect_a_place_of_its_own(key, dir);
            for &(other_key, other) in &found[..index] {
                self.expect_apart((key, dir), (other_key, other));
            }
        }
        Directories { watch_dir, sub_pools, lock, index, requests, held }
    }

    fn expect_a_place_of_its_own(&mut self, key: &'static str, dir: &ZnodeDir) {
        let like = if key == LOCK { "/switcher/poller" } else { "/switcher/btcbcc/" };
        let Some(place) = misplacement(dir) else { return };
        let fault = format!(
            ", {place}, where ZooKeeper's own znodes are; choose another place, like {like}"
        );
        self.problem(key, format!("is {}{fault}", Quoted(dir.node())));
    }

    fn expect_apart(
        &mut self,
        (key, dir): (&'static str, &ZnodeDir),
        (other_key, other): (&str, &ZnodeDir),
    ) {
        // The root is a problem by itself.
        if dir.parent().is_none() || other.parent().is_none() {
            return;
        }
        let relation = match (dir.contains(other), other.contains(dir)) {
            (false, false) => return,
            (true, true) => "the same as",
            (true, false) => "above",
            (false, true) => "within",
        };
        let fault = format!(
            ", {relation} {other_key}, which is {}: one would overwrite the other's znodes; choose places of which \
             none contains the other",
            Quoted(other.node())
        );
        self.problem(key, format!("is {}{fault}", Quoted(dir.node())));
    }

    fn dir(&mut self, name: &'static str, text: &str) -> Option<ZnodeDir> {
        let dir = ZnodeDir::parse(text);
        match &dir {
            Ok(_) => self.doubt_dir(name, text),
            Err(error) => {
                self.refuse(
                    name,
                    text,
                    format!(", which {error}; expected an absolute znode path"),
                );
            }
        }
        dir.ok()
    }

    /// Warns about a path that works but is hardly intended: other programs must spell it the same way.
    fn doubt_dir(&mut self, name: &'static str, text: &str) {
        let is_odd =
            |c: char| is_invisible(c) || is_quote(c) || is_separator(c) || "[]".contains(c);
        if text.contains(is_odd) || text.split('/').any(|name| name.trim() != name) {
            self.warnings.push(format!(
                "{name} is {}: the path itself contains a quote, a bracket, a separator of lists, an invisible \
                 character, or a blank at an end of a name",
                Quoted(text)
            ));
        }
    }

    pub(super) fn sub_pools(&mut self, base_dir: Option<ZnodeDir>) -> Option<SubPoolSettings> {
        let ack_timeout = self.seconds("ZKSubPoolUpdateAckTimeout");
        Some(SubPoolSettings { base_dir: base_dir?, ack_timeout })
    }
}

/// Where a directory is if its place is ZooKeeper's own.
fn misplacement(dir: &ZnodeDir) -> Option<&'static str> {
    if dir.parent().is_none() {
        Some("the root")
    } else if dir.as_str().starts_with(ZOOKEEPER) {
        Some("within /zookeeper")
    } else {
        None
    }
}

/// Lock by which daemons elect the one that polls, or the one that registers.
pub(super) fn election_lock(path: ZnodeDir) -> ElectionLock {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    ElectionLock { path, holder: format!("{host}, process {}", std::process::id()) }
}
