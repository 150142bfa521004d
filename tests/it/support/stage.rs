//! A small company's targets with half an hour behind them, for those who look at the status page.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::admin::{Readiness, serve};
use keda_stream_scaler::lag::streams::{
    AgeBasis, Backlog, Checkpoint, Lease, SequenceNumber, ShardId, ShardReport, ShardState, Survey, Timestamp, Worker,
};
use keda_stream_scaler::lag::{
    ApplicationObservation, Checkpoints, CommittedOffset, GroupObservation, Member, MemberIndex, Members, Observation,
    Offset, PartitionId, PartitionObservation, SourceError, SourceErrorKind, TopicObservation, Watermarks,
};
use keda_stream_scaler::limits::Limits;
use keda_stream_scaler::sampler::{Sampler, ScaledObjectKey};
use keda_stream_scaler::scaling::Step;
use keda_stream_scaler::scaling::catch_up::CatchUpStep;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::scripted::{Script, Scripted};

/// A name that must be harmless.
pub const HOSTILE: &str = "<script>window.hurt=1</script>";

const STEP: Duration = Duration::from_secs(10);
const PARTITIONS: u32 = 12;

pub struct Stage {
    pub source: Scripted,
    sampler: Sampler<Scripted>,
    asked: Vec<(String, String, Trigger)>,
    group: Group,
}

/// A group that works through a spike.
#[derive(Default)]
struct Group {
    ends: [f64; PARTITIONS as usize],
    committed: [f64; PARTITIONS as usize],
    step: u32,
}

impl Stage {
    /// Begins on a paused clock.
    pub fn new() -> Self {
        let source = Scripted::default();
        let sampler = Sampler::new(source.clone(), Metrics::new("0", "none").sampler.clone());
        Self { source, sampler, asked: Vec::new(), group: Group::default() }
    }

    /// From now on this object asks about `group`.
    pub fn kafka(&mut self, object: (&str, &str), group: &str, changes: &[(&str, &str)]) {
        let base = [
            ("source", "kafka"),
            ("bootstrapServers", "kafka-1:9092,kafka-2:9092"),
            ("consumerGroup", group),
            ("topic", "orders"),
            ("pollInterval", "2s"),
        ];
        self.trigger(object, base.iter().chain(changes));
    }

    /// From now on this object asks about an application on a Kinesis stream.
    pub fn kinesis(&mut self, object: (&str, &str), application: &str, changes: &[(&str, &str)]) {
        let base = [
            ("source", "aws-kinesis-stream"),
            ("streamName", "clicks"),
            ("awsRegion", "eu-west-1"),
            ("scaleOn", "age"),
            ("applicationName", application),
            ("pollInterval", "2s"),
        ];
        self.trigger(object, base.iter().chain(changes));
    }

