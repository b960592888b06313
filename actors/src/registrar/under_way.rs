//! Names of the registrations under way: each at most once, and a bounded number.

use std::collections::HashSet;

/// Maximum registrations under way. A stratum server has at most 50 requests at a time (its default), but an outage can
/// leave any number behind.
const MOST: usize = 1_000;

/// Names of the registrations under way. No clock, no network.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    names: HashSet<String>,
    /// Names that have ended since the current list was requested; that list may still have them.
    ended: HashSet<String>,
    /// Whether the last list had more names than could be taken.
    left_over: bool,
}

impl UnderWay {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Call it before a list is requested.
    pub(super) fn list_begins(&mut self) {
        self.ended.clear();
    }

    /// Takes the names of a list that are not under way, as many as there is room for. A request that was deleted and
    /// made again after the list comes with the next one, since its return fires the list's watch.
    pub(super) fn take(&mut self, listed: Vec<String>) -> Vec<String> {
        let mut taken = Vec::new();
        self.left_over = false;
        for name in listed {
            if self.names.contains(&name) || self.ended.contains(&name) {
                continue;
            }
            if self.names.len() == MOST {
                self.left_over = true;
                break;
            }
            self.names.insert(name.clone());
            taken.push(name);
        }
        taken
    }

    /// The registration has ended, and its request is gone.
    pub(super) fn end(&mut self, name: String) {
        self.names.remove(&name);
        self.ended.insert(name);
    }

    /// Whether the last list had names that were not taken.
    pub(super) fn left_over(&self) -> bool {
        self.left_over
    }

    /// Whether another list is worth its cost, if names were left over.
    pub(super) fn has_room(&self) -> bool {
        self.names.len() <= MOST / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: impl Iterator<Item = usize>) -> Vec<String> {
        numbers.map(|number| format!("n{number}")).collect()
    }

    #[test]
    fn a_name_is_under_way_once_at_a_time() {
        let mut under_way = UnderWay::default();
        assert_eq!(under_way.take(names(0..2)), ["n0", "n1"]);
        assert_eq!(under_way.take(names(0..3)), ["n2"]);
        under_way.end("n1".to_owned());
        under_way.list_begins();
        assert_eq!(under_way.take(names(0..3)), ["n1"]);
    }

    #[test]
    fn a_name_of_a_list_from_before_its_end_is_not_taken_again() {
        let mut under_way = UnderWay::default();
        under_way.take(names(0..1));
        under_way.list_begins();
        under_way.end("n0".to_owned());
        assert!(under_way.take(names(0..1)).is_empty());
        under_way.list_begins();
        assert_eq!(under_way.take(names(0..1)), ["n0"]);
    }

    #[test]
    fn a_bounded_number_is_taken_and_the_rest_later() {
        let mut under_way = UnderWay::default();
        assert_eq!(under_way.take(names(0..100_000)).len(), MOST);
        assert!(under_way.left_over() && !under_way.has_room());
        for name in names(0..MOST / 2) {
            under_way.end(name);
        }
        assert!(under_way.has_room());
        under_way.list_begins();
        let rest = under_way.take(names(MOST / 2..100_000));
        assert_eq!((rest.len(), rest[0].as_str()), (MOST / 2, "n1000"));
        for name in names(MOST / 2..MOST).into_iter().chain(rest) {
            under_way.end(name);
        }
        under_way.list_begins();
        assert_eq!(under_way.take(names(0..3)).len(), 3);
        assert!(!under_way.left_over());
    }
}
