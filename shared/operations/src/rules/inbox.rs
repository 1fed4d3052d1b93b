//! Objects that arrive: which rules wait for one, and what becomes of it.

use sluice_ports::{Enqueued, Error, ErrorKind, Listed as File, RuleStore};
use sluice_transfer::rule::{Arrivals, Ignored, KNOWN_MILLIS, On, RuleRecord, Waiting, name_of, why_ignored};
use sluice_transfer::{BucketUri, ImportRequest, ObjectKeys, Request, RuleName, StreamUri};

use super::record::watched;
use crate::archive::manifest_at;
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::plan::folder::why_passed;

/// What became of an object at a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It waits now.
    Waits,
    /// It was told of before.
    Repeated,
    /// It is nothing to import, and why.
    Ignored(String),
    /// It may not be imported, and why.
    Refused(String),
}

/// Puts an object into the inbox of each rule that waits for it. Can be repeated.
///
/// # Errors
/// Of a store in trouble: the event must come again.
pub async fn arrive(
    engine: &Engine,
    store: &dyn RuleStore,
    rules: &[RuleRecord],
    object: &Waiting,
) -> Result<Vec<(RuleName, Arrival)>, OperationError> {
    let mut arrivals = Vec::new();
    for record in rules {
        let Some(rule) = &record.rule else { continue };
        let (Some(on), Request::Import(request)) = (&rule.on, &rule.starts) else { continue };
        if !on.waits_for(&object.bucket, &object.key) {
            continue;
        }
        let arrival = at_rule(engine, store, &record.name, (on, request), object).await?;
        let one = Arrivals::default();
        let counted = match &arrival {
            // Also if it was put there before: that invocation may have died before it counted.
            Arrival::Waits => Arrivals { changes: 1, ..one },
            Arrival::Repeated => Arrivals { changes: 1, repeated: 1, ..one },
            Arrival::Ignored(_) => Arrivals { ignored: 1, ..one },
            Arrival::Refused(_) => Arrivals { refused: 1, ..one },
        };
        store.count(&record.name, counted).await?;
        arrivals.push((record.name.clone(), arrival));
    }
    Ok(arrivals)
}

async fn at_rule(
    engine: &Engine,
    store: &dyn RuleStore,
    name: &RuleName,
    (on, request): (&On, &ImportRequest),
    object: &Waiting,
) -> Result<Arrival, OperationError> {
    if let Some(why) = nothing_to_import(on, request, object) {
        return Ok(Arrival::Ignored(why));
    }
    let place = engine.places().object(&watched(request, on), &object.key);
    let uri: BucketUri = match place.parse() {
        Ok(uri) => uri,
        Err(error) => return Ok(Arrival::Refused(format!("it cannot be asked for: {error}"))),
    };
    let (bucket, key) = match engine.places().source(&uri).await {
        Ok(found) => found,
        Err(error) if is_for_good(&error) => return Ok(Arrival::Refused(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let mut object = object.clone();
    if name_of(&object.key) == ObjectKeys::root() {
        match manifest_at(&*bucket, &key).await {
            Ok(Some(manifest)) if is_same(engine, &manifest.stream, &request.stream).await? => {
                return Ok(Arrival::Refused(format!("it is an export of {}, the target of the rule", request.stream)));
            }
            Ok(Some(_)) => object.is_manifest = true,
            Ok(None) if !object.key.ends_with(&on.suffix) => return Ok(Arrival::Ignored(NOT_OURS.to_owned())),
            Ok(None) => {}
            Err(error) if error.code == Code::NotFound => {
                return Ok(Arrival::Ignored("it is gone already".to_owned()));
            }
            // What is wrong with it, or who may not read it, the run says, which fails: nothing is dropped for that.
            Err(error) if matches!(error.code, Code::ManifestInvalid | Code::Newer | Code::Denied) => {
                object.is_manifest = true;
            }
            Err(error) => return Err(error),
        }
    }
    let known_until = engine.clock.now().plus_millis(KNOWN_MILLIS);
    Ok(match store.enqueue(name, &object, known_until).await? {
        Enqueued::Now => Arrival::Waits,
        Enqueued::Before => Arrival::Repeated,
    })
}

const NOT_OURS: &str = "it is no manifest of an export, and its name ends otherwise than the rule says";

/// Why an object is nothing to import, by its name.
fn nothing_to_import(on: &On, request: &ImportRequest, object: &Waiting) -> Option<String> {
    let why = |ignored| match ignored {
        Ignored::FolderMarker => "it stands for a folder",
        Ignored::PartOfExport => "it is a part of an export, which its manifest tells of",
        Ignored::SeriesDocument => "it is a document of a series",
    };
    if let Some(ignored) = why_ignored(&object.key, object.size) {
        return Some(why(ignored).to_owned());
    }
    // A prefix may end in the middle of a name.
    let folder = on.prefix.rfind('/').map_or("", |slash| &on.prefix[..=slash]);
    // Of an unknown size it is no folder's marker.
    let file = File { key: object.key.clone(), size: object.size.unwrap_or(1), etag: String::new() };
    let reason = why_passed(&file, folder, request.all_files)?;
    Some(format!("it is a {}", reason.noun(1)))
}

fn is_for_good(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::NotFound)
}

/// True if both name one stream.
async fn is_same(engine: &Engine, a: &StreamUri, b: &StreamUri) -> Result<bool, OperationError> {
    let places = engine.places();
    // A stream of a host elsewhere has a name that may mean nothing here.
    let a = places.canonical(a).await.unwrap_or_else(|_| a.clone());
    Ok(a == places.canonical(b).await?)
}
