//! Formats and compressions of an export's objects.

use serde::{Deserialize, Serialize};

use crate::RequestError;

/// The format of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Avro object container files: position, key, time, headers and payload, nothing lost.
    #[default]
    Avro,
    /// Payloads joined, cut anywhere. Keeps payload bytes only.
    Raw,
    /// One JSON object a line (JSON Lines): nothing lost, read by everything.
    Jsonl,
}

impl Format {
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "avro",
            Self::Raw => "raw",
            Self::Jsonl => "jsonl",
        }
    }
}

/// The compression of objects. Avro has codecs of its own, within its blocks; everything else is written as whole
/// frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// They are not.
    #[default]
    #[serde(rename = "none")]
    Plain,
    /// Zstandard (RFC 8878).
    Zstd,
    /// Deflate (RFC 1951).
    Deflate,
    /// Gzip (RFC 1952).
    Gzip,
}

impl Compression {
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
        }
    }

    /// True if nothing is compressed.
    pub fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

/// A format and the compression that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// The format of objects.
    pub format: Format,
    /// The compression of objects.
    pub compression: Compression,
}

impl Encoding {
    /// Avro without compression.
    pub const AVRO: Self = Self { format: Format::Avro, compression: Compression::Plain };
    /// Raw without compression.
    pub const RAW: Self = Self { format: Format::Raw, compression: Compression::Plain };

    /// All encodings that an export can write.
    pub const ALL: [Self; 9] = [
        Self::AVRO,
        Self { format: Format::Avro, compression: Compression::Zstd },
        Self { format: Format::Avro, compression: Compression::Deflate },
        Self::RAW,
        Self { format: Format::Raw, compression: Compression::Zstd },
        Self { format: Format::Raw, compression: Compression::Gzip },
        Self { format: Format::Jsonl, compression: Compression::Plain },
        Self { format: Format::Jsonl, compression: Compression::Zstd },
        Self { format: Format::Jsonl, compression: Compression::Gzip },
    ];

    /// The encoding that was asked for; an error if the format does not have that compression. By default Avro, and
    /// that with Zstandard; lines and raw bytes stay as they are unless compression is asked for, so that any tool
    /// takes them and raw objects have the size asked for.
    pub fn resolve(format: Option<Format>, compression: Option<Compression>) -> Result<Self, RequestError> {
        let format = format.unwrap_or_default();
        let usual = if format == Format::Avro { Compression::Zstd } else { Compression::Plain };
        let asked = Self { format, compression: compression.unwrap_or(usual) };
        if Self::ALL.contains(&asked) {
            return Ok(asked);
        }
        let of_format = Self::ALL.iter().filter(|one| one.format == asked.format);
        let there: Vec<_> = of_format.map(|one| one.compression.name()).collect();
        let why = format!("{} has {}, not {}", asked.format.name(), there.join(", "), asked.compression.name());
        Err(RequestError::OutOfRange { field: "compression", why })
    }

    /// Ending of its objects' keys. Avro's files say themselves how they are compressed.
    pub fn extension(self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Avro, _) => "avro",
            (Format::Raw, Compression::Zstd) => "raw.zst",
            (Format::Raw, Compression::Gzip) => "raw.gz",
            (Format::Raw, _) => "raw",
            (Format::Jsonl, Compression::Zstd) => "jsonl.zst",
            (Format::Jsonl, Compression::Gzip) => "jsonl.gz",
            (Format::Jsonl, _) => "jsonl",
        }
    }

    /// True if a reader of version 1 of records and manifests knows it.
    pub fn is_of_version_1(self) -> bool {
        [Self::AVRO, Self::RAW].contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_does_not_have_is_refused() {
        let zstd = Encoding { format: Format::Avro, compression: Compression::Zstd };
        assert_eq!(Encoding::resolve(None, None), Ok(zstd));
        for (format, usual) in
            [(Format::Avro, zstd.compression), (Format::Raw, Compression::Plain), (Format::Jsonl, Compression::Plain)]
        {
            assert_eq!(Encoding::resolve(Some(format), None), Ok(Encoding { format, compression: usual }));
        }
        for encoding in Encoding::ALL {
            assert_eq!(Encoding::resolve(Some(encoding.format), Some(encoding.compression)), Ok(encoding));
            let name = serde_json::to_string(&encoding.compression).unwrap();
            assert_eq!(name, format!("{:?}", encoding.compression.name()));
        }
        let refused = Encoding::resolve(Some(Format::Raw), Some(Compression::Deflate)).unwrap_err().to_string();
        assert_eq!(refused, "compression: raw has none, zstd, gzip, not deflate");
        let endings: std::collections::BTreeSet<_> =
            Encoding::ALL.iter().map(|encoding| encoding.extension()).collect();
        assert_eq!(endings.len(), 7, "what its bytes do not tell, its key does");
    }
}
