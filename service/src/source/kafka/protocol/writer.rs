//! Writes the fields of a message.

use super::Encoding;
use crate::lag::PartitionId;
use crate::source::kafka::model::LeaderEpoch;

/// A text or list is longer than the protocol can encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text or list is longer than Kafka's protocol can encode")]
pub struct TooLong;

/// A message that is being written.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    encoding: Encoding,
    too_long: bool,
}

impl Writer {
    /// Creates an empty message.
    #[must_use]
    pub const fn new(encoding: Encoding) -> Self {
        Self { bytes: Vec::new(), encoding, too_long: false }
    }

    /// Sets the encoding of the following fields; a header may be encoded otherwise.
    pub const fn set_encoding(&mut self, encoding: Encoding) -> &mut Self {
        self.encoding = encoding;
        self
    }

    /// Returns the finished message.
    ///
    /// # Errors
    /// Returns an error when a length does not fit its field.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        if self.too_long { Err(TooLong) } else { Ok(self.bytes) }
    }

    /// Returns the message with its length prefix, as it is sent over a connection.
    ///
    /// # Errors
    /// Returns an error when a length does not fit its field.
    pub fn finish_frame(self) -> Result<Vec<u8>, TooLong> {
        let bytes = self.finish()?;
        let length = i32::try_from(bytes.len()).map_err(|_| TooLong)?;
        Ok([&length.to_be_bytes()[..], &bytes].concat())
    }

    /// Appends the output of another writer.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.too_long |= other.too_long;
        self.put(&other.bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    /// Writes a boolean.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.put(&[u8::from(flag)])
    }

    /// Writes a number of 8 bits.
    pub fn i8(&mut self, number: i8) -> &mut Self {
        self.put(&number.to_be_bytes())
    }

    /// Writes a number of 16 bits.
    pub fn i16(&mut self, number: i16) -> &mut Self {
        self.put(&number.to_be_bytes())
    }

    /// Writes a number of 32 bits.
    pub fn i32(&mut self, number: i32) -> &mut Self {
        self.put(&number.to_be_bytes())
    }

    /// Writes a number of 64 bits.
    pub fn i64(&mut self, number: i64) -> &mut Self {
        self.put(&number.to_be_bytes())
    }

    /// Writes a UUID.
    pub fn uuid(&mut self, id: u128) -> &mut Self {
        self.put(&id.to_be_bytes())
    }

    /// Writes the number of a partition, a non-negative 32-bit integer.
    pub fn partition(&mut self, partition: PartitionId) -> &mut Self {
        self.put(&partition.0.to_be_bytes())
    }

    /// Writes a leader epoch; -1 where it is not known.
    pub fn epoch(&mut self, epoch: Option<LeaderEpoch>) -> &mut Self {
        self.i32(epoch.and_then(|epoch| i32::try_from(epoch.0).ok()).unwrap_or(-1))
    }

    /// Writes text that is not null.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.nullable_text(Some(text))
    }

    /// Writes text, or null.
    pub fn nullable_text(&mut self, text: Option<&str>) -> &mut Self {
        let length = text.map(str::len);
        match self.encoding {
            Encoding::Plain => {
                let length = length.map_or(Ok(-1), i16::try_from);
                self.too_long |= length.is_err();
                self.i16(length.unwrap_or(-1))
            }
            Encoding::Flexible => self.length(length),
        };
        self.put(text.unwrap_or_default().as_bytes())
    }

    /// Writes bytes that are not null.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(Some(bytes.len()));
        self.put(bytes)
    }

    /// Writes a list that is not null.
    pub fn list<T>(&mut self, items: &[T], each: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.nullable_list(Some(items), each)
    }

    /// Writes a list, or null.
    pub fn nullable_list<T>(&mut self, items: Option<&[T]>, mut each: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.length(items.map(<[T]>::len));
        for item in items.unwrap_or_default() {
            each(self, item);
        }
        self
    }

    /// Writes no tagged fields, where the message is a flexible one.
    pub fn tags(&mut self) -> &mut Self {
        match self.encoding {
            Encoding::Plain => self,
            Encoding::Flexible => self.varint(0),
        }
    }

    /// Writes a length, or null.
    fn length(&mut self, length: Option<usize>) -> &mut Self {
        let length = length.map_or(Ok(-1), i32::try_from);
        self.too_long |= length.is_err();
        let length = length.unwrap_or(-1);
        match self.encoding {
            Encoding::Plain => self.i32(length),
            Encoding::Flexible => self.varint(length.wrapping_add(1).cast_unsigned()),
        }
    }

    /// Writes a variable-width number: seven bits per byte, the lowest first.
    fn varint(&mut self, mut number: u32) -> &mut Self {
        while number >= 0x80 {
            let [.., low] = number.to_be_bytes();
            self.put(&[low | 0x80]);
            number >>= 7;
        }
        let [.., last] = number.to_be_bytes();
        self.put(&[last])
    }
}
