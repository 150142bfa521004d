//! Frames: encodes requests for a connection, and splits received bytes into answers.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::{Encoding, Malformed, Reader, Request, TooLong, Writer};

/// The maximum length of an answer, in bytes: the largest of a round of readings is several megabytes.
const LONGEST_ANSWER: usize = 64 << 20;
/// The size of the length prefix of a frame, in bytes.
const HEAD: usize = 4;

/// Why the received bytes are not a Kafka frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFrame {
    /// The connection failed with an I/O error.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The received bytes begin as TLS does.
    #[error("the answer is TLS")]
    SpeaksTls,
    /// The received length is negative or too large for an answer.
    #[error("an answer of {0} bytes is not Kafka's")]
    Length(i32),
}

/// Splits received bytes into answers, without their length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frames;

impl Decoder for Frames {
    type Item = Bytes;
    type Error = NoFrame;

    fn decode(&mut self, from: &mut BytesMut) -> Result<Option<Bytes>, NoFrame> {
        let Some(head) = from.first_chunk::<HEAD>() else { return Ok(None) };
        if is_tls(*head) {
            return Err(NoFrame::SpeaksTls);
        }
        let length = i32::from_be_bytes(*head);
        let fits = usize::try_from(length).ok().filter(|length| *length <= LONGEST_ANSWER);
        let whole = HEAD + fits.ok_or(NoFrame::Length(length))?;
        // memory is reserved as the bytes arrive, not for the announced length
        if from.len() < whole {
            return Ok(None);
        }
        Ok(Some(from.split_to(whole).freeze().slice(HEAD..)))
    }

    /// A partial answer at the end of the stream is an error.
    fn decode_eof(&mut self, from: &mut BytesMut) -> Result<Option<Bytes>, NoFrame> {
        self.decode(from)
    }
}

/// Whether the bytes begin a TLS alert or handshake.
fn is_tls([kind, major, ..]: [u8; HEAD]) -> bool {
    matches!(kind, 0x15 | 0x16) && major == 3
}

/// Encodes a request as a frame.
///
/// # Errors
/// Returns an error when a text or list of it is too long.
pub(super) fn frame<R: Request>(
    client_id: &str,
    request: &R,
    version: i16,
    correlation: i32,
) -> Result<Vec<u8>, TooLong> {
    let mut writer = Writer::new(Encoding::Plain);
    // every version of the header encodes the client's name this way
    writer.i16(R::KEY.0).i16(version).i32(correlation).text(client_id);
    writer.set_encoding(R::encoding(version)).tags();
    request.write(version, &mut writer);
    writer.finish_frame()
}

/// Returns the correlation id of an answer.
///
/// # Errors
/// Returns an error when the answer is too short to hold one.
pub(super) fn correlation(answer: &[u8]) -> Result<i32, Malformed> {
    Reader::new(answer, Encoding::Plain).i32()
}

/// Decodes an answer to `request`.
///
/// # Errors
/// Returns an error when it is not a valid answer.
pub(super) fn read<R: Request>(answer: &[u8], request: &R, version: i16) -> Result<R::Answer, Malformed> {
    let mut reader = Reader::new(answer, Encoding::Plain);
    let _correlation = reader.i32()?;
    reader.set_encoding(R::encoding(version));
    reader.tags()?;
    let answer = request.read(version, &mut reader)?;
    reader.finish()?;
    Ok(answer)
}
