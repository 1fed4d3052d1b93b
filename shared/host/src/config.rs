//! What the stack's template tells a function through its environment, read once a cold start.

use sluice_operations::{Hints, Settings};
use sluice_places_aws::{Allowed, Rules};
use sluice_transfer::limits::LARGEST_PART;
use sluice_transfer::{BucketUri, ReadShare, ReadShareError};

/// A variable that is missing or wrong: the template's mistake, not a user's.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {name} {why}: deploy the stack again from its template")]
pub struct ConfigError {
    name: &'static str,
    why: String,
}

/// A function's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The stack's name, a dimension of its metrics.
    pub stack: String,
    /// The checkpoints' table.
    pub table: String,
    /// The ARN of the stack's state machine.
    pub machine: String,
    /// How long a slice works, in seconds; the invocation's deadline may come before.
    pub slice_seconds: u64,
    /// Days for which records of ended transfers are kept; 0 for ever.
    pub keep_days: u64,
    /// Memory of the function, in MiB.
    pub memory_mib: u64,
    /// Memory of the functions that move events, in MiB.
    pub slice_memory_mib: u64,
    /// The part of a stream's reading limits that all exports of it may take together, unless a request says otherwise.
    pub read_share: ReadShare,
    /// Lanes of a wave, at most: so many functions move events of one transfer at once.
    pub lanes: usize,
    /// What may be touched.
    pub rules: Rules,
}

/// What a list is made of.
const OF_LISTS: &str = "give ARNs with commas between them, or own alone, or none alone";
/// MiB that the process needs besides events and parts: the program, its clients, answers that are being decoded.
const OWN_MIB: u64 = 96;
/// The longest time a slice winds down, in milliseconds.
const WIND_DOWN_MILLIS: u64 = 5_000;

