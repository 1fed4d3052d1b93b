//! Uploads in parts.

use bytes::Bytes;
use sluice_ports::{BucketStore, CompleteAnswer, ErrorKind, PartAnswer};
use sluice_transfer::limits::PARTS_PER_OBJECT;
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};

use super::{assert_kind, assert_object, complete, filled, joined, metadata, part, part_size, stored, uploaded};

/// Parts that are this small are uploaded by the ten thousand.
const SMALL: u64 = 1 << 10;

fn completed(answer: CompleteAnswer) -> String {
    match answer {
        CompleteAnswer::Completed { etag } => etag,
        other => panic!("a completion that nothing stands against answered {other:?}"),
    }
}

async fn assert_open(bucket: &dyn BucketStore, key: &str, id: &UploadId, ledger: &[PartEntry]) {
    let listed = bucket.list_parts(key, id).await.expect("list_parts answers").expect("the upload is still open");
    for (number, entry) in (1..).zip(ledger) {
        assert_eq!(listed.get(&number), Some(entry), "part {number} of '{key}' as it is listed");
    }
}

async fn assert_gone(bucket: &dyn BucketStore, key: &str, id: &UploadId) {
    assert_eq!(bucket.list_parts(key, id).await.expect("list_parts answers"), None, "parts of an upload that is gone");
    let bytes = filled(99, 20);
    let late = bucket.upload_part(key, id, 1, 0, bytes.clone(), Checksum::of(&bytes)).await;
    let late = late.expect("a late part is answered");
    assert_eq!(late, PartAnswer::NoSuchUpload, "a part for an upload that is gone");
    let ledger = [PartEntry { etag: "x".into(), checksum: Checksum::of(&bytes) }];
    assert_eq!(complete(bucket, key, id, &ledger).await, CompleteAnswer::NoSuchUpload, "completion of what is gone");
    bucket.abort(key, id).await.expect("giving up what is gone is no error");
    let open = bucket.list_uploads("").await.expect("list_uploads answers");
    assert!(open.iter().all(|open| open.id != *id), "an upload that is gone is not listed");
}

pub(super) async fn parts_become_an_object(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    for count in 1..=4_u8 {
        let key = format!("data/{count}");
        // The last part may be of any size, and smaller than the others.
        let parts: Vec<Bytes> = (1..=count).map(|n| filled(n, if n == count { 1 } else { size })).collect();
        let (id, ledger) = uploaded(bucket, &key, &parts).await;
        assert_eq!(bucket.head(&key).await.expect("head answers"), None, "an open upload is no object");
        assert_eq!(bucket.list("", None, 99).await.expect("list answers").len(), usize::from(count) - 1);
        assert_open(bucket, &key, &id, &ledger).await;
        let etag = completed(complete(bucket, &key, &id, &ledger).await);
        assert_object(bucket, &key, &etag, &parts.concat()).await;
        assert_gone(bucket, &key, &id).await;
        assert_object(bucket, &key, &etag, &parts.concat()).await;
    }
}

pub(super) async fn parts_come_in_any_order(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let id = bucket.create_upload("k", &metadata("k")).await.expect("an upload can be begun");
    let parts = [filled(1, size), filled(2, size + 1), filled(3, size)];
    let three = part(bucket, "k", &id, 3, 2 * size + 1, &parts[2]).await;
    let one = part(bucket, "k", &id, 1, 0, &parts[0]).await;
    let two = part(bucket, "k", &id, 2, size, &parts[1]).await;
    let etag = completed(complete(bucket, "k", &id, &[one, two, three]).await);
    assert_object(bucket, "k", &etag, &parts.concat()).await;
}

pub(super) async fn a_part_is_replaced(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let (id, mut ledger) = uploaded(bucket, "k", &[filled(1, size), filled(2, size), filled(3, size)]).await;
    let stale = ledger.clone();
    let new = filled(22, size);
    ledger[1] = part(bucket, "k", &id, 2, size, &new).await;
    assert_ne!(ledger[1].etag, stale[1].etag, "parts of other bytes have other etags");
    // The last one grows.
    let last = filled(33, size + 5);
    ledger[2] = part(bucket, "k", &id, 3, 2 * size, &last).await;
    assert_open(bucket, "k", &id, &ledger).await;
    assert_eq!(complete(bucket, "k", &id, &stale).await, CompleteAnswer::InvalidPart, "a stale ledger");
    assert_open(bucket, "k", &id, &ledger).await;
    assert_eq!(bucket.head("k").await.expect("head answers"), None, "a stale ledger makes no object");
    // And shrinks.
    let last = filled(34, size - 5);
    ledger[2] = part(bucket, "k", &id, 3, 2 * size, &last).await;
    let etag = completed(complete(bucket, "k", &id, &ledger).await);
    assert_object(bucket, "k", &etag, &[filled(1, size), new, last].concat()).await;
}

pub(super) async fn what_the_ledger_leaves_out_is_dropped(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let parts = [filled(1, size), filled(2, size), filled(3, size)];
    let (id, ledger) = uploaded(bucket, "k", &parts).await;
    let etag = completed(complete(bucket, "k", &id, &ledger[..2]).await);
    assert_object(bucket, "k", &etag, &parts[..2].concat()).await;
}

