//! One stream, shared by all readings. Everything known holds for one incarnation: a stream that is deleted and created again under its
//! name, or disabled and enabled again, is another incarnation, of which nothing is known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, FailureKind};
use super::listing::{Listing, ShardList};
use super::prober::Prober;
use super::service::{Address, Description, Service};
use crate::lag::streams::{ShardId, ShardState, StreamState, Timestamp};
use crate::source::shared::{Fetched, Shared};
use crate::trigger::StreamName;

/// The time between two descriptions of a Kinesis stream: retention and record size change by hand, and rarely.
const KINESIS_DESCRIBED_EVERY: Duration = Duration::from_secs(600);
/// The time after which a table's stream that was disabled and enabled again is noticed.
const DYNAMODB_DESCRIBED_EVERY: Duration = Duration::from_secs(20);
/// The time after which a switch to on-demand mode is noticed, for streams whose shards are to be changed.
const STATE_READ_EVERY: Duration = Duration::from_secs(300);
/// How long a first reading waits for the retention. With hundreds of streams at once each waits for its turn, and only few ages
/// need the retention.
const DESCRIPTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum age of a description that is used while a newer one cannot be read.
const OLDEST_DESCRIPTION: Duration = Duration::from_mins(10);
/// While a list contradicts a checkpoint or the end of a shard, the shards are listed at this interval.
const LISTED_AGAIN_EVERY: Duration = Duration::from_secs(15);

/// A shard that is not listed is looked up again after this time.
const DISPUTED_FOR: Duration = Duration::from_mins(10);

/// A stream, identified by its name.
pub(super) struct Stream<S> {
    service: Arc<S>,
    name: StreamName,
    room: Arc<Semaphore>,
    description: Arc<Shared<Description, Failure>>,
    present: Mutex<Option<Arc<Incarnation<S>>>>,
}

/// The description of a stream, before its shards are read.
pub(super) struct Described {
    pub(super) address: Address,
    /// The description; `None` for a Kinesis stream whose description has not been read yet.
    pub(super) description: Option<Arc<Description>>,
}

/// One stream, from its creation to its deletion.
pub(super) struct Incarnation<S> {
    address: Address,
    list: ShardList<S>,
    pub(super) prober: Arc<Prober<S>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    created: Option<Timestamp>,
    listing: Option<Arc<Listing>>,
    /// Whether another stream has the name now.
    gone: bool,
    /// Since when the list is disputed about these shards.
    disputed: HashMap<(ShardId, Dispute), Instant>,
}

// === impl Stream ===

impl<S: Service> Stream<S> {
    pub(super) fn new(service: Arc<S>, name: StreamName, room: Arc<Semaphore>) -> Self {
        Self { service, name, room, description: Arc::default(), present: Mutex::default() }
    }

    fn read_description(
        &self,
        since: Instant,
    ) -> impl Future<Output = Result<Fetched<Description>, Failure>> + Send + 'static + use<S> {
        let (service, name) = (self.service.clone(), self.name.clone());
        self.description.get(since, || async move { service.describe(&name).await })
    }

    /// Returns the stream's address and description.
    pub(super) async fn describe(&self, until: Instant) -> Result<Described, Failure> {
        let now = Instant::now();
        match &self.name {
            StreamName::Kinesis(stream) => {
                let address = Address::Kinesis(stream.clone());
                let until = until.min(now + DESCRIPTION_TIMEOUT);
                let before = self.description.latest().map(|latest| latest.value);
                let description = match timeout_at(until, self.read_description(now - KINESIS_DESCRIBED_EVERY)).await {
                    Ok(Ok(described)) => Some(described.value),
                    Ok(Err(failure)) if !failure.is_passing() => return Err(failure),
                    // an age is as exact without the retention
                    Ok(Err(_)) | Err(_) => before,
                };
                Ok(Described { address, description })
            }
            StreamName::DynamoDb(_) => {
                let before = self.description.latest();
                let before = before.filter(|before| now.duration_since(before.begun) < OLDEST_DESCRIPTION);
                let until = if before.is_some() { until.min(now + DESCRIPTION_TIMEOUT) } else { until };
                let described = timeout_at(until, self.read_description(now - DYNAMODB_DESCRIBED_EVERY)).await;
                let late = || Failure::new(FailureKind::TimedOut, "the table's description is still being read");
                let description = match (described.unwrap_or_else(|_| Err(late())), before) {
                    (Ok(described), _) => described.value,
                    (Err(failure), Some(before)) if failure.is_passing() => before.value,
                    (Err(failure), _) => return Err(failure),
                };
                Ok(Described { address: description.address.clone(), description: Some(description) })
            }
        }
    }

    /// Returns whether the shards of the stream can be changed.
    pub(super) async fn state(&self, until: Instant) -> Result<StreamState, Failure> {
        let now = Instant::now();
        let before = self.description.latest();
        let before = before.filter(|before| now.duration_since(before.begun) < OLDEST_DESCRIPTION);
        let described = timeout_at(until, self.read_description(now - STATE_READ_EVERY)).await;
        let late = || Err(Failure::new(FailureKind::TimedOut, "the stream's description is still being read"));
        match (described.unwrap_or_else(|_| late()), before) {
            (Ok(described), _) => Ok(described.value.state),
            (Err(failure), Some(before)) if failure.is_passing() => Ok(before.value.state),
            (Err(failure), _) => Err(failure),
        }
    }

    /// Returns the stream that has this address and was created at this time, as far as that is known.
    pub(super) fn incarnation(&self, address: &Address, created: Option<Timestamp>) -> Arc<Incarnation<S>> {
        let mut present = self.present.lock();
        if let Some(incarnation) = present.as_ref().filter(|known| known.is(address, created)) {
            return incarnation.clone();
        }
        let list = ShardList::new(self.service.clone(), address.clone());
        let prober = Arc::new(Prober::new(self.service.clone(), address.clone(), self.room.clone()));
        let known = Mutex::new(Known { created, ..Known::default() });
        let incarnation = Arc::new(Incarnation { address: address.clone(), list, prober, known });
        *present = Some(incarnation.clone());
        incarnation
    }

    /// Returns the shards of the stream that has the name now. It needs only the permission to list: no description of a Kinesis
    /// stream is read for it.
    pub(super) async fn listing(&self, until: Instant) -> Result<Arc<Listing>, Failure> {
        let address = match &self.name {
            StreamName::Kinesis(stream) => Address::Kinesis(stream.clone()),
            StreamName::DynamoDb(_) => self.describe(until).await?.address,
        };
        self.incarnation(&address, None).listing(until).await
    }

    /// Returns the incarnation that replaces `gone`, none of whose data holds for the new one.
    pub(super) fn successor(&self, gone: &Arc<Incarnation<S>>) -> Arc<Incarnation<S>> {
        self.forget(gone);
        self.incarnation(&gone.address, None)
    }

    fn forget(&self, gone: &Arc<Incarnation<S>>) {
        let mut present = self.present.lock();
        if present.as_ref().is_some_and(|present| Arc::ptr_eq(present, gone)) {
            *present = None;
            // the next reading reads it again, and may go on without it
            drop(self.read_description(Instant::now()));
        }
    }
}

