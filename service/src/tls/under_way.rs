//! The pending handshakes: bounded, and no idle client can keep another client out.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use tokio::task::{AbortHandle, Id};

/// The maximum number of pending handshakes.
const MOST: usize = 256;

/// The maximum of one address. Handshakes of KEDA take milliseconds, so even after a restart few are pending.
const MOST_OF_AN_ADDRESS: usize = 128;

/// The pending handshakes, oldest first.
#[derive(Debug, Default)]
pub(super) struct UnderWay(VecDeque<(SocketAddr, AbortHandle)>);

impl UnderWay {
    pub(super) fn add(&mut self, peer: SocketAddr, task: AbortHandle) {
        self.0.push_back((peer, task));
    }

    pub(super) fn remove(&mut self, id: Id) {
        self.0.retain(|(_, task)| task.id() != id);
    }

    /// Makes room for a handshake with `peer`: ends the oldest handshake of its own address where that has reached its maximum, and the
    /// oldest one of the address with the most where there is no room at all. Returns the address whose handshake ended.
    pub(super) fn make_room(&mut self, peer: SocketAddr) -> Option<SocketAddr> {
        let address = peer.ip().to_canonical();
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (other, _) in &self.0 {
            *counts.entry(other.ip().to_canonical()).or_default() += 1;
        }
        let gives_way = if counts.get(&address).is_some_and(|count| *count >= MOST_OF_AN_ADDRESS) {
            address
        } else if self.0.len() >= MOST {
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(address, _)| address)?
        } else {
            return None;
        };
        let oldest = self.0.iter().position(|(other, _)| other.ip().to_canonical() == gives_way)?;
        let (peer, task) = self.0.remove(oldest)?;
        task.abort();
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], port))
    }

    fn task() -> AbortHandle {
        tokio::spawn(std::future::pending::<()>()).abort_handle()
    }

    #[tokio::test]
    async fn an_address_with_its_share_makes_room_by_its_own_oldest_handshake() {
        let mut under_way = UnderWay::default();
        under_way.add(peer(2, 1), task());
        for port in 0..300 {
            let ended = under_way.make_room(peer(1, port));
            under_way.add(peer(1, port), task());
            let expected = port.checked_sub(128).map(|oldest| peer(1, oldest));
            assert_eq!(ended, expected, "{port}");
        }
        assert_eq!(under_way.0.len(), 129, "the other address keeps its own");
    }

    #[tokio::test]
    async fn where_there_is_no_room_at_all_the_address_with_most_handshakes_gives_way() {
        let mut under_way = UnderWay::default();
        for (host, count) in [(1, 120), (2, 128), (3, 8)] {
            for port in 0..count {
                assert_eq!(under_way.make_room(peer(host, port)), None);
                under_way.add(peer(host, port), task());
            }
        }
        assert_eq!(under_way.make_room(peer(4, 1)), Some(peer(2, 0)));
    }
}
