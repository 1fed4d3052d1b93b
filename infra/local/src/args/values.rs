//! What the words of a command line mean.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{
    BucketUri, Compression, Format, Inflate, NameError, OnMisfit, Order, Placement, ReadMode, SourceFormat, State,
    StreamUri,
};

use super::transfers::Proof;
use crate::places::{Linked, Spelling, is_local, linked};

pub(super) fn stream(text: &str) -> Result<StreamUri, String> {
    let (uri, scheme) = known(text)?;
    (scheme.stream)(&uri)?;
    Ok(uri)
}

/// A stream of a kind that there is, in whatever build.
fn known(text: &str) -> Result<(StreamUri, &'static Linked), String> {
    let uri = StreamUri::from_str(text).map_err(|error| error.to_string())?;
    let scheme = linked(&uri.scheme, "streams", |scheme| scheme.streams.is_some())?;
    Ok((uri, scheme))
}

pub(super) fn appendable(text: &str) -> Result<StreamUri, String> {
    local(text, "only local: streams are appended to; `aws kinesis put-records` writes to those of Kinesis")
}

pub(super) fn trimmable(text: &str) -> Result<StreamUri, String> {
    local(
        text,
        "only local: streams are trimmed; Kinesis drops events by age, \
         see `aws kinesis decrease-stream-retention-period`",
    )
}

pub(super) fn deletable(text: &str) -> Result<StreamUri, String> {
    local(text, "only local: streams are deleted here; `aws kinesis delete-stream` deletes those of Kinesis")
}

fn local(text: &str, otherwise: &str) -> Result<StreamUri, String> {
    let (uri, _) = known(text)?;
    if is_local(&uri) { Ok(uri) } else { Err(otherwise.to_owned()) }
}

/// A place has a colon, and the id of a transfer has none.
pub(super) fn proof(text: &str) -> Result<Proof, String> {
    if text.contains(':') {
        source(text).map(Proof::Place)
    } else {
        text.parse().map(Proof::Transfer).map_err(|error: NameError| error.to_string())
    }
}

/// A place to read from: as a bucket, but a slash at its end stays, since it means a folder.
pub(super) fn source(text: &str) -> Result<BucketUri, String> {
    spelt(text, |scheme| scheme.source)
}

/// A bucket under the one name that means the same from every folder and however it was spelt, so that a request can
/// be repeated.
pub(super) fn bucket(text: &str) -> Result<BucketUri, String> {
    spelt(text, |scheme| scheme.bucket)
}

fn spelt(text: &str, how: fn(&Linked) -> Spelling) -> Result<BucketUri, String> {
    let uri = BucketUri::from_str(text).map_err(|error| error.to_string())?;
    let scheme = linked(&uri.scheme, "buckets", |scheme| scheme.buckets.is_some())?;
    let rest = how(scheme)(&uri)?;
    Ok(BucketUri { scheme: uri.scheme, rest })
}

pub(super) fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("an AWS account has 12 digits".to_owned())
}

/// A path from the root. `~` is the user's home: a shell leaves it as it is behind `dir:` and behind `--home=`.
pub(crate) fn absolute(path: &Path) -> Result<String, String> {
    let path = &expanded(path, std::env::var_os("HOME").filter(|home| !home.is_empty()))?;
    let whole = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // Without slashes at its end.
    let whole: PathBuf = whole.components().collect();
    whole.into_os_string().into_string().map_err(|path| format!("{} is not UTF-8", path.display()))
}

/// A path with the home in place of a `~` in front.
pub(crate) fn expanded(path: &Path, home: Option<std::ffi::OsString>) -> Result<PathBuf, String> {
    let mut names = path.components();
    let first = names.next().map(|first| first.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    match (first.as_str(), home) {
        ("~", Some(home)) => Ok(PathBuf::from(home).join(names.as_path())),
        ("~", None) => Err(format!("{}: HOME does not say what ~ is: write the path", path.display())),
        (name, _) if name.starts_with('~') && name.len() > 1 && names.next().is_some() => Err(format!(
            "{}: {name} is not expanded here: write the path, or ./{name} for a folder of that name",
            path.display()
        )),
        _ => Ok(path.to_owned()),
    }
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    bytesize::ByteSize::from_str(text)
        .map(|size| size.as_u64())
        .map_err(|_| "write a number of bytes such as 8388608 or 8MiB".to_owned())
}

pub(super) fn positive_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("at least 1 byte".to_owned()),
        size => Ok(size),
    }
}

