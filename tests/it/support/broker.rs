//! A broker of a few lines that knows of another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
const BROKER: i32 = 7;

/// Tells whoever asks that the only broker of the cluster is at `port` of 127.0.0.1; counts how often that was told.
pub async fn advertise(listener: TcpListener, port: u16, told: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, port, told.clone()));
    }
}

async fn converse(mut stream: TcpStream, port: u16, told: Arc<AtomicUsize>) -> std::io::Result<()> {
    loop {
        let mut request = vec![0; usize::try_from(stream.read_i32().await?).unwrap()];
        stream.read_exact(&mut request).await?;
        let api = i16::from_be_bytes([request[0], request[1]]);
        let mut answer = request[4..8].to_vec();
        match api {
            // no error; three requests in one version each
            API_VERSIONS => answer.extend([0, 0, 0, 0, 0, 3, 0, 18, 0, 0, 0, 0, 0, 3, 0, 4, 0, 4, 0, 10, 0, 0, 0, 0]),
            METADATA => {
                told.fetch_add(1, Ordering::Relaxed);
                metadata(port, &mut answer);
            }
            // no error; the coordinator of any group
            _ => {
                answer.extend([0, 0]);
                broker(port, &mut answer);
            }
        }
        stream.write_i32(i32::try_from(answer.len()).unwrap()).await?;
        stream.write_all(&answer).await?;
    }
}

/// Version 4 of the answer: one broker, which is the controller, and topic `t`, whose one partition it leads.
fn metadata(port: u16, answer: &mut Vec<u8>) {
    let (no_throttling, one) = (0_i32.to_be_bytes(), 1_i32.to_be_bytes());
    answer.extend([no_throttling, one].concat());
    broker(port, answer);
    // no rack, no name of the cluster
    answer.extend([0xff; 4]);
    answer.extend([BROKER.to_be_bytes(), one].concat());
    answer.extend([0, 0, 0, 1, b't', 0]);
    // one partition without an error: its number, its leader, its replicas and those in sync
    answer.extend(one);
    answer.extend([0; 6]);
    answer.extend([BROKER.to_be_bytes(), [0; 4], [0; 4]].concat());
}

fn broker(port: u16, answer: &mut Vec<u8>) {
    answer.extend(BROKER.to_be_bytes());
    answer.extend(9_i16.to_be_bytes());
    answer.extend(b"127.0.0.1");
    answer.extend(i32::from(port).to_be_bytes());
}
