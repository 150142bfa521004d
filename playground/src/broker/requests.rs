//! The handlers of all requests.

use std::time::Duration;

use keda_stream_scaler::source::kafka::protocol::{Encoding, Reader, Writer};
use tokio::time::{Instant, sleep_until};

use super::group::{Join, Joined};
use super::{Cluster, Group, NODES, Topic, code};

/// The broker that coordinates all groups.
const COORDINATOR: usize = 0;
/// The leader epoch, which never changes.
const LEADER_EPOCH: i32 = 0;
/// The value for authorized operations that means "not computed".
const UNTOLD: i32 = i32::MIN;
/// The interval at which a fetch that found nothing checks again.
const BEAT: Duration = Duration::from_millis(50);

pub(super) async fn answer(
    api: i16,
    client_id: &str,
    request: &mut Reader<'_>,
    cluster: &Cluster,
    answer: &mut Writer,
) -> anyhow::Result<()> {
    match api {
        0 => produce(request, cluster, answer),
        1 => fetch(request, cluster, answer).await,
        2 => list_offsets(request, cluster, answer),
        3 => metadata(request, cluster, answer),
        8 => offset_commit(request, cluster, answer),
        9 => offset_fetch(request, cluster, answer),
        10 => find_coordinator(request, cluster, answer),
        11 => join_group(client_id, request, cluster, answer).await,
        12 => heartbeat(request, cluster, answer),
        13 => leave_group(request, cluster, answer),
        14 => sync_group(request, cluster, answer).await,
        15 => describe_groups(request, cluster, answer),
        _ => anyhow::bail!("request {api} has no answer here"),
    }
}

// === topics ===

fn metadata(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let asked = request.nullable_list(|request| {
        let topic = (request.uuid()?, request.nullable_text()?.unwrap_or_default().to_owned());
        request.tags()?;
        Ok(topic)
    })?;
    let topics = cluster.topics();
    let asked = asked.unwrap_or_else(|| topics.iter().map(|(name, topic)| (topic.id, name.clone())).collect());
    answer.i32(0);
    answer.list(&NODES.iter().zip(&cluster.addresses).collect::<Vec<_>>(), |answer, (node, address)| {
        answer.i32(**node).text(&address.ip().to_string()).i32(address.port().into()).nullable_text(None).tags();
    });
    answer.text("playground").i32(NODES[COORDINATOR]);
    answer.list(&asked, |answer, (id, name)| {
        let found = topics.get_key_value(name).or_else(|| topics.iter().find(|(_, topic)| topic.id == *id));
        if let Some((name, topic)) = found {
            answer.i16(code::NONE).text(name).uuid(topic.id).flag(false);
            let partitions: Vec<_> =
                (0..).zip(NODES.into_iter().cycle()).zip(&topic.partitions).map(|(leads, _)| leads).collect();
            answer.list(&partitions, |answer, (partition, leader)| {
                answer.i16(code::NONE).i32(*partition).i32(*leader).i32(LEADER_EPOCH);
                for nodes in [&[*leader][..], &[*leader], &[]] {
                    answer.list(nodes, |answer, node| {
                        answer.i32(*node);
                    });
                }
                answer.tags();
            });
        } else {
            answer.i16(code::UNKNOWN_TOPIC_OR_PARTITION).text(name).uuid(*id).flag(false);
            answer.list::<()>(&[], |_, ()| {});
        }
        answer.i32(UNTOLD).tags();
    });
    answer.tags();
    Ok(())
}

fn produce(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let (_transaction, _acks, _timeout) = (request.nullable_text()?, request.i16()?, request.i32()?);
    let now = cluster.now();
    let topics = request.list(|request| {
        let name = request.text()?.to_owned();
        let partitions = request.list(|request| {
            let (partition, batch) = (request.i32()?, request.nullable_bytes()?.unwrap_or_default());
            let mut topics = cluster.topics();
            let appended = match topics.get_mut(&name).and_then(|topic| topic.log_mut(partition)) {
                Some(log) => log.append(batch, now).ok_or(code::CORRUPT_MESSAGE),
                None => Err(code::UNKNOWN_TOPIC_OR_PARTITION),
            };
            Ok((partition, appended))
        })?;
        Ok((name, partitions))
    })?;
    answer.list(&topics, |answer, (name, partitions)| {
        answer.text(name).list(partitions, |answer, (partition, appended)| {
            answer.i32(*partition).i16(appended.err().unwrap_or(code::NONE));
            // no timestamp of the broker's own, and a log start that no client here reads
            answer.i64(appended.unwrap_or(-1)).i64(-1).i64(-1);
        });
    });
    answer.i32(0);
    Ok(())
}

