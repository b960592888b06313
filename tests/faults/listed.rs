//! Judges of user lists, first coins and registrations.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use stratum_sim::UserList;
use upstream_sim::Request;

use crate::judge::Violations;
use crate::lists::{FOREIGN, ListRecords, Listed};
use crate::looker::Znode;
use crate::scene::{GROWING, REGISTER};
use crate::stratum::{Requested, Requests};

/// A registration that took longer may have been given up by the daemon.
const FAST: Duration = Duration::from_secs(1);

/// Sub-accounts that a list at a daemon lacks: those that the stratum server can still get, and those that its cursor
/// has passed, which it never asks for again.
pub fn lacks(
    list: &UserList,
    coin: &str,
    listed: &ListRecords,
) -> (Vec<String>, Vec<(String, u32)>) {
    let (mut coming, mut passed) = (Vec::new(), Vec::new());
    for (name, Listed { lists, .. }) in &listed.listed {
        let Some(last) = lists.get(coin).and_then(|puids| puids.last()) else { continue };
        if list.puid(name).is_none() {
            match *last > list.last_id() {
                true => coming.push(name.clone()),
                false => passed.push((name.clone(), *last)),
            }
        }
    }
    (coming, passed)
}

/// Numbers of a list that the backend never gave, and names that it does not have.
pub fn numbers(list: &UserList, coin: &str, listed: &ListRecords) -> Violations {
    let ours = listed.listed.values().filter_map(|it| it.lists.get(coin)?.first()).min();
    let mut found = Violations::new();
    for (name, puid) in list.iter().filter(|(_, puid)| ours.is_some_and(|ours| puid >= ours)) {
        let puids = listed.listed.get(name).and_then(|it| it.lists.get(coin));
        if puids.is_none_or(|puids| !puids.contains(&puid)) {
            found.push(format!("{name} is {puid} in the list of {coin}, where it has {puids:?}"));
        }
    }
    found
}

/// Names with another first number for a stratum server that starts later.
pub fn first_numbers(
    known: &UserList,
    afresh: &UserList,
    coin: &str,
    listed: &ListRecords,
) -> Violations {
    let ours = listed.listed.keys().map(|name| (name, known.puid(name), afresh.puid(name)));
    let others = ours.filter(|(_, known, afresh)| known != afresh);
    let found = others.map(|(name, known, afresh)| {
        format!("{name} in the list of {coin} was {known:?} first, and is {afresh:?} afresh")
    });
    found.collect()
}

/// First coins and index entries that are not what they must be. `switched` may have been written later.
pub fn first_coins(
    listed: &ListRecords,
    znodes: &HashMap<String, Option<Znode>>,
    indices: &HashMap<String, Option<Znode>>,
    switched: &BTreeSet<String>,
) -> Violations {
    let mut found = Violations::new();
    for (name, Listed { lists, is_foreign }) in &listed.listed {
        let (coins, spelling): (Vec<&str>, &str) = match is_foreign {
            true => (vec![FOREIGN], FOREIGN),
            false => (lists.keys().copied().collect(), name),
        };
        let as_created = |znode: Option<&Option<Znode>>, data: &[&str]| {
            let znode = znode.and_then(Option::as_ref);
            znode.is_some_and(|it| it.version == 0 && data.contains(&it.data.as_str()))
        };
        let znode = znodes.get(name);
        let is_good = match switched.contains(name) {
            true => znode.is_some_and(Option::is_some),
            false => as_created(znode, &coins),
        };
        if !is_good {
            found.push(format!("the first coin of {name} in {lists:?} is to be {coins:?}: {znode:?}"));
        }
        let index = indices.get(name);
        if !as_created(index, &[spelling]) {
            found.push(format!("the index entry of {name} is to be {spelling}: {index:?}"));
        }
    }
    found
}

/// Requests that are left or were deleted too early, and those that were posted too often. `starts` is how often the
/// daemon that registers ran in this round, and `frozen` how long it stood still.
pub fn registrations(
    requests: &Requests,
    listed: &ListRecords,
    posts: &[Request],
    starts: usize,
    frozen: Duration,
) -> Violations {
    let mut found = Violations::new();
    let posted = by_name(posts);
    for (name, Requested { is_certain, gone }) in requests {
        let fates = listed.posts.get(name).map_or(&[][..], Vec::as_slice);
        let of_name = posted.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        let has_failed = match fates.last() {
            Some(failed) => *failed || frozen > Duration::ZERO || of_name.iter().any(is_slow),
            None => !is_certain,
        };
        match gone {
            None => found.push(format!("the request of {name} is left; posts {of_name:?}")),
            Some(None) if !has_failed => found.push(format!(
                "the request of {name} was deleted before it had a coin; failures {fates:?}, posts {of_name:?}"
            )),
            Some(Some(coin)) if coin != GROWING[0] || !listed.listed.contains_key(name) => {
                found.push(format!("{name} got {coin}, failures {fates:?}"));
            }
            Some(_) => {}
        }
        if of_name.len() > starts {
            found.push(format!("{name} was posted {} times in {starts} runs", of_name.len()));
        }
        let overlap = of_name.windows(2).any(|two| two[0].1.is_none_or(|ended| two[1].0 < ended));
        if overlap {
            found.push(format!("{name} was posted twice at one time: {of_name:?}"));
        }
    }
    found
}

/// Beginning and end of a request to the backend.
type Post = (Instant, Option<Instant>);

fn is_slow((begun, ended): &Post) -> bool {
    ended.is_none_or(|ended| ended - *begun > FAST)
}

/// The posts of each name, by their beginnings.
fn by_name(posts: &[Request]) -> HashMap<String, Vec<Post>> {
    let mut by_name: HashMap<String, Vec<Post>> = HashMap::new();
    for post in posts.iter().filter(|post| post.target == REGISTER) {
        let body: serde_json::Value = serde_json::from_str(&post.body).unwrap_or_default();
        let name = body["sub_name"].as_str().unwrap_or_default().to_owned();
        by_name.entry(name).or_default().push((post.at, post.ended));
    }
    by_name.values_mut().for_each(|posts| posts.sort_unstable());
    by_name
}

/// How many requests were registered, and how many refused.
pub fn counts(requests: &Requests) -> [usize; 2] {
    let is = |coin: bool| {
        move |it: &&Requested| it.gone.as_ref().is_some_and(|gone| gone.is_some() == coin)
    };
    [true, false].map(|coin| requests.values().filter(is(coin)).count())
}
