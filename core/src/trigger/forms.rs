//! The forms of values, as regular expressions (ECMA-262) for the whole of a value.

/// A Go duration, or whole seconds; the range is not checked.
pub(super) const DURATION: &str = r"(0|[1-9]\d*)|((\d+\.?\d*|\.\d+)(h|m|s|ms|us|µs|μs|ns))+";
/// A number with at most three decimals; the range is not checked.
pub(super) const NUMBER: &str = r"\d{1,12}(\.\d{1,3})?";
/// Numbers as Go writes them.
pub(super) const PARTITIONS: &str = r"\+?\d+( *- *\+?\d+)?( *, *\+?\d+( *- *\+?\d+)?)*";
/// Numbers as JSON writes them.
pub(super) const PARTITIONS_IN_JSON: &str = r"(0|[1-9]\d*)( *- *(0|[1-9]\d*))?( *, *(0|[1-9]\d*)( *- *(0|[1-9]\d*))?)*";
/// `0.x.y.z`, or `x.y.z` from 1 on.
pub(super) const VERSION: &str = r"0(\.\d+){3}|[1-9]\d*(\.\d+){2}";
pub(super) const TIME: &str = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)";
/// A list of brokers; the range of ports is not checked.
pub(super) const BROKERS: &str = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?( *, *(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?)*";
pub(super) const STREAM: &str = "[a-zA-Z0-9_.-]{1,128}";
pub(super) const STREAM_ARN: &str = r"arn:[a-z0-9-]{1,32}:kinesis:[a-z0-9-]{1,32}:\d{12}:stream/[a-zA-Z0-9_.-]{1,128}";
/// A table name or ARN; whether an ARN is of the trigger's region is not checked.
pub(super) const TABLE: &str =
    r"[a-zA-Z0-9_.-]{3,255}|arn:[a-z0-9-]{1,32}:dynamodb:[a-z0-9-]{1,32}:\d{12}:table/[a-zA-Z0-9_.-]{3,255}";
/// One `{shard}`, and no other names in braces than these three.
pub(super) const PATTERN: &str = r"([^{}]|\{application\}|\{stream\})*\{shard\}([^{}]|\{application\}|\{stream\})*";
pub(super) const REGION: &str = r"[a-z0-9-]{1,32}";
pub(super) const ENDPOINT: &str = r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?/?";
pub(super) const ROLE: &str = r"arn:[^:]*:iam::\d+:role/[A-Za-z0-9+=,.@_/-]+";
/// `name=value`, separated by commas.
pub(super) const EXTENSIONS: &str = r"(\s*,)*\s*[^=,\s][^=,]*=[^,]*(,(\s*|\s*[^=,\s][^=,]*=[^,]*))*";