    fn trigger<'a>(&mut self, (namespace, name): (&str, &str), keys: impl Iterator<Item = &'a (&'a str, &'a str)>) {
        let metadata: HashMap<_, _> = keys.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let trigger = Trigger::parse(&metadata).unwrap();
        self.asked.push((namespace.to_owned(), name.to_owned(), trigger));
    }

    /// What is known of the targets.
    pub const fn sampler(&self) -> &Sampler<Scripted> {
        &self.sampler
    }

    /// Everybody asks.
    pub async fn ask(&self) {
        for (namespace, name, trigger) in &self.asked {
            drop(self.sampler.ask(ScaledObjectKey::new(namespace, name), trigger, Duration::from_millis(10)).await);
        }
    }

    /// The targets that most tests look at, with half an hour behind them.
    pub async fn company() -> Self {
        let mut stage = Self::new();
        stage.kafka(
            ("shop", "order-service"),
            "order-service",
            &[("scaleOn", "catchUp"), ("capacityPerConsumer", "120")],
        );
        stage.kafka(("shop", "invoices"), "invoices", &[("lagThreshold", "500"), ("activationLagThreshold", "100")]);
        stage.kafka(("audit", "invoices-archive"), "invoices", &[("lagThreshold", "2000")]);
        stage.kafka(("shop", "payments"), "payments", &[("lagThreshold", "50")]);
        stage.kafka(("test", "hostile"), HOSTILE, &[]);
        // committed by somebody who is no member
        stage.kafka(("media", "thumbnails"), "thumbnails", &[("scaleOn", "catchUp")]);
        stage.kinesis(("web", "click-counter"), "click-counter", &[("ageThreshold", "60s")]);
        stage.source.set(HOSTILE, Script::Reads(Observation::Kafka(hostile())));
        for step in 0..180_u32 {
            stage.advance(step).await;
        }
        stage
    }

    /// One target whose load has fallen: fewer replicas are enough, but their number is held.
    pub async fn holding() -> Self {
        const NAME: &str = "order-export";
        let mut stage = Self::new();
        let keys = [
            ("scaleOn", "catchUp"),
            ("capacityPerConsumer", "100"),
            ("scaleDownStabilizationWindow", "0s"),
            ("pollInterval", "10s"),
        ];
        stage.kafka(("shop", NAME), NAME, &keys);
        let mut end = 1_000_000;
        for step in 0..180 {
            end += if step < 90 { 250 } else { 165 };
            let partitions = (0..PARTITIONS).map(|number| PartitionObservation {
                partition: PartitionId(number),
                committed: CommittedOffset::At(Offset(end - 20)),
                watermarks: Watermarks { start: Offset(900_000), end: Offset(end) },
                owner: Some(MemberIndex(number % 4)),
            });
            let members = Members::Settled((0..4).map(|number| member(NAME, number)).collect());
            stage.source.set(NAME, Script::Reads(group_on_orders(partitions.collect(), members)));
            stage.ask().await;
            tokio::time::sleep(STEP).await;
            if step >= 90 && stage.holds() {
                return stage;
            }
        }
        panic!("no scale-down is held");
    }

    fn holds(&self) -> bool {
        let view = self.sampler.view().remove(0);
        let judged = view.judge(&view.callers.shown[0]);
        let held = |step: &Step| matches!(step, Step::CatchUp(CatchUpStep::Held { .. }));
        judged.decision().is_some_and(|decision| decision.steps.iter().any(held))
    }

    async fn advance(&mut self, step: u32) {
        self.group.step(step);
        self.source.set("order-service", Script::Reads(self.group.observation(Some(4))));
        self.source.set("invoices", Script::Reads(self.group.observation(None)));
        self.source.set("thumbnails", Script::Reads(self.group.observation(Some(0))));
        if step == 150 {
            self.source.set("payments", Script::FailsWith(unreachable()));
        } else if step < 150 {
            self.source.set("payments", Script::Lag(u64::from(20 + step % 7)));
        }
        self.source.set("click-counter", Script::Reads(clicks(u64::from(step % 40) * 3)));
        if step.is_multiple_of(30) {
            self.ask().await;
        }
        tokio::time::sleep(STEP).await;
    }

    /// The pages, on a free port, until the task ends.
    pub async fn serve(&self) -> (SocketAddr, JoinHandle<anyhow::Result<()>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Readiness::new(CancellationToken::new());
        let metrics = Arc::new(Metrics::new("0", "none"));
        (
            address,
            tokio::spawn(serve(
                listener,
                self.sampler.clone(),
                metrics,
                Limits::default().http_connections,
                readiness,
                None,
            )),
        )
    }
}

