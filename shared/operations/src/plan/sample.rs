//! A look at the first records of foreign files, while an import is planned.
//!
//! Why: a format, a field or a compression that does not fit is found here, where nothing was written and nothing is
//! reserved yet. What is wrong further behind is found while it is read.
//!
//! **Invariant.** However many files there are and whatever they inflate to, a bounded number of bytes is read.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sluice_formats::{RECOGNISED, compression_of, foreign_decoder};
use sluice_ports::BucketStore;
use sluice_transfer::manifest::SourceEntry as File;
use sluice_transfer::{
    Compression, Decoded, Decoder, Lacking, Place, SourceFormat, Timestamp, UnpackError, Unpacked, known_as,
};

use super::foreign::Asked;
use super::rhythm::refuse_untimed;
use crate::error::{Code, OperationError};

/// Records and bytes that are looked at of the first file, at most.
const FIRST: (u64, u64) = (10_000, 4 << 20);
/// The same of each other one.
const OTHER: (u64, u64) = (1_000, 256 << 10);
/// Bytes that are read at once.
const READ_BYTES: u64 = 256 << 10;
/// The beginning of a line that Sluice wrote.
const OWN_LINE: &[u8] = b"{\"shard\":\"";
/// What the parser of JSON says where a line ends within a value.
const GOES_ON: &str = "EOF while parsing";
/// Bytes in which a zero shows that a file is no text.
const TEXT_BYTES: u64 = 8 << 10;
/// Times that a decoder may pass over what holds no record.
const PASSES: u32 = 100;

/// Some of the files that are listed: the first, others ever further apart, and the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    files: Vec<File>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<File>,
    /// Files that hold something.
    seen: u64,
}

/// What was found in the files that were looked at.
#[derive(Default)]
struct Found {
    records: u64,
    lacking: Lacking,
    /// The first time that a record has.
    first: Option<Timestamp>,
}

impl Sample {
    /// The next file that is listed.
    pub(super) fn note(&mut self, file: &File) {
        if file.size == 0 {
            return;
        }
        self.seen += 1;
        if self.seen.is_power_of_two() {
            self.files.push(file.clone());
            self.last = None;
        } else {
            self.last = Some(file.clone());
        }
    }

    /// Refuses files that cannot be read as they are asked to be, and fields that no record has. Answers the time of the
    /// first event, if a rhythm is asked for.
    pub(super) async fn check(
        self,
        bucket: &dyn BucketStore,
        asked: &Asked,
    ) -> Result<Option<Timestamp>, OperationError> {
        asked.refuse_untimed()?;
        let mut found = Found::default();
        let files = self.files.iter().chain(&self.last);
        for (number, file) in files.enumerate() {
            let look = Look { bucket, file, asked, most: if number == 0 { FIRST } else { OTHER } };
            look.records(&mut found).await?;
        }
        found.check(asked)?;
        if asked.in_rhythm && found.first.is_none() && self.seen > 0 {
            return Err(refuse_untimed("none of the records that were looked at has a time to begin with"));
        }
        Ok(found.first.filter(|_| asked.in_rhythm))
    }
}

impl Found {
    fn take(&mut self, asked: &Asked, decoded: &Decoded) {
        self.records += 1;
        self.first = self.first.or(decoded.time);
        self.lacking += Lacking::of(&asked.files.fields, decoded);
    }

    /// The fields that are named, with the option that names each, and the records without it.
    fn fields<'a>(&self, asked: &'a Asked) -> [(&'a Option<String>, &'static str, u64); 3] {
        let fields = &asked.files.fields;
        [
            (&fields.payload, "--payload-field, \"payloadField\"", self.lacking.payload),
            (&fields.key, "--key-field, \"keyField\"", self.lacking.key),
            (&fields.time, "--time-field, \"timeField\"", self.lacking.time),
        ]
    }

    /// True if more records tell nothing more: each field was found. What fields Avro has its schema says.
    fn is_enough(&self, asked: &Asked) -> bool {
        let is_json = asked.files.format == SourceFormat::Jsonl;
        let found = |(name, _, lacking): (&Option<String>, _, u64)| name.is_none() || lacking < self.records;
        self.records > 0 && (!is_json || self.fields(asked).into_iter().all(found))
    }

    /// A field that no record has is most likely spelt otherwise.
    fn check(&self, asked: &Asked) -> Result<(), OperationError> {
        if self.records == 0 || self.is_enough(asked) {
            return Ok(());
        }
        let missing = self.fields(asked).into_iter().filter_map(|(name, option, lacking)| {
            name.as_ref()
                .filter(|_| lacking == self.records)
                .map(|name| format!("'{}' ({option})", name.escape_debug()))
        });
        let missing: Vec<_> = missing.collect();
        let what = format!(
            "of the records that were looked at, {}, none has the field {}: say it as the records have it, or leave it \
             out. Nothing was imported",
            self.records,
            missing.join(", nor ")
        );
        Err(OperationError::new(Code::Invalid, what))
    }
}

/// The look at one file.
struct Look<'a> {
    bucket: &'a dyn BucketStore,
    file: &'a File,
    asked: &'a Asked,
    /// Records and bytes, at most.
    most: (u64, u64),
}

