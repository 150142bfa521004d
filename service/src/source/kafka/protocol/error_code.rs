//! Kafka's error codes.

use std::fmt;

/// An error code of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i16);

/// Declares codes with Kafka's own names for them.
macro_rules! codes {
    ($($code:literal $name:ident,)+) => {
        impl ErrorCode {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                pub const $name: Self = Self($code);
            )+

            /// Returns Kafka's name of the code, where it is one of those listed here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR,
    0 NONE,
    3 UNKNOWN_TOPIC_OR_PARTITION,
    5 LEADER_NOT_AVAILABLE,
    6 NOT_LEADER_OR_FOLLOWER,
    7 REQUEST_TIMED_OUT,
    8 BROKER_NOT_AVAILABLE,
    9 REPLICA_NOT_AVAILABLE,
    13 NETWORK_EXCEPTION,
    14 COORDINATOR_LOAD_IN_PROGRESS,
    15 COORDINATOR_NOT_AVAILABLE,
    16 NOT_COORDINATOR,
    17 INVALID_TOPIC_EXCEPTION,
    24 INVALID_GROUP_ID,
    29 TOPIC_AUTHORIZATION_FAILED,
    30 GROUP_AUTHORIZATION_FAILED,
    31 CLUSTER_AUTHORIZATION_FAILED,
    33 UNSUPPORTED_SASL_MECHANISM,
    34 ILLEGAL_SASL_STATE,
    35 UNSUPPORTED_VERSION,
    42 INVALID_REQUEST,
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT,
    56 KAFKA_STORAGE_ERROR,
    58 SASL_AUTHENTICATION_FAILED,
    69 GROUP_ID_NOT_FOUND,
    74 FENCED_LEADER_EPOCH,
    75 UNKNOWN_LEADER_EPOCH,
    78 OFFSET_NOT_AVAILABLE,
    89 THROTTLING_QUOTA_EXCEEDED,
    100 UNKNOWN_TOPIC_ID,
}

impl ErrorCode {
    /// Returns the value, where this code is no error.
    ///
    /// # Errors
    /// Returns this code, where it is an error.
    pub fn or<V>(self, value: V) -> Result<V, Self> {
        if self == Self::NONE { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}
