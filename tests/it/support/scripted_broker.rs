//! A Kafka broker of one topic and one partition that breaks the protocol as a test tells it to.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use keda_stream_scaler::lag::Offset;
use keda_stream_scaler::source::kafka::protocol::{ApiKey, Encoding, Malformed, Reader, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

pub const LIST_OFFSETS: ApiKey = ApiKey(2);
pub const METADATA: ApiKey = ApiKey(3);
pub const OFFSET_FETCH: ApiKey = ApiKey(9);
pub const FIND_COORDINATOR: ApiKey = ApiKey(10);
pub const LIST_GROUPS: ApiKey = ApiKey(16);
pub const SASL_HANDSHAKE: ApiKey = ApiKey(17);
pub const API_VERSIONS: ApiKey = ApiKey(18);

/// The one version of each request that is answered.
const VERSIONS: [(ApiKey, i16); 7] = [
    (LIST_OFFSETS, 10),
    (METADATA, 12),
    (OFFSET_FETCH, 9),
    (FIND_COORDINATOR, 6),
    (LIST_GROUPS, 5),
    (SASL_HANDSHAKE, 1),
    (API_VERSIONS, 0),
];

pub const TOPIC: &str = "orders";
/// The groups that it coordinates.
pub const GROUPS: [&str; 2] = ["archive", "shop"];
pub const START: Offset = Offset(2);
pub const COMMITTED: Offset = Offset(3);
pub const END: Offset = Offset(10);

/// A running broker, which ends when it is dropped.
pub struct ScriptedBroker {
    /// `host:port`
    pub address: String,
    script: Arc<Mutex<Script>>,
    _serving: AbortOnDropHandle<()>,
}

/// What the broker does.
pub struct Script {
    pub door: Door,
    /// What is wrong with the answers to a request.
    pub faults: HashMap<ApiKey, Fault>,
    /// The error code of the answers to a request.
    pub errors: HashMap<ApiKey, i16>,
    /// The brokers that it names: id, host and port.
    pub brokers: Vec<(i32, String, i32)>,
    pub leader: i32,
    pub coordinator: i32,
    pub throttle_ms: i32,
    /// The versions of requests that it names instead of those that it answers.
    pub versions: Option<(i16, i16)>,
    /// The number of requests so far.
    pub requests: HashMap<ApiKey, usize>,
    connections: Vec<AbortOnDropHandle<()>>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Requests are read.
    Open,
    /// It is closed at once.
    Closed,
    /// It stays open, and nothing is read.
    Ignored,
}

/// What is wrong with an answer. Functions get the frame as it should be.
#[derive(Clone, Copy)]
pub enum Fault {
    Never,
    Late(Duration),
    /// The answer to the next request comes before it.
    Swapped,
    /// These bytes come instead.
    Instead(fn(Vec<u8>) -> Vec<u8>),
    /// These bytes come instead, and the connection is closed.
    ThenClosed(fn(Vec<u8>) -> Vec<u8>),
}

impl ScriptedBroker {
    /// A broker without a fault, the only one of its cluster, with id 1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(Script {
            door: Door::Open,
            faults: HashMap::new(),
            errors: HashMap::new(),
            brokers: vec![(1, "127.0.0.1".to_owned(), i32::from(port))],
            leader: 1,
            coordinator: 1,
            throttle_ms: 0,
            versions: None,
            requests: HashMap::new(),
            connections: Vec::new(),
        }));
        let serving = AbortOnDropHandle::new(tokio::spawn(accept(listener, script.clone())));
        Self { address: format!("127.0.0.1:{port}"), script, _serving: serving }
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub fn port(&self) -> i32 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// What is wrong with the answers to these requests from now on.
    pub fn spoil(&self, request: ApiKey, fault: Fault) {
        self.script().faults.insert(request, fault);
    }

    pub fn requests(&self, request: ApiKey) -> usize {
        self.script().requests.get(&request).copied().unwrap_or_default()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.script().connections.len()
    }

    /// Closes all connections, and has no fault any more.
    pub fn restart(&self) {
        let mut script = self.script();
        script.faults.clear();
        script.errors.clear();
        (script.door, script.versions) = (Door::Open, None);
        script.connections.clear();
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let of = script.clone();
        let serving = tokio::spawn(async move {
            // the client may be gone
            drop(serve(stream, &of).await);
        });
        script.lock().unwrap().connections.push(AbortOnDropHandle::new(serving));
    }
}

async fn serve(mut stream: TcpStream, script: &Mutex<Script>) -> io::Result<()> {
    let door = script.lock().unwrap().door;
    match door {
        Door::Open => {}
        Door::Closed => return Ok(()),
        Door::Ignored => return std::future::pending().await,
    }
    let mut held = Vec::new();
    loop {
        let length = stream.read_u32().await?;
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await?;
        let (answer, fault) = {
            let mut script = script.lock().unwrap();
            let (key, answer) = script.answer(&request).expect("a request that is known here");
            *script.requests.entry(key).or_default() += 1;
            (answer, script.faults.get(&key).copied())
        };
        match fault {
            None => stream.write_all(&answer).await?,
            Some(Fault::Never) => {}
            Some(Fault::Late(pause)) => {
                sleep(pause).await;
                stream.write_all(&answer).await?;
            }
            Some(Fault::Swapped) if held.is_empty() => held = answer,
            Some(Fault::Swapped) => stream.write_all(&[answer, std::mem::take(&mut held)].concat()).await?,
            Some(Fault::Instead(spoilt)) => stream.write_all(&spoilt(answer)).await?,
            Some(Fault::ThenClosed(spoilt)) => return stream.write_all(&spoilt(answer)).await,
        }
    }
}