pub(super) async fn a_wrong_ledger_changes_nothing(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let parts = [filled(1, size), filled(2, size), filled(3, size)];
    let (id, ledger) = uploaded(bucket, "k", &parts).await;
    let mut missing = ledger.clone();
    missing.push(ledger[2].clone());
    let mut etag = ledger.clone();
    etag[1].etag.clone_from(&ledger[0].etag);
    let mut checksum = ledger.clone();
    checksum[1].checksum = ledger[0].checksum;
    let swapped = vec![ledger[1].clone(), ledger[0].clone(), ledger[2].clone()];
    let left_out = vec![ledger[0].clone(), ledger[2].clone()];
    let wrong = [
        (missing, "a part that was never stored"),
        (etag, "another part's etag"),
        (checksum, "another part's checksum"),
        (swapped, "parts in another order"),
        (left_out, "a part left out"),
    ];
    for (wrong, what) in wrong {
        assert_eq!(complete(bucket, "k", &id, &wrong).await, CompleteAnswer::InvalidPart, "{what}");
        assert_open(bucket, "k", &id, &ledger).await;
        assert_eq!(bucket.head("k").await.expect("head answers"), None, "{what}: no object is made");
    }
    let whole = Checksum { crc: !joined(&ledger).crc, ..joined(&ledger) };
    let answer = bucket.complete("k", &id, &ledger, whole).await.expect("a completion is answered");
    assert_eq!(answer, CompleteAnswer::InvalidPart, "a checksum of the whole that is not that of its parts");
    let etag = completed(complete(bucket, "k", &id, &ledger).await);
    assert_object(bucket, "k", &etag, &parts.concat()).await;
}

/// Buckets that write parts in place could lose a neighbour's bytes to a part that is longer than the one before it.
/// Whatever they do, an object that is completed has the bytes of its ledger.
pub(super) async fn a_replaced_part_harms_no_other_silently(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let parts = [filled(1, size), filled(2, size)];
    let (id, ledger) = uploaded(bucket, "k", &parts).await;
    part(bucket, "k", &id, 1, 0, &filled(7, size + 4)).await;
    let again = part(bucket, "k", &id, 1, 0, &parts[0]).await;
    let ledger = [again, ledger[1].clone()];
    match complete(bucket, "k", &id, &ledger).await {
        CompleteAnswer::Completed { etag } => assert_object(bucket, "k", &etag, &parts.concat()).await,
        CompleteAnswer::InvalidPart => {
            let two = part(bucket, "k", &id, 2, size, &parts[1]).await;
            let etag = completed(complete(bucket, "k", &id, &[ledger[0].clone(), two]).await);
            assert_object(bucket, "k", &etag, &parts.concat()).await;
        }
        other => panic!("a part was replaced twice and the completion answered {other:?}"),
    }
}

pub(super) async fn requests_that_cannot_be_carried_out(bucket: &dyn BucketStore) {
    let smallest = part_size(bucket).await - 9;
    let small = [filled(1, smallest - 1), filled(2, smallest)];
    let (id, ledger) = uploaded(bucket, "k", &small).await;
    let answer = bucket.complete("k", &id, &ledger, joined(&ledger)).await;
    assert_kind(answer, ErrorKind::Invalid, "a part that is too small and not the last");
    let answer = bucket.complete("k", &id, &[], Checksum::default()).await;
    assert_kind(answer, ErrorKind::Invalid, "an object of no parts");
    for number in [0, PARTS_PER_OBJECT + 1] {
        let answer = bucket.upload_part("k", &id, number, 0, small[1].clone(), Checksum::of(&small[1])).await;
        assert_kind(answer, ErrorKind::Invalid, "a part whose number is not 1 to 10,000");
    }
    let answer = bucket.upload_part("k", &id, 2, smallest - 1, small[1].clone(), Checksum::of(b"other")).await;
    assert_kind(answer, ErrorKind::Invalid, "a part whose checksum is not that of its bytes");
    assert_open(bucket, "k", &id, &ledger).await;
    assert_eq!(bucket.head("k").await.expect("head answers"), None, "nothing was made");
    // The same parts are good where the small one is the last.
    let one = part(bucket, "k", &id, 1, 0, &small[1]).await;
    let two = part(bucket, "k", &id, 2, smallest, &small[0]).await;
    completed(complete(bucket, "k", &id, &[one, two]).await);
}

pub(super) async fn a_completion_never_overwrites(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let (late, ledger) = uploaded(bucket, "k", &[filled(1, size), filled(2, size)]).await;
    let bytes = filled(3, 50);
    let etag = stored(bucket, "k", &bytes).await;
    for _ in 0..2 {
        assert_eq!(complete(bucket, "k", &late, &ledger).await, CompleteAnswer::Exists, "completion over an object");
        assert_object(bucket, "k", &etag, &bytes).await;
    }
    bucket.abort("k", &late).await.expect("an upload can be given up");
    assert_gone(bucket, "k", &late).await;
    assert_object(bucket, "k", &etag, &bytes).await;
}

