import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Consumers of a share group: each line of stdin is how many are to run, and is answered by what each has processed. */
public class ShareWorkers {
    public static void main(String[] arguments) throws Exception {
        String servers = arguments[0], group = arguments[1], topic = arguments[2];
        long millisPerRecord = Long.parseLong(arguments[3]);
        List<Worker> workers = new ArrayList<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int wanted = Integer.parseInt(line.trim());
            while (workers.size() < wanted) {
                workers.add(new Worker(servers, group, topic, millisPerRecord));
            }
            while (workers.size() > wanted) {
                workers.remove(workers.size() - 1).end();
            }
            StringBuilder processed = new StringBuilder();
            workers.forEach(worker -> processed.append(worker.processed).append(' '));
            System.out.println(processed.toString().trim());
        }
        for (Worker worker : workers) {
            worker.end();
        }
    }

    static class Worker extends Thread {
        final AtomicInteger processed = new AtomicInteger();
        private final KafkaShareConsumer<byte[], byte[]> consumer;
        private final String topic;
        private final long millisPerRecord;
        private volatile boolean ended;

        Worker(String servers, String group, String topic, long millisPerRecord) {
            Properties properties = new Properties();
            properties.put("bootstrap.servers", servers);
            properties.put("group.id", group);
            properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
            properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
            // no more than a consumer can process soon, so that others get the rest
            properties.put("max.poll.records", "5");
            properties.put("share.acquire.mode", "record_limit");
            this.consumer = new KafkaShareConsumer<>(properties);
            this.topic = topic;
            this.millisPerRecord = millisPerRecord;
            start();
        }

        @Override
        public void run() {
            consumer.subscribe(List.of(topic));
            while (!ended) {
                consumer.poll(Duration.ofMillis(200)).forEach(record -> {
                    try {
                        Thread.sleep(millisPerRecord);
                    } catch (InterruptedException interrupted) {
                        ended = true;
                    }
                    processed.incrementAndGet();
                });
                consumer.commitSync();
            }
            consumer.close();
        }

        void end() throws InterruptedException {
            ended = true;
            join();
        }
    }
}
