//! Coordinators that fail while requests are out, and come back.

use std::fs;

use super::*;

const GROUPS: usize = 8;

fn rounds() -> usize {
    std::env::var("OUTAGE_ROUNDS").map_or(50, |rounds| rounds.parse().unwrap())
}

/// What this process uses: threads, resident kB, open files.
#[derive(Debug)]
struct Usage {
    threads: usize,
    resident_kb: usize,
    files: usize,
}

fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let of = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let files = fs::read_dir("/proc/self/fd").unwrap().count();
    Usage { threads: of("Threads:"), resident_kb: of("VmRSS:"), files }
}

/// Requests that outlive our deadline while no coordinator is known have aborted the process when it came back.
#[tokio::test]
async fn the_process_survives_outages_of_coordinators_with_requests_under_way() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 3, 3);
    let client = client(&cluster);
    let asked = partitions("orders", 3);
    topics(&client, &["orders"]).await;
    let (mut under_way, mut most) = (0, 0);
    let began = Instant::now();
    for round in 0..rounds() {
        // New names: librdkafka remembers the last coordinators.
        let names: Vec<_> = (0..GROUPS).map(|index| format!("group-{round}-{index}")).collect();
        let names = || names.iter().map(String::as_str);
        let broker = 1 + i32::try_from(round % 3).unwrap();
        cluster.fail(FIND_COORDINATOR, Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, 1_000);
        let rows = all(client.committed(asks(names(), &asked), Duration::from_millis(40))).await;
        assert_eq!(rows.len(), GROUPS);
        assert!(rows.values().all(Result::is_err));
        under_way += client.unfinished();
        cluster.down(broker);
        cluster.heal(FIND_COORDINATOR);
        cluster.up(broker);
        eventually("every group is answered after the outage", async || {
            let rows = all(client.committed(asks(names(), &asked), SECOND / 2)).await;
            rows.values().all(Result::is_ok).then_some(())
        })
        .await;
        most = most.max(client.unfinished());
    }
    println!("{} rounds in {:?}, {under_way} requests were under way, at most {most} left", rounds(), began.elapsed());
    assert!(under_way >= rounds(), "only {under_way} requests were under way when their deadline passed");
    assert!(most <= 4 * GROUPS, "{most} unfinished requests");
}

/// One coordinator's connection goes away with requests on it.
#[tokio::test]
async fn the_process_survives_brokers_that_drop_requests() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 3, 3);
    let client = client(&cluster);
    let asked = partitions("orders", 3);
    for round in 0..rounds() {
        let names: Vec<_> = (0..GROUPS).map(|index| format!("group-{}", round * GROUPS % 64 + index)).collect();
        let names = || names.iter().map(String::as_str);
        cluster.fail(OFFSET_FETCH, Code::RD_KAFKA_RESP_ERR__TRANSPORT, 3);
        let rows = all(client.committed(asks(names(), &asked), Duration::from_millis(30))).await;
        assert_eq!(rows.len(), GROUPS);
        cluster.heal(OFFSET_FETCH);
        eventually("every group is answered after the drop", async || {
            let rows = all(client.committed(asks(names(), &asked), SECOND / 2)).await;
            rows.values().all(Result::is_ok).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn clients_come_and_go_without_leaving_anything() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 3, 3);
    let asked = partitions("orders", 3);
    let mut before = None;
    for round in 0..30 {
        let client = client(&cluster);
        committed(&client, "shop", &asked).await.unwrap();
        // Dropped with requests under way.
        drop(client.committed(asks(["a", "b", "c"], &asked), SECOND));
        drop(client);
        if round == 9 {
            before = Some(usage());
        }
    }
    let before = before.unwrap();
    eventually("threads and files of ended clients are gone", async || {
        let now = usage();
        // Other tests of this process come and go too.
        (now.threads <= before.threads + 60 && now.files <= before.files + 120).then_some(())
    })
    .await;
    let now = usage();
    println!("{before:?} {now:?}");
    assert!(now.resident_kb < before.resident_kb + 50_000, "{before:?} {now:?}");
}
