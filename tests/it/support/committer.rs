//! Commits for many groups at once, without joining them: a client library has a connection and threads for each group.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::future::join_all;
use keda_stream_scaler::source::kafka::protocol::{
    ApiKey, Connection, ErrorCode, Malformed, Reader, Request, RequestError, Writer,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::driver::WITHIN;

/// A broker that dies answers nothing: the same is sent again after this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// What a group commits.
pub struct Commit {
    pub group: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl Request for Commit {
    const KEY: ApiKey = ApiKey(8);
    const NAME: &'static str = "OffsetCommit";
    const VERSIONS: RangeInclusive<i16> = 5..=5;
    type Answer = ErrorCode;

    fn write(&self, _version: i16, to: &mut Writer) {
        // no member commits
        to.text(&self.group).i32(-1).text("").list(&[self], |to, commit| {
            to.text(&commit.topic).list(&[self], |to, commit| {
                to.i32(commit.partition).i64(commit.offset).nullable_text(None);
            });
        });
    }

    fn read(&self, _version: i16, from: &mut Reader<'_>) -> Result<ErrorCode, Malformed> {
        let mut error = ErrorCode::NONE;
        from.i32()?;
        from.list(|from| {
            from.text()?;
            from.list(|from| {
                from.i32()?;
                error = ErrorCode(from.i16()?);
                Ok(())
            })
        })?;
        Ok(error)
    }
}

/// Commits at each broker in turn, again until all is acknowledged: each takes what it is the coordinator of.
pub async fn commit(brokers: &str, mut commits: Vec<Commit>) {
    let begun = Instant::now();
    let mut brokers = brokers.split(',').cycle();
    while let Some(broker) = brokers.next().filter(|_| !commits.is_empty()) {
        match attempt(broker, &commits).await {
            Ok(errors) => {
                let mut errors = errors.into_iter();
                commits.retain(|_| errors.next() != Some(ErrorCode::NONE));
            }
            Err(error) => println!("could not commit yet: {error}"),
        }
        assert!(begun.elapsed() < WITHIN, "{} commits are not acknowledged", commits.len());
        sleep(Duration::from_millis(50)).await;
    }
}

async fn attempt(broker: &str, commits: &[Commit]) -> Result<Vec<ErrorCode>, RequestError> {
    let until = Instant::now() + ANSWERS_WITHIN;
    let connection = Connection::open(TcpStream::connect(broker).await.unwrap(), "committer".into(), until).await?;
    let answers = join_all(commits.iter().map(|commit| connection.ask(commit, until))).await;
    answers.into_iter().collect()
}
