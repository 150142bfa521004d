//! The call that changes the number of shards.

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
    /// The number of open shards before the change.
    pub from: u32,
    /// The number of open shards after the change.
    pub to: u32,
    /// The reason for the change.
    pub why: String,
}

impl StreamControl {
    /// Resizes the stream. Targets are absolute: after a lost answer the scaler reads the stream instead of repeating the call. It then
    /// logs the change and writes it to the ledger, if there is one; a failure of the ledger is logged.
    ///
    /// # Errors
    /// Returns an error when the service refuses the call, or when it did not answer and the stream does not show the change.
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
