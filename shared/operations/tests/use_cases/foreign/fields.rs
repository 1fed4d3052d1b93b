//! Fields of foreign records that become payload, key and time.

use super::*;

/// A plan of lines of JSON with these fields.
#[test]
fn a_field_that_no_record_has_is_told_before_anything_is_written() {
    let file = |records: &str, times| ("a", records.repeat(times).into_bytes());
    for times in [1, 2, 150, 20_000] {
        let rig = Rig::new(&[file("{\"q\":1,\"at\":1}\n", times)], 1 << 20, 1 << 20);
        for (payload, key, time, named) in [
            (Some("p"), None, None, "'p' (--payload-field"),
            (None, Some("k"), None, "'k' (--key-field"),
            (Some("q"), None, Some("t"), "'t' (--time-field"),
            (Some("p"), Some("k"), Some("at"), "'p' (--payload-field, \"payloadField\"), nor 'k'"),
        ] {
            let refused = plan_of(&rig, payload, key, time).unwrap_err();
            assert_eq!(refused.code, Code::Invalid);
            assert!(refused.message.contains(named) && refused.message.contains("Nothing was imported"), "{refused}");
            assert!(now(describe(&rig.engine, &rig.id)).is_err(), "a refused plan leaves no record");
        }
        plan_of(&rig, Some("q"), Some("at"), Some("at")).unwrap();
    }
    // Deletions have a payload that is null.
    plan_of(&Rig::new(&[file("{\"p\":null}\n", 9)], 100, 1 << 20), Some("p"), None, None).unwrap();
    // A field that the first files have not yet.
    let early = ("a", b"{\"q\":1}\n".repeat(30));
    let files = [early.clone(), ("b", early.1.clone()), ("c", early.1.clone()), ("d", b"{\"p\":1}".to_vec())];
    plan_of(&Rig::new(&files, 100, 1 << 20), Some("p"), None, None).unwrap();
    assert!(plan_of(&Rig::new(&files[..3], 100, 1 << 20), Some("p"), None, None).is_err());
}

#[test]
fn what_records_lack_is_counted_whatever_slices_they_come_in() {
    let (mut file, mut wanted) = (String::new(), Lacking::default());
    for number in 0..500_u64 {
        let (payload, key, time) = (number % 3 > 0, number % 5 > 0, number % 7 > 0);
        let field = |there: bool, name: &str| if there { format!(", \"{name}\": {number}") } else { String::new() };
        let more = [field(payload, "p"), field(key, "k"), field(time, "t")].concat();
        file.extend(["{\"n\": 1", &more, "}\n"]);
        wanted += Lacking { payload: u64::from(!payload), key: u64::from(!key), time: u64::from(!time) };
    }
    for steps in [70, 200, 100_000] {
        let rig = Rig::new(&[("a", file.clone().into_bytes()), ("b", file.clone().into_bytes())], 500, 1 << 20);
        plan_of(&rig, Some("p"), Some("k"), Some("t")).unwrap();
        while !rig.slice(steps).unwrap() {}
        let report = now(describe(&rig.engine, &rig.id)).unwrap();
        let wanted = Lacking { payload: 2 * wanted.payload, key: 2 * wanted.key, time: 2 * wanted.time };
        assert_eq!((report.events, report.lacking), (1_000, Some(wanted)), "{steps} steps");
        let (work, _) = now(rig.engine.places.bucket(&rig.engine.places.work())).unwrap();
        let key = report.manifest.unwrap();
        let size = now(work.head(&key)).unwrap().unwrap().size;
        let bytes = now(work.get(&key, None, 0, size)).unwrap();
        let manifest = ImportManifest::from_bytes(&bytes).unwrap();
        assert_eq!((manifest.lacking, manifest.shards[0].lacking), (wanted, wanted));
    }
    // Where no field was named nothing is lacking, and nothing is said.
    let rig = Rig::new(&[("a", b"x\n".to_vec())], 500, 1 << 20);
    rig.plan(SourceFormat::Lines, None).unwrap();
    while !rig.slice(100_000).unwrap() {}
    assert_eq!(now(describe(&rig.engine, &rig.id)).unwrap().lacking, None);
}
