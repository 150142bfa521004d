//! Connections: frames in, frames out, one after the other as the protocol wants it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::wire::{Reader, Writer};
use super::{Cluster, code, requests};

/// A longer request is none of ours.
const LONGEST: usize = 16 << 20;

/// How soon it is seen that a member is silent for too long.
const EXPIRY: Duration = Duration::from_millis(100);

const API_VERSIONS: i16 = 18;

/// The requests that are answered, and their only version.
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

/// Serves until it is aborted, which ends the connections too.
pub(super) async fn serve(listener: TcpListener, cluster: Arc<Cluster>) {
    let mut connections = JoinSet::new();
    let mut expiry = interval(EXPIRY);
    expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(converse(stream, cluster.clone()));
            },
            Some(_) = connections.join_next() => {}
            _ = expiry.tick() => {
                let now = Instant::now();
                for group in cluster.groups().values_mut() {
                    group.expire(now);
                }
            }
        }
    }
}

/// Until the client hangs up, or says what makes no sense: `None`.
async fn converse(mut stream: TcpStream, cluster: Arc<Cluster>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    loop {
        let length = usize::try_from(stream.read_i32().await.ok()?).ok().filter(|length| *length <= LONGEST)?;
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await.ok()?;
        let mut request = Reader(&frame);
        let (api, version, correlation) = (request.i16()?, request.i16()?, request.i32()?);
        let client_id = request.text()?;
        let mut answer = Writer::default();
        answer.i32(0).i32(correlation);
        if api == API_VERSIONS {
            api_versions(version, &mut answer);
        } else if VERSIONS.contains(&(api, version)) {
            requests::answer(api, &client_id, &mut request, &cluster, &mut answer).await?;
        } else {
            return None;
        }
        let length = i32::try_from(answer.0.len() - 4).ok()?;
        answer.0[..4].copy_from_slice(&length.to_be_bytes());
        stream.write_all(&answer.0).await.ok()?;
    }
}

/// The one request whose version a client cannot know: to another one the answer is an error in version 0, with what there is.
fn api_versions(version: i16, answer: &mut Writer) {
    if version == 3 {
        answer.i16(code::NONE);
        answer.compact_list(&VERSIONS, |answer, (api, version)| {
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
