//! A broker of a few lines that knows of another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const API_VERSIONS: i16 = 18;

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
        if api == API_VERSIONS {
            // no error; two requests in one version each; no throttling; version 3's tags
            answer.extend([0, 0, 3, 0, 3, 0, 1, 0, 1, 0, 0, 18, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]);
        } else {
            told.fetch_add(1, Ordering::Relaxed);
            metadata(port, &mut answer);
        }
        stream.write_i32(i32::try_from(answer.len()).unwrap()).await?;
        stream.write_all(&answer).await?;
    }
}

/// Version 1 of the answer: one broker, which is the controller, and no topic.
fn metadata(port: u16, answer: &mut Vec<u8>) {
    answer.extend(1_i32.to_be_bytes());
    answer.extend(7_i32.to_be_bytes());
    answer.extend(9_i16.to_be_bytes());
    answer.extend(b"127.0.0.1");
    answer.extend(i32::from(port).to_be_bytes());
    answer.extend((-1_i16).to_be_bytes());
    answer.extend(7_i32.to_be_bytes());
    answer.extend(0_i32.to_be_bytes());
}
