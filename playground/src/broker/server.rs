//! Connections: reads and answers requests one after the other, as the protocol requires.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use keda_stream_scaler::source::kafka::protocol::{Encoding, Reader, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Cluster, code, requests};

/// The maximum size of a request in bytes.
const LONGEST: usize = 16 << 20;

/// The interval between checks for members without a heartbeat.
const EXPIRY: Duration = Duration::from_millis(100);

const API_VERSIONS: i16 = 18;

/// The supported requests, each with its only version.
const VERSIONS: [(i16, i16); 13] = [
    (0, 7),
    (1, 4),
    (2, 5),
    (3, 12),
    (8, 7),
    (9, 5),
    (10, 2),
    (11, 2),
    (12, 1),
    (13, 1),
    (14, 1),
    (15, 4),
    (API_VERSIONS, 3),
];

/// The requests whose version is a flexible one.
const FLEXIBLE: [i16; 1] = [3];

/// Serves the broker `node` until the task is aborted, which also closes the connections.
pub(super) async fn serve(listener: TcpListener, node: i32, cluster: Arc<Cluster>) {
    let mut connections = JoinSet::new();
    let mut expiry = interval(EXPIRY);
    expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(converse(stream, node, cluster.clone()));
            },
            Some(_) = connections.join_next() => {}
            _ = expiry.tick() => {
                let now = cluster.now();
                for group in cluster.groups().values_mut() {
                    group.expire(now);
                }
            }
        }
    }
}

/// Serves a connection until the client closes it, or sends an invalid request.
async fn converse(mut stream: TcpStream, node: i32, cluster: Arc<Cluster>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let length = usize::try_from(stream.read_i32().await?)?;
        ensure!(length <= LONGEST, "a request of {length} bytes");
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await?;
        while cluster.is_paused(node) {
            sleep(EXPIRY).await;
        }
        let mut request = Reader::new(&frame, Encoding::Plain);
        let (api, version, correlation) = (request.i16()?, request.i16()?, request.i32()?);
        let client_id = request.nullable_text()?.unwrap_or_default();
        let mut answer = Writer::new(Encoding::Plain);
        answer.i32(correlation);
        if api == API_VERSIONS {
            api_versions(version, &mut answer);
        } else {
            ensure!(VERSIONS.contains(&(api, version)), "request {api} in version {version}");
            if FLEXIBLE.contains(&api) {
                request.set_encoding(Encoding::Flexible);
                request.tags()?;
                answer.set_encoding(Encoding::Flexible).tags();
            }
            requests::answer(api, client_id, &mut request, &cluster, &mut answer).await?;
        }
        stream.write_all(&answer.finish_frame()?).await?;
    }
}

/// Answers the one request whose version a client cannot know: another version gets an error in version 0,
/// with the supported versions.
fn api_versions(version: i16, answer: &mut Writer) {
    if version == 3 {
        answer.set_encoding(Encoding::Flexible).i16(code::NONE);
        answer.list(&VERSIONS, |answer, (api, version)| {
            answer.i16(*api).i16(*version).i16(*version).tags();
        });
        answer.i32(0).tags();
    } else {
        answer.i16(if version == 0 { code::NONE } else { code::UNSUPPORTED_VERSION });
        answer.list(&VERSIONS, |answer, (api, version)| {
            answer.i16(*api).i16(*version).i16(*version);
        });
    }
}
