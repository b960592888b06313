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
            found.push(format!(
                "the first coin of {name} in {lists:?} is to be {coins:?}: {znode:?}"
            ));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &str) -> UserList {
        let mut list = UserList::default();
        list.take(format!("{{\"data\":{{{entries}}}}}").as_bytes()).unwrap();
        list
    }

    fn record(entries: &[(&str, u32)]) -> ListRecords {
        let listed = entries.iter().map(|&(name, puid)| {
            let lists = [(GROWING[0], vec![puid])].into();
            (name.to_owned(), Listed { lists, is_foreign: false })
        });
        ListRecords { listed: listed.collect(), ..ListRecords::default() }
    }

    #[test]
    fn a_cursor_that_passes_a_sub_account_is_found() {
        let record = record(&[("a", 3), ("b", 5)]);
        let lacks = |entries| lacks(&list(entries), GROWING[0], &record);
        assert_eq!(lacks("\"a\":3,\"b\":5"), (vec![], vec![]));
        assert_eq!(lacks("\"a\":3"), (vec!["b".to_owned()], vec![]));
        assert_eq!(lacks("\"b\":5"), (vec![], vec![("a".to_owned(), 3)]));
    }

    #[test]
    fn numbers_that_the_backend_never_gave_and_later_ones_are_found() {
        let record = record(&[("a", 3), ("b", 5)]);
        let wrong = |entries| numbers(&list(entries), GROWING[0], &record).len();
        assert_eq!(wrong("\"old\":2,\"a\":3,\"b\":5"), 0);
        assert_eq!((wrong("\"a\":4"), wrong("\"c\":6")), (1, 1));
        let first = |known, afresh| first_numbers(&list(known), &list(afresh), GROWING[0], &record);
        assert!(first("\"a\":3", "\"a\":3,\"a\":7").is_empty());
        assert_eq!(first("\"a\":3", "\"a\":7").len(), 1);
        assert_eq!(first("\"a\":3,\"b\":5", "\"a\":3").len(), 1);
    }

    #[test]
    fn first_coins_that_are_missing_or_overwrite_are_found() {
        let mut record = record(&[("a", 3)]);
        let znode = |data: &str, version| {
            let data = data.to_owned();
            [("a".to_owned(), Some(Znode { data, version, zxid: 0, written: 0 }))].into()
        };
        let gone = || [("a".to_owned(), None)].into();
        let wrong = |record: &ListRecords, coin, index, switched: &[&str]| {
            let switched = switched.iter().map(|&name| name.to_owned()).collect();
            first_coins(record, &coin, &index, &switched).len()
        };
        assert_eq!(wrong(&record, znode("l0", 0), znode("a", 0), &[]), 0);
        assert_eq!(wrong(&record, znode("c7", 4), znode("a", 0), &["a"]), 0);
        assert_eq!(wrong(&record, gone(), gone(), &[]), 2);
        assert_eq!(wrong(&record, gone(), znode("a", 0), &["a"]), 1);
        assert_eq!(wrong(&record, znode("l1", 0), znode("A", 0), &[]), 2);
        assert_eq!(wrong(&record, znode("l0", 1), znode("a", 1), &[]), 2);
        record.listed.get_mut("a").unwrap().is_foreign = true;
        assert_eq!(wrong(&record, znode(FOREIGN, 0), znode(FOREIGN, 0), &[]), 0);
        assert_eq!(wrong(&record, znode("l0", 1), znode("a", 1), &[]), 2);
    }

    #[test]
    fn requests_that_are_left_or_deleted_early_and_posts_at_one_time_are_found() {
        let origin = Instant::now();
        let post = |begun: u64, ended: Option<u64>| Request {
            at: origin + Duration::from_millis(begun),
            method: "POST".to_owned(),
            target: REGISTER.to_owned(),
            headers: Vec::new(),
            body: r#"{"sub_name":"a"}"#.to_owned(),
            ended: ended.map(|ended| origin + Duration::from_millis(ended)),
        };
        let fast = || vec![post(0, Some(9))];
        let wrong = |gone: Option<Option<&str>>, failed: bool, posts: Vec<Request>, starts| {
            let mut record = record(if failed { &[] } else { &[("a", 3)] });
            record.posts = [("a".to_owned(), vec![failed; posts.len()])].into();
            let gone = gone.map(|coin| coin.map(str::to_owned));
            let requested = [("a".to_owned(), Requested { is_certain: true, gone })].into();
            registrations(&requested, &record, &posts, starts, Duration::ZERO).len()
        };
        assert_eq!(wrong(Some(Some("l0")), false, fast(), 1), 0);
        assert_eq!(wrong(Some(None), true, fast(), 1), 0);
        assert_eq!(wrong(Some(None), false, vec![post(0, Some(2_000))], 1), 0, "perhaps given up");
        assert_eq!(wrong(None, false, fast(), 1), 1, "left");
        assert_eq!(wrong(Some(None), false, fast(), 1), 1, "deleted early");
        assert_eq!(wrong(Some(None), false, Vec::new(), 1), 1, "deleted without a post");
        assert_eq!(wrong(Some(Some("c7")), false, fast(), 1), 1, "another coin");
        assert_eq!(wrong(Some(Some("l0")), true, fast(), 1), 1, "a coin of nobody");
        let two = |ended, begun| vec![post(0, ended), post(begun, Some(30))];
        assert_eq!(wrong(Some(Some("l0")), false, two(Some(9), 10), 2), 0);
        assert_eq!(wrong(Some(Some("l0")), false, two(Some(9), 10), 1), 1, "posted again");
        assert_eq!(wrong(Some(Some("l0")), false, two(Some(9), 8), 2), 1, "at one time");
        assert_eq!(wrong(Some(Some("l0")), false, two(None, 10), 2), 1, "at one time");
    }
}
