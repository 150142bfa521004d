//! Counts what is taken, in all and by each owner, and refuses what is too much.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Bounds;
use crate::telemetry::{Limit, LimitMetrics};

/// What may be taken of one kind of thing.
#[derive(Debug)]
pub struct Allowance {
    bounds: Bounds,
    in_all: Limit,
    each: Limit,
    taken: Mutex<Taken>,
    metrics: LimitMetrics,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_owner: HashMap<Arc<str>, usize>,
}

/// One of what is allowed, until it is dropped.
#[derive(Debug)]
pub struct Pass {
    of: Arc<Allowance>,
    owner: Arc<str>,
}

/// Nothing more is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// Which limit is reached.
    pub limit: Limit,
    /// How many there are.
    pub count: usize,
    /// Whose, where the limit is for each.
    pub owner: Option<String>,
}

impl Allowance {
    /// Nothing is taken yet; `in_all` and `each` are the names of the bounds.
    #[must_use]
    pub fn new(bounds: Bounds, in_all: Limit, each: Limit, metrics: &LimitMetrics) -> Arc<Self> {
        metrics.set_most(in_all, bounds.in_all);
        metrics.set_most(each, bounds.each);
        metrics.set_used(in_all, 0);
        Arc::new(Self { bounds, in_all, each, taken: Mutex::default(), metrics: metrics.clone() })
    }

    /// Takes one for `owner`.
    ///
    /// # Errors
    /// When a bound is reached.
    pub fn take(self: &Arc<Self>, owner: &str) -> Result<Pass, Full> {
        let mut taken = self.taken();
        let (key, of_owner) = taken
            .by_owner
            .get_key_value(owner)
            .map_or_else(|| (Arc::from(owner), 0), |(key, count)| (key.clone(), *count));
        if taken.in_all >= self.bounds.in_all {
            self.metrics.refused(self.in_all);
            return Err(Full { limit: self.in_all, count: taken.in_all, owner: None });
        }
        if of_owner >= self.bounds.each {
            self.metrics.refused(self.each);
            return Err(Full { limit: self.each, count: of_owner, owner: Some(owner.to_owned()) });
        }
        taken.in_all += 1;
        taken.by_owner.insert(key.clone(), of_owner + 1);
        self.metrics.set_used(self.in_all, taken.in_all);
        Ok(Pass { of: self.clone(), owner: key })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.in_all = taken.in_all.saturating_sub(1);
        let left = taken.by_owner.get_mut(&self.owner).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            taken.by_owner.remove(&self.owner);
        }
        self.of.metrics.set_used(self.of.in_all, taken.in_all);
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, count, owner } = self;
        match owner {
            Some(owner) => write!(f, "{owner} has {count} {}", limit.things())?,
            None => write!(f, "there are {count} {}", limit.things())?,
        }
        write!(f, ", all that {} allows", limit.flag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(in_all: usize, each: usize) -> Arc<Allowance> {
        let metrics = LimitMetrics::default();
        Allowance::new(Bounds { in_all, each }, Limit::Streams, Limit::StreamsPerNamespace, &metrics)
    }

    #[test]
    fn who_has_all_of_theirs_is_refused_and_the_others_are_not() {
        let allowance = allowance(10, 2);
        let mine = [allowance.take("shop").expect("one"), allowance.take("shop").expect("two")];
        let full = allowance.take("shop").expect_err("three");
        assert_eq!(full.to_string(), "shop has 2 open push streams, all that --max-streams-per-namespace allows");
        let _other = allowance.take("bank").expect("another owner");
        drop(mine);
        allowance.take("shop").expect("given back");
    }

    #[test]
    fn when_all_is_taken_nobody_gets_more_and_nobody_loses_any() {
        let allowance = allowance(2, 2);
        let passes = [allowance.take("shop").expect("one"), allowance.take("bank").expect("two")];
        let full = allowance.take("club").expect_err("three");
        assert_eq!(full.to_string(), "there are 2 open push streams, all that --max-streams allows");
        drop(passes);
        assert!(allowance.taken().by_owner.is_empty() && allowance.taken().in_all == 0);
    }
}