async fn fetch(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let (_replica, most_wait, _least, _most) = (request.i32()?, request.i32()?, request.i32()?, request.i32()?);
    let _isolation = request.i8()?;
    let asked = request.list(|request| {
        let name = request.text()?.to_owned();
        Ok((name, request.list(|request| Ok((request.i32()?, request.i64()?, request.i32()?)))?))
    })?;
    let until = Instant::now() + Duration::from_millis(u64::try_from(most_wait).unwrap_or_default());
    loop {
        let (mut found, mut anything) = (Writer::new(Encoding::Plain), false);
        found.i32(0).list(&asked, |found, (name, partitions)| {
            let topics = cluster.topics();
            found.text(name).list(partitions, |found, (partition, offset, most)| {
                let log = topics.get(name).and_then(|topic| topic.log(*partition));
                let read = log.and_then(|log| log.read(*offset, usize::try_from(*most).unwrap_or_default()));
                let end = log.map_or(-1, super::Log::end);
                let code = match (log, &read) {
                    (None, _) => code::UNKNOWN_TOPIC_OR_PARTITION,
                    (_, None) => code::OFFSET_OUT_OF_RANGE,
                    _ => code::NONE,
                };
                let records = read.unwrap_or_default();
                anything |= code != code::NONE || !records.is_empty();
                // no transaction was ever aborted
                found.i32(*partition).i16(code).i64(end).i64(end).i32(-1).bytes(&records);
            });
        });
        let now = Instant::now();
        if anything || now >= until {
            answer.append(&found);
            return Ok(());
        }
        sleep_until(until.min(now + BEAT)).await;
    }
}

fn list_offsets(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    const EARLIEST: i64 = -2;
    const LATEST: i64 = -1;
    let (_replica, _isolation) = (request.i32()?, request.i8()?);
    let asked = request.list(|request| {
        let name = request.text()?.to_owned();
        Ok((name, request.list(|request| Ok((request.i32()?, request.i32()?, request.i64()?)))?))
    })?;
    let topics = cluster.topics();
    answer.i32(0).list(&asked, |answer, (name, partitions)| {
        answer.text(name).list(partitions, |answer, (partition, _epoch, at)| {
            let (code, offset) = match (topics.get(name).and_then(|topic| topic.log(*partition)), *at) {
                (Some(log), EARLIEST) => (code::NONE, log.start()),
                (Some(log), LATEST) => (code::NONE, log.end()),
                // no client here requests offsets by time
                (Some(_), _) => (code::UNSUPPORTED_VERSION, -1),
                (None, _) => (code::UNKNOWN_TOPIC_OR_PARTITION, -1),
            };
            answer.i32(*partition).i16(code).i64(-1).i64(offset).i32(LEADER_EPOCH);
        });
    });
    Ok(())
}

impl Topic {
    fn log(&self, partition: i32) -> Option<&super::Log> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    fn log_mut(&mut self, partition: i32) -> Option<&mut super::Log> {
        self.partitions.get_mut(usize::try_from(partition).ok()?)
    }
}

// === offsets of groups ===

fn offset_commit(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let (name, generation, member) = (request.text()?.to_owned(), request.i32()?, request.text()?.to_owned());
    let _instance = request.nullable_text()?;
    let topics = request.list(|request| {
        let topic = request.text()?.to_owned();
        let partitions = request.list(|request| {
            let (partition, offset, _epoch) = (request.i32()?, request.i64()?, request.i32()?);
            request.nullable_text()?;
            Ok((partition, offset))
        })?;
        Ok((topic, partitions))
    })?;
    let mut groups = cluster.groups();
    let group = groups.entry(name).or_default();
    let refusal = group.may_commit(&member, generation);
    answer.i32(0).list(&topics, |answer, (topic, partitions)| {
        answer.text(topic).list(partitions, |answer, (partition, offset)| {
            if refusal.is_none() {
                group.commit(topic, *partition, *offset);
            }
            answer.i32(*partition).i16(refusal.unwrap_or(code::NONE));
        });
    });
    Ok(())
}

