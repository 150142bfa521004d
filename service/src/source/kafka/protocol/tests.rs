//! Fields, and malformed messages.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::time::Instant;

use super::*;
use crate::source::kafka::model::{GroupAsk, PartitionsAsk};

const BOTH: [Encoding; 2] = [Encoding::Plain, Encoding::Flexible];

#[test]
fn what_is_written_is_read_again_in_both_encodings() {
    for encoding in BOTH {
        let long = "x".repeat(300);
        let mut writer = Writer::new(encoding);
        writer.flag(true).i8(-1).i16(-2).i32(3).i64(-4).uuid(5).text(&long).nullable_text(None).bytes(b"six").tags();
        writer.list(&["a", "b"], |writer, item| {
            writer.text(item).tags();
        });
        writer.nullable_list::<()>(None, |_, ()| {});
        let bytes = writer.finish().expect("short");
        let mut reader = Reader::new(&bytes, encoding);
        assert_eq!((reader.flag(), reader.i8(), reader.i16()), (Ok(true), Ok(-1), Ok(-2)));
        assert_eq!((reader.i32(), reader.i64(), reader.uuid()), (Ok(3), Ok(-4), Ok(5)));
        assert_eq!((reader.text(), reader.nullable_text(), reader.bytes()), (Ok(&*long), Ok(None), Ok(&b"six"[..])));
        reader.tags().expect("none");
        let item = |reader: &mut Reader<'_>| {
            let text = reader.text()?.to_owned();
            reader.tags().map(|()| text)
        };
        assert_eq!(reader.list(item), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(reader.nullable_list(Reader::i32), Ok(None));
        reader.finish().expect("the end");
    }
}

#[test]
fn a_length_is_not_believed_before_the_bytes_are_there() {
    let huge = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1];
    let mut reader = Reader::new(&huge, Encoding::Plain);
    assert_eq!(
        reader.list(Reader::i8).expect_err("huge").to_string(),
        "a list that is longer than the message at byte 4 of 8"
    );
    assert!(Reader::new(&huge, Encoding::Plain).bytes().is_err());
    for huge in [&[0xff, 0xff, 0xff, 0xff, 0x0f, 1][..], &[0xff; 9], &[0x80; 9], &[]] {
        assert!(Reader::new(huge, Encoding::Flexible).list(Reader::i8).is_err(), "{huge:?}");
        assert!(Reader::new(huge, Encoding::Flexible).text().is_err(), "{huge:?}");
        assert!(Reader::new(huge, Encoding::Flexible).tags().is_err(), "{huge:?}");
    }
}

#[test]
fn null_is_no_text_no_bytes_and_no_list() {
    for (null, encoding) in [(&[0xff; 4][..], Encoding::Plain), (&[0; 4], Encoding::Flexible)] {
        assert!(Reader::new(null, encoding).text().is_err());
        assert!(Reader::new(null, encoding).bytes().is_err());
        assert!(Reader::new(null, encoding).list(Reader::i8).is_err());
        assert_eq!(Reader::new(null, encoding).nullable_text(), Ok(None));
    }
}

#[test]
fn tagged_fields_are_passed_over_whatever_they_hold() {
    let tagged = [2, 0, 3, 9, 9, 9, 5, 0, 42];
    let mut reader = Reader::new(&tagged, Encoding::Flexible);
    reader.tags().expect("two");
    assert_eq!(reader.i8(), Ok(42));
}

#[test]
fn a_text_that_the_protocol_cannot_hold_is_not_cut() {
    let mut writer = Writer::new(Encoding::Plain);
    writer.text(&"x".repeat(40_000));
    assert_eq!(writer.finish_frame(), Err(TooLong));
}

/// Opens a connection to a broker whose answer has the frame `bytes`.
async fn answered(bytes: &[u8]) -> Result<Connection, RequestError> {
    let (here, mut there) = tokio::io::duplex(4096);
    let deadline = Instant::now() + Duration::from_secs(5);
    let asked = tokio::spawn(Connection::open(here, "me".into(), deadline));
    let mut request = [0; 16];
    there.read_exact(&mut request).await.expect("a request");
    assert_eq!(request, [0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 0, 0, 2, b'm', b'e'], "as Kafka's definition has it");
    there.write_all(bytes).await.expect("room");
    drop(there);
    asked.await.expect("no panic")
}

