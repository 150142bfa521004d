//! Frames: requests as they go over a connection, and answers as they come.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::{Encoding, Malformed, Reader, Request, TooLong, Writer};

/// An answer that is longer is none: the largest that a round of readings gets is some megabytes.
const LONGEST_ANSWER: usize = 64 << 20;
/// The length that stands before a frame.
const HEAD: usize = 4;

/// What came is no frame of Kafka's.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFrame {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// What came begins as TLS does.
    #[error("the answer is TLS")]
    SpeaksTls,
    /// What came is too long to be an answer, or negative.
    #[error("an answer of {0} bytes is not Kafka's")]
    Length(i32),
}

/// Cuts what comes into answers, without their length.
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
        // room is made as the bytes come, not as they are announced
        if from.len() < whole {
            return Ok(None);
        }
        Ok(Some(from.split_to(whole).freeze().slice(HEAD..)))
    }

    /// An answer that has come in part is none.
    fn decode_eof(&mut self, from: &mut BytesMut) -> Result<Option<Bytes>, NoFrame> {
        self.decode(from)
    }
}

/// An alert or a handshake of TLS begins so.
fn is_tls([kind, major, ..]: [u8; HEAD]) -> bool {
    matches!(kind, 0x15 | 0x16) && major == 3
}

/// A request, ready to be sent.
///
/// # Errors
/// When a text or list of it is too long.
pub(super) fn frame<R: Request>(
    client_id: &str,
    request: &R,
    version: i16,
    correlation: i32,
) -> Result<Vec<u8>, TooLong> {
    let mut writer = Writer::new(Encoding::Plain);
    // the client's name is written so in every version of the header
    writer.i16(R::KEY.0).i16(version).i32(correlation).text(client_id);
    writer.set_encoding(R::encoding(version)).tags();
    request.write(version, &mut writer);
    writer.finish_frame()
}

/// Which request an answer is to.
///
/// # Errors
/// When it does not say so.
pub(super) fn correlation(answer: &[u8]) -> Result<i32, Malformed> {
    Reader::new(answer, Encoding::Plain).i32()
}

/// What an answer to `request` says.
///
/// # Errors
/// When it is not one.
pub(super) fn read<R: Request>(answer: &[u8], request: &R, version: i16) -> Result<R::Answer, Malformed> {
    let mut reader = Reader::new(answer, Encoding::Plain);
    let _correlation = reader.i32()?;
    reader.set_encoding(R::encoding(version));
    reader.tags()?;
    let answer = request.read(version, &mut reader)?;
    reader.finish()?;
    Ok(answer)
}
