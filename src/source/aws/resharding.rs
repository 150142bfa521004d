//! The one call that changes a stream.

use aws_sdk_kinesis::types::ScalingType;

use super::budget::Scope;
use super::clients::TurnWait;
use super::control::StreamControl;
use super::kinesis::named;
use crate::lag::streams::{StreamState, Timestamp};
use crate::lag::{SourceError, SourceErrorKind};
use crate::telemetry::UpstreamApi;

/// A change of the number of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardChange {
    /// When it was decided, by the service's clock.
    pub at: Timestamp,
    /// The open shards before.
    pub from: u32,
    /// The open shards after it.
    pub to: u32,
    /// Why.
    pub why: String,
}

impl StreamControl {
    /// Resizes the stream. Targets are absolute: a call whose answer was lost is looked up in the stream, and not repeated. Then the change
    /// is logged, and written to the ledger where there is one, whose failure is logged.
    ///
    /// # Errors
    /// When the service refuses the call, or when it did not answer and the stream does not show the change.
    pub async fn resize(&self, change: &ShardChange) -> Result<(), SourceError> {
        match self.update_shard_count(change.to).await {
            Err(error) if matches!(error.kind(), SourceErrorKind::TimedOut | SourceErrorKind::Unreachable) => {
                let reading = self.read(std::time::Duration::ZERO).await?;
                if reading.state != StreamState::Updating && reading.capacity.open != change.to {
                    return Err(error);
                }
            }
            answer => answer?,
        }
        tracing::info!(stream = %self, from = change.from, to = change.to, why = change.why, "resized");
        if let Some(ledger) = &self.account.ledger
            && let Err(error) = ledger.add(&self.account.aws, &self.stream, change).await
        {
            tracing::warn!(stream = %self, error = error.chain(), "the change is missing in the ledger");
        }
        Ok(())
    }

    /// Calls `UpdateShardCount`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>): at most ten times per day and stream.
    async fn update_shard_count(&self, target: u32) -> Result<(), SourceError> {
        let scope = Scope::of(UpstreamApi::KinesisUpdateShardCount, self.stream.as_given());
        let updated = self.account.aws.call(TurnWait::Reading, scope, |clients| {
            let (name, arn) = named(&self.stream);
            let target = i32::try_from(target).unwrap_or(i32::MAX);
            let request = clients.kinesis.update_shard_count().set_stream_name(name).set_stream_arn(arn);
            request.target_shard_count(target).scaling_type(ScalingType::UniformScaling).send()
        });
        let attempt = || format!("could not set the shards of stream {} to {target}", self.stream);
        updated.await.map(|_| ()).map_err(|failure| failure.into_error(attempt()))
    }
}
