//! The law in its special states, one by one.
