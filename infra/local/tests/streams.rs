//! Append, read, streams and trim.
#![cfg(test)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::Stage;
use serde_json::json;

#[test]
fn lines_come_back_as_they_went_in() {
    let stage = Stage::new();
    let input = b"one\r\n\ntw\xc3\xb6\n\xff\xfe\nlast";
    let told = stage.with_input("append local:a --output json", input).code(0).json();
    assert_eq!(told, serde_json::json!({"stream": "local:a", "events": 5, "bytes": 14}));
    let done = stage.ok("read local:a");
    let first = done.text().lines().next().unwrap().to_owned();
    assert!(first.starts_with(r#"{"shard":"0","sequence":"0","time":"20"#), "{first}");
    assert!(first.ends_with(r#"Z","headers":[],"payload":"one\r"}"#), "{first}");
    let lines = done.lines();
    assert_eq!(lines[1]["payload"], "");
    assert_eq!(lines[2]["payload"], "twö");
    assert_eq!(lines[3]["payloadBase64"], "//4=");
    assert!(lines[3].get("payload").is_none() && lines[3].get("key").is_none());
    assert_eq!(lines[4]["payload"], "last");
    assert_eq!(stage.payload("a"), b"one\rtw\xc3\xb6\xff\xfelast");
}

#[test]
fn nothing_appends_nothing_and_makes_the_stream() {
    let stage = Stage::new();
    stage.with_input("append local:a", b"").code(0);
    let told = stage.json("streams", 0);
    let expected = serde_json::json!({"streams": [{"name": "local:a", "shards": 1, "events": 0, "bytes": 0,
        "earliest": "cut:0@0", "tail": "cut:0@0", "writer": null}]});
    assert_eq!(told, expected);
    assert!(stage.ok("read local:a").out.is_empty());
}

#[test]
fn a_file_is_cut_into_pieces() {
    let stage = Stage::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(10_001).collect();
    std::fs::write(stage.path("f"), &bytes).unwrap();
    let told = stage.json("append local:a --file f --by bytes --event-bytes 1000", 0);
    assert_eq!((told["events"].as_u64(), told["bytes"].as_u64()), (Some(11), Some(10_001)));
    assert_eq!(stage.payload("a"), bytes);
    stage.run("append local:a --file missing").fails(1, "missing cannot be read");
    stage.run("append local:a --file .").fails(1, ". cannot be read");
}

#[test]
fn keys_choose_the_shard_and_without_one_events_take_turns() {
    let stage = Stage::new();
    stage.with_input("append local:a --shards 3", b"0\n1\n2\n3\n").code(0);
    let placed: Vec<_> = stage.events("a").iter().map(|e| format!("{}:{}", e["shard"], e["payload"])).collect();
    assert_eq!(placed, [r#""0":"0""#, r#""0":"3""#, r#""1":"1""#, r#""2":"2""#]);
    stage.with_input("append local:b --shards 3 --key k", b"0\n1\n").code(0);
    stage.with_input("append local:b --key k", b"2\n").code(0);
    let events = stage.events("b");
    assert!(events.iter().all(|event| event["shard"] == events[0]["shard"] && event["key"] == "k"));
    assert_eq!(events.len(), 3);
    stage.with_input("append local:b --shards 2", b"x\n").fails(1, "has 3 shards");
}

#[test]
fn a_line_that_is_too_long_is_named_and_what_came_before_is_counted() {
    let stage = Stage::new();
    let done = stage.with_input("append local:a --event-bytes 3", b"abc\nabcd\n");
    done.fails(1, "line 2 of stdin is longer than 3 bytes");
    // The lines before it in its batch were not appended, and the message says so.
    let counts = stage.json("streams", 0)["streams"][0]["events"].clone();
    assert_eq!(counts, 0);
}

#[test]
fn concurrent_appenders_lose_nothing() {
    let stage = Stage::new();
    stage.with_input("append local:a", b"").code(0);
    let input = (0..20_000).map(|n| format!("{n}\n")).collect::<Vec<_>>().concat();
    std::fs::write(stage.path("lines"), input).unwrap();
    let all: Vec<_> = (0..3).map(|_| stage.start("append local:a --file lines")).collect();
    for child in all {
        common::ended(child).code(0);
    }
    assert_eq!(stage.json("streams", 0)["streams"][0]["events"], 60_000);
}

#[test]
fn positions_bound_a_read() {
    let stage = Stage::new();
    stage.with_input("append local:a --shards 2", b"0\n1\n2\n3\n4\n5\n").code(0);
    let read = |bounds: &str| {
        let events = stage.ok(&format!("read local:a {bounds}")).lines();
        events.iter().map(|event| event["payload"].as_str().unwrap().to_owned()).collect::<String>()
    };
    assert_eq!(read(""), "024135");
    assert_eq!(read("--limit 4"), "0241");
    assert_eq!(read("--limit 0"), "");
    assert_eq!(read("--from 0@1"), "24135");
    assert_eq!(read("--from 0@1 --until cut:0@2,1@1"), "21");
    assert_eq!(read("--until 1@0"), "024");
    assert_eq!(read("--from latest"), "");
    assert_eq!(read("--from ago:1h"), "024135");
    assert_eq!(read("--until ago:1h"), "");
    assert_eq!(read("--from 1999-01-01T00:00:00Z"), "024135");
    assert_eq!(read("--from 2999-01-01T00:00:00Z"), "");
    assert_eq!(read("--from 0@1 --until 0@1"), "135", "the other shard is not bounded");
    for bounds in ["--from 0@2 --until 0@1", "--from ago:1h --until ago:2h", "--from cut:0@2,1@2 --until ago:1h"] {
        stage.run(&format!("read local:a {bounds}")).fails(2, "nothing lies between");
    }
    stage.run("read local:a --from 7@0").fails(1, "no shard '7'");
    stage.run("read local:a --from tomorrow").fails(2, "earliest, latest");
    stage.run("read local:b").fails(1, "there is no stream local:b");
}

#[test]
fn a_trimmed_start_is_an_error_only_where_it_was_asked_for() {
    let stage = Stage::new();
    stage.with_input("append local:a --shards 2", b"0\n1\n2\n3\n4\n5\n").code(0);
    let told = stage.json("trim local:a --before 0@2", 0);
    assert_eq!((told["events"].as_u64(), told["earliest"].as_str()), (Some(4), Some("cut:0@2,1@0")));
    assert_eq!(stage.payload("a"), b"4135");
    stage.run("read local:a --from 0@1").fails(1, "its earliest event is 0@2");
    assert_eq!(stage.ok("read local:a --from 0@2 --payload").out, b"4135");
    stage.ok("trim local:a --before latest");
    assert_eq!(stage.payload("a"), b"");
    assert_eq!(stage.json("streams", 0)["streams"][0]["tail"], "cut:0@3,1@3");
    stage.run("trim local:b --before latest").fails(1, "there is no stream local:b");
}

#[test]
fn a_trim_says_what_it_drops_and_refuses_what_looks_as_if_it_kept_something() {
    let stage = Stage::new();
    stage.with_input("append local:a --shards 2", b"0\n1\n2\n3\n4\n5\n").code(0);
    for before in ["0@7000", "cut:0@1,1@4", "cut:0@end"] {
        stage.run(&format!("trim local:a --before {before}")).fails(2, "Say `latest` to drop all that is there");
    }
    let done = stage.run("trim local:a --before 2999-01-01 --output json").fails(2, "is in the future; say `latest`");
    assert_eq!(done.json()["error"]["code"], "OutOfRange");
    assert_eq!(stage.payload("a"), b"024135");
    let told = stage.json("trim local:a --before 0@2", 0);
    assert_eq!((&told["droppedEvents"], &told["droppedBytes"], &told["events"]), (&json!(2), &json!(2), &json!(4)));
    let text = stage.ok("trim local:a --before 0@3").text();
    assert_eq!(text, "local:a now begins at cut:0@3,1@0; dropped: 1 event, 1 B; left: 3 events, 3 B\n");
    // Nothing is as old as that; and the end itself is no position behind it.
    assert_eq!(stage.json("trim local:a --before ago:1d", 0)["droppedEvents"], 0);
    assert_eq!(stage.json("trim local:a --before cut:0@3,1@3", 0)["droppedEvents"], 3);
}

#[test]
fn a_trim_drops_nothing_that_an_unfinished_export_needs() {
    let stage = Stage::new();
    stage.numbers("a", 24_000);
    let export = "export local:a dir:out --id t --compression none --object-size 40KiB --part-size 10KiB --rate 60KB";
    let child = stage.start(&format!("{export} --from 0@1000"));
    stage.wait_for_movement("t");
    stage.run("trim local:a --before latest").fails(1, "local:a is needed by the transfer t, which is TRANSFERRING");
    stage.ok("pause t");
    common::ended(child).code(3);
    stage.run("trim local:a --before ago:0s").fails(1, "is needed by the transfer t, which is PAUSED");
    let reached: usize = stage.json("status t", 0)["cut"].as_str().unwrap().split_once('@').unwrap().1.parse().unwrap();
    stage.run(&format!("trim local:a --before 0@{}", reached + 1)).fails(1, "needed by the transfer t");
    // What lies in front of it, and what it has stored, nobody needs.
    stage.ok("trim local:a --before 0@1000");
    stage.ok(&format!("trim local:a --before 0@{reached}"));
    stage.ok("resume t --rate none");
    stage.ok("trim local:a --before latest");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let stage = Stage::new();
    stage.stream("a", 3_000);
    for command in ["read local:a", "read local:a --payload"] {
        let mut child = stage.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
        out.read_line(&mut first).map(|_| ()).or_else(|_| out.read_until(b'0', &mut Vec::new()).map(|_| ())).unwrap();
        drop(out);
        let done = common::ended(child).code(0);
        assert_eq!(done.err, "");
    }
}

#[test]
fn a_stream_that_is_broken_does_not_hide_the_others() {
    let stage = Stage::new();
    stage.with_input("append local:a", b"x\n").code(0);
    std::fs::write(stage.path("home/streams/b.sqlite"), "no database").unwrap();
    let done = stage.run("streams").fails(1, "stream 'b'");
    assert!(done.text().contains("local:a"));
}

#[test]
fn a_stream_that_was_never_made_is_passed_over_made_or_removed() {
    let stage = Stage::new();
    stage.with_input("append local:a", b"x\n").code(0);
    let unmade = || std::fs::write(stage.path("home/streams/b.sqlite"), "").unwrap();
    unmade();
    let done = stage.ok("streams --output json");
    assert_eq!(done.json()["streams"].as_array().unwrap().len(), 1);
    assert!(done.err.contains("local:b was never made") && done.err.contains("streams delete local:b"), "{}", done.err);
    stage.run("read local:b").fails(1, "there is no stream local:b");
    stage.ok("streams delete local:b");
    assert!(!stage.path("home/streams/b.sqlite").exists());
    stage.run("streams delete local:b").fails(1, "there is no stream local:b");
    unmade();
    stage.ok("export local:a dir:out --id e");
    stage.ok("import dir:out/e local:b");
    assert_eq!(stage.payload("b"), b"x");
    std::fs::write(stage.path("home/streams/c.sqlite"), "").unwrap();
    stage.with_input("append local:c", b"y\n").code(0);
    assert_eq!(stage.payload("c"), b"y");
}
