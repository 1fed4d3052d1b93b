//! Taking a transfer's record away, and what its manifest names.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use sluice_bucket_dir::DirBucket;
use sluice_operations::{Code, Engine, OperationError, Owned, OwnedObject, Settings, ended, kept_for_import, owned};
use sluice_ports::{ErrorKind, ObjectRemoval, TransferRemoval};
use sluice_transfer::record::{Config, TransferRecord};
use sluice_transfer::{BucketUri, Kind, ObjectKeys, TransferId, are};

use crate::args::{HostArgs, Remove};
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output, bytes, counted, grouped};

/// Keys that a question shows.
const SHOWN: usize = 5;

pub(crate) async fn run(host: &HostArgs, args: &Remove, output: Output) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        removed: TransferId,
        objects: u64,
        bytes: u64,
        /// Files in its folder that its manifest does not name.
        others_left: u64,
    }
    let home = Home::open(host)?;
    let engine = home.engine(Settings::default()).await?;
    let transfer = ended(&engine, &args.id).await?;
    // Nobody begins it anew meanwhile.
    let _lock = home.lock(&args.id).await?;
    let mut told = Told { removed: args.id.clone(), objects: 0, bytes: 0, others_left: 0 };
    if args.objects {
        if let Config::Export(config) = &transfer.config
            && let Some(run) = &config.series
        {
            let what = format!(
                "{} is run {} of series {}, which cannot be proved or imported as a whole without it: leave out --objects \
                 to remove its record alone",
                args.id, run.number, run.series
            );
            return Err(Failure::new(Code::IllegalState, what));
        }
        let found = found(&engine, &args.id).await?;
        describe(&found);
        if !args.yes && !found.objects.is_empty() {
            ask(&found)?;
        }
        remove(&found.bucket, &found.objects).await?;
        told.objects = found.objects.len() as u64;
        told.bytes = found.objects.iter().map(|object| object.size).sum();
        told.others_left = found.others.len() as u64;
    }
    forget(&home, &engine, &transfer).await?;
    if transfer.totals.misfits > 0 {
        let (misfits, folder) = (transfer.totals.misfits, folder_of_misfits(&engine, &transfer));
        output::note(&format!(
            "{} that did not fit its target {} in {folder}",
            counted(misfits, "event"),
            stay(misfits)
        ));
    }
    match output {
        Output::Json => output::print_json(&told)?,
        Output::Text if args.objects => {
            let counts = format!("{} of it, {}", counted(told.objects, "file"), bytes(told.bytes));
            output::print(&format!("{} is removed, and {counts}\n", args.id))?;
        }
        Output::Text => output::print(&format!("{} is removed; its objects stay\n", args.id))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What its manifest names, in a folder.
async fn found(engine: &Engine, id: &TransferId) -> Result<Owned, Failure> {
    let found = owned(engine, id).await.map_err(|error| match error.code {
        // Its folder, or the disk that it lay on.
        Code::NotFound => {
            let way_out = format!("if its objects are gone, `sluice remove {id}` alone forgets its record");
            OperationError::new(error.code, format!("{}; {way_out}", error.message))
        }
        _ => error,
    })?;
    if found.bucket.scheme == "dir" {
        return Ok(found);
    }
    let what = format!(
        "only objects in dir: are removed here; those of {id} lie in {}: remove them there, for example with \
         `aws s3 rm --recursive`, and the record without --objects",
        found.bucket
    );
    Err(Failure::new(Code::Invalid, what))
}

fn describe(found: &Owned) {
    let count = found.objects.len() as u64;
    let size = found.objects.iter().map(|object| object.size).sum();
    output::note(&format!(
        "its manifest names {} that {} there, {}, in {}:",
        counted(count, "file"),
        are(count),
        bytes(size),
        found.bucket
    ));
    show(found.objects.iter().map(|object| object.key.as_str()));
    if !found.others.is_empty() {
        let count = found.others.len() as u64;
        let others = counted(count, "other");
        output::note(&format!("{others} in its folder {}, not named by it or changed since:", stay(count)));
        show(found.others.iter().map(String::as_str));
    }
}

fn show<'a>(keys: impl ExactSizeIterator<Item = &'a str>) {
    let left = keys.len().saturating_sub(SHOWN);
    for key in keys.take(SHOWN) {
        output::note(&format!("  {}", key.escape_debug()));
    }
    if left > 0 {
        output::note(&format!("  and {} more", grouped(left as u64)));
    }
}

fn stay(count: u64) -> &'static str {
    if count == 1 { "stays" } else { "stay" }
}

/// Where events lie that an import's target could not hold.
fn folder_of_misfits(engine: &Engine, transfer: &TransferRecord) -> String {
    let Config::Import(config) = &transfer.config else { return String::new() };
    engine.places.object(&config.work, &format!("{}/{}", config.folder(), ObjectKeys::MISFITS))
}

/// A person at a terminal says so.
fn ask(found: &Owned) -> Result<(), Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage("nobody can be asked here: say --yes to remove what its manifest names"));
    }
    output::note(&format!("remove {} for good? [y/N]", counted(found.objects.len() as u64, "file")));
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(|error| Failure::of_io(&error, "the answer cannot be read"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Code::IllegalState, "nothing was removed"))
}

async fn remove(bucket: &BucketUri, objects: &[OwnedObject]) -> Result<(), Failure> {
    let store = match DirBucket::open(Path::new(&bucket.rest)) {
        // Nothing to remove it from.
        Err(error) if error.kind() == ErrorKind::NotFound && objects.is_empty() => return Ok(()),
        store => store?,
    };
    for object in objects {
        store.remove_object(&object.key, &object.etag).await?;
    }
    Ok(())
}

/// The record goes last: until then the same command goes on.
async fn forget(home: &Home, engine: &Engine, transfer: &TransferRecord) -> Result<(), Failure> {
    if transfer.kind == Kind::Import {
        let kept = kept_for_import(engine, &transfer.id).await?;
        remove(&engine.places.work(), &kept).await?;
    }
    home.removal().await?.remove_transfer(&transfer.id, transfer.revision).await?;
    Ok(())
}