impl Look<'_> {
    async fn records(&self, found: &mut Found) -> Result<(), OperationError> {
        let head = self.read(0, RECOGNISED).await?;
        self.check_kind(&head)?;
        let files = &self.asked.files;
        let compression = compression_of(files, &head).map_err(|error| self.refused(&error))?;
        if compression == Compression::Plain {
            self.check_text().await?;
        }
        let Some(mut decoder) = foreign_decoder(files, compression) else { return Ok(()) };
        let mut head = self.read(0, decoder.head_len()).await?;
        loop {
            let wanted = decoder.head_wants(&head).min(self.file.size);
            if wanted <= head.len() as u64 {
                break;
            }
            head = self.read(0, wanted).await?;
        }
        let first = decoder.head(&head).map_err(|error| self.refused(&error))?;
        decoder.seek(Place { offset: first, within: 0 });
        self.events(&mut *decoder, first, found).await
    }

    /// Takes records until there are enough of them. The first one must be sound.
    async fn events(&self, decoder: &mut dyn Decoder, first: u64, found: &mut Found) -> Result<(), OperationError> {
        let (before, mut at, mut passes) = (found.records, first, 0);
        let (records, bytes) = self.most;
        while found.records - before < records && !(found.records > before && found.is_enough(self.asked)) {
            let answer = match decoder.step() {
                Ok(Unpacked::Event(event)) => Ok(Some(event)),
                Ok(Unpacked::Passed(_)) if passes < PASSES => {
                    passes += 1;
                    continue;
                }
                Ok(Unpacked::Hungry) if at < self.file.size && at - first < bytes => {
                    let more = self.read(at, READ_BYTES).await?;
                    at += more.len() as u64;
                    if more.is_empty() {
                        return Ok(());
                    }
                    decoder.feed(more);
                    continue;
                }
                Ok(Unpacked::Hungry) if at >= self.file.size => decoder.finish(),
                Ok(_) => return Ok(()),
                Err(error) => Err(error),
            };
            match answer {
                Ok(Some(event)) => found.take(self.asked, &event),
                Err(error) if found.records == before => return Err(self.first_refused(&error).await?),
                // An error further behind is reported once all events before it have arrived.
                Ok(None) | Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Refuses lines of what is no text, unless it is said that any bytes are meant. No text has a zero byte. What is
    /// known by its first bytes its decoder refuses, and says more.
    async fn check_text(&self) -> Result<(), OperationError> {
        let files = &self.asked.files;
        if !files.inflate || !matches!(files.format, SourceFormat::Lines | SourceFormat::Jsonl) {
            return Ok(());
        }
        let beginning = self.read(0, TEXT_BYTES).await?;
        match beginning.iter().position(|byte| *byte == 0) {
            Some(at) if known_as(&beginning).is_none() => Err(self.refused(&UnpackError::Unsupported {
                why: format!(
                    "its byte {at} is zero, which no text has: take its bytes as they are (--format raw or \
                     --compression none)"
                ),
            })),
            _ => Ok(()),
        }
    }

    /// What is nothing but bytes unless it is said what it is.
    fn check_kind(&self, head: &[u8]) -> Result<(), OperationError> {
        if self.asked.format_said {
            return Ok(());
        }
        let (what, format) = match head {
            _ if known_as(head) == Some("Avro") => ("an Avro object container file", "avro"),
            _ if head.starts_with(OWN_LINE) => ("a file of an export, of lines of JSON", "jsonl"),
            _ if head.starts_with(b"{\"sluice\":\"") => ("a document of Sluice's own", "jsonl"),
            _ => return Ok(()),
        };
        let key = self.file.key.escape_debug();
        let what = format!(
            "{key} is {what}: say format {format} (--format {format}), or format raw to cut its bytes into events as \
             they are; an export is imported whole by its folder or its manifest.json"
        );
        Err(OperationError::new(Code::Invalid, what))
    }

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, OperationError> {
        let len = len.min(self.file.size.saturating_sub(at));
        if len == 0 {
            return Ok(Bytes::new());
        }
        let (bucket, file) = (self.bucket, self.file);
        Ok(bucket.get(&file.key, Some(&file.etag), at, len).await?)
    }

    /// Why the very first record is none: most likely the file is of another format than was said. What a parser
    /// expected tells a person nothing of that.
    async fn first_refused(&self, error: &UnpackError) -> Result<OperationError, OperationError> {
        let files = &self.asked.files;
        let UnpackError::Damaged { why, .. } = error else { return Ok(self.refused(error)) };
        if files.format != SourceFormat::Jsonl || self.read(0, OWN_LINE.len() as u64).await? == OWN_LINE {
            return Ok(self.refused(error));
        }
        let what = if why.contains(GOES_ON) {
            "its first value goes on behind the end of its line, and format jsonl is a value a line: `jq -c .` makes \
             one line of each"
                .to_owned()
        } else if files.fields.is_empty() {
            "its first line is no event as Sluice writes them, which is what format jsonl means where no field is \
             named: name the fields of its records (--payload-field, \"payloadField\"), or say format lines for a \
             payload a line"
                .to_owned()
        } else {
            format!("its first line is not what format jsonl says ({why}): say another format (--format, \"format\")")
        };
        let what = format!("{} cannot be imported: {what}. Nothing was imported", self.file.key.escape_debug());
        Ok(OperationError::new(Code::ObjectUnreadable, what))
    }

    fn refused(&self, error: &UnpackError) -> OperationError {
        let hint = match error {
            UnpackError::Unsupported { .. } => "",
            _ => ": mend the file, or say another format or compression",
        };
        let what = format!("{} cannot be imported: {error}{hint}. Nothing was imported", self.file.key.escape_debug());
        OperationError::new(Code::ObjectUnreadable, what)
    }
}
