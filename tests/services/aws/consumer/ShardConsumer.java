import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.leases.MultiStreamLease;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;
import software.amazon.kinesis.processor.StreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * What the two consumers have in common: settings from the environment, the work on one shard, and the end of the process.
 *
 * <p>Standard output has one line per event and nothing else; SHARD is the key of the shard's row in the lease table:
 *
 * <pre>
 * start SHARD at SEQUENCE       a lease was taken, at its checkpoint
 * done SHARD SEQUENCE           a record was processed
 * checkpoint SHARD SEQUENCE     the lease table has this checkpoint now
 * end SHARD                     the shard is closed, all of it is done, and its checkpoint is SHARD_END
 * lost SHARD                    another worker has the lease, or it was given back at the end of the process
 * </pre>
 *
 * <p>Settings are environment variables: DYNAMODB_ENDPOINT, APP (the lease table's name), WORKER_ID, AWS_REGION,
 * INITIAL_POSITION, MAX_RECORDS of a batch, CHECKPOINT_EVERY so many records, CHECKPOINT_BATCH (false: none for being the last of
 * a batch), DELAY_FILE and, until that can be read, DELAY_MS, FAILOVER_MS, SHARD_SYNC_MS. Each consumer has some of its own.
 */
abstract class ShardConsumer implements ShardRecordProcessor {
  static final Region REGION = Region.of(setting("AWS_REGION", "us-east-1"));
  /** The servers take any key. */
  static final AwsCredentialsProvider CREDENTIALS =
      StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));
  static final int MAX_RECORDS = number("MAX_RECORDS", 100);
  static final long IDLE_BETWEEN_READS_MS = 500;

  /** A checkpoint after this many records of a shard, and one after each batch unless that is switched off. */
  private static final int CHECKPOINT_EVERY = number("CHECKPOINT_EVERY", 10);
  private static final boolean CHECKPOINT_BATCH = Boolean.parseBoolean(setting("CHECKPOINT_BATCH", "true"));
  private static final Path DELAY_FILE = Path.of(setting("DELAY_FILE", "/nonexistent"));
  /** How often a record that is being processed looks into DELAY_FILE. */
  private static final long LOOK_EVERY_MS = 50;

  private static volatile long lastDelay = number("DELAY_MS", 0);

  private final StreamIdentifier stream;
  private String shard;
  private long done;
  private String checkpointed;

  /** {@code stream} is null where the lease table is that of one stream only. */
  ShardConsumer(StreamIdentifier stream) {
    this.stream = stream;
  }

  static String setting(String name, String fallback) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? fallback : value;
  }

  static int number(String name, int fallback) {
    return Integer.parseInt(setting(name, String.valueOf(fallback)));
  }

  /** Where a shard without a checkpoint is begun. */
  static InitialPositionInStreamExtended initialPosition() {
    return InitialPositionInStreamExtended.newInitialPosition(
        InitialPositionInStream.valueOf(setting("INITIAL_POSITION", "TRIM_HORIZON")));
  }

  /** Points a client to the server whose address is in the variable. */
  static <B extends AwsClientBuilder<B, C>, C> B to(String variable, B builder) {
    String address = System.getenv(variable);
    if (address == null) {
      throw new IllegalArgumentException(variable + " is not set");
    }
    return builder.region(REGION).credentialsProvider(CREDENTIALS).endpointOverride(URI.create(address));
  }

  static ConfigsBuilder configs(StreamTracker tracker, KinesisAsyncClient kinesis, ShardRecordProcessorFactory processors) {
    var dynamo = to("DYNAMODB_ENDPOINT", DynamoDbAsyncClient.builder()).build();
    // wanted by the builder and never called: metrics are off
    var cloudWatch = CloudWatchAsyncClient.builder().region(REGION).credentialsProvider(CREDENTIALS)
        .endpointOverride(URI.create("http://127.0.0.1:9")).build();
    String worker = setting("WORKER_ID", "worker-" + UUID.randomUUID());
    return new ConfigsBuilder(tracker, setting("APP", "app"), kinesis, dynamo, cloudWatch, worker, processors);
  }

  static LeaseManagementConfig leases(ConfigsBuilder configs) {
    var leases = configs.leaseManagementConfig()
        .failoverTimeMillis(number("FAILOVER_MS", 3000))
        // what it rests after each look at a stream's shards, the first one too; a minute if not told otherwise
        .shardSyncIntervalMillis(number("SHARD_SYNC_MS", 2000));
    // else it asks the metadata address of a cloud's machine for its CPU
    leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
    return leases;
  }

  /** Consumes until SIGTERM, which finishes the batches at hand and gives the leases back. */
  static void run(Scheduler scheduler) {
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        scheduler.startGracefulShutdown().get(20, TimeUnit.SECONDS);
      } catch (Exception e) {
        System.err.println("no graceful end: " + e);
      }
    }));
    scheduler.run();
  }

  /** Processes a batch, which is to wait for each record as long as DELAY_FILE says. */
  final void process(List<? extends KinesisClientRecord> records, RecordProcessorCheckpointer checkpointer) {
    for (int i = 0; i < records.size(); i++) {
      try {
        work();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
      String sequence = records.get(i).sequenceNumber();
      done++;
      say("done " + shard + " " + sequence);
      boolean last = i == records.size() - 1;
      if (done % CHECKPOINT_EVERY == 0 || (last && CHECKPOINT_BATCH)) {
        checkpoint(checkpointer, sequence);
      }
    }
  }

  /** Waits for as long as one record takes. A change of the delay also counts for a record that is being waited for. */
  private static void work() throws InterruptedException {
    long begun = System.nanoTime();
    while (true) {
      long left = delay() - TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);
      if (left <= 0) {
        return;
      }
      Thread.sleep(Math.min(left, LOOK_EVERY_MS));
    }
  }

  /** The milliseconds in DELAY_FILE; what was known last while it is missing or just being written. */
  private static long delay() {
    try {
      lastDelay = Long.parseLong(Files.readString(DELAY_FILE).strip());
    } catch (Exception e) {
      // as before
    }
    return lastDelay;
  }

  private void checkpoint(RecordProcessorCheckpointer checkpointer, String sequence) {
    if (sequence.equals(checkpointed)) {
      return;
    }
    try {
      checkpointer.checkpoint(sequence);
      checkpointed = sequence;
      say("checkpoint " + shard + " " + sequence);
    } catch (Exception e) {
      System.err.println("no checkpoint of " + shard + ": " + e);
    }
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  @Override
  public final void initialize(InitializationInput input) {
    shard = stream == null ? input.shardId() : MultiStreamLease.getLeaseKey(stream.serialize(), input.shardId());
    say("start " + shard + " at " + input.extendedSequenceNumber().sequenceNumber());
  }

  @Override
  public final void leaseLost(LeaseLostInput input) {
    say("lost " + shard);
  }

  @Override
  public final void shardEnded(ShardEndedInput input) {
    try {
      input.checkpointer().checkpoint();
      say("end " + shard);
    } catch (Exception e) {
      System.err.println("no end of " + shard + ": " + e);
    }
  }

  @Override
  public final void shutdownRequested(ShutdownRequestedInput input) {
    // The last batch has been checkpointed, or is wanted not to be.
  }
}