impl Group {
    fn step(&mut self, step: u32) {
        self.step = step;
        let seconds = STEP.as_secs_f64();
        let spike = (60..90).contains(&step) || step >= 172;
        let load = if spike { 520.0 } else { 240.0 + 40.0 * (f64::from(step) / 12.0).sin() };
        let able = if step < 72 { 340.0 } else { 480.0 } / (f64::from(PARTITIONS) + 0.4);
        for place in 0..PARTITIONS as usize {
            let share = if place == 3 { 1.4 } else { 1.0 } / (f64::from(PARTITIONS) + 0.4);
            self.ends[place] += load * share * seconds;
            self.committed[place] = self.ends[place].min(self.committed[place] + able * seconds);
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn observation(&self, members: Option<u32>) -> Observation {
        let at = |offset: f64| Offset(1_000_000 + offset as u64);
        let partitions = (0..PARTITIONS).map(|number| PartitionObservation {
            partition: PartitionId(number),
            committed: CommittedOffset::At(at((self.committed[number as usize] - 30.0).max(0.0))),
            watermarks: Watermarks { start: Offset(900_000), end: at(self.ends[number as usize]) },
            owner: members.and_then(|members| number.checked_rem(members)).map(MemberIndex),
        });
        let all = |members| Members::Settled((0..members).map(|number| member("order-service", number)).collect());
        let members = members.map_or(Members::Unread, all);
        group_on_orders(partitions.collect(), members)
    }
}

fn member(of: &str, number: u32) -> Member {
    Member { id: format!("{of}-{number}-8f2c").into(), client_id: format!("{of}-{number}").into() }
}

/// A group on the topic `orders`, whose members have these partitions.
pub fn group_on_orders(partitions: Vec<PartitionObservation>, members: Members) -> Observation {
    let partition_count = u32::try_from(partitions.len()).expect("few");
    let topic = TopicObservation { name: "orders".into(), id: None, partition_count, partitions };
    Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() })
}

fn hostile() -> GroupObservation {
    let partition = PartitionObservation {
        partition: PartitionId(0),
        committed: CommittedOffset::None,
        watermarks: Watermarks { start: Offset(0), end: Offset(7) },
        owner: Some(MemberIndex(0)),
    };
    let partitions = vec![partition];
    let topic = TopicObservation {
        name: HOSTILE.into(),
        id: None,
        partition_count: u32::try_from(partitions.len()).expect("few"),
        partitions,
    };
    let members = Members::Settled(vec![Member { id: HOSTILE.into(), client_id: HOSTILE.into() }]);
    GroupObservation { topics: vec![topic], members, ..GroupObservation::default() }
}

/// What reading an unreachable cluster ends with.
pub fn unreachable() -> SourceError {
    let error = SourceError::new(SourceErrorKind::Unreachable, "could not read the offsets of group payments");
    error
        .because("kafka-1:9092/bootstrap: Connect to 10.0.3.17:9092 failed: Connection refused")
        .remedy("check bootstrapServers and that the brokers' listeners can be reached from the scaler")
}

fn clicks(age: u64) -> Observation {
    let shard = |number: u32| {
        let id = ShardId::new(&format!("shardId-{number:012}"));
        let age = Duration::from_secs(age) / (number + 1);
        ShardReport {
            shard: id.clone(),
            state: Some(ShardState::Open),
            lease: Some(Lease {
                shard: id,
                checkpoint: Checkpoint::After(
                    SequenceNumber::parse("49590338271490256608559692538361571095921575989136588898").unwrap(),
                ),
                sub_sequence: None,
                parents: Vec::new(),
                owner: Some(format!("click-counter-{}", number % 2).into()),
                counter: Some(7),
                throughput_kbps: Some(310.0 + 12.5 * f64::from(number)),
            }),
            bound: Some(age),
            backlog: if age.is_zero() { Backlog::CaughtUp } else { Backlog::Unread { age, basis: AgeBasis::Record } },
        }
    };
    let worker = |number: u32| Worker {
        id: format!("click-counter-{number}").into(),
        written: Some(Timestamp::from_unix_ms(1_699_999_990_000)),
        cpu_percent: if number == 0 { vec![41.0, 47.5, 62.0] } else { Vec::new() },
        most_cpu_percent: (number == 0).then_some(80.0),
    };
    Observation::Application(ApplicationObservation {
        survey: Survey { shards: (0..4).map(shard).collect(), wanted: Vec::new() },
        checkpoints: Checkpoints::Some,
        workers: vec![worker(0), worker(1)],
        table: None,
        retention: Some(Duration::from_secs(86_400)),
        seen: Timestamp::from_unix_ms(1_700_000_000_000),
    })
}
