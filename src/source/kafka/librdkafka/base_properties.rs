//! The properties that every client gets, whatever its trigger says.

/// Property, value; the trigger's own properties come after these and win.
const BASE: [(&str, &str); 15] = [
    // Seen in the brokers' logs and quotas.
    ("client.id", "keda-stream-scaler"),
    // Never joined; without one librdkafka follows a null pointer when a coordinator has moved.
    ("group.id", "keda-stream-scaler"),
    ("enable.auto.commit", "false"),
    // Asking for a topic must not make it.
    ("allow.auto.create.topics", "false"),
    // Log lines come as events, to be limited and written by us.
    ("log.queue", "true"),
    // Warnings and worse.
    ("log_level", "4"),
    // One line for each connection that a broker closes as idle.
    ("log.connection.close", "false"),
    // Saves a request to each cluster; brokers have no use for our figures.
    ("enable.metrics.push", "false"),
    // A connection that is silent for this long is made anew.
    ("socket.timeout.ms", "10000"),
    ("socket.connection.setup.timeout.ms", "10000"),
    // Finds peers that vanished behind a load balancer.
    ("socket.keepalive.enable", "true"),
    // The first try again is quick, and no later one is far away: a recovery shall be seen in the next round.
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "1000"),
    // Leaders are asked for when a row fails; this is for the quiet topics.
    ("topic.metadata.refresh.interval.ms", "300000"),
    ("statistics.interval.ms", "0"),
];

/// The base properties and then `own`.
pub(super) fn complete(own: Vec<(String, String)>) -> Vec<(String, String)> {
    BASE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).chain(own).collect()
}