pub(super) async fn completed_is_gone(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let parts = [filled(1, size), filled(2, size)];
    let (id, ledger) = uploaded(bucket, "k", &parts).await;
    let etag = completed(complete(bucket, "k", &id, &ledger).await);
    assert_eq!(complete(bucket, "k", &id, &ledger).await, CompleteAnswer::NoSuchUpload, "a second completion");
    assert_gone(bucket, "k", &id).await;
    assert_object(bucket, "k", &etag, &parts.concat()).await;
}

pub(super) async fn aborted_is_gone(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let (id, ledger) = uploaded(bucket, "k", &[filled(1, size)]).await;
    let (other, kept) = uploaded(bucket, "k", &[filled(2, size)]).await;
    assert_ne!(id, other, "two uploads of a key have two names");
    for _ in 0..3 {
        bucket.abort("k", &id).await.expect("giving up can be repeated");
    }
    assert_gone(bucket, "k", &id).await;
    assert_eq!(
        complete(bucket, "k", &id, &ledger).await,
        CompleteAnswer::NoSuchUpload,
        "completion of what was given up"
    );
    assert_open(bucket, "k", &other, &kept).await;
    let never = [UploadId(String::new()), UploadId("../../x".into()), UploadId("0".repeat(32)), UploadId("ü\0".into())];
    for id in never {
        assert_gone(bucket, "k", &id).await;
    }
    completed(complete(bucket, "k", &other, &kept).await);
}

pub(super) async fn an_upload_belongs_to_its_key(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    let (id, ledger) = uploaded(bucket, "k", &[filled(1, size)]).await;
    let bytes = filled(2, size);
    let answer = bucket.upload_part("other", &id, 1, 0, bytes.clone(), Checksum::of(&bytes)).await;
    assert_eq!(answer.expect("it is answered"), PartAnswer::NoSuchUpload, "a part under another key");
    assert_eq!(bucket.list_parts("other", &id).await.expect("it is answered"), None, "parts under another key");
    assert_eq!(complete(bucket, "other", &id, &ledger).await, CompleteAnswer::NoSuchUpload, "another key");
    bucket.abort("other", &id).await.expect("it is answered");
    let etag = completed(complete(bucket, "k", &id, &ledger).await);
    assert_object(bucket, "k", &etag, &filled(1, size)).await;
}

pub(super) async fn one_of_two_completions_wins(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    for round in 0..10_u8 {
        let key = format!("new/{round}/k");
        let (one, two) = ([filled(round, size)], [filled(round + 100, size)]);
        let (first, first_ledger) = uploaded(bucket, &key, &one).await;
        let (second, second_ledger) = uploaded(bucket, &key, &two).await;
        let answers = tokio::join!(
            complete(bucket, &key, &first, &first_ledger),
            complete(bucket, &key, &second, &second_ledger),
        );
        let (etag, bytes) = match answers {
            (CompleteAnswer::Completed { etag }, CompleteAnswer::Exists) => (etag, one.concat()),
            (CompleteAnswer::Exists, CompleteAnswer::Completed { etag }) => (etag, two.concat()),
            other => panic!("of two completions just one makes the object, answered {other:?}"),
        };
        assert_object(bucket, &key, &etag, &bytes).await;
    }
}

pub(super) async fn one_upload_is_completed_once(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await;
    for round in 0..10_u8 {
        let key = format!("same/{round}");
        let (id, ledger) = uploaded(bucket, &key, &[filled(round, size)]).await;
        let answers = tokio::join!(complete(bucket, &key, &id, &ledger), complete(bucket, &key, &id, &ledger));
        let etag = match answers {
            (CompleteAnswer::Completed { etag }, CompleteAnswer::NoSuchUpload | CompleteAnswer::Exists)
            | (CompleteAnswer::NoSuchUpload | CompleteAnswer::Exists, CompleteAnswer::Completed { etag }) => etag,
            other => panic!("one upload was completed twice at once and answered {other:?}"),
        };
        assert_object(bucket, &key, &etag, &filled(round, size)).await;
        assert_gone(bucket, &key, &id).await;
    }
}

/// The most parts that an object has; not where that would be gigabytes.
pub(super) async fn ten_thousand_parts(bucket: &dyn BucketStore) {
    let size = part_size(bucket).await - 9;
    if size > SMALL {
        return;
    }
    let parts: Vec<Bytes> = (0..PARTS_PER_OBJECT).map(|n| filled(n.to_le_bytes()[0], size)).collect();
    let (id, ledger) = uploaded(bucket, "k", &parts).await;
    let listed = bucket.list_parts("k", &id).await.expect("list_parts answers").expect("the upload is open");
    let numbers: Vec<u64> = listed.keys().copied().collect();
    assert_eq!(numbers, (1..=PARTS_PER_OBJECT).collect::<Vec<_>>(), "all parts are listed by number");
    assert!(listed.into_values().eq(ledger.iter().cloned()), "the parts are listed as they were answered");
    let etag = completed(complete(bucket, "k", &id, &ledger).await);
    assert_object(bucket, "k", &etag, &parts.concat()).await;
}
