import java.util.List;
import java.util.stream.Stream;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy.NoLeaseDeletionStrategy;
import software.amazon.kinesis.processor.MultiStreamTracker;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * A consumer of Kinesis streams by the Kinesis Client Library. KINESIS_ENDPOINT is the server, and STREAM one name, or several
 * with commas between (or one with a comma behind), which makes it a consumer of many streams with the lease keys of such a one.
 */
public final class KclConsumer {
  public static void main(String[] args) {
    // HTTP/2 in clear text is not what the client would agree upon with AWS
    var kinesis = ShardConsumer.to("KINESIS_ENDPOINT", KinesisAsyncClient.builder())
        .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1)).build();
    String stream = ShardConsumer.setting("STREAM", "orders");
    var from = ShardConsumer.initialPosition();
    boolean many = stream.contains(",");
    var tracker = many ? new Streams(kinesis, stream.split(","), from) : new SingleStreamTracker(stream, from);
    var polling = (many ? new PollingConfig(kinesis) : new PollingConfig(stream, kinesis))
        .maxRecords(ShardConsumer.MAX_RECORDS)
        .idleTimeBetweenReadsInMillis(ShardConsumer.IDLE_BETWEEN_READS_MS);

    var configs = ShardConsumer.configs(tracker, kinesis, new Processors());
    ShardConsumer.run(new Scheduler(
        configs.checkpointConfig(),
        configs.coordinatorConfig().parentShardPollIntervalMillis(1000),
        ShardConsumer.leases(configs),
        configs.lifecycleConfig(),
        configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
        configs.processorConfig(),
        configs.retrievalConfig().retrievalSpecificConfig(polling)));
  }

  private static final class Processors implements ShardRecordProcessorFactory {
    @Override
    public ShardRecordProcessor shardRecordProcessor() {
      return new Processor(null);
    }

    @Override
    public ShardRecordProcessor shardRecordProcessor(StreamIdentifier stream) {
      return new Processor(stream.accountIdOptional().isPresent() ? stream : null);
    }
  }

  private static final class Processor extends ShardConsumer {
    Processor(StreamIdentifier stream) {
      super(stream);
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
      process(input.records(), input.checkpointer());
    }
  }

  /** Streams as they are at the start: account:name:second of creation. */
  private static final class Streams implements MultiStreamTracker {
    private final List<StreamConfig> configs;

    Streams(KinesisAsyncClient kinesis, String[] names, InitialPositionInStreamExtended from) {
      configs = Stream.of(names).map(name -> {
        var summary = kinesis.describeStreamSummary(request -> request.streamName(name)).join().streamDescriptionSummary();
        String account = summary.streamARN().split(":")[4];
        String identifier = account + ":" + name + ":" + summary.streamCreationTimestamp().getEpochSecond();
        return new StreamConfig(StreamIdentifier.multiStreamInstance(identifier), from);
      }).toList();
    }

    @Override
    public List<StreamConfig> streamConfigList() {
      return configs;
    }

    @Override
    public FormerStreamsLeasesDeletionStrategy formerStreamsLeasesDeletionStrategy() {
      return new NoLeaseDeletionStrategy();
    }
  }
}