fn offset_fetch(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let name = request.text()?.to_owned();
    let asked = request.nullable_list(|request| Ok((request.text()?.to_owned(), request.list(Reader::i32)?)))?;
    let groups = cluster.groups();
    let group = groups.get(&name);
    let asked = asked.unwrap_or_else(|| group.map(Group::all_committed).unwrap_or_default());
    answer.i32(0).list(&asked, |answer, (topic, partitions)| {
        answer.text(topic).list(partitions, |answer, partition| {
            let committed = group.and_then(|group| group.committed(topic, *partition));
            answer.i32(*partition).i64(committed.unwrap_or(-1)).i32(-1).nullable_text(None).i16(code::NONE);
        });
    });
    answer.i16(code::NONE);
    Ok(())
}

// === groups ===

fn find_coordinator(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let _group = request.text()?;
    let address = cluster.addresses[COORDINATOR];
    answer.i32(0).i16(code::NONE).nullable_text(None);
    answer.i32(NODES[COORDINATOR]).text(&address.ip().to_string()).i32(address.port().into());
    Ok(())
}

async fn join_group(
    client_id: &str,
    request: &mut Reader<'_>,
    cluster: &Cluster,
    answer: &mut Writer,
) -> anyhow::Result<()> {
    let name = request.text()?.to_owned();
    let mut milliseconds = || request.i32().map(|number| Duration::from_millis(number.try_into().unwrap_or_default()));
    let (session, rebalance) = (milliseconds()?, milliseconds()?);
    let (member, _type) = (request.text()?.to_owned(), request.text()?);
    let protocols = request.list(|request| Ok((request.text()?.to_owned(), request.bytes()?.to_vec())))?;
    let join = Join { member, client_id: client_id.to_owned(), session, rebalance, protocols };
    let waiting = cluster.groups().entry(name).or_default().join(join, cluster.now());
    // a group drops the sender of a member that must not wait any longer: then the connection closes
    let Joined { code, generation, protocol, leader, member, members } = waiting.await?;
    answer.i32(0).i16(code).i32(generation).text(&protocol).text(&leader).text(&member);
    answer.list(&members, |answer, (name, said)| {
        answer.text(name).bytes(said);
    });
    Ok(())
}

async fn sync_group(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let (name, generation, member) = (request.text()?.to_owned(), request.i32()?, request.text()?.to_owned());
    let assignments = request.list(|request| Ok((request.text()?.to_owned(), request.bytes()?.to_vec())))?;
    let waiting = cluster.groups().entry(name).or_default().sync(&member, generation, assignments, cluster.now());
    let synced = waiting.await?;
    let code = synced.as_ref().err().copied().unwrap_or(code::NONE);
    answer.i32(0).i16(code).bytes(&synced.unwrap_or_default());
    Ok(())
}

fn heartbeat(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let (name, generation, member) = (request.text()?.to_owned(), request.i32()?, request.text()?.to_owned());
    let code = match cluster.groups().get_mut(&name) {
        Some(group) => group.heartbeat(&member, generation, cluster.now()),
        None => code::UNKNOWN_MEMBER_ID,
    };
    answer.i32(0).i16(code);
    Ok(())
}

fn leave_group(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let (name, member) = (request.text()?.to_owned(), request.text()?.to_owned());
    let code = match cluster.groups().get_mut(&name) {
        Some(group) => group.leave(&member, cluster.now()),
        None => code::UNKNOWN_MEMBER_ID,
    };
    answer.i32(0).i16(code);
    Ok(())
}

fn describe_groups(request: &mut Reader<'_>, cluster: &Cluster, answer: &mut Writer) -> anyhow::Result<()> {
    let names = request.list(|request| request.text().map(str::to_owned))?;
    let groups = cluster.groups();
    answer.i32(0).list(&names, |answer, name| {
        let group = groups.get(name);
        answer.i16(code::NONE).text(name).text(group.map_or("Dead", Group::state)).text("consumer");
        answer.text(group.map_or("", Group::protocol));
        let members: Vec<_> = group.into_iter().flat_map(Group::members).collect();
        answer.list(&members, |answer, (name, member)| {
            answer
                .text(name)
                .nullable_text(None)
                .text(&member.client_id)
                .text("/127.0.0.1")
                .bytes(&[])
                .bytes(&member.assignment);
        });
        answer.i32(UNTOLD);
    });
    Ok(())
}
