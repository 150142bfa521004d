//! Streams of DynamoDB tables, and what tests do to them.

use super::clock::label;
use super::dynamodb::table_arn;
use super::sequence::Sequence;
use super::shard::Shard;
use super::{ScriptedAws, World};

/// The number before the first: AWS's have 21 digits and more.
const BEFORE_FIRST: u128 = 100_000_000_000_000_000_000;

pub(super) struct ChangeStream {
    pub(super) table: String,
    pub(super) created_ms: u64,
    pub(super) shards: Vec<Shard>,
}

impl ChangeStream {
    pub(super) fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.id == id)
    }
}

impl World {
    fn next_number(&mut self) -> Sequence {
        self.changes_numbered += 1;
        Sequence((BEFORE_FIRST + u128::from(self.changes_numbered)).to_string())
    }

    fn change_shard(&mut self, arn: &str, id: &str) -> &mut Shard {
        let stream = self.changes.get_mut(arn).unwrap();
        stream.shards.iter_mut().find(|shard| shard.id == id).unwrap()
    }
}

impl ScriptedAws {
    /// Gives a table a stream without shards and says its ARN. An earlier stream of the table stays.
    pub fn create_table_stream(&self, table: &str, at_ms: u64) -> String {
        let mut world = self.world();
        let arn = format!("{}/stream/{}", table_arn(table), label(at_ms));
        let stream = ChangeStream { table: table.to_owned(), created_ms: at_ms, shards: Vec::new() };
        world.changes.insert(arn.clone(), stream);
        world.tables.get_mut(table).unwrap().stream_arn = Some(arn.clone());
        arn
    }

    /// Opens a shard that was created at this time and says its id. A parent is not closed by that.
    pub fn open_change_shard(&self, arn: &str, parent: Option<&str>, at_ms: u64) -> String {
        let mut world = self.world();
        let starting = world.next_number();
        let id = format!("shardId-{at_ms:020}-{:08x}", world.changes_numbered);
        let parents = parent.map(str::to_owned).into_iter().collect();
        let shard = Shard { parents, ..Shard::new(id.clone(), at_ms, starting) };
        world.changes.get_mut(arn).unwrap().shards.push(shard);
        id
    }

    /// Closes a shard.
    pub fn close_change_shard(&self, arn: &str, shard: &str) {
        let mut world = self.world();
        let ending = world.next_number();
        world.change_shard(arn, shard).close(ending);
    }

    /// Puts a change that was made at this time and says its sequence number.
    pub fn put_change(&self, arn: &str, shard: &str, at_ms: u64) -> String {
        let mut world = self.world();
        let sequence = world.next_number();
        world.change_shard(arn, shard).put(sequence, at_ms)
    }

    /// Forgets the changes that were made before this time: who is before them can no longer read.
    pub fn trim_changes(&self, arn: &str, older_than_ms: u64) {
        let mut world = self.world();
        world.changes.get_mut(arn).unwrap().shards.iter_mut().for_each(|shard| shard.trim(older_than_ms));
    }

    /// From now on each new iterator over this shard gives so many empty pages first.
    pub fn set_empty_change_pages(&self, arn: &str, shard: &str, pages: u32) {
        self.world().change_shard(arn, shard).empty_pages = pages;
    }
}