impl Described {
    /// Returns when the stream was created, as far as that is known.
    pub(super) fn created(&self) -> Option<Timestamp> {
        self.description.as_ref()?.created
    }
}

// === impl Incarnation ===

impl<S: Service> Incarnation<S> {
    /// Whether this is the stream with this address that was created at this time, as far as that is known.
    fn is(&self, address: &Address, created: Option<Timestamp>) -> bool {
        let mut known = self.known.lock();
        let same =
            self.address == *address && (known.created.is_none() || created.is_none() || known.created == created);
        if same {
            known.created = known.created.or(created);
        }
        same
    }

    /// Returns the list of shards: one that is new enough, or the older one where the next cannot be read.
    pub(super) async fn listing(&self, until: Instant) -> Result<Arc<Listing>, Failure> {
        self.list.get(until).await
    }

    /// Returns a list whose read began at `since` or later.
    pub(super) async fn newer_listing(&self, since: Instant, until: Instant) -> Result<Arc<Listing>, Failure> {
        self.list.newer(since, until).await
    }

    /// Makes `listing` the present list; returns false where it is the list of another stream.
    pub(super) fn accept(&self, listing: &Arc<Listing>) -> bool {
        let mut known = self.known.lock();
        let newest = known.listing.as_ref().is_none_or(|before| listing.begun > before.begun);
        if newest && !known.gone {
            known.gone = known.listing.as_ref().is_some_and(|before| !listing.is_of_same_stream(before));
            self.prober.retain(|shard| listing.get(shard).is_some());
            known.listing = Some(listing.clone());
        }
        !known.gone
    }

    /// Returns which list can add to what `listing` shows about `disputes`, if any. A shard is looked up once per reason; where a
    /// checkpoint contradicts the list, or an ended shard is listed as open, it is looked up until that ends.
    pub(super) fn list_needed(
        &self,
        listing: &Listing,
        disputes: impl Iterator<Item = (ShardId, Dispute)>,
    ) -> Option<ListNeeded> {
        let now = Instant::now();
        let mut known = self.known.lock();
        known.disputed.retain(|_, since| now.duration_since(*since) < DISPUTED_FOR);
        let again = |since: Instant| since.max(now - LISTED_AGAIN_EVERY);
        let ended = self.prober.ended(|shard| listing.get(shard).is_some_and(|shard| shard.state == ShardState::Open));
        let needed = disputes.map(|(shard, dispute)| {
            let since = *known.disputed.entry((shard, dispute)).or_insert(now);
            match dispute {
                Dispute::Unlisted => ListNeeded { wait: Wait::Shortly, since },
                Dispute::Refused => ListNeeded { wait: Wait::UntilTheEnd, since },
                Dispute::Contradicted => ListNeeded { wait: Wait::UntilTheEnd, since: again(since) },
            }
        });
        let ended = ended.map(|since| ListNeeded { wait: Wait::UntilTheEnd, since: again(since) });
        needed.chain(ended).filter(|needed| listing.begun < needed.since).max()
    }
}

/// Why a list may be old, or the list of another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dispute {
    /// A shard has an unfinished lease but is not listed.
    Unlisted,
    /// A shard is listed, but the service refuses to read it.
    Refused,
    /// A shard is listed, but a checkpoint contradicts what is listed.
    Contradicted,
}

/// A list whose read began at `since` or later. Of two, the one with the longer wait is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListNeeded {
    pub(super) wait: Wait,
    pub(super) since: Instant,
}

/// How long a round waits for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// The answer does not need the list.
    Shortly,
    /// There is no answer without the list.
    UntilTheEnd,
}
