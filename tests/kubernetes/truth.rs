//! Records of a test, what the scaler says of their consumers, and what is true: shared with the other tests, which use the rest.
#![allow(dead_code, reason = "see above")]

use crate::aws_services;

#[path = "../it/support/truth.rs"]
pub mod records;
#[path = "../it/support/scaler.rs"]
pub mod scaler;

use self::records as truth;
