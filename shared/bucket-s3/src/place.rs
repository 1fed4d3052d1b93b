//! Which bucket, and where in it, a name means.

use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::limits::excerpt;
use sluice_transfer::{BucketUri, check_key, check_readable};

/// Names that S3 keeps for itself, by how they begin.
const RESERVED_BEGINNINGS: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
/// And by how they end: aliases of access points, directory buckets and tables.
const RESERVED_ENDS: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Bucket and prefix, without slashes at its ends and empty for the bucket's top, of `s3://BUCKET/PREFIX` or
/// `arn:aws:s3:::BUCKET/PREFIX`.
///
/// `Invalid` if it is neither, if the bucket's name breaks the rules (Amazon S3 user guide, "General purpose bucket
/// naming rules"), or if keys below the prefix would not be safe. Directory buckets are refused: they list their keys
/// in no order.
pub fn place(uri: &BucketUri) -> Result<(String, String)> {
    let (bucket, prefix) = split(uri)?;
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    match check_key(prefix) {
        Err(error) if !prefix.is_empty() => refuse(uri, &format!("as a prefix, {error}")),
        _ => Ok((bucket.to_owned(), prefix.to_owned())),
    }
}

/// Bucket and key, or prefix, of a place to read from. Others may have written there, so any key that can be asked for
/// is taken. A slash at its end is kept: it means what lies below.
pub fn source(uri: &BucketUri) -> Result<(String, String)> {
    let (bucket, key) = split(uri)?;
    match check_readable(key) {
        Err(error) if !key.is_empty() => refuse(uri, &format!("as a key, {error}")),
        _ => Ok((bucket.to_owned(), key.to_owned())),
    }
}

/// A bucket's name, and what stands behind it.
fn split(uri: &BucketUri) -> Result<(&str, &str)> {
    let path = match uri.scheme.as_str() {
        "s3" => uri.rest.strip_prefix("//").unwrap_or(&uri.rest),
        "arn" => resource(uri)?,
        other => {
            return refuse(uri, &format!("'{}' is no kind of S3 bucket: write s3://BUCKET/PREFIX", excerpt(other)));
        }
    };
    let (bucket, behind) = path.split_once('/').unwrap_or((path, ""));
    if let Err(why) = check_name(bucket) {
        return refuse(uri, &format!("'{}' is no bucket's name: {why}", excerpt(bucket.escape_debug())));
    }
    Ok((bucket, behind))
}

fn refuse<T>(uri: &BucketUri, why: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Invalid, format!("{}: {why}", excerpt(uri))))
}

/// What an ARN names: `PARTITION:s3:::BUCKET/PREFIX` behind its first word.
fn resource(uri: &BucketUri) -> Result<&str> {
    let fields: Vec<&str> = uri.rest.splitn(5, ':').collect();
    match fields[..] {
        [_, "s3", "", "", path] => Ok(path),
        [_, "s3", _, _, _] => {
            refuse(uri, "an access point is not taken: name the bucket, as arn:aws:s3:::BUCKET/PREFIX")
        }
        _ => refuse(uri, "this is no bucket's ARN: write arn:aws:s3:::BUCKET/PREFIX or s3://BUCKET/PREFIX"),
    }
}

