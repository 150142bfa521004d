import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import com.amazonaws.services.dynamodbv2.streamsadapter.StreamsSchedulerFactory;
import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.amazonaws.services.dynamodbv2.streamsadapter.polling.DynamoDBStreamsPollingConfig;
import com.amazonaws.services.dynamodbv2.streamsadapter.processor.DynamoDBStreamsShardRecordProcessor;
import java.util.stream.Stream;
import software.amazon.awssdk.core.SdkRequest;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.dynamodb.model.DescribeStreamRequest;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy.NoLeaseDeletionStrategy;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;

/**
 * A consumer of DynamoDB Streams by the adapter for the Kinesis Client Library. TABLE is one name, or several with commas
 * between (or one with a comma behind), which makes it a consumer of many streams with the lease keys of such a one. AUDIT_MS is
 * explained where it is used.
 */
public final class AdapterConsumer {
  public static void main(String[] args) {
    var streams = ShardConsumer.to("DYNAMODB_ENDPOINT", DynamoDbStreamsClient.builder())
        .overrideConfiguration(config -> config.addExecutionInterceptor(new LocalRegion())).build();
    var adapter = new AmazonDynamoDBStreamsAdapterClient(streams, ShardConsumer.REGION);
    String table = ShardConsumer.setting("TABLE", "orders");
    var arns = Stream.of(table.split(",")).map(name -> newestStream(streams, name)).toList();
    var from = ShardConsumer.initialPosition();
    var tracker = table.contains(",")
        ? StreamsSchedulerFactory.createMultiStreamTracker(arns, from, new NoLeaseDeletionStrategy())
        : StreamsSchedulerFactory.createSingleStreamTracker(arns.get(0), from);
    var polling = new DynamoDBStreamsPollingConfig(adapter)
        .idleTimeBetweenReadsInMillis(ShardConsumer.IDLE_BETWEEN_READS_MS);
    polling.maxRecords(ShardConsumer.MAX_RECORDS);

    var configs = ShardConsumer.configs(tracker, adapter, new Processors());
    // DynamoDB Local tells no children of a closed shard, so it is this look around, every two minutes if not told otherwise and
    // a minute after the start at the earliest, that finds them
    var leases = ShardConsumer.leases(configs)
        .leasesRecoveryAuditorExecutionFrequencyMillis(ShardConsumer.number("AUDIT_MS", 5000));
    ShardConsumer.run(StreamsSchedulerFactory.createScheduler(
        configs.checkpointConfig(),
        configs.coordinatorConfig().parentShardPollIntervalMillis(1000).skipShardSyncAtWorkerInitializationIfLeasesExist(true),
        leases,
        configs.lifecycleConfig(),
        configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
        configs.processorConfig(),
        configs.retrievalConfig().retrievalSpecificConfig(polling),
        adapter));
  }

  /** The stream of a table, as the adapter is to see it. Of several the label, a time, tells the newest. */
  private static String newestStream(DynamoDbStreamsClient streams, String table) {
    return streams.listStreams(request -> request.tableName(table)).streams().stream()
        .map(stream -> stream.streamArn())
        .max(String::compareTo)
        .orElseThrow(() -> new IllegalArgumentException("table " + table + " has no stream"))
        .replace(":" + LocalRegion.NAME + ":", ":" + ShardConsumer.REGION + ":");
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

  private static final class Processor extends ShardConsumer implements DynamoDBStreamsShardRecordProcessor {
    Processor(StreamIdentifier stream) {
      super(stream);
    }

    @Override
    public void processRecords(DynamoDBStreamsProcessRecordsInput input) {
      process(input.records(), input.checkpointer());
    }
  }

  /**
   * The region in the stream names of DynamoDB Local is none that the adapter would take. It gets names with a real one, and here
   * they are changed back on their way to the server.
   */
  private static final class LocalRegion implements ExecutionInterceptor {
    static final String NAME = "ddblocal";

    @Override
    public SdkRequest modifyRequest(Context.ModifyRequest context, ExecutionAttributes attributes) {
      SdkRequest request = context.request();
      if (request instanceof DescribeStreamRequest describe) {
        return describe.toBuilder().streamArn(local(describe.streamArn())).build();
      }
      if (request instanceof GetShardIteratorRequest iterator) {
        return iterator.toBuilder().streamArn(local(iterator.streamArn())).build();
      }
      return request;
    }

    private static String local(String arn) {
      return arn.replace(":" + ShardConsumer.REGION + ":", ":" + NAME + ":");
    }
  }
}
