//! Matches the rows of one answer to the items of its request.

use std::collections::HashMap;
use std::hash::Hash;

/// Returns the row of each requested item, in the order of the request. Brokers usually keep that order.
pub(super) fn in_order_of<'a, K: Eq + Hash + 'a, V>(
    asked: impl Iterator<Item = &'a K> + Clone,
    came: Vec<(K, V)>,
) -> Vec<Option<V>> {
    if came.iter().map(|(key, _)| key).eq(asked.clone()) {
        return came.into_iter().map(|(_, value)| Some(value)).collect();
    }
    let mut came: HashMap<_, _> = came.into_iter().collect();
    asked.map(|key| came.remove(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_its_own_answer_whatever_their_order() {
        let asked = ["a", "b", "c"];
        let cases = [
            (vec![("a", 1), ("b", 2), ("c", 3)], [Some(1), Some(2), Some(3)]),
            (vec![("c", 3), ("a", 1)], [Some(1), None, Some(3)]),
            (vec![("d", 4), ("b", 2), ("b", 5)], [None, Some(5), None]),
            (vec![], [None; 3]),
        ];
        for (came, expected) in cases {
            assert_eq!(in_order_of(asked.iter(), came.clone()), expected, "{came:?}");
        }
    }
}