fn check_name(name: &str) -> std::result::Result<(), String> {
    let refuse = |why: &str| Err(why.to_owned());
    let alphanumeric = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !(3..=63).contains(&name.len()) {
        return refuse("it has 3 to 63 characters");
    }
    if !name.bytes().all(|b| alphanumeric(Some(b)) || b == b'.' || b == b'-') {
        return refuse("it has lower case letters, digits, dots and hyphens only");
    }
    if !alphanumeric(name.bytes().next()) || !alphanumeric(name.bytes().last()) {
        return refuse("it begins and ends with a letter or a digit");
    }
    if name.contains("..") {
        return refuse("two dots stand side by side");
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return refuse("it looks like an IP address");
    }
    if let Some(reserved) = RESERVED_BEGINNINGS.iter().find(|reserved| name.starts_with(**reserved)) {
        return Err(format!("names that begin with '{reserved}' are reserved"));
    }
    if let Some(reserved) = RESERVED_ENDS.iter().find(|reserved| name.ends_with(**reserved)) {
        return Err(format!("names that end with '{reserved}' are those of access points, directories and tables"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(text: &str) -> std::result::Result<(String, String), String> {
        // As configuration may hand an ARN over: not all of them can be parsed as a bucket.
        let uri = match text.split_once(':').unwrap() {
            (scheme @ "arn", rest) => BucketUri { scheme: scheme.to_owned(), rest: rest.to_owned() },
            _ => text.parse().unwrap(),
        };
        place(&uri).map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            error.to_string()
        })
    }

    #[test]
    fn names_lead_to_buckets_and_prefixes() {
        for (text, bucket, prefix) in [
            ("s3://archive", "archive", ""),
            ("s3://archive/", "archive", ""),
            ("s3:archive/orders", "archive", "orders"),
            ("s3://archive/orders/2026/", "archive", "orders/2026"),
            ("s3://a.b-c.1/zürich/x=1", "a.b-c.1", "zürich/x=1"),
            ("arn:aws:s3:::archive", "archive", ""),
            ("arn:aws-cn:s3:::archive/orders", "archive", "orders"),
        ] {
            assert_eq!(placed(text), Ok((bucket.to_owned(), prefix.to_owned())), "{text}");
        }
    }

    #[test]
    fn places_to_read_from_are_taken_as_they_are() {
        let sourced = |text: &str| source(&text.parse().unwrap()).map_err(|error| error.to_string());
        for (text, key) in [
            ("s3://archive", ""),
            ("s3://archive/", ""),
            ("s3://archive/orders", "orders"),
            ("s3://archive/orders/", "orders/"),
            ("s3://archive//orders//a", "/orders//a"),
            ("s3://archive/a\\b", "a\\b"),
        ] {
            assert_eq!(sourced(text), Ok(("archive".to_owned(), key.to_owned())), "{text}");
        }
        for (text, why) in
            [("s3://archive/../b", "climbs"), ("s3://archive/.sluice/x", ".sluice"), ("s3://Archive/x", "lower")]
        {
            assert!(sourced(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_a_reason() {
        for (text, why) in [
            ("dir:/var/x", "no kind of S3 bucket"),
            ("s3://ab", "3 to 63"),
            ("s3:///orders", "3 to 63"),
            (&format!("s3://{}", "a".repeat(64)), "3 to 63"),
            ("s3://Archive/x", "lower case"),
            ("s3://arch_ive", "lower case"),
            ("s3://-archive", "begins and ends"),
            ("s3://archive.", "begins and ends"),
            ("s3://a..b", "side by side"),
            ("s3://192.168.5.4", "IP address"),
            ("s3://xn--archive", "'xn--' are reserved"),
            ("s3://sthree-archive", "'sthree-' are reserved"),
            ("s3://archive--use1-az4--x-s3", "--x-s3"),
            ("s3://archive-s3alias", "-s3alias"),
            ("s3://archive/a//b", "empty segment"),
            ("s3://archive//b", "absolute"),
            ("s3://archive/../b", "climbs"),
            ("s3://archive/.sluice", ".sluice"),
            ("arn:aws:s3:eu-west-1:123456789012:accesspoint/x", "access point"),
            ("arn:aws:kinesis:::x", "no bucket's ARN"),
            ("arn:aws:s3", "no bucket's ARN"),
        ] {
            let refused = placed(text).expect_err(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
        let long = placed(&format!("s3://{}", "a".repeat(9_000))).unwrap_err();
        assert!(long.len() < 1_000 && long.contains("3 to 63"), "{long}");
    }
}
