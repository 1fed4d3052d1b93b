//! Files that no export wrote: what was asked of them, and whether they can be read so.

use sluice_formats::Inflater;
use sluice_ports::{BucketStore, Listed};
use sluice_transfer::{
    Compression, Encoding, FieldNames, ForeignFiles, ImportRequest, Inflate, LeftOut, SourceFormat, Tempo, recognise,
};

use super::list::{ListedShard, Sources};
use super::notes::Notes;
use super::rhythm::refuse_untimed;
use crate::engine::Engine;
use crate::error::{Code, OperationError};

/// How files that are no export's are to be read.
pub(super) struct Asked {
    pub files: ForeignFiles,
    /// Something of it was said.
    pub said: bool,
    /// The format was said.
    pub format_said: bool,
    /// True if hidden and unfinished files are taken as well.
    pub all_files: bool,
    /// True if events are to keep their distances in time.
    pub in_rhythm: bool,
}

impl Asked {
    pub(super) fn of(request: &ImportRequest) -> Result<Self, OperationError> {
        let name = |field: &Option<String>, what: &str| match field {
            Some(name) if name.is_empty() || name.len() > LONGEST_NAME => Err(OperationError::new(
                Code::OutOfRange,
                format!("{what}: the name of a field has 1 to {LONGEST_NAME} bytes"),
            )),
            name => Ok(name.clone()),
        };
        let fields = FieldNames {
            payload: name(&request.payload_field, "payloadField")?,
            key: name(&request.key_field, "keyField")?,
            time: name(&request.time_field, "timeField")?,
        };
        let said = request.format.is_some() || request.compression.is_some() || !fields.is_empty();
        let format = request.format.unwrap_or_default();
        let refused = |why: &str| Err(OperationError::new(Code::Invalid, why.to_owned()));
        match format {
            SourceFormat::Raw | SourceFormat::Lines if !fields.is_empty() => {
                return refused("payloadField, keyField and timeField are fields of records: say format jsonl or avro");
            }
            SourceFormat::Avro if !fields.is_empty() && fields.payload.is_none() => {
                return refused("payloadField: say which field of the records is the payload");
            }
            SourceFormat::Avro if request.compression == Some(Inflate::Auto) => {
                return refused("compression: Avro's files say themselves how they are compressed");
            }
            _ => {}
        }
        // Raw bytes are any bytes: those of a compressed file stay what they are unless it is asked for.
        let inflate = match request.compression {
            Some(asked) => asked == Inflate::Auto,
            None => matches!(format, SourceFormat::Lines | SourceFormat::Jsonl),
        };
        let files = ForeignFiles { format, inflate, fields };
        let in_rhythm = request.pace.and_then(Tempo::factor).is_some();
        Ok(Self { files, said, format_said: request.format.is_some(), all_files: request.all_files, in_rhythm })
    }

    /// Refuses files whose records hold no times, if times are needed. Without fields their records are Sluice's own,
    /// which have them.
    pub(super) fn refuse_untimed(&self) -> Result<(), OperationError> {
        let is_own = self.files.fields.is_empty();
        let has_times = match self.files.format {
            SourceFormat::Raw | SourceFormat::Lines => false,
            SourceFormat::Jsonl | SourceFormat::Avro => is_own || self.files.fields.time.is_some(),
        };
        if !self.in_rhythm || has_times {
            return Ok(());
        }
        Err(refuse_untimed(
            "events of these files have no times of their own: name the field that holds them (--time-field, \
             \"timeField\", with format jsonl or avro)",
        ))
    }

    /// Such files, listed.
    pub(super) fn sources(&self, shards: Vec<ListedShard>) -> Sources {
        // Any bytes as they are: those of an export without compression are read the same.
        let plain = self.files == ForeignFiles::default();
        let foreign = (!plain).then(|| Box::new(self.files.clone()));
        Sources {
            encoding: Encoding::RAW,
            foreign,
            joined: false,
            shards,
            left_out: LeftOut::default(),
            notes: Notes::default(),
            bucket: None,
        }
    }

    /// Refuses a compressed stream that is too long to be read from its beginning in every slice. Only files of some
    /// size are looked at: what a smaller one inflates to, a slice gets through.
    pub(super) async fn check_length(
        &self,
        engine: &Engine,
        bucket: &dyn BucketStore,
        file: &Listed,
    ) -> Result<(), OperationError> {
        let longest = engine.settings.longest_stream;
        if !self.files.inflate || file.size <= longest {
            return Ok(());
        }
        let read = |at: u64, len: u64| bucket.get(&file.key, Some(&file.etag), at, len);
        let compression = recognise(&read(0, 4).await?);
        if compression == Compression::Plain {
            return Ok(());
        }
        let (mut inflater, mut at) = (Inflater::new(compression), 0);
        while at < longest {
            let bytes = read(at, engine.settings.read_bytes as u64).await?;
            at += bytes.len() as u64;
            inflater.feed(bytes);
            loop {
                match inflater.piece() {
                    Ok(Some(piece)) if piece.place(piece.bytes.len()).within == 0 => return Ok(()),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    // What is wrong with it is said when it is read.
                    Err(_) => return Ok(()),
                }
            }
        }
        Err(OperationError::new(
            Code::OutOfRange,
            format!(
                "{} is one compressed stream of more than {longest} bytes. Such a stream can only be read from its \
                 beginning, so no slice could go on with it: inflate it, or compress it in pieces, each a stream of its own",
                file.key
            ),
        ))
    }
}

/// Bytes of a field's name.
const LONGEST_NAME: usize = 256;
