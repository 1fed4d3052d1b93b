//! The conformance suite of buckets. One async function a property; each gets an empty bucket.

mod listings;
mod objects;
mod uploads;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use sluice_ports::{BucketStore, CompleteAnswer, ErrorKind, Metadata, PartAnswer, PutAnswer, Result};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};

/// Runs the properties that are not named in `$except`, which names nothing else.
macro_rules! run_properties {
    ($fresh:ident, $except:ident, [$($module:ident::$property:ident,)*]) => {
        let known = [$(stringify!($property)),*];
        let unknown: Vec<_> = $except.iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "there are no properties {unknown:?}");
        $(if !$except.contains(&stringify!($property)) {
            $module::$property(&*$fresh().await).await;
        })*
    };
}

/// Runs all properties. `fresh` makes an empty bucket; a bucket that was handed out is not used again.
///
/// Keys differ by more than case, and none is a folder of another, so that directories can pass.
///
/// # Panics
/// Where the bucket does something else than its port says.
pub async fn run<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn BucketStore>>,
{
    run_except(fresh, &[]).await;
}

/// Runs all properties but those of these names: for an adapter that is tried against a server that cannot keep them.
///
/// # Panics
/// Where the bucket does something else than its port says, and if there is no property of a name.
pub async fn run_except<F, Fut>(fresh: F, except: &[&str])
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn BucketStore>>,
{
    run_properties!(
        fresh,
        except,
        [
            objects::nothing_is_there_at_first,
            objects::a_put_object_reads_back,
            objects::a_put_never_overwrites,
            objects::a_put_is_checked,
            objects::ranges,
            objects::pins,
            objects::unsafe_keys_are_refused,
            objects::one_of_two_puts_wins,
            uploads::parts_become_an_object,
            uploads::parts_come_in_any_order,
            uploads::a_part_is_replaced,
            uploads::what_the_ledger_leaves_out_is_dropped,
            uploads::a_wrong_ledger_changes_nothing,
            uploads::a_replaced_part_harms_no_other_silently,
            uploads::requests_that_cannot_be_carried_out,
            uploads::a_completion_never_overwrites,
            uploads::completed_is_gone,
            uploads::aborted_is_gone,
            uploads::an_upload_belongs_to_its_key,
            uploads::one_of_two_completions_wins,
            uploads::one_upload_is_completed_once,
            uploads::ten_thousand_parts,
            listings::keys_come_in_the_order_of_their_bytes,
            listings::pages_join,
            listings::a_prefix_is_bytes,
            listings::open_uploads_are_listed,
        ]
    );
}

/// `len` bytes that differ from those of other seeds.
fn filled(seed: u8, len: u64) -> Bytes {
    (0..len).map(|at| seed.wrapping_mul(31).wrapping_add(at.to_le_bytes()[0])).collect::<Vec<u8>>().into()
}

fn metadata(of: &str) -> Metadata {
    BTreeMap::from([("transfer".to_owned(), of.to_owned()), ("object".to_owned(), "0".to_owned())])
}

/// A part's usual size here: what the bucket takes, and some more.
async fn part_size(bucket: &dyn BucketStore) -> u64 {
    let capabilities = bucket.capabilities().await.expect("capabilities are known");
    assert!(capabilities.create_only, "the suite is for buckets that can make an object only if there is none");
    assert!(capabilities.smallest_part > 0, "no part but the last can be empty");
    capabilities.smallest_part + 9
}

async fn stored(bucket: &dyn BucketStore, key: &str, bytes: &Bytes) -> String {
    match bucket.put(key, bytes.clone(), Checksum::of(bytes), &metadata(key)).await {
        Ok(PutAnswer::Stored { etag }) => etag,
        other => panic!("put of a new key '{key}' answered {other:?}"),
    }
}

async fn part(
    bucket: &dyn BucketStore,
    key: &str,
    id: &UploadId,
    number: u64,
    offset: u64,
    bytes: &Bytes,
) -> PartEntry {
    let checksum = Checksum::of(bytes);
    match bucket.upload_part(key, id, number, offset, bytes.clone(), checksum).await {
        Ok(PartAnswer::Stored { etag }) => PartEntry { etag, checksum },
        other => panic!("part {number} of the open upload of '{key}' answered {other:?}"),
    }
}

/// Uploads these as parts 1, 2, …, one behind the other.
async fn uploaded(bucket: &dyn BucketStore, key: &str, parts: &[Bytes]) -> (UploadId, Vec<PartEntry>) {
    let id = bucket.create_upload(key, &metadata(key)).await.expect("an upload can be begun");
    let (mut ledger, mut offset) = (Vec::new(), 0);
    for (number, bytes) in (1..).zip(parts) {
        ledger.push(part(bucket, key, &id, number, offset, bytes).await);
        offset += bytes.len() as u64;
    }
    (id, ledger)
}

fn joined(ledger: &[PartEntry]) -> Checksum {
    ledger.iter().fold(Checksum::default(), |sum, entry| sum.then(entry.checksum))
}

async fn complete(bucket: &dyn BucketStore, key: &str, id: &UploadId, ledger: &[PartEntry]) -> CompleteAnswer {
    bucket.complete(key, id, ledger, joined(ledger)).await.unwrap_or_else(|error| panic!("complete '{key}': {error}"))
}

/// The object is there and has these bytes, the metadata of its key, and this etag.
async fn assert_object(bucket: &dyn BucketStore, key: &str, etag: &str, bytes: &[u8]) {
    let info = bucket.head(key).await.expect("head answers").unwrap_or_else(|| panic!("'{key}' is not there"));
    assert_eq!(info.etag, etag, "the etag of '{key}' is the one it was stored with");
    assert_eq!(info.size, bytes.len() as u64, "the size of '{key}'");
    assert_eq!(info.metadata, metadata(key), "the metadata of '{key}' are those it was made with");
    if let Some(checksum) = info.checksum {
        assert_eq!(checksum, Checksum::of(bytes), "the checksum of '{key}'");
    }
    let read = bucket.get(key, Some(etag), 0, u64::MAX).await.expect("a whole object can be read");
    assert!(read == bytes, "'{key}' holds other bytes than were stored");
}

fn assert_kind<T: std::fmt::Debug>(answer: Result<T>, kind: ErrorKind, what: &str) {
    match answer {
        Ok(answer) => panic!("{what}: answered {answer:?}, not an error of kind {kind:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{what}: {error}"),
    }
}
