//! The list of a stream's shards, read by tasks that outlive rounds and keep the pages read so far.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, FailureKind};
use super::page::Requested;
use super::service::{Address, Service};
use crate::lag::streams::{Shard, ShardId, ShardState, StreamCapacity, Timestamp, changes};
use crate::source::shared::{Fetched, Shared};

/// A list is read again after this time, and as soon as a checkpoint or the end of a shard contradicts it.
const LISTED_EVERY: Duration = Duration::from_secs(60);
/// How long a reading waits for the next list where an older one can be used instead.
const NEXT_LIST_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum age of a list that is used while the next one cannot be read.
const OLDEST_LIST: Duration = Duration::from_mins(10);
/// How long pages are kept: a page token of Kinesis expires after five minutes.
const PAGES_LAST: Duration = Duration::from_mins(4);
/// The maximum number of shards in a list. A Kinesis stream has some ten thousand at most; a DynamoDB table has some thousand partitions,
/// each of which closes a shard a few times per day.
const MOST_SHARDS: usize = 100_000;

/// The maximum number of pages of a list; more are an error.
const MOST_PAGES: usize = 10_000;

/// All shards that hold records, closed ones included.
#[derive(Debug)]
pub struct Listing {
    shards: Vec<Shard>,
    index: HashMap<ShardId, usize>,
    /// The share of the hash key space that the widest open shard covers.
    widest: Option<f64>,
    /// When the first page was requested.
    pub begun: Instant,
    /// When the list was requested, by the service's clock.
    pub at: Timestamp,
}

/// The newest list of one stream.
pub struct ShardList<S> {
    service: Arc<S>,
    address: Address,
    list: Arc<Shared<Listing, Failure>>,
    /// The pages of a list that was not read to its end.
    pages: Arc<Mutex<Option<Pages>>>,
}

struct Pages {
    /// When the first page was requested.
    begun: Requested,
    count: usize,
    shards: Vec<Shard>,
    widest: Option<f64>,
    next: Option<String>,
}

// === impl Listing ===

impl Listing {
    fn new(pages: Pages) -> Self {
        let mut listed = HashSet::new();
        // a shard that moves from one page to the next is listed twice
        let mut shards: Vec<_> = pages.shards.into_iter().filter(|shard| listed.insert(shard.id.clone())).collect();
        for Shard { id, parents, .. } in &mut shards {
            parents.retain(|parent| parent != id);
        }
        close_parents(&mut shards);
        let index = shards.iter().enumerate().map(|(index, shard)| (shard.id.clone(), index)).collect();
        Self { shards, index, widest: pages.widest, begun: pages.begun.at, at: pages.begun.service_time }
    }

    /// Returns the stream's capacity; `None` where the shards have no hash key ranges.
    pub fn capacity(&self) -> Option<StreamCapacity> {
        let open = self.shards.iter().filter(|shard| shard.state == ShardState::Open).count();
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        Some(StreamCapacity { open, widest: self.widest?, changes: changes(&self.shards) })
    }

    /// All shards, closed ones included.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shard with this id, if it is listed.
    pub fn get(&self, id: &ShardId) -> Option<&Shard> {
        self.shards.get(*self.index.get(id)?)
    }

    /// Whether both lists are of the same stream: a stream that was deleted and created again has shards of the same names, whose
    /// sequence numbers begin elsewhere.
    pub(crate) fn is_of_same_stream(&self, earlier: &Self) -> bool {
        self.shards.iter().all(|shard| match (&shard.first, earlier.get(&shard.id).map(|before| &before.first)) {
            (Some(first), Some(Some(before))) => first == before,
            _ => true,
        })
    }
}

/// Closes parents whose children are listed: a list that is read while a DynamoDB shard is replaced may still show the parent as open,
/// which consumers treat as closed.
fn close_parents(shards: &mut [Shard]) {
    let parents: HashSet<_> = shards.iter().flat_map(|shard| shard.parents.iter().cloned()).collect();
    for shard in shards.iter_mut().filter(|shard| parents.contains(&shard.id)) {
        shard.state = ShardState::Closed;
    }
}

// === impl ShardList ===

