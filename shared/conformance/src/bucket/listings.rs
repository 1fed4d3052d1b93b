//! Listings of objects and of uploads.

use std::collections::BTreeSet;

use super::{complete, filled, metadata, stored, uploaded};
use sluice_ports::{BucketStore, CompleteAnswer, OpenUpload};

/// Folders and files whose order by names is not that of their keys' bytes: '-' and '.' come before '/', digits and
/// letters behind it.
const KEYS: [&str; 17] = [
    "a-b",
    "a.b",
    "a/-",
    "a/b/c",
    "a/b-c",
    "a/b0",
    "a/bb/a",
    "a0",
    "a=1/x",
    "aa/a",
    "b",
    "b-/c",
    "b.",
    "c/d/e/f/g",
    "c/d-",
    "zürich/ä",
    "zz z/~",
];

async fn keys(bucket: &dyn BucketStore, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let listed = bucket.list(prefix, after, limit).await.expect("list answers");
    listed.into_iter().map(|listed| listed.key).collect()
}

async fn fill(bucket: &dyn BucketStore) -> BTreeSet<String> {
    // Made in an order of their own.
    for (n, key) in (0..).zip(KEYS.iter().rev()) {
        stored(bucket, key, &filled(n, u64::from(n) + 1)).await;
    }
    KEYS.iter().map(|key| (*key).to_owned()).collect()
}

pub(super) async fn keys_come_in_the_order_of_their_bytes(bucket: &dyn BucketStore) {
    let all = fill(bucket).await;
    // Not an object, so not listed.
    bucket.create_upload("a/open", &metadata("a/open")).await.expect("an upload can be begun");
    let listed = bucket.list("", None, 1_000).await.expect("list answers");
    assert!(listed.iter().map(|listed| &listed.key).eq(&all), "listed in the order of bytes: {listed:?}");
    for listed in listed {
        let info = bucket.head(&listed.key).await.expect("head answers").expect("what is listed is there");
        assert_eq!((listed.size, listed.etag), (info.size, info.etag), "'{}' is listed as head answers", listed.key);
    }
}

pub(super) async fn pages_join(bucket: &dyn BucketStore) {
    let all: Vec<String> = fill(bucket).await.into_iter().collect();
    assert_eq!(keys(bucket, "", None, 0).await, [""; 0], "a page of nothing");
    for limit in [1, 2, 3, 7, 16, 17, 18] {
        let mut listed: Vec<String> = Vec::new();
        loop {
            let page = keys(bucket, "", listed.last().map(String::as_str), limit).await;
            let full = page.len() == limit;
            listed.extend(page);
            if !full {
                break;
            }
        }
        assert_eq!(listed, all, "pages of {limit}");
    }
    // A page may begin behind what is no key, also behind a folder, and within a prefix behind what is outside of it.
    for after in ["", "a", "a/", "a/b", "a/b/", "a/b/c/d", "a/bb", "a~", "b-/", "c/d", "c/d/e/f/g", "c/d/e0", "zz z/~~"]
    {
        for prefix in ["", "a", "a/", "a/b", "b", "c/d/"] {
            let behind = |key: &&String| key.as_str() > after && key.starts_with(prefix);
            let expected: Vec<&String> = all.iter().filter(behind).collect();
            let listed = keys(bucket, prefix, Some(after), 1_000).await;
            assert!(listed.iter().eq(expected), "behind '{after}' with '{prefix}' came {listed:?}");
        }
    }
}

pub(super) async fn a_prefix_is_bytes(bucket: &dyn BucketStore) {
    let all = fill(bucket).await;
    let prefixes = [
        "a",
        "a/",
        "a/b",
        "a/b/",
        "a/b/c",
        "a/b/c/",
        "a-",
        "a=1",
        "b",
        "b-",
        "c",
        "c/d",
        "c/d/e/f",
        "c//",
        "x",
        "zü",
        "zürich/ä",
        "zz ",
        "/",
        "../",
        "A/.",
    ];
    for prefix in prefixes {
        let expected: Vec<&String> = all.iter().filter(|key| key.starts_with(prefix)).collect();
        let listed = keys(bucket, prefix, None, 1_000).await;
        assert!(listed.iter().eq(expected.iter().copied()), "with the prefix '{prefix}' came {listed:?}");
        let first = keys(bucket, prefix, None, 1).await;
        assert!(first.iter().eq(expected.into_iter().take(1)), "the first with the prefix '{prefix}' was {first:?}");
    }
}

pub(super) async fn open_uploads_are_listed(bucket: &dyn BucketStore) {
    let size = super::part_size(bucket).await;
    let open = |key: &str, id| OpenUpload { key: key.to_owned(), id, begun: None };
    let (one, _) = uploaded(bucket, "p/a/1", &[]).await;
    let (two, _) = uploaded(bucket, "p/a/1", &[filled(1, size)]).await;
    let (three, _) = uploaded(bucket, "p/ab", &[]).await;
    let (done, ledger) = uploaded(bucket, "p/a/2", &[filled(2, size)]).await;
    let (given_up, _) = uploaded(bucket, "p/a/3", &[filled(3, size)]).await;
    let answer = complete(bucket, "p/a/2", &done, &ledger).await;
    assert!(matches!(answer, CompleteAnswer::Completed { .. }), "a completion answered {answer:?}");
    bucket.abort("p/a/3", &given_up).await.expect("an upload can be given up");
    let (one, two, three) = (open("p/a/1", one), open("p/a/1", two), open("p/ab", three));
    let cases = [
        ("", vec![&one, &two, &three]),
        ("p/a", vec![&one, &two, &three]),
        ("p/a/", vec![&one, &two]),
        ("p/ab", vec![&three]),
        ("p/b", vec![]),
    ];
    for (prefix, expected) in cases {
        let mut listed = bucket.list_uploads(prefix).await.expect("list_uploads answers");
        // When they were begun not every store says.
        for upload in &mut listed {
            upload.begun = None;
        }
        listed.sort();
        let mut expected: Vec<OpenUpload> = expected.into_iter().cloned().collect();
        expected.sort();
        assert_eq!(listed, expected, "open uploads with the prefix '{prefix}'");
    }
}
