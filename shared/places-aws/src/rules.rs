//! What may be touched, and what is said where it may not.

use sluice_ports::{Error, ErrorKind, Result};
use sluice_stream_kinesis::arn;
use sluice_transfer::{BucketUri, StreamUri};

use crate::allow::Allowed;

/// What may be touched, and as whom.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The own account, where it is known: names without one are in it, and it has to own the buckets.
    pub account: Option<String>,
    /// Partition of resource names: `aws`, `aws-cn`, …
    pub partition: String,
    /// ARNs of streams that may be read.
    pub read_streams: Allowed,
    /// ARNs of streams that may be appended to, and read back.
    pub write_streams: Allowed,
    /// True if streams may be made.
    pub makes_streams: bool,
    /// The caller's account; none if it is not known.
    pub caller: Option<String>,
    /// ARNs of objects that may be read.
    pub read_objects: Allowed,
    /// ARNs of objects that may be made, and read back.
    pub write_objects: Allowed,
    /// The host's own bucket.
    pub work: BucketUri,
}

/// One of the four lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadStreams,
    WriteStreams,
    ReadObjects,
    WriteObjects,
}

impl Access {
    /// The parameter of the stack that holds the list.
    fn parameter(self) -> &'static str {
        match self {
            Self::ReadStreams => "ReadStreams",
            Self::WriteStreams => "WriteStreams",
            Self::ReadObjects => "ReadObjects",
            Self::WriteObjects => "WriteObjects",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::ReadStreams => "streams that may be read",
            Self::WriteStreams => "streams that may be written",
            Self::ReadObjects => "objects that may be read",
            Self::WriteObjects => "objects that may be written",
        }
    }

    /// The error of a name that is not on the list.
    pub(crate) fn refuse(self, name: &str) -> Error {
        let (what, parameter) = (self.what(), self.parameter());
        Error::new(
            ErrorKind::Denied,
            format!("{name} is not on the list of {what} (parameter {parameter} of the stack)"),
        )
    }
}

impl Rules {
    fn list(&self, access: Access) -> &Allowed {
        match access {
            Access::ReadStreams => &self.read_streams,
            Access::WriteStreams => &self.write_streams,
            Access::ReadObjects => &self.read_objects,
            Access::WriteObjects => &self.write_objects,
        }
    }

    /// True if the ARN is on that list.
    pub(crate) fn allows(&self, access: Access, arn: &str) -> bool {
        self.list(access).allows(arn)
    }

    /// `Denied` if the ARN is not on that list.
    pub(crate) fn check(&self, access: Access, arn: &str) -> Result<()> {
        if self.allows(access, arn) { Ok(()) } else { Err(access.refuse(arn)) }
    }

    /// Why a stream of that name is not made; none if it may be.
    pub(crate) fn forbid_making(&self, uri: &StreamUri) -> Option<&'static str> {
        if !self.makes_streams {
            return Some("the parameter CreateTargets of the stack is not true");
        }
        // A stream is made by its name alone, in the caller's account.
        let foreign = arn(&uri.name).is_some_and(|arn| Some(&arn.account) != self.caller.as_ref());
        foreign.then_some("a stream is made in one's own account, and this ARN may be of another: give its name alone")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Rules of a stack that reads and writes what is called so.
    pub(crate) fn rules() -> Rules {
        let streams = |kind: &str| format!("arn:aws:kinesis:*:123456789012:stream/{kind}-*");
        let objects = |kind: &str| format!("arn:aws:s3:::archive/{kind}/*");
        Rules {
            account: Some("123456789012".to_owned()),
            caller: Some("123456789012".to_owned()),
            partition: "aws".to_owned(),
            read_streams: Allowed::only([&*streams("in")]),
            write_streams: Allowed::only([&*streams("out")]),
            makes_streams: false,
            read_objects: Allowed::only([&*objects("in")]),
            write_objects: Allowed::only([&*objects("out")]),
            work: "s3://work".parse().unwrap(),
        }
    }

    #[test]
    fn streams_are_made_where_they_may_be_and_in_the_own_account() {
        // Whom buckets must belong to says nothing of who calls.
        let rules =
            |makes_streams, caller: Option<&str>| Rules { caller: caller.map(str::to_owned), makes_streams, ..rules() };
        let why = |rules: Rules, name: &str| rules.forbid_making(&name.parse().unwrap());
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        assert_eq!(why(rules(true, None), "kinesis:orders"), None);
        assert_eq!(why(rules(true, Some("123456789012")), arn), None);
        for caller in [None, Some("210987654321")] {
            assert!(why(rules(true, caller), arn).unwrap().contains("its name alone"));
        }
        assert!(why(rules(false, None), "kinesis:orders").unwrap().contains("CreateTargets"));
    }

    #[test]
    fn a_refusal_names_what_and_the_parameter() {
        for (access, name) in [
            (Access::ReadStreams, "arn:aws:kinesis:r:123456789012:stream/out-1"),
            (Access::WriteStreams, "arn:aws:kinesis:r:123456789012:stream/in-1"),
            (Access::ReadObjects, "arn:aws:s3:::archive/out/a"),
            (Access::WriteObjects, "arn:aws:s3:::archive/in/a"),
        ] {
            let error = rules().check(access, name).unwrap_err();
            let told = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(told.contains(name) && told.contains(&format!("{access:?}")), "{told}");
        }
    }
}
