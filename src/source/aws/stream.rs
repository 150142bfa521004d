//! One stream as everyone who asks about it shares it. What is known holds for one incarnation: a stream that is deleted and created
//! again under its name, or switched off and on, is another one of which nothing is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, FailureKind};
use super::listing::{Listing, ShardList};
use super::prober::Prober;
use super::service::{Address, Description, Service};
use crate::lag::streams::{ShardId, ShardState, StreamState, Timestamp};
use crate::source::shared::{Fetched, Shared};
use crate::trigger::StreamName;

/// Retention and size of records are changed by hand, and seldom.
const KINESIS_DESCRIBED_EVERY: Duration = Duration::from_secs(600);
/// A table's stream that was switched off and on again is noticed after this long.
const DYNAMODB_DESCRIBED_EVERY: Duration = Duration::from_secs(20);
/// A stream that is switched to on-demand is noticed after this long where its shards are to be changed.
const STATE_READ_EVERY: Duration = Duration::from_secs(300);
/// A first reading waits this long for the retention. Hundreds of streams at once must wait for their turn to request it, and only
/// few ages need it.
const DESCRIPTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The last description is used this long while a newer one cannot be read.
const OLDEST_DESCRIPTION: Duration = Duration::from_mins(10);
/// While a list and a checkpoint or the end of a shard exclude each other, the shards are listed this often.
const LISTED_AGAIN_EVERY: Duration = Duration::from_secs(15);

/// After this long a shard that is not listed is looked up once more.
const DISPUTED_FOR: Duration = Duration::from_mins(10);

/// A stream by its name.
pub(super) struct Stream<S> {
    service: Arc<S>,
    name: StreamName,
    room: Arc<Semaphore>,
    description: Arc<Shared<Description, Failure>>,
    present: Mutex<Option<Arc<Incarnation<S>>>>,
}

/// What is known of a stream before anything of it is read.
pub(super) struct Described {
    pub(super) address: Address,
    /// `None` for a Kinesis stream whose description has to wait for its turn.
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
    /// Another stream has the name now.
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

    /// What the stream is.
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
                    // an age without the retention is no less exact
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

    /// Whether the shards of the stream can be changed.
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

    /// The stream that has this address and was created at this time, as far as that is known.
    pub(super) fn incarnation(&self, address: &Address, created: Option<Timestamp>) -> Arc<Incarnation<S>> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// The shards of the stream that has the name now. Its rights are those of listing: no description of a Kinesis stream is needed.
    pub(super) async fn listing(&self, until: Instant) -> Result<Arc<Listing>, Failure> {
        let address = match &self.name {
            StreamName::Kinesis(stream) => Address::Kinesis(stream.clone()),
            StreamName::DynamoDb(_) => self.describe(until).await?.address,
        };
        self.incarnation(&address, None).listing(until).await
    }

    /// Another stream has the name now: nothing that is known of the one that is `gone` holds for it.
    pub(super) fn successor(&self, gone: &Arc<Incarnation<S>>) -> Arc<Incarnation<S>> {
        self.forget(gone);
        self.incarnation(&gone.address, None)
    }

    fn forget(&self, gone: &Arc<Incarnation<S>>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_some_and(|present| Arc::ptr_eq(present, gone)) {
            *present = None;
            // read again by the next reading, which may go on without it
            drop(self.read_description(Instant::now()));
        }
    }
}

impl Described {
    /// When the stream was created, as far as that is known.
    pub(super) fn created(&self) -> Option<Timestamp> {
        self.description.as_ref()?.created
    }
}

// === impl Incarnation ===

impl<S: Service> Incarnation<S> {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the stream with this address that was created at this time, as far as that is known.
    fn is(&self, address: &Address, created: Option<Timestamp>) -> bool {
        let mut known = self.known();
        let same =
            self.address == *address && (known.created.is_none() || created.is_none() || known.created == created);
        if same {
            known.created = known.created.or(created);
        }
        same
    }

    /// The list of shards; one that is new enough, or the older one where the next cannot be read.
    pub(super) async fn listing(&self, until: Instant) -> Result<Arc<Listing>, Failure> {
        self.list.get(until).await
    }

    /// A list that began to be read at `since` or later.
    pub(super) async fn newer_listing(&self, since: Instant, until: Instant) -> Result<Arc<Listing>, Failure> {
        self.list.newer(since, until).await
    }

    /// Takes `listing` as the present one; false where it is the list of another stream.
    pub(super) fn accept(&self, listing: &Arc<Listing>) -> bool {
        let mut known = self.known();
        let newest = known.listing.as_ref().is_none_or(|before| listing.begun > before.begun);
        if newest && !known.gone {
            known.gone = known.listing.as_ref().is_some_and(|before| !listing.is_of_same_stream(before));
            self.prober.retain(|shard| listing.get(shard).is_some());
            known.listing = Some(listing.clone());
        }
        !known.gone
    }

    /// Which list can say more than `listing` about `disputes`, if one can. A shard is looked up once for each reason; where a checkpoint
    /// contradicts the list, or an ended shard is listed as open, until it does not.
    pub(super) fn list_needed(
        &self,
        listing: &Listing,
        disputes: impl Iterator<Item = (ShardId, Dispute)>,
    ) -> Option<ListNeeded> {
        let now = Instant::now();
        let mut known = self.known();
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

/// Why a list may be old, or that of another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dispute {
    /// A shard has a lease that is not finished, and is not listed.
    Unlisted,
    /// A shard is listed, and the service refuses to read it.
    Refused,
    /// A shard is listed, and a checkpoint contradicts what is listed.
    Contradicted,
}

/// A list that began to be read at `since` or later. The one that is waited for longer is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListNeeded {
    pub(super) wait: Wait,
    pub(super) since: Instant,
}

/// How long a round waits for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// There is an answer without it.
    Shortly,
    /// There is none.
    UntilTheEnd,
}
