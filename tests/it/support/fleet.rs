//! Many targets in every state, with half an hour behind them, for those who look at the status page.

use std::time::Duration;

use keda_stream_scaler::lag::{
    CommittedOffset, Member, MemberIndex, Members, Observation, Offset, PartitionId, PartitionObservation, SourceError,
    SourceErrorKind, Watermarks,
};

use super::scripted::Script;
use super::stage::{Stage, group_on_orders};

/// A reading of each target, and the length of the past.
const STEP: Duration = Duration::from_secs(30);
const STEPS: u32 = 60;
/// The step at which a cluster dies and topics vanish.
const TROUBLE: u32 = 48;

const NAMESPACES: [&str; 6] = ["analytics", "billing", "checkout", "fleet", "search", "shop"];
const NAMES: [&str; 10] = [
    "ledger-sync",
    "order-export",
    "clickstream-etl",
    "invoice-render",
    "emails",
    "indexer",
    "nightly-pdf",
    "stock",
    "order-service",
    "sessions",
];

/// What a target is like; its number decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// More arrives than its consumers can process.
    Late,
    /// One record in many partitions more than there are consumers for.
    Capped,
    /// On the cluster that dies.
    Dead,
    /// Of a topic that vanishes.
    Gone,
    /// Nothing arrives any more.
    Idle,
    /// Many consumers, and much less to do than before.
    Calm,
    /// One partition makes no progress.
    Poison,
    /// A load that swings around what its consumers can process.
    Steady,
    /// Scaled by a threshold, with a load that swings.
    Threshold,
}

/// A group that works through what arrives.
struct Work {
    group: String,
    kind: Kind,
    /// Distinguishes targets of one kind, between 0 and 1.
    variety: f64,
    ends: f64,
    committed: f64,
    /// Where the first partition of a poisoned group stays.
    stays: Option<Offset>,
}

impl Kind {
    fn of(number: usize) -> Self {
        match number % 15 {
            1 => Self::Late,
            2 => Self::Capped,
            3 | 8 => Self::Dead,
            4 if number < 30 => Self::Gone,
            5 if number < 60 => Self::Calm,
            10 if number < 60 => Self::Poison,
            6 => Self::Idle,
            7 | 9 | 12 => Self::Threshold,
            _ => Self::Steady,
        }
    }

    const fn partitions(self) -> u32 {
        match self {
            Self::Capped => 3,
            _ => 12,
        }
    }

    const fn consumers(self) -> u32 {
        match self {
            Self::Idle => 0,
            Self::Capped => 3,
            Self::Calm => 12,
            _ => 4,
        }
    }

    /// Arrivals in records per second.
    fn arrivals(self, step: u32, variety: f64) -> f64 {
        let turn = (f64::from(step) / (5.0 + 6.0 * variety) + 9.0 * variety).sin();
        match self {
            Self::Late if step > 40 => 560.0 + 240.0 * variety + 40.0 * turn,
            Self::Calm if step < 52 => 900.0 + 50.0 * turn,
            Self::Calm => 300.0,
            Self::Capped => 180.0 + 40.0 * turn,
            Self::Idle if step > 20 => 0.0,
            Self::Threshold => 200.0 + 120.0 * turn,
            _ => 250.0 + 80.0 * variety + (120.0 + 100.0 * variety) * turn,
        }
    }

    const fn able(self) -> f64 {
        match self {
            Self::Capped => 130.0,
            Self::Calm => 1400.0,
            Self::Threshold => 300.0,
            _ => 420.0,
        }
    }
}

/// A stage with this number of targets.
pub async fn fleet(targets: usize) -> Stage {
    let mut stage = Stage::new();
    let mut works: Vec<_> = (0..targets).map(|number| add(&mut stage, number)).collect();
    for step in 0..STEPS {
        for work in &mut works {
            stage.source.set(&work.group.clone(), work.step(step));
        }
        if step.is_multiple_of(10) {
            stage.ask().await;
        }
        tokio::time::sleep(STEP).await;
    }
    stage
}

fn add(stage: &mut Stage, number: usize) -> Work {
    let kind = Kind::of(number);
    let name = match number / NAMES.len() {
        0 => NAMES[number % NAMES.len()].to_owned(),
        more => format!("{}-{more}", NAMES[number % NAMES.len()]),
    };
    let namespace = NAMESPACES[number % NAMESPACES.len()];
    let cluster = if kind == Kind::Dead { "kafka-2.prod:9092" } else { "kafka-1.prod:9092" };
    let policy: &[(&str, &str)] = match kind {
        Kind::Capped | Kind::Threshold => &[("lagThreshold", "500")],
        _ => &[("scaleOn", "catchUp"), ("maxAge", "60s"), ("capacityPerConsumer", "110")],
    };
    let changes = [&[("bootstrapServers", cluster), ("pollInterval", "30s"), ("maxStaleness", "10m")], policy].concat();
    stage.kafka((namespace, &name), &name, &changes);
    let variety = f64::from(u32::try_from(number * 7 % 11).expect("small")) / 10.0;
    Work { group: name, kind, variety, ends: 0.0, committed: 0.0, stays: None }
}

impl Work {
    fn step(&mut self, step: u32) -> Script {
        let seconds = STEP.as_secs_f64();
        self.ends += self.kind.arrivals(step, self.variety) * seconds;
        self.committed = self.ends.min(self.committed + self.kind.able() * seconds);
        if self.kind == Kind::Poison && step == TROUBLE - 8 {
            self.stays = Some(self.at(self.committed));
        }
        match self.kind {
            Kind::Dead if step >= TROUBLE => Script::FailsWith(self.unreachable()),
            Kind::Gone if step >= TROUBLE => Script::FailsWith(self.gone()),
            _ => Script::Reads(self.observation()),
        }
    }

    fn unreachable(&self) -> SourceError {
        SourceError::new(SourceErrorKind::Unreachable, format!("could not read the offsets of group {}", self.group))
            .because("kafka-2.prod:9092: Connection refused")
            .remedy("check bootstrapServers, the listener's security, and that the brokers are up")
    }

    fn gone(&self) -> SourceError {
        SourceError::new(SourceErrorKind::Missing, format!("could not read the end of the log for {}", self.group))
            .because("topic EMAILS.V11 does not exist")
            .remedy("create the topic, or correct topic and partitionLimitation")
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn at(&self, records: f64) -> Offset {
        Offset(1_000_000 + (records.max(0.0) / f64::from(self.kind.partitions())) as u64)
    }

    fn observation(&self) -> Observation {
        let committed = self.at(self.committed - 100.0 - 400.0 * self.variety);
        let end = if self.kind == Kind::Idle { committed } else { self.at(self.ends) };
        let partitions = (0..self.kind.partitions()).map(|number| PartitionObservation {
            partition: PartitionId(number),
            committed: CommittedOffset::At(self.stays.filter(|_| number == 0).unwrap_or(committed)),
            watermarks: Watermarks { start: Offset(900_000), end },
            owner: number.checked_rem(self.kind.consumers()).map(MemberIndex),
        });
        let member = |number: u32| Member {
            id: format!("{}-{number}-8f2c", self.group).into(),
            client_id: format!("{}-7c9f4d-{number}", self.group).into(),
        };
        let members = Members::Settled((0..self.kind.consumers()).map(member).collect());
        group_on_orders(partitions.collect(), members)
    }
}