impl Script {
    /// Which request it is, and the frame of its answer.
    fn answer(&self, request: &[u8]) -> Result<(ApiKey, Vec<u8>), Malformed> {
        let mut request = Reader::new(request, Encoding::Plain);
        let (key, version, number, _client) = (ApiKey(request.i16()?), request.i16()?, request.i32()?, request.text()?);
        assert!(VERSIONS.contains(&(key, version)), "{key:?} {version}");
        let error = self.errors.get(&key).copied().unwrap_or_default();
        let mut answer = Writer::new(Encoding::Plain);
        answer.i32(number);
        if key == API_VERSIONS {
            answer.i16(error).list(&VERSIONS, |answer, (key, version)| {
                let (least, most) = self.versions.unwrap_or((*version, *version));
                answer.i16(key.0).i16(least).i16(most);
            });
            return Ok((key, answer.finish_frame().unwrap()));
        }
        if key == SASL_HANDSHAKE {
            answer.i16(error).list(&["SCRAM-SHA-512"], |answer, mechanism| {
                answer.text(mechanism);
            });
            return Ok((key, answer.finish_frame().unwrap()));
        }
        request.set_encoding(Encoding::Flexible);
        request.tags()?;
        answer.set_encoding(Encoding::Flexible).tags().i32(self.throttle_ms);
        match key {
            METADATA => self.metadata(error, &mut answer),
            FIND_COORDINATOR => self.coordinators(error, &mut request, &mut answer)?,
            LIST_GROUPS => groups(error, &mut answer),
            OFFSET_FETCH => committed(error, &mut request, &mut answer)?,
            _ => offsets(error, &mut request, &mut answer)?,
        }
        Ok((key, answer.tags().clone().finish_frame().unwrap()))
    }

    fn metadata(&self, error: i16, answer: &mut Writer) {
        answer.list(&self.brokers, |answer, (id, host, port)| {
            answer.i32(*id).text(host).i32(*port).nullable_text(None).tags();
        });
        answer.nullable_text(None).i32(-1).list(&[TOPIC], |answer, topic| {
            answer.i16(error).text(topic).uuid(0).flag(false).list(&[0], |answer, partition| {
                answer.i16(0).i32(*partition).i32(self.leader).i32(0);
                for replicas in [[1].as_slice(), &[1], &[]] {
                    answer.list(replicas, |answer, id| {
                        answer.i32(*id);
                    });
                }
                answer.tags();
            });
            answer.i32(0).tags();
        });
    }

    fn coordinators(&self, error: i16, request: &mut Reader<'_>, answer: &mut Writer) -> Result<(), Malformed> {
        let _of_groups = request.i8()?;
        let groups = request.list(|request| request.text().map(str::to_owned))?;
        let (id, host, port) = self.brokers.iter().find(|(id, ..)| *id == self.coordinator).unwrap();
        answer.list(&groups, |answer, group| {
            answer.text(group).i32(*id).text(host).i32(*port).i16(error).nullable_text(None).tags();
        });
        Ok(())
    }
}

fn groups(error: i16, answer: &mut Writer) {
    answer.i16(error).list(&GROUPS, |answer, group| {
        answer.text(group).text("consumer").text("Stable").text("Classic").tags();
    });
}

fn committed(error: i16, request: &mut Reader<'_>, answer: &mut Writer) -> Result<(), Malformed> {
    let groups = request.list(|request| {
        let group = request.text()?.to_owned();
        let (_member, _epoch) = (request.nullable_text()?, request.i32()?);
        request.list(|request| {
            let (_topic, _partitions) = (request.text()?, request.list(Reader::i32)?);
            request.tags()
        })?;
        request.tags().map(|()| group)
    })?;
    answer.list(&groups, |answer, group| {
        answer.text(group).list(&[TOPIC], |answer, topic| {
            answer.text(topic).list(&[0], |answer, partition| {
                answer.i32(*partition).i64(wire(COMMITTED)).i32(0).nullable_text(None).i16(0).tags();
            });
            answer.tags();
        });
        answer.i16(error).tags();
    });
    Ok(())
}

fn offsets(error: i16, request: &mut Reader<'_>, answer: &mut Writer) -> Result<(), Malformed> {
    let (_replica, _isolation) = (request.i32()?, request.i8()?);
    let topics = request.list(|request| {
        let topic = request.text()?.to_owned();
        let partitions = request.list(|request| {
            let (partition, _epoch, at) = (request.i32()?, request.i32()?, request.i64()?);
            request.tags().map(|()| (partition, if at == -1 { END } else { START }))
        })?;
        request.tags().map(|()| (topic, partitions))
    })?;
    answer.list(&topics, |answer, (topic, partitions)| {
        answer.text(topic).list(partitions, |answer, (partition, offset)| {
            answer.i32(*partition).i16(error).i64(-1).i64(wire(*offset)).i32(0).tags();
        });
        answer.tags();
    });
    Ok(())
}

fn wire(offset: Offset) -> i64 {
    i64::try_from(offset.0).unwrap()
}
