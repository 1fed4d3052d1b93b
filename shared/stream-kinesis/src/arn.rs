//! The ARN of a stream, as its owner writes it.

use std::fmt;

/// What a stream's ARN tells (`arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME`; Service Authorization Reference,
/// "Resource types defined by Amazon Kinesis Data Streams").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamArn {
    /// `aws`, or that of another partition.
    pub partition: String,
    /// The region that the client has to talk to.
    pub region: String,
    /// The account that owns the stream: 12 digits.
    pub account: String,
    /// The stream's name.
    pub stream: String,
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, region, account, stream } = self;
        write!(f, "arn:{partition}:kinesis:{region}:{account}:stream/{stream}")
    }
}

/// The parts of a stream's ARN; none if the name is not one.
pub fn arn(name: &str) -> Option<StreamArn> {
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else { return None };
    let stream = resource.strip_prefix("stream/")?;
    let account_is_one = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    // A region becomes part of a host's name.
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain(partition) || !plain(region) {
        return None;
    }
    let named = !stream.is_empty() && !stream.contains(['/', ':']);
    if arn != "arn" || partition.is_empty() || service != "kinesis" || region.is_empty() || !account_is_one || !named {
        return None;
    }
    let own = str::to_owned;
    Some(StreamArn { partition: own(partition), region: own(region), account: own(account), stream: own(stream) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_streams() {
        let found = arn("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders.v1").unwrap();
        let parts = [&found.partition, &found.region, &found.account, &found.stream];
        assert_eq!(arn(&found.to_string()).as_ref(), Some(&found));
        assert_eq!(parts, ["aws-cn", "cn-north-1", "123456789012", "orders.v1"]);
    }

    #[test]
    fn everything_else() {
        for name in [
            "",
            "orders",
            "arn:aws:kinesis:us-east-1:123456789012",
            "arn:aws:kinesis:evil.example/:123456789012:stream/a",
            "arn:aws:kinesis:us-east-1:123456789012:stream/",
            "arn:aws:kinesis:us-east-1:123456789012:stream/a/consumer/b:1",
            "arn:aws:kinesis:us-east-1:12345678901x:stream/a",
            "arn:aws:kinesis::123456789012:stream/a",
            "arn:aws:s3:us-east-1:123456789012:stream/a",
            "urn:aws:kinesis:us-east-1:123456789012:stream/a",
        ] {
            assert_eq!(arn(name), None, "{name}");
        }
    }
}