impl Config {
    /// From the environment; `get` answers a variable.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name: &'static str| {
            get(name).filter(|text| !text.is_empty()).ok_or_else(|| ConfigError { name, why: "is not set".to_owned() })
        };
        let number = |name: &'static str| -> Result<u64, ConfigError> {
            text(name)?.parse().map_err(|_| ConfigError { name, why: "is not a number".to_owned() })
        };
        let (account, partition) = (text("SLUICE_ACCOUNT")?, text("SLUICE_PARTITION")?);
        let streams = format!("arn:{partition}:kinesis:*:{account}:stream/*");
        // Whose a bucket is its ARN does not say: each request names the owner.
        let objects = format!("arn:{partition}:s3:::*");
        let list = |name: &'static str, own: &str| {
            Allowed::read(&text(name)?, own).map_err(|why| ConfigError { name, why: format!("{why}: {OF_LISTS}") })
        };
        Ok(Self {
            stack: text("SLUICE_STACK")?,
            table: text("SLUICE_TABLE")?,
            machine: text("SLUICE_STATE_MACHINE")?,
            slice_seconds: number("SLUICE_SLICE_SECONDS")?,
            // Only the sweep has this variable.
            keep_days: get("SLUICE_KEEP_DAYS").map_or(Ok(0), |_| number("SLUICE_KEEP_DAYS"))?,
            memory_mib: number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")?,
            slice_memory_mib: number("SLUICE_SLICE_MEMORY")?,
            read_share: text("SLUICE_READ_SHARE")?.parse().map_err(|error: ReadShareError| ConfigError {
                name: "SLUICE_READ_SHARE",
                why: format!("is wrong: {error}"),
            })?,
            lanes: match number("SLUICE_LANES")? {
                0 => return Err(ConfigError { name: "SLUICE_LANES", why: "is 0".to_owned() }),
                lanes => usize::try_from(lanes).unwrap_or(usize::MAX),
            },
            rules: Rules {
                read_streams: list("SLUICE_READ_STREAMS", &streams)?,
                write_streams: list("SLUICE_WRITE_STREAMS", &streams)?,
                read_objects: list("SLUICE_READ_OBJECTS", &objects)?,
                write_objects: list("SLUICE_WRITE_OBJECTS", &objects)?,
                account: Some(account.clone()),
                caller: Some(account),
                partition,
                makes_streams: get("SLUICE_CREATE_TARGETS").is_some_and(|says| says == "true"),
                work: BucketUri { scheme: "s3".to_owned(), rest: format!("//{}", text("SLUICE_WORK_BUCKET")?) },
            },
        })
    }

    /// How the engine runs in so much memory and with slices of that length.
    pub fn settings(&self) -> Settings {
        let room = |mib: u64| (mib.saturating_sub(OWN_MIB).max(32) << 20) / 2;
        let wind_down_millis = (self.slice_seconds * 1_000 / 4).min(WIND_DOWN_MILLIS);
        let settings = Settings::default();
        // A shard holds a part that is filled, one that is sent, and what was read.
        let largest_part =
            (room(self.slice_memory_mib).saturating_sub(settings.read_bytes as u64) / 2).min(LARGEST_PART);
        // A shard of Kinesis gives 2 MB a second at most (Kinesis developer guide, quotas), so no part waits for
        // another.
        let parts_at_once = 1;
        let hints = Hints {
            transfers: "check the id (the table's index byState shows them)",
            larger_parts: "use smaller objects, or functions of more memory (parameter SliceMemory of the stack)",
        };
        let memory_bytes = room(self.memory_mib);
        let read_share = self.read_share;
        Settings { memory_bytes, wind_down_millis, largest_part, parts_at_once, hints, read_share, ..settings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(without: &str) -> Result<Config, ConfigError> {
        read_with(without, None)
    }

    fn read_with(variable: &str, value: Option<&str>) -> Result<Config, ConfigError> {
        Config::read(|name| {
            let text = match name {
                _ if name == variable => return value.map(str::to_owned),
                "SLUICE_CREATE_TARGETS" => "true",
                "SLUICE_KEEP_DAYS"
                | "SLUICE_SLICE_SECONDS"
                | "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
                | "SLUICE_SLICE_MEMORY" => "256",
                "SLUICE_READ_SHARE" => "0.25",
                "SLUICE_LANES" => "40",
                "SLUICE_READ_STREAMS" => "arn:aws:kinesis:*:1:stream/a*, arn:aws:kinesis:*:1:stream/b",
                "SLUICE_WRITE_STREAMS" => "none",
                "SLUICE_READ_OBJECTS" | "SLUICE_WRITE_OBJECTS" => "own",
                "SLUICE_PARTITION" => "aws-cn",
                _ => "x",
            };
            Some(text.to_owned())
        })
    }

    #[test]
    fn what_is_missing_is_named() {
        let config = read("").unwrap();
        assert!(config.rules.read_streams.allows("arn:aws:kinesis:r:1:stream/b"));
        assert!(!config.rules.read_streams.allows("arn:aws:kinesis:r:1:stream/bc"));
        assert!(!config.rules.write_streams.allows("arn:aws:kinesis:r:1:stream/b"));
        assert!(config.rules.read_objects.allows("arn:aws-cn:s3:::archive/a"));
        assert_eq!(config.lanes, 40);
        assert_eq!((config.settings().memory_bytes, config.settings().largest_part), (80 << 20, 38 << 20));
        assert!(config.rules.makes_streams);
        // A stack of before has no such parameter.
        assert!(!read("SLUICE_CREATE_TARGETS").unwrap().rules.makes_streams);
        assert_eq!(config.settings().read_share.to_string(), "0.25");
        for name in [
            "SLUICE_READ_STREAMS",
            "SLUICE_WRITE_STREAMS",
            "SLUICE_READ_OBJECTS",
            "SLUICE_WRITE_OBJECTS",
            "SLUICE_LANES",
            "SLUICE_READ_SHARE",
            "SLUICE_STACK",
            "SLUICE_TABLE",
            "SLUICE_WORK_BUCKET",
            "SLUICE_ACCOUNT",
            "SLUICE_SLICE_SECONDS",
        ] {
            assert!(read(name).unwrap_err().to_string().contains(name));
        }
        for (name, value, why) in [
            ("SLUICE_READ_STREAMS", "orders", "no ARN"),
            ("SLUICE_WRITE_OBJECTS", "own,arn:aws:s3:::archive/*", "stands alone"),
            ("SLUICE_LANES", "0", "is 0"),
        ] {
            let told = read_with(name, Some(value)).unwrap_err().to_string();
            assert!(told.contains(name) && told.contains(why), "{told}");
        }
    }
}