const GOOD: [u8; 20] = [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0, 9];

#[tokio::test]
async fn the_newest_version_that_both_ends_know_is_used() {
    let connection = answered(&GOOD).await.expect("a broker");
    assert_eq!((connection.kinds(), connection.takes(ApiKey(3)), connection.takes(ApiKey(9))), (1, true, false));
    assert_eq!(connection.version::<Metadata<'_>>(), Ok(9));
    let none = connection.version::<OffsetFetch<'_>>().expect_err("not taken").to_string();
    assert_eq!(none, "the broker and this client have no version of OffsetFetch in common: the broker supports none");
}

#[tokio::test]
async fn an_answer_that_is_short_long_or_to_another_question_is_an_error() {
    let message = |outcome: Result<Connection, RequestError>| outcome.expect_err("an error").to_string();
    let changed = |at: usize, byte: u8| {
        let mut bytes = GOOD;
        bytes[at] = byte;
        bytes
    };
    assert_eq!(message(answered(&GOOD[..12]).await), "the broker closed the connection");
    assert_eq!(
        message(answered(&changed(0, 0x7f)).await),
        "the answer is not Kafka's: an answer of 2130706448 bytes is not Kafka's"
    );
    assert_eq!(message(answered(&changed(1, 0xff)).await), "the broker closed the connection");
    assert_eq!(
        message(answered(&changed(7, 19)).await),
        "the answer is not Kafka's: it answers request 19, which was not sent"
    );
    assert_eq!(
        message(answered(&changed(10, 0x7f)).await),
        "the answer to ApiVersions is not Kafka's: a list that is longer than the message at byte 10 of 16"
    );
    assert_eq!(message(answered(&changed(9, 35)).await), "the broker answers ApiVersions with UNSUPPORTED_VERSION");
    let trailing = [&[0, 0, 0, 17][..], &GOOD[4..], &[0]].concat();
    assert_eq!(
        message(answered(&trailing).await),
        "the answer to ApiVersions is not Kafka's: bytes behind the last field at byte 16 of 17"
    );
}

/// Returns a connection to a broker that supports `Metadata`, and the broker's end of it.
async fn connected() -> (Connection, DuplexStream) {
    let (here, mut there) = tokio::io::duplex(4096);
    let opened = tokio::spawn(Connection::open(here, "me".into(), Instant::now() + Duration::from_secs(1)));
    there.read_exact(&mut [0; 16]).await.expect("a request");
    there.write_all(&GOOD).await.expect("room");
    (opened.await.expect("no panic").expect("a broker"), there)
}

#[tokio::test(start_paused = true)]
async fn an_overdue_answer_closes_the_connection_for_everyone() {
    let (connection, mut there) = connected().await;
    let deadline = |seconds| Instant::now() + Duration::from_secs(seconds);
    let all = Metadata { topics: None };
    let (soon, late) = tokio::join!(connection.ask(&all, deadline(1)), connection.ask(&all, deadline(60)));
    for outcome in [soon, late, connection.ask(&all, deadline(1)).await] {
        let RequestError::Closed(Closed::Overdue { request, within }) = outcome.expect_err("no answer") else {
            panic!("another reason")
        };
        assert_eq!((request, within.as_secs()), ("Metadata", 1));
    }
    assert!(!connection.is_open());
    let mut rest = Vec::new();
    there.read_to_end(&mut rest).await.expect("the other end is closed");
}

/// Records the buffer size of each read.
struct Measured<R>(R, Arc<AtomicUsize>);

impl<R: AsyncRead + Unpin> AsyncRead for Measured<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.1.fetch_max(into.remaining(), Ordering::Relaxed);
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

#[tokio::test]
async fn an_announced_length_takes_no_memory_before_the_bytes_are_there() {
    let (here, mut there) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(here);
    let most = Arc::new(AtomicUsize::default());
    let stream = tokio::io::join(Measured(reader, most.clone()), writer);
    let opened = tokio::spawn(Connection::open(stream, "me".into(), Instant::now() + Duration::from_secs(5)));
    // the frame announces 64 MiB
    there.write_all(&[4, 0, 0, 0]).await.expect("room");
    there.write_all(&[0; 10_000]).await.expect("room");
    drop(there);
    let error = opened.await.expect("no panic").expect_err("closed");
    assert_eq!(error, RequestError::Closed(Closed::ByBroker));
    assert!((1..100_000).contains(&most.load(Ordering::Relaxed)), "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_the_time_for_an_answer_leaves_the_connection_open() {
    let (connection, mut there) = connected().await;
    let all = Metadata { topics: None };
    for left in [Duration::ZERO, Duration::from_millis(999)] {
        let outcome = connection.ask(&all, Instant::now() + left).await;
        assert!(matches!(outcome, Err(RequestError::Closed(Closed::Overdue { .. }))), "{left:?}");
    }
    let answers = (1..=3).flat_map(|number| {
        let (header, brokers) = ([0, 0, 0, 21, 0, 0, 0, number, 0], [0, 0, 0, 0, 1]);
        let (cluster, topics) = ([0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]);
        header.into_iter().chain(brokers).chain(cluster).chain(topics)
    });
    let answers: Vec<_> = answers.collect();
    let asked = connection.ask(&all, Instant::now() + Duration::from_secs(1));
    let (answer, written) = tokio::join!(asked, there.write_all(&answers));
    written.expect("room");
    assert_eq!(answer, Ok(MetadataAnswer { brokers: Vec::new(), topics: Vec::new() }));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_broker_does_not_read_is_overdue_and_closes_the_connection() {
    let (connection, there) = connected().await;
    let names = vec![Arc::from("orders"); 10_000];
    let asked = connection.ask(&Metadata { topics: Some(&names) }, Instant::now() + Duration::from_secs(2)).await;
    assert_eq!(asked.expect_err("overdue").to_string(), "no answer to Metadata within 2000 ms");
    assert!(!connection.is_open());
    drop(there);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_used_is_closed_before_others_drop_it() {
    let (connection, mut there) = connected().await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert!(connection.is_open());
    let mut rest = Vec::new();
    there.read_to_end(&mut rest).await.expect("the other end is closed");
    assert!(!connection.is_open());
    let outcome = connection.ask(&Metadata { topics: None }, Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(outcome.expect_err("closed").to_string(), "the connection was not used for 300 s");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(0x7f), Just(0xff), any::<u8>()], 0..64),
        version in 0..=12_i16,
        flexible in any::<bool>(),
    ) {
        let encoding = if flexible { Encoding::Flexible } else { Encoding::Plain };
        let mut reader = Reader::new(&bytes, encoding);
        every_answer(version, &reader);
        let _ = reader.list(|reader| {
            reader.nullable_text()?;
            reader.nullable_bytes()?;
            reader.nullable_list(Reader::i64)?;
            reader.tags()
        });
    }
}

/// Reads the rest of a message as an answer to each request.
fn every_answer(version: i16, reader: &Reader<'_>) {
    fn read<R: Request>(request: &R, version: i16, reader: &Reader<'_>) {
        let _ = request.read(version, &mut reader.clone());
    }
    let groups = [Arc::from("g")];
    let offsets = [GroupAsk { group: "g".into(), partitions: PartitionsAsk::AllCommitted }];
    let ends =
        ListOffsets { topics: &[], at: OffsetAt::Latest, isolation: Isolation::ReadCommitted, within: Duration::ZERO };
    read(&ApiVersions, version, reader);
    read(&SaslHandshake { mechanism: "PLAIN" }, version, reader);
    read(&SaslAuthenticate { words: b"" }, version, reader);
    read(&Metadata { topics: None }, version, reader);
    read(&FindCoordinator { groups: &groups }, version, reader);
    read(&OffsetFetch { groups: &offsets }, version, reader);
    read(&ends, version, reader);
    read(&DescribeGroups { groups: &groups }, version, reader);
    read(&ConsumerGroupDescribe { groups: &groups }, version, reader);
}