pub(super) fn event_bytes(text: &str) -> Result<u64, String> {
    match size(text)? {
        size if (1..=EVENT_BYTES as u64).contains(&size) => Ok(size),
        size => Err(format!("{size} bytes; it must be 1 to {EVENT_BYTES}")),
    }
}

fn rate(text: &str) -> Result<u64, String> {
    size(text.strip_suffix("/s").unwrap_or(text))
}

/// Bytes a second, at most; none for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub Option<u64>);

pub(super) fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    match rate(text) {
        Ok(0) => Err("at least 1 byte a second, or none for no limit".to_owned()),
        Ok(rate) => Ok(Limit(Some(rate))),
        Err(why) => Err(format!("{why}, or none for no limit")),
    }
}

/// A state by its name, in small letters or large ones, with `-` or `_`.
pub(super) fn state(text: &str) -> Result<State, String> {
    let wanted = text.to_ascii_uppercase().replace('-', "_");
    State::ALL.into_iter().find(|state| state.to_string() == wanted).ok_or_else(|| {
        let all: Vec<_> = State::ALL.iter().map(|state| state.to_string().to_lowercase().replace('_', "-")).collect();
        format!("it is one of {}", all.join(", "))
    })
}

/// One of these, by its name.
fn one_of<T: Copy, const N: usize>(text: &str, all: [T; N], name: fn(T) -> &'static str) -> Result<T, String> {
    let names = all.map(name);
    let found = all.into_iter().zip(names).find(|(_, name)| *name == text);
    found.map(|(one, _)| one).ok_or_else(|| format!("it is one of {}", names.join(", ")))
}

pub(super) fn format(text: &str) -> Result<Format, String> {
    one_of(text, [Format::Avro, Format::Jsonl, Format::Raw], Format::name)
}

pub(super) fn source_format(text: &str) -> Result<SourceFormat, String> {
    use SourceFormat::{Avro, Jsonl, Lines, Raw};
    one_of(text, [Raw, Lines, Jsonl, Avro], SourceFormat::name)
}

pub(super) fn inflate(text: &str) -> Result<Inflate, String> {
    one_of(text, [Inflate::Auto, Inflate::None], Inflate::name)
}

pub(super) fn placement(text: &str) -> Result<Placement, String> {
    one_of(text, [Placement::Key, Placement::AsSource], Placement::name)
}

pub(super) fn on_misfit(text: &str) -> Result<OnMisfit, String> {
    one_of(text, [OnMisfit::Fail, OnMisfit::Store], OnMisfit::name)
}

pub(super) fn read_mode(text: &str) -> Result<ReadMode, String> {
    one_of(text, [ReadMode::Polling, ReadMode::Fanout], ReadMode::name)
}

pub(super) fn order(text: &str) -> Result<Order, String> {
    one_of(text, [Order::Key, Order::Shard, Order::None], Order::name)
}