impl<S: Service> ShardList<S> {
    /// Creates a list of the stream at this address that is not read yet.
    pub fn new(service: Arc<S>, address: Address) -> Self {
        Self { service, address, list: Arc::default(), pages: Arc::default() }
    }

    /// Returns the newest list; where there is none, waits for one until `until`.
    ///
    /// # Errors
    /// Fails when there is no usable list and none can be read by `until`.
    pub async fn get(&self, until: Instant) -> Result<Arc<Listing>, Failure> {
        let now = Instant::now();
        let latest = self.list.latest().map(|latest| latest.value);
        let latest = latest.filter(|latest| now.duration_since(latest.begun) < OLDEST_LIST);
        if let Some(latest) = latest.as_ref().filter(|latest| now.duration_since(latest.begun) < LISTED_EVERY) {
            return Ok(latest.clone());
        }
        let until = if latest.is_some() { until.min(now + NEXT_LIST_TIMEOUT) } else { until };
        let failure = match timeout_at(until, self.read(now - LISTED_EVERY)).await {
            Ok(Ok(list)) => return Ok(list.value),
            Ok(Err(failure)) => failure,
            Err(_) => self.under_way(),
        };
        latest.filter(|_| failure.is_passing()).ok_or(failure)
    }

    /// Returns a list whose read began at `since` or later.
    ///
    /// # Errors
    /// Fails when no newer list can be read by `until`.
    pub async fn newer(&self, since: Instant, until: Instant) -> Result<Arc<Listing>, Failure> {
        {
            let mut kept = self.pages.lock();
            kept.take_if(|pages| pages.begun.at < since);
        }
        let read = timeout_at(until, self.read(since)).await.unwrap_or_else(|_| Err(self.under_way()));
        read.map(|list| list.value)
    }

    fn under_way(&self) -> Failure {
        let pages = self.pages.lock();
        let listed = pages.as_ref().map_or(0, |pages| pages.shards.len());
        Failure::new(FailureKind::TimedOut, format!("the list is still being read, {listed} shards so far"))
            .advising("a long list takes more than one round; the reading goes on")
    }

    fn read(
        &self,
        since: Instant,
    ) -> impl Future<Output = Result<Fetched<Listing>, Failure>> + Send + 'static + use<S> {
        let (service, address, pages) = (self.service.clone(), self.address.clone(), self.pages.clone());
        self.list.get(since, || async move { read(&*service, &address, &pages).await })
    }
}

/// Reads the list of a stream's shards once.
///
/// # Errors
/// Fails when a page cannot be read: a part is never returned.
pub async fn list<S: Service>(service: &S, stream: &Address) -> Result<Listing, Failure> {
    read(service, stream, &Mutex::default()).await
}

/// Reads page by page; the next attempt resumes at a page that failed.
async fn read<S: Service>(service: &S, address: &Address, pages: &Mutex<Option<Pages>>) -> Result<Listing, Failure> {
    let kept = || pages.lock();
    kept().take_if(|pages| pages.begun.at.elapsed() > PAGES_LAST);
    loop {
        let next = kept().as_ref().and_then(|pages| pages.next.clone());
        let page = match service.shards(address, next.clone()).await {
            Ok(page) => page,
            Err(failure) => {
                if !failure.is_passing() {
                    kept().take();
                }
                return Err(failure);
            }
        };
        let mut kept = kept();
        let pages = kept.get_or_insert_with(|| Pages {
            begun: page.requested,
            count: 0,
            shards: Vec::new(),
            widest: Some(0.0),
            next: None,
        });
        let stands = page.next.is_some() && page.next == next;
        pages.count += 1;
        pages.shards.extend(page.shards);
        pages.widest = pages.widest.zip(page.widest).map(|(one, other)| one.max(other));
        pages.next = page.next;
        if stands || pages.shards.len() > MOST_SHARDS || pages.count > MOST_PAGES {
            kept.take();
            return Err(Failure::new(
                FailureKind::Invalid,
                format!("the list of shards does not end, or has over {MOST_SHARDS}"),
            ));
        }
        if pages.next.is_none()
            && let Some(pages) = kept.take()
        {
            return Ok(Listing::new(pages));
        }
    }
}
