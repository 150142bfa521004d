//! Where an application writes its progress: each kind of store is data, the names of its attributes.

use std::sync::Arc;

use super::metadata::{Metadata, Words};

/// A table with an application's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckpointStore {
    /// The DynamoDB table.
    pub table: Arc<str>,
    /// How its rows are to be read.
    pub layout: StoreLayout,
    /// Only the rows of this partition are the application's: the table's hash key and its value.
    pub partition: Option<(Arc<str>, Arc<str>)>,
}

/// The attributes of a row; the absent ones are not in such a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreLayout {
    /// The id of the shard; what stands before its last colon says of which stream.
    pub shard: Arc<str>,
    /// A sequence number, or one of KCL's words.
    pub checkpoint: Arc<str>,
    /// What a row without a checkpoint means.
    pub without_checkpoint: WithoutCheckpoint,
    /// Present when the shard is finished, where no word in the checkpoint says so.
    pub finished: Option<Arc<str>>,
    /// The owner is in the first of these that is present.
    pub owners: Vec<Arc<str>>,
    /// Counts renewals.
    pub counter: Option<Arc<str>>,
    /// The shards that this one continues.
    pub parents: Option<Arc<str>>,
    /// Kilobytes a second.
    pub throughput: Option<Arc<str>>,
    /// The stream, in tables of several.
    pub stream: Option<Arc<str>>,
    /// What kind of row it is; a lease is [`StoreLayout::LEASE`] or has none.
    pub kind: Option<Arc<str>>,
}

/// What a row without a checkpoint means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithoutCheckpoint {
    /// The store is not what it was taken for.
    Error,
    /// Its consumer has not written one yet.
    NotYet,
}

/// `checkpointStore`
#[derive(Clone, Copy)]
enum Kind {
    Kcl,
    VmwareGoKcl,
    Harlow,
    Kinsumer,
    Custom,
}

const KINDS: Words<Kind> = &[
    ("kcl", Kind::Kcl),
    ("vmware-go-kcl", Kind::VmwareGoKcl),
    ("harlow", Kind::Harlow),
    ("kinsumer", Kind::Kinsumer),
    ("custom", Kind::Custom),
];

impl StoreLayout {
    /// KCL's word for a row that is a lease.
    pub const LEASE: &'static str = "LEASE";

    /// A store that has shards, checkpoints and owners only.
    fn plain(shard: &str, checkpoint: &str, owner: Option<&str>, finished: Option<&str>) -> Self {
        Self {
            shard: shard.into(),
            checkpoint: checkpoint.into(),
            without_checkpoint: WithoutCheckpoint::NotYet,
            finished: finished.map(Arc::from),
            owners: owner.map(Arc::from).into_iter().collect(),
            counter: None,
            parents: None,
            throughput: None,
            stream: None,
            kind: None,
        }
    }

    /// KCL of any version, and the DynamoDB Streams adapter.
    #[must_use]
    pub fn kcl() -> Self {
        Self {
            without_checkpoint: WithoutCheckpoint::Error,
            // while a lease is handed over, `leaseOwner` is the next owner
            owners: vec!["checkpointOwner".into(), "leaseOwner".into()],
            counter: Some("leaseCounter".into()),
            parents: Some("parentShardId".into()),
            throughput: Some("throughputKBps".into()),
            stream: Some("streamName".into()),
            kind: Some("entityType".into()),
            ..Self::plain("leaseKey", "checkpoint", None, None)
        }
    }

    /// Every attribute that is read.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.finished, &self.counter, &self.parents, &self.throughput, &self.stream, &self.kind];
        let optional = optional.into_iter().flatten();
        [&self.shard, &self.checkpoint].into_iter().chain(&self.owners).chain(optional).map(AsRef::as_ref)
    }
}

impl CheckpointStore {
    /// Reads the keys of the store; `stream` is the name of the stream or table.
    pub(super) fn read(metadata: &Metadata<'_>, stream: Option<&str>) -> Option<Self> {
        let kind = metadata.word("checkpointStore", KINDS);
        let asked = metadata.text("checkpointStore").is_some();
        let application = metadata.text("applicationName");
        let table = metadata.text("leaseTable");
        if table.is_none() && application.is_none() {
            metadata.problem("applicationName", "is required, unless leaseTable is given");
        }
        let custom = matches!(kind, Some(Kind::Custom));
        for key in ["shardAttribute", "checkpointAttribute", "ownerAttribute", "finishedAttribute"] {
            if !custom && metadata.text(key).is_some() {
                metadata.problem(key, "is for checkpointStore custom only");
            }
        }
        let mut partition = None;
        let mut default_table = application.map(str::to_owned);
        let layout = match kind {
            None if asked => None,
            None | Some(Kind::Kcl) => Some(StoreLayout::kcl()),
            Some(Kind::VmwareGoKcl) => Some(StoreLayout {
                parents: Some("ParentShardId".into()),
                ..StoreLayout::plain("ShardID", "Checkpoint", Some("AssignedTo"), None)
            }),
            Some(Kind::Harlow) => {
                // one table for all applications and streams, whose rows are told apart by both names
                let namespace = application.zip(stream).map(|(application, stream)| format!("{application}-{stream}"));
                if application.is_none() {
                    metadata.problem("applicationName", "is required for checkpointStore harlow");
                }
                if table.is_none() {
                    metadata.problem("leaseTable", "is required for checkpointStore harlow");
                }
                partition = namespace.map(|namespace| ("namespace".into(), namespace.into()));
                Some(StoreLayout::plain("shard_id", "sequence_number", None, None))
            }
            Some(Kind::Kinsumer) => {
                default_table = application.map(|application| format!("{application}_checkpoints"));
                Some(StoreLayout::plain("Shard", "SequenceNumber", Some("OwnerName"), Some("Finished")))
            }
            Some(Kind::Custom) => {
                let shard = metadata.required("shardAttribute");
                let checkpoint = metadata.required("checkpointAttribute");
                let (owner, finished) = (metadata.text("ownerAttribute"), metadata.text("finishedAttribute"));
                shard.zip(checkpoint).map(|(shard, point)| StoreLayout::plain(shard, point, owner, finished))
            }
        };
        let table = table.map(str::to_owned).or(default_table)?;
        Some(Self { table: table.into(), layout: layout?, partition })
    }
}
