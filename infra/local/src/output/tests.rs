//! What people read of a transfer.

use sluice_transfer::{MisfitReason, Misfits};

use super::*;

#[test]
fn numbers_for_people() {
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(999), "999");
    assert_eq!(grouped(1_234_567), "1,234,567");
    assert_eq!(
        [0, 1, 2, 1_234].map(|count| counted(count, "event")),
        ["0 events", "1 event", "2 events", "1,234 events"]
    );
    assert_eq!(duration(59), "0:59");
    assert_eq!(duration(3_723), "1:02:03");
    assert_eq!(bytes(0), "0 B");
    assert_eq!(bytes(8 << 20), "8.0 MiB");
    assert_eq!(share(Some(0.999)), "99 %");
    assert_eq!(share(None), "unknown");
}

fn report() -> Report {
    let report = serde_json::json!({"id": "nightly", "kind": "export", "state": "COMPLETED_WITH_GAPS",
            "events": 1_000, "bytes": 20 << 20, "objects": 3, "slices": 1, "progress": 1.0, "etaSeconds": null,
            "lagSeconds": null, "cut": "cut:0@1200", "manifest": "dir:/b/nightly/manifest.json", "error": null,
            "from": "local:orders", "to": "dir:/b", "bytesPerSecond": 0.0, "gaps": 22, "rate": 30 << 20,
            "gapRanges": [{"from": "cut:0@100", "until": "cut:0@200"},
                {"from": "cut:1@7", "fromByte": 5, "until": "cut:1@9"}],
            "createdAt": "2026-11-22T08:44:19Z", "endedAt": "2026-11-22T08:44:20Z", "durationSeconds": 1.25,
            "averageBytesPerSecond": 16_777_216.0, "bytesWritten": 8 << 20});
    serde_json::from_value(report).unwrap()
}

#[test]
fn a_summary_says_how_long_how_fast_how_much_and_what_is_lost() {
    let expected = "\
transfer  nightly
export    local:orders -> dir:/b
state     COMPLETED_WITH_GAPS
progress  100 %
moved     1,000 events, 20.0 MiB
limit     30.0 MiB/s
written   8.0 MiB
took      1.2 s, 16.0 MiB/s on average
objects   3
slices    1
gaps      22
          from cut:0@100 until cut:0@200
          from cut:1@7 (its byte 5) until cut:1@9
          20 more are named in its manifest
cut       cut:0@1200
manifest  dir:/b/nightly/manifest.json
";
    assert_eq!(text_of(&report()), expected);
    let import = Report { kind: sluice_transfer::Kind::Import, ..report() };
    assert!(text_of(&import).contains("cut       cut:0@1200\nlive      goes on at that cut: give it as --from"));
    let odd = StoredMisfits {
        misfits: Misfits::of(MisfitReason::Headers, 7),
        folder: "dir:/h/own/imports/nightly/misfits/".to_owned(),
    };
    let odd = Report { state: State::CompletedWithMisfits, gaps: 0, misfits: Some(odd), ..import.clone() };
    let said =
        "misfits   1 event (1 with headers); import them by --format jsonl from dir:/h/own/imports/nightly/misfits/";
    assert!(text_of(&odd).contains(said) && text_of(&odd).contains("\nlive "), "{}", text_of(&odd));
    assert_eq!(exit_of(odd.state), 4);
    let paused = Report { state: State::Paused, ..import };
    assert!(!text_of(&paused).contains("\nlive "), "more of it is to come");
}

#[test]
fn a_read_that_retention_runs_after_says_so() {
    let mut slow = report();
    slow.lag_seconds = Some(72_000);
    let told = |retention: Retention, report: &mut Report| {
        report.retention = Some(retention);
        let text = text_of(report);
        let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("lag")).take(3).collect();
        (lines.join("\n"), overtaken(report))
    };
    let calm = Retention { seconds: 86_400, headroom_seconds: Some(14_400), overtaken_at: None };
    let (text, warned) = told(calm.clone(), &mut slow);
    assert_eq!(
        text,
        "\
lag       20:00:00 behind the stream's tip
retention 24:00:00; the oldest event that is not read stays for 4:00:00
written   8.0 MiB"
    );
    assert_eq!(warned, None);
    let overtaken_at = Some("2026-11-22T16:44:19Z".to_owned());
    let (text, warned) = told(Retention { headroom_seconds: Some(0), overtaken_at, ..calm }, &mut slow);
    assert_eq!(
        text,
        "\
lag       20:00:00 behind the stream's tip
retention 24:00:00; the oldest event that is not read may be gone
          overtakes this read at 2026-11-22T16:44:19Z"
    );
    let warned = warned.unwrap();
    assert!(warned.contains("at 2026-11-22T16:44:19Z: ") && warned.contains("`sluice rate`"), "{warned}");
    slow.rate = None;
    assert!(!overtaken(&slow).unwrap().contains("rate"));
}

#[test]
fn a_report_of_before_is_read() {
    let mut old = serde_json::to_value(report()).unwrap();
    let fields = ["gapRanges", "endedAt", "durationSeconds", "averageBytesPerSecond", "bytesWritten", "rate"];
    for field in fields {
        old.as_object_mut().unwrap().remove(field).unwrap();
    }
    assert_eq!(serde_json::from_value::<Report>(old).unwrap().bytes_written, None);
}

#[test]
fn foreign_text_steers_no_terminal() {
    assert_eq!(plain("a\tb\nzürich 'x'"), "a\tb\nzürich 'x'");
    assert_eq!(plain("a\u{1b}[2J\r\u{9b}"), "a\\u{1b}[2J\\r\\u{9b}");
}

#[test]
fn a_cut_of_many_shards_is_cut_with_a_count() {
    let cut = |shards: usize| {
        let at = |n: usize| (format!("shard-{n:04}").parse().unwrap(), format!("after:{n}").parse().unwrap());
        Cut((0..shards).map(at).collect())
    };
    assert!(cut_of(&cut(2)).starts_with("cut:shard-0000@1,"));
    let many = cut_of(&cut(1_000));
    assert!(many.len() < 500 && many.contains(" and 980 more shards"), "{many}");
    assert!(!many.starts_with("cut:"), "what is not whole is no bound");
}

#[test]
fn every_state_has_its_exit_code() {
    let codes: Vec<u8> = State::ALL.into_iter().map(exit_of).collect();
    assert_eq!(codes, [3, 1, 3, 1, 0, 4, 4, 5, 1, 3]);
}
