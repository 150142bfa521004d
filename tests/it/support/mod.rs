//! What several tests stand on.

pub(crate) mod mock_cluster;
