//! The primitives of the Kafka protocol, in their plain and their compact forms.

/// A list that may be null, which stands for everything there is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<T> {
    Everything,
    These(Vec<T>),
}

impl<T> Asked<T> {
    pub(super) fn or(self, everything: impl FnOnce() -> Vec<T>) -> Vec<T> {
        match self {
            Self::Everything => everything(),
            Self::These(items) => items,
        }
    }
}

/// What is left of a request. Every reading is `None` where the bytes end too early or make no sense.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn i8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_be_bytes)
    }

    /// A null is empty.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.i16()?).unwrap_or_default();
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// A null is empty.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.i32()?).unwrap_or_default();
        self.take(length)
    }

    pub(super) fn asked<T>(&mut self, each: impl Fn(&mut Self) -> Option<T>) -> Option<Asked<T>> {
        let Ok(count) = usize::try_from(self.i32()?) else { return Some(Asked::Everything) };
        (0..count).map(|_| each(self)).collect::<Option<_>>().map(Asked::These)
    }

    pub(super) fn list<T>(&mut self, each: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.asked(each).map(|asked| asked.or(Vec::new))
    }

    /// A length or a tag: seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..28).step_by(7) {
            let [byte] = self.array()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn compact_text(&mut self) -> Option<String> {
        let length = self.varint()?.saturating_sub(1);
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    pub(super) fn compact_asked<T>(&mut self, each: impl Fn(&mut Self) -> Option<T>) -> Option<Asked<T>> {
        let Some(count) = self.varint()?.checked_sub(1) else { return Some(Asked::Everything) };
        (0..count).map(|_| each(self)).collect::<Option<_>>().map(Asked::These)
    }

    pub(super) fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(length)?;
        }
        Some(())
    }
}

/// An answer in the making. Lists are shorter than their lengths can tell.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn flag(&mut self, flag: bool) -> &mut Self {
        self.0.push(u8::from(flag));
        self
    }

    pub(super) fn i16(&mut self, number: i16) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn i32(&mut self, number: i32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn i64(&mut self, number: i64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn u128(&mut self, number: u128) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.0.extend(text.bytes());
        self
    }

    pub(super) fn null_text(&mut self) -> &mut Self {
        self.i16(-1)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.0.extend(bytes);
        self
    }

    pub(super) fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
        for item in items {
            each(self, item);
        }
        self
    }

    fn varint(&mut self, mut number: usize) -> &mut Self {
        while number >= 0x80 {
            self.0.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap_or_default());
        self
    }

    pub(super) fn compact_text(&mut self, text: &str) -> &mut Self {
        self.varint(text.len() + 1);
        self.0.extend(text.bytes());
        self
    }

    pub(super) fn compact_null(&mut self) -> &mut Self {
        self.varint(0)
    }

    pub(super) fn compact_list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.varint(items.len() + 1);
        for item in items {
            each(self, item);
        }
        self
    }

    /// None of them.
    pub(super) fn tags(&mut self) -> &mut Self {
        self.varint(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = Writer::default();
        let long = "x".repeat(300);
        writer.flag(true).i16(-2).i32(3).i64(-4).text("five").null_text().bytes(b"six").u128(7);
        writer.list(&["a", "b"], |writer, item| {
            writer.text(item);
        });
        writer
            .compact_text(&long)
            .tags()
            .compact_list(&[8, 9], |writer, item| {
                writer.i32(*item);
            })
            .compact_null();
        let mut reader = Reader(&writer.0);
        assert_eq!((reader.i8(), reader.i16(), reader.i32(), reader.i64()), (Some(1), Some(-2), Some(3), Some(-4)));
        assert_eq!((reader.text(), reader.text()), (Some("five".into()), Some(String::new())));
        assert_eq!((reader.bytes(), reader.u128()), (Some(&b"six"[..]), Some(7)));
        assert_eq!(reader.list(Reader::text), Some(vec!["a".into(), "b".into()]));
        assert_eq!((reader.compact_text(), reader.tags()), (Some(long), Some(())));
        assert_eq!(reader.compact_asked(Reader::i32), Some(Asked::These(vec![8, 9])));
        assert_eq!((reader.compact_asked(Reader::i32), reader.i8()), (Some(Asked::Everything), None));
    }
}
