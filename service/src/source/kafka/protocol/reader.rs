//! Reads the fields of a message, and never beyond its bytes.

use super::Encoding;
use crate::lag::PartitionId;
use crate::source::kafka::model::LeaderEpoch;

/// The maximum number of list items for which memory is reserved before they are read: a false length costs no more than this.
const MAX_RESERVED: usize = 1_000;

/// Why bytes are not the expected message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of {length}")]
pub struct Malformed {
    what: &'static str,
    at: usize,
    length: usize,
}

/// The rest of a message.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
    length: usize,
    encoding: Encoding,
}

impl<'a> Reader<'a> {
    /// Creates a reader at the start of a message.
    #[must_use]
    pub const fn new(message: &'a [u8], encoding: Encoding) -> Self {
        Self { left: message, length: message.len(), encoding }
    }

    /// Sets the encoding of the rest of the message; its header may be encoded otherwise.
    pub const fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// Ends the message.
    ///
    /// # Errors
    /// Returns an error when bytes are left: they belong to a field that was not read.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.left.is_empty() { Ok(()) } else { Err(self.malformed("bytes behind the last field")) }
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.length - self.left.len(), length: self.length }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let short = self.malformed("the end, within a field");
        let (taken, rest) = self.left.split_at_checked(count).ok_or(short)?;
        self.left = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let short = self.malformed("the end, within a number");
        let (taken, rest) = self.left.split_first_chunk().ok_or(short)?;
        self.left = rest;
        Ok(*taken)
    }

    /// Reads a boolean.
    ///
    /// # Errors
    /// Returns an error when the message ends before it.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        self.array().map(|[byte]| byte != 0)
    }

    /// Reads a number of 8 bits.
    ///
    /// # Errors
    /// Returns an error when the message ends within it.
    pub fn i8(&mut self) -> Result<i8, Malformed> {
        self.array().map(i8::from_be_bytes)
    }

    /// Reads a number of 16 bits.
    ///
    /// # Errors
    /// Returns an error when the message ends within it.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// Reads a number of 32 bits.
    ///
    /// # Errors
    /// Returns an error when the message ends within it.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads a number of 64 bits.
    ///
    /// # Errors
    /// Returns an error when the message ends within it.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// Reads a UUID.
    ///
    /// # Errors
    /// Returns an error when the message ends within it.
    pub fn uuid(&mut self) -> Result<u128, Malformed> {
        self.array().map(u128::from_be_bytes)
    }

    /// Reads the number of a partition.
    ///
    /// # Errors
    /// Returns an error when it is negative, or the message ends within it.
    pub fn partition(&mut self) -> Result<PartitionId, Malformed> {
        let negative = self.malformed("a negative partition");
        u32::try_from(self.i32()?).map(PartitionId).map_err(|_| negative)
    }

    /// Reads a leader epoch; -1 where it is not known.
    ///
    /// # Errors
    /// Returns an error when the message ends within it.
    pub fn epoch(&mut self) -> Result<Option<LeaderEpoch>, Malformed> {
        self.i32().map(LeaderEpoch::from_wire)
    }

    /// Reads text that is not null.
    ///
    /// # Errors
    /// Returns an error when it is null or not UTF-8, or the message ends within it.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let null = self.malformed("null, where there must be text");
        self.nullable_text()?.ok_or(null)
    }

    /// Reads nullable text.
    ///
    /// # Errors
    /// Returns an error when it is not UTF-8, or the message ends within it.
    pub fn nullable_text(&mut self) -> Result<Option<&'a str>, Malformed> {
        let length = match self.encoding {
            Encoding::Plain => i32::from(self.i16()?),
            Encoding::Flexible => self.compact_length()?,
        };
        let Some(bytes) = self.sized(length)? else { return Ok(None) };
        let text = std::str::from_utf8(bytes);
        text.map(Some).map_err(|_| self.malformed("text that is no UTF-8 before the field"))
    }

    /// Reads bytes that are not null.
    ///
    /// # Errors
    /// Returns an error when they are null, or the message ends within them.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let null = self.malformed("null, where there must be bytes");
        self.nullable_bytes()?.ok_or(null)
    }

    /// Reads nullable bytes.
    ///
    /// # Errors
    /// Returns an error when the message ends within them.
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let length = self.length()?;
        self.sized(length)
    }

    /// Reads a list that is not null.
    ///
    /// # Errors
    /// Returns an error when it is null or longer than the message, or one of its items is malformed.
    pub fn list<T>(&mut self, each: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let null = self.malformed("null, where there must be a list");
        self.nullable_list(each)?.ok_or(null)
    }

    /// Reads a nullable list.
    ///
    /// # Errors
    /// Returns an error when it is longer than the message, or one of its items is malformed.
    pub fn nullable_list<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        let Ok(count) = usize::try_from(self.length()?) else { return Ok(None) };
        // an item has one byte at least
        if count > self.left.len() {
            return Err(self.malformed("a list that is longer than the message"));
        }
        let mut items = Vec::with_capacity(count.min(MAX_RESERVED));
        for _ in 0..count {
            items.push(each(self)?);
        }
        Ok(Some(items))
    }

    /// Skips the tagged fields that end a structure of a flexible message.
    ///
    /// # Errors
    /// Returns an error when the message ends within them.
    pub fn tags(&mut self) -> Result<(), Malformed> {
        if self.encoding == Encoding::Plain {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.take(usize::try_from(size).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }

    /// Reads the bytes that follow a length; `None` where the length is negative.
    fn sized(&mut self, length: i32) -> Result<Option<&'a [u8]>, Malformed> {
        usize::try_from(length).ok().map(|length| self.take(length)).transpose()
    }

    fn length(&mut self) -> Result<i32, Malformed> {
        match self.encoding {
            Encoding::Plain => self.i32(),
            Encoding::Flexible => self.compact_length(),
        }
    }

    /// Reads a compact length: one more than the length, so that 0 is null.
    fn compact_length(&mut self) -> Result<i32, Malformed> {
        let too_long = self.malformed("a length that is too large");
        i32::try_from(i64::from(self.varint()?) - 1).map_err(|_| too_long)
    }

    /// Reads a variable-width number: seven bits per byte, the lowest first.
    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(number).map_err(|_| self.malformed("a number of more than 32 bits before"));
            }
        }
        Err(self.malformed("a number without an end before"))
    }
}
