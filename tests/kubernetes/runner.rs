//! Runs proofs at the same time, and prints the outcome of each.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use tokio::time::Instant;

use crate::group::Setup;

pub type Proof = for<'a> fn(&'a Setup) -> LocalBoxFuture<'a, ()>;

/// Functions with their names.
macro_rules! proofs {
    ($($proof:ident),* $(,)?) => {
        [$((stringify!($proof), (|setup| futures_util::FutureExt::boxed_local($proof(setup))) as $crate::runner::Proof)),*]
    };
}
pub(crate) use proofs;

/// Runs every proof whose name contains `filter`; true if all hold.
pub async fn run<const N: usize>(setup: &Setup, proofs: [(&str, Proof); N], filter: &str) -> bool {
    let chosen = proofs.into_iter().filter(|(name, _)| name.contains(filter));
    let outcomes = chosen.map(async |(name, proof)| {
        let begun = Instant::now();
        let passed = AssertUnwindSafe(proof(setup)).catch_unwind().await.is_ok();
        println!("test {name} ... {} ({:.1} s)", if passed { "ok" } else { "FAILED" }, begun.elapsed().as_secs_f64());
        passed
    });
    let outcomes = join_all(outcomes).await;
    let passed = outcomes.iter().filter(|passed| **passed).count();
    println!("{passed} passed, {} failed", outcomes.len() - passed);
    passed == outcomes.len() && passed > 0
}