pub(super) fn compression(text: &str) -> Result<Compression, String> {
    use Compression::{Deflate, Gzip, Plain, Zstd};
    one_of(text, [Plain, Zstd, Gzip, Deflate], Compression::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_type_them() {
        assert_eq!(size("8MiB"), Ok(8 << 20));
        assert_eq!(size("8388608"), Ok(8 << 20));
        assert_eq!(rate("1MiB/s"), Ok(1 << 20));
        assert!(size("8 apples").is_err() && size("").is_err() && size("-1").is_err());
        assert_eq!(limit("1MiB/s"), Ok(Limit(Some(1 << 20))));
        assert_eq!((limit("20MB"), limit("none")), (Ok(Limit(Some(20_000_000))), Ok(Limit(None))));
        assert!(limit("0").unwrap_err().contains("none for no limit") && limit("fast").is_err());
        assert!(event_bytes("0").is_err() && event_bytes("33MiB").is_err());
    }

    #[test]
    fn only_schemes_that_are_there() {
        for wrong in ["kafka:orders", "arn:aws:sqs:eu-west-1:123456789012:orders"] {
            assert!(stream(wrong).unwrap_err().contains("it has local:, kinesis:"), "{wrong}");
        }
        assert!(bucket("gs://orders").unwrap_err().contains("it has dir:, s3:"));
    }

    #[test]
    #[cfg(feature = "aws")]
    fn names_of_aws_follow_its_rules() {
        assert!(stream("arn:aws:kinesis:eu-west-1:123456789012:stream/a/consumer/b:1").unwrap_err().contains("ARN"));
        assert!(bucket("s3://Orders").unwrap_err().contains("lower case"));
    }

    #[test]
    fn one_name_for_a_folder() {
        assert_eq!(bucket("dir:/a/./b//c/").unwrap().rest, "/a/b/c");
    }

    #[test]
    #[cfg(feature = "aws")]
    fn one_name_for_a_bucket() {
        for spelt in ["s3:archive/orders", "s3://archive/orders", "s3://archive/orders/"] {
            assert_eq!(bucket(spelt).unwrap().to_string(), "s3://archive/orders");
        }
        assert_eq!(bucket("s3://archive/").unwrap().to_string(), "s3://archive");
    }

    #[test]
    fn a_slash_at_the_end_of_a_source_means_a_folder() {
        for (spelt, kept) in [("dir:/a/./b//c/", "dir:/a/b/c/"), ("dir:/a/b", "dir:/a/b"), ("dir:/", "dir:/")] {
            assert_eq!(source(spelt).unwrap().to_string(), kept, "{spelt}");
        }
        assert!(source("gs://orders").unwrap_err().contains("it has dir:, s3:"));
    }

    #[test]
    #[cfg(feature = "aws")]
    fn a_key_to_read_stays_as_it_is() {
        for (spelt, kept) in [
            ("s3:archive/orders/", "s3://archive/orders/"),
            ("s3://archive/orders", "s3://archive/orders"),
            ("s3://archive/", "s3://archive"),
            ("s3://archive/a//b", "s3://archive/a//b"),
        ] {
            assert_eq!(source(spelt).unwrap().to_string(), kept, "{spelt}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_or_refused() {
        let of = |path: &str, home: Option<&str>| expanded(Path::new(path), home.map(Into::into));
        assert_eq!(of("~/backup", Some("/home/me")), Ok("/home/me/backup".into()));
        assert_eq!(of("~", Some("/home/me")), Ok("/home/me".into()));
        for plain in ["/a/~", "a~", "./~/a", "~backup", "a/~b"] {
            assert_eq!(of(plain, Some("/home/me")), Ok(plain.into()), "{plain}");
        }
        assert!(of("~/backup", None).unwrap_err().contains("HOME"));
        assert!(of("~you/backup", Some("/home/me")).unwrap_err().contains("./~you"));
    }

    #[test]
    fn what_kinesis_does_another_way_is_said() {
        assert_eq!(appendable("local:a"), stream("local:a"));
        assert!(appendable("kinesis:a").unwrap_err().contains("put-records"));
        assert!(trimmable("kinesis:a").unwrap_err().contains("retention"));
    }

    #[test]
    fn accounts_have_12_digits() {
        assert_eq!(account("123456789012"), Ok("123456789012".to_owned()));
        assert!(account("").is_err() && account("12345678901").is_err() && account("12345678901x").is_err());
    }

    #[test]
    fn states_as_people_type_them() {
        for all in State::ALL {
            assert_eq!(state(&all.to_string()), Ok(all));
            assert_eq!(state(&all.to_string().to_lowercase().replace('_', "-")), Ok(all));
        }
        assert!(state("running").unwrap_err().contains("transferring, paused, verifying"), "{:?}", state("running"));
    }

    #[test]
    fn names_are_those_of_requests() {
        assert_eq!(format("jsonl"), Ok(Format::Jsonl));
        assert_eq!(format("lines"), Err("it is one of avro, jsonl, raw".to_owned()));
        assert_eq!(source_format("lines"), Ok(SourceFormat::Lines));
        assert_eq!(inflate("auto"), Ok(Inflate::Auto));
        assert_eq!(compression("gzip"), Ok(Compression::Gzip));
        assert_eq!(compression("lz4"), Err("it is one of none, zstd, gzip, deflate".to_owned()));
    }
}
