//! One request on a connection, and its answer.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Encoding, Malformed, Reader, Request, TooLong, Writer};

/// An answer that is longer is none: the largest that a round of readings gets is some megabytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection broke or was closed.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// What came begins as TLS does.
    #[error("the answer is TLS")]
    SpeaksTls,
    /// What came is too long to be an answer, or negative.
    #[error("an answer of {0} bytes is not Kafka's")]
    Length(i32),
    /// What came answers another request.
    #[error("the answer is to request {0}, which was not sent")]
    OtherRequest(i32),
    /// What came is not the answer to this request.
    #[error("the answer is not Kafka's")]
    Malformed(#[from] Malformed),
    /// The request cannot be written.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Sends `request` as the only one under way, and reads its answer.
///
/// # Errors
/// When what comes is no answer to it. The connection is of no use then.
pub async fn exchange<R: Request, S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    client_id: &str,
    request: &R,
    version: i16,
) -> Result<R::Answer, ExchangeError> {
    let correlation = i32::from(R::KEY.0);
    stream.write_all(&frame(client_id, request, version, correlation)?).await?;
    stream.flush().await?;
    let answer = read_frame(stream).await?;
    let mut reader = Reader::new(&answer, Encoding::Plain);
    let answered = reader.i32()?;
    if answered != correlation {
        return Err(ExchangeError::OtherRequest(answered));
    }
    reader.set_encoding(R::encoding(version));
    reader.tags()?;
    let answer = R::read(version, &mut reader)?;
    reader.finish()?;
    Ok(answer)
}

fn frame<R: Request>(client_id: &str, request: &R, version: i16, correlation: i32) -> Result<Vec<u8>, TooLong> {
    let mut writer = Writer::new(Encoding::Plain);
    // the client's name is written so in every version of the header
    writer.i16(R::KEY.0).i16(version).i32(correlation).text(client_id);
    writer.set_encoding(R::encoding(version)).tags();
    request.write(version, &mut writer);
    writer.finish_frame()
}

async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, ExchangeError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if is_tls(head) {
        return Err(ExchangeError::SpeaksTls);
    }
    let length = i32::from_be_bytes(head);
    let fits = usize::try_from(length).ok().filter(|length| *length <= LONGEST_ANSWER);
    let mut answer = Vec::new();
    // room is made as the bytes come, not as they are announced
    let announced = fits.ok_or(ExchangeError::Length(length))?;
    let read = stream.take(announced as u64).read_to_end(&mut answer).await?;
    if read < announced {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(answer)
}

/// An alert or a handshake of TLS begins so.
fn is_tls([kind, major, ..]: [u8; 4]) -> bool {
    matches!(kind, 0x15 | 0x16) && major == 3
}
