//! Names of streams and tables, and the ARNs that may replace them: nothing else is sent to AWS.

use std::fmt;
use std::sync::Arc;

use super::metadata::{Metadata, shown};

/// The length limit of a stream's name in the API of Kinesis.
const LONGEST_STREAM: usize = 128;
/// The length limits of a table's name in the API of DynamoDB.
const SHORTEST_TABLE: usize = 3;
const LONGEST_TABLE: usize = 255;
/// The maximum length of the region of an ARN.
const LONGEST_REGION: usize = 32;

/// A Kinesis stream: one of the caller's own account by its name, or any by its ARN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KinesisStream(Given);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Given {
    Name(Arc<str>),
    Arn { arn: Arc<str>, name: Arc<str> },
}

impl KinesisStream {
    /// Reads `streamName` or `streamARN`; the region is that of the ARN.
    pub(super) fn read<'a>(metadata: &Metadata<'a>) -> (Option<Self>, Option<&'a str>) {
        match (metadata.text("streamName"), metadata.text("streamARN")) {
            (None, None) => {
                metadata.problem("streamName", "is required, unless streamARN is given");
                (None, None)
            }
            (name, Some(arn)) => {
                if name.is_some() {
                    metadata.problem("streamARN", "cannot be given together with streamName");
                }
                let Some(parts) = Arn::of(arn, "kinesis", "stream/", is_stream) else {
                    let example = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
                    metadata
                        .problem("streamARN", format!("{} must be the ARN of a stream, such as {example}", shown(arn)));
                    return (None, None);
                };
                let given = Given::Arn { arn: arn.into(), name: parts.name.into() };
                (Some(Self(given)), Some(parts.region))
            }
            (Some(name), None) if is_stream(name) => (Some(Self(Given::Name(name.into()))), None),
            (Some(name), None) => {
                let problem = if name.starts_with("arn:") {
                    "is an ARN: give it as streamARN".to_owned()
                } else {
                    format!("must be 1 to {LONGEST_STREAM} letters, digits, dots, hyphens and underscores")
                };
                metadata.problem("streamName", format!("{} {problem}", shown(name)));
                (None, None)
            }
        }
    }

    /// The stream's name, without its account.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.0 {
            Given::Name(name) | Given::Arn { name, .. } => name,
        }
    }

    /// The stream's ARN, where the metadata gives it.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        match &self.0 {
            Given::Name(_) => None,
            Given::Arn { arn, .. } => Some(arn),
        }
    }

    /// The stream's name or ARN, as given in the metadata.
    #[must_use]
    pub fn as_given(&self) -> &str {
        self.arn().unwrap_or_else(|| self.name())
    }
}

impl fmt::Display for KinesisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_given())
    }
}

/// Reads the name or the ARN of a DynamoDB table; the API accepts either as `TableName`. An ARN must be of `region`, where that is known.
pub(super) fn table<'a>(metadata: &Metadata<'a>, key: &str, region: Option<&str>) -> Option<&'a str> {
    let text = metadata.text(key)?;
    if is_table(text) {
        return Some(text);
    }
    match Arn::of(text, "dynamodb", "table/", is_table) {
        Some(arn) if region.is_none_or(|region| region == arn.region) => Some(text),
        Some(arn) => {
            let (of, region) = (arn.region, region.unwrap_or_default());
            metadata.problem(key, format!("is the ARN of a table in {of}, but the stream is read in {region}"));
            None
        }
        None => {
            metadata.problem(key, format!("{} must be {TABLE_WORDS}, or the ARN of a table", shown(text)));
            None
        }
    }
}

/// The valid form of a table's name, in words.
pub const TABLE_WORDS: &str = "3 to 255 letters, digits, dots, hyphens and underscores";

/// The name at the end of an ARN; any other text is returned whole.
pub(super) fn last_name(text: &str) -> &str {
    match text.rsplit_once('/') {
        Some((_, name)) if text.starts_with("arn:") => name,
        _ => text,
    }
}

fn is_stream(text: &str) -> bool {
    (1..=LONGEST_STREAM).contains(&text.len()) && is_plain(text)
}

/// Whether the text is a valid name of a DynamoDB table.
pub fn is_table(text: &str) -> bool {
    (SHORTEST_TABLE..=LONGEST_TABLE).contains(&text.len()) && is_plain(text)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// The relevant parts of an ARN.
struct Arn<'a> {
    region: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    /// `arn:<partition>:<service>:<region>:<12 digits>:<prefix><name>`
    fn of(text: &'a str, service: &str, prefix: &str, is_name: impl Fn(&str) -> bool) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let [arn, partition, of, region, account, resource] = [next()?, next()?, next()?, next()?, next()?, next()?];
        let plain = |text: &str| {
            let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=LONGEST_REGION).contains(&text.len()) && text.bytes().all(byte)
        };
        let account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let name = resource.strip_prefix(prefix).filter(|name| is_name(name))?;
        (arn == "arn" && of == service && plain(partition) && plain(region) && account).then_some(Self { region, name })
    }
}
