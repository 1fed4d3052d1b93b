//! The demo.
#![cfg(test)]

mod common;

use common::Stage;
use serde_json::json;

fn demo(stage: &Stage, line: &str) -> common::Done {
    let output = stage.command(line).env("TMPDIR", stage.path("")).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    common::Done { code: output.status.code().unwrap_or(-1), out: output.stdout, err }
}

#[test]
fn what_it_moved_is_equal_and_what_it_prints_works() {
    let stage = Stage::new();
    let bytes: Vec<u8> = (0..2_000_003_u32).map(|n| (n.wrapping_mul(n) >> 9).to_le_bytes()[0]).collect();
    std::fs::write(stage.path("f"), &bytes).unwrap();
    let done = demo(&stage, "demo --file f").code(0);
    let text = done.text();
    assert!(text.contains("Everything that came back equals what went in"), "{text}");
    let commands = text.lines().skip_while(|line| *line != "Try next:").skip(1);
    let commands: Vec<_> = commands.take_while(|line| !line.is_empty()).collect();
    assert!(commands.len() >= 5, "{text}");
    for command in commands {
        let done = std::process::Command::new("sh").args(["-c", command]).current_dir(stage.path("")).output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(!stage.path("home").exists());
    // Last comes what removes it all.
    let left = || {
        let names = std::fs::read_dir(stage.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("sluice-demo")).count()
    };
    assert_eq!(left(), 1);
    let remove = text.lines().last().unwrap();
    assert!(remove.starts_with("  rm -r "), "{remove}");
    assert!(std::process::Command::new("sh").args(["-c", remove]).status().unwrap().success());
    assert_eq!(left(), 0);
}

#[test]
fn as_json() {
    let stage = Stage::new();
    std::fs::write(stage.path("f"), vec![7; 300_000]).unwrap();
    let told = demo(&stage, "demo --file f --output json").code(0).json();
    assert_eq!((&told["equal"], &told["findings"]), (&json!(true), &json!([])));
    let steps = told["steps"].as_array().unwrap();
    let bytes = |step: usize| steps[step]["bytes"].as_u64().unwrap();
    // Paused in the middle, for real.
    assert!(bytes(1) > 0 && bytes(2) > 0);
    assert_eq!(bytes(1) + bytes(2), 300_000);
    for (file, name) in [("", "none"), ("x", "one")] {
        std::fs::write(stage.path("f"), file).unwrap();
        let told = demo(&stage, "demo --file f --output json");
        assert_eq!(told.code, 0, "{name}: {}", told.err);
    }
    demo(&stage, "demo --file missing").fails(1, "missing");
}
