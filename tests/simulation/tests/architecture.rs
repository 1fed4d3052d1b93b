//! Who may know whom. The workspace's own metadata is read, and an arrow that runs the wrong way fails.
//!
//! Kinds of crates follow from their folders and names, so that a new adapter or function is held to the rules from
//! its first day. Dependencies of tests are looked at too.
//! Inside `shared/operations` the same holds for files: their order stands in [`OPERATIONS`].
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand};

/// What a crate of the workspace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Plain values; knows nobody.
    Core,
    /// Bytes and events.
    Formats,
    /// Traits.
    Ports,
    /// Stores that live in the process.
    Memory,
    /// The suites that adapters pass.
    Suites,
    /// The use cases.
    Operations,
    /// What the stores of one machine share: the one `SQLite`.
    Embedded,
    /// One store, one crate.
    Adapter,
    /// Names to stores: opens adapters for a host.
    Places,
    /// What the functions share: configuration, tracing, errors in Lambda's terms.
    Start,
    /// What hosts the engine: the command, and later the functions.
    Host,
    /// What tests of several crates are made of.
    Kit,
    /// Stands in for a service that is not ours, for the tests of its adapter and of whole transfers.
    Fake,
    /// Looks at the others from outside.
    Tests,
    /// Hands foreign bytes to whoever reads such.
    Fuzz,
}

/// Where adapters lie, and the one to copy.
const ADAPTERS: [&str; 5] =
    ["shared/stream-", "shared/bucket-", "shared/checkpoint-", "shared/executions-", "tests/adapter-"];

fn layer(folder: &str) -> Option<Layer> {
    Some(match folder {
        "shared/transfer" => Layer::Core,
        "shared/formats" => Layer::Formats,
        "shared/ports" => Layer::Ports,
        "shared/memory" => Layer::Memory,
        "shared/conformance" => Layer::Suites,
        "shared/operations" => Layer::Operations,
        "shared/sqlite" => Layer::Embedded,
        "shared/host" => Layer::Start,
        _ if folder.starts_with("shared/places-") => Layer::Places,
        _ if ADAPTERS.iter().any(|kind| folder.starts_with(kind)) => Layer::Adapter,
        _ if folder.starts_with("functions/") || folder.starts_with("infra/") => Layer::Host,
        "tests/fuzz" => Layer::Fuzz,
        "tests/kinesis" => Layer::Fake,
        "tests/kit" => Layer::Kit,
        _ if folder.starts_with("tests/") => Layer::Tests,
        _ => return None,
    })
}

/// Whom a layer may know.
fn allowed(layer: Layer) -> &'static [Layer] {
    use Layer::{Adapter, Core, Embedded, Formats, Kit, Memory, Operations, Places, Ports, Start};
    match layer {
        Core => &[],
        Formats | Ports => &[Core],
        // A fake service knows nobody who uses it, but its clock is the port's.
        Embedded | Memory | Layer::Fake => &[Core, Ports],
        Layer::Suites => &[Core, Ports, Memory],
        Adapter => &[Core, Ports, Embedded],
        Operations => &[Core, Formats, Ports],
        Places => &[Core, Ports, Adapter],
        Start => &[Core, Ports, Operations, Adapter, Places],
        // The command runs an engine that keeps no records over a store in memory.
        Layer::Host => &[Core, Formats, Ports, Memory, Operations, Adapter, Embedded, Places, Start],
        Kit => &[Core, Ports, Memory, Operations],
        Layer::Tests => &[Core, Formats, Ports, Memory, Operations, Kit, Layer::Fake],
        Layer::Fuzz => &[Core, Formats, Ports, Memory, Operations, Adapter, Start, Kit],
    }
}

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).other_options(["--locked".to_owned()]).no_deps().exec().unwrap()
}

/// The layer of each crate, by its name; crates that have no place are answered apart.
fn layers(metadata: &Metadata) -> (BTreeMap<String, Layer>, Vec<String>) {
    let (mut layers, mut homeless) = (BTreeMap::new(), Vec::new());
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(&metadata.workspace_root).unwrap();
        match layer(folder.as_str()) {
            Some(layer) => drop(layers.insert(package.name.to_string(), layer)),
            None => homeless.push(folder.to_string()),
        }
    }
    (layers, homeless)
}

/// Arrows that must not be, each with its reason.
fn forbidden(from: &str, layers: &BTreeMap<String, Layer>, arrows: &[String]) -> Vec<String> {
    let own = layers[from];
    arrows
        .iter()
        .filter_map(|to| layers.get(to).map(|layer| (to, layer)))
        .filter(|(_, layer)| !allowed(own).contains(layer))
        .map(|(to, layer)| format!("{from} ({own:?}) knows {to} ({layer:?})"))
        .collect()
}

#[test]
fn arrows_run_one_way() {
    let metadata = metadata();
    let (layers, homeless) = layers(&metadata);
    assert!(homeless.is_empty(), "crates without a place in the house: {homeless:?}");
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        // Any crate's tests may be made of the kit, of stores in memory and of fakes, and run the suites. A fake's
        // tests play whole transfers on it.
        let fake = layers[package.name.as_str()] == Layer::Fake;
        let for_tests = [Layer::Kit, Layer::Fake, Layer::Memory, Layer::Suites];
        let made_of = |of: &Dependency| fake || layers.get(&of.name).is_some_and(|of| for_tests.contains(of));
        let in_tests = |of: &Dependency| of.kind == DependencyKind::Development && made_of(of);
        let arrows =
            package.dependencies.iter().filter(|of| !in_tests(of)).map(|of| of.name.clone()).collect::<Vec<_>>();
        wrong.extend(forbidden(&package.name, &layers, &arrows));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_layer_is_there() {
    let (layers, _) = layers(&metadata());
    let there: BTreeSet<Layer> = layers.values().copied().collect();
    // Otherwise the rules above would be about nothing.
    assert_eq!(there.len(), 15, "{there:?}");
}

#[test]
fn the_wrong_way_is_seen() {
    let (layers, _) = layers(&metadata());
    let arrow = |from: &str, to: &str| forbidden(from, &layers, &[to.to_owned()]).len();
    for (from, to) in [
        ("sluice-transfer", "sluice-ports"),
        ("sluice-formats", "sluice-ports"),
        ("sluice-ports", "sluice-formats"),
        ("sluice-ports", "sluice-memory"),
        ("sluice-memory", "sluice-conformance"),
        ("sluice-operations", "sluice-memory"),
        ("sluice-stream-local", "sluice-bucket-dir"),
        ("sluice-adapter-template", "sluice-operations"),
        ("sluice-adapter-template", "sluice-stream-local"),
        ("sluice-bucket-dir", "sluice-operations"),
        ("sluice-operations", "sluice-stream-local"),
        ("sluice-operations", "sluice-local"),
        ("sluice-checkpoint-sqlite", "sluice-stream-local"),
        ("sluice-sqlite", "sluice-stream-local"),
        ("sluice-operations", "sluice-sqlite"),
        ("sluice-simulation", "sluice-local"),
    ] {
        assert_eq!(arrow(from, to), 1, "{from} may not know {to}");
    }
    assert_eq!(arrow("sluice-checkpoint-sqlite", "sluice-sqlite"), 0);
    assert_eq!(arrow("sluice-local", "sluice-stream-local"), 0);
    // What comes from outside the workspace is nobody's layer.
    assert_eq!(arrow("sluice-transfer", "serde"), 0);
}

#[test]
fn the_core_is_plain() {
    // No runtime, no async, no cloud: a core that can be called from anywhere.
    let metadata = metadata();
    for name in ["sluice-transfer", "sluice-formats"] {
        let package = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name).unwrap();
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        let wrong: Vec<&str> = normal
            .map(|dependency| dependency.name.as_str())
            .filter(|name| ["tokio", "futures", "async-trait", "rand"].contains(name) || name.starts_with("aws-"))
            .collect();
        assert!(wrong.is_empty(), "{name} knows {wrong:?}");
    }
}

/// The files of `shared/operations` from the bottom to the top. A file uses only files of the lines before its own, so
/// no two files use each other, by whatever way round. A folder's `mod.rs` bears the folder's name.
const OPERATIONS: &[&[&str]] = &[
    &["error", "stores/patience"],
    &["stores/bucket", "stores/stream", "stores/checkpoints", "stores/deaggregated", "stores/places"],
    &["stores"],
    &["engine"],
    &["slice", "records", "control", "objects", "replay", "retention"],
    &["claimed", "lane", "listing", "report"],
    &["archive", "removal", "sweep", "series/documents"],
    &["series/chain"],
    &["series"],
    &["export/reader"],
    &["export/sharing"],
    &["export/target", "import/beat", "import/route", "import/units"],
    &["export/in_flight", "import/misfit", "import/source", "import/read_back"],
    &["export/shard", "import/reader", "import/read_behind"],
    &["export/by_time", "export/closing", "import/shard"],
    &["export/storing", "export/manifest", "import/reconcile"],
    &["export/run", "import/run"],
    &["export", "import"],
    &["rest", "ending"],
    &["plan/notes", "plan/folder", "plan/bounds", "plan/order", "plan/headroom"],
    &["plan/resolved"],
    &["plan/export"],
    &["plan/range", "plan/list"],
    &["plan/placement", "plan/rhythm"],
    &["plan/foreign"],
    &["plan/sample"],
    &["plan/progress"],
    &["plan/keeping"],
    &["plan/sources"],
    &["plan/import"],
    &["plan", "settle"],
    &["finish/checked"],
    &["finish/export", "finish/import"],
    &["finish", "begin"],
    &["call"],
    &["verify/found"],
    &["verify/run"],
    &["verify/object"],
    &["verify/export", "verify/import"],
    &["verify/place"],
    &["verify"],
];

/// The line of a file in [`OPERATIONS`].
fn line_of(file: &str) -> Option<usize> {
    OPERATIONS.iter().position(|line| line.contains(&file))
}

/// The files of `shared/operations` and their text without comments and without their tests.
fn operations() -> BTreeMap<String, String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/operations/src"));
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(root).unwrap().to_str().unwrap();
                let name = relative.strip_suffix(".rs").unwrap();
                let name = name.strip_suffix("/mod").unwrap_or(name);
                files.insert(name.to_owned(), code_of(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    // The root names all of them.
    files.remove("lib").unwrap();
    files
}

/// A file without its comments, and up to its tests, which stand at its end.
fn code_of(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths that begin behind `crate::` or `super::`, with groups taken apart. The flag is true for `super`.
fn paths(code: &str) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    for (keyword, up) in [("crate::", false), ("super::", true)] {
        for (at, _) in code.match_indices(keyword) {
            // `pub(in crate::…)` and longer names do not occur before a path.
            if !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                let mut rest = &code[at + keyword.len()..];
                found.extend(tree(&mut rest).into_iter().map(|path| (up, path)));
            }
        }
    }
    found
}

/// The paths of one tree of a `use`: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn tree(rest: &mut &str) -> Vec<Vec<String>> {
    *rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        *rest = group;
        let mut all = Vec::new();
        loop {
            *rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(behind) = rest.strip_prefix('}') {
                *rest = behind;
                return all;
            }
            assert!(!rest.is_empty(), "a group without an end");
            all.extend(tree(rest));
        }
    }
    let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(rest.len());
    if len == 0 {
        // Something else than a path, such as the `(` of `super::(…)`: nothing that compiles.
        *rest = rest.get(1..).unwrap_or_default();
        return Vec::new();
    }
    let first = rest[..len].to_owned();
    *rest = &rest[len..];
    let Some(more) = rest.strip_prefix("::") else { return vec![vec![first]] };
    *rest = more;
    let mut paths = tree(rest);
    if paths.is_empty() {
        // `Vec::<T>`: a type's arguments follow.
        paths.push(Vec::new());
    }
    for path in &mut paths {
        path.insert(0, first.clone());
    }
    paths
}

/// The file that a path of `from` leads to.
fn file_of(from: &str, up: bool, path: &[String], files: &BTreeMap<String, String>) -> String {
    // `super` of a file is its folder; that of a `mod.rs` is the folder around it.
    let base = if up { from.rsplit_once('/').map_or("", |(folder, _)| folder) } else { "" };
    let mut file = base.to_owned();
    for segment in path {
        let deeper = if file.is_empty() { segment.clone() } else { format!("{file}/{segment}") };
        if !files.contains_key(&deeper) {
            break;
        }
        file = deeper;
    }
    file
}

/// The uses of a file that [`OPERATIONS`] does not allow.
fn upwards(from: &str, code: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let folder = |file: &str| file.split('/').next().unwrap_or_default().to_owned();
    let used: BTreeSet<String> = paths(code).into_iter().map(|(up, path)| file_of(from, up, &path, files)).collect();
    used.into_iter()
        .filter(|to| {
            let apart = [("export", "import"), ("import", "export")].contains(&(&folder(from), &folder(to)));
            // What has no line is the root of the crate, or a file that the other check names.
            apart || line_of(to).is_none() || line_of(to) >= line_of(from)
        })
        .map(|to| format!("{from} uses {}", if to.is_empty() { "the root of the crate" } else { &to }))
        .collect()
}

#[test]
fn operations_use_what_lies_below_them() {
    let files = operations();
    let named: Vec<&str> = OPERATIONS.iter().flat_map(|line| line.iter().copied()).collect();
    let there: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), there.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(named.len(), there.len(), "a file has one line");
    let wrong: Vec<String> = files.iter().flat_map(|(from, code)| upwards(from, code, &files)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Otherwise the check would be about nothing: all files but these use another one.
    let lonely: Vec<&str> =
        files.iter().filter(|(_, code)| paths(code).is_empty()).map(|(file, _)| file.as_str()).collect();
    assert_eq!(
        lonely,
        [
            "error",
            "export",
            "finish/checked",
            "import",
            "import/units",
            "plan/folder",
            "plan/headroom",
            "plan/notes",
            "replay",
            "retention",
            "stores",
            "stores/deaggregated",
            "stores/patience"
        ]
    );
}

/// The places where a store of the engine is used as the host gave it, which nothing but a decorator may: a call of it
/// would not be tried again, and would run past a slice's deadline.
fn bare_stores(code: &str) -> Vec<String> {
    // Chains of calls are broken anywhere.
    let code: String = code.split_whitespace().collect();
    let used = ["engine.checkpoints", "engine.places"]
        .into_iter()
        .flat_map(|store| code.match_indices(store).map(move |(at, _)| (at, at + store.len())).collect::<Vec<_>>());
    used.filter(|(_, end)| !["(", ".clone())"].iter().any(|decorated| code[*end..].starts_with(decorated)))
        .map(|(at, end)| code[at..].chars().take(end - at + 20).collect())
        .collect()
}

#[test]
fn stores_are_called_with_patience() {
    for (file, code) in operations() {
        assert_eq!(bare_stores(&code), Vec::<String>::new(), "{file}");
    }
    for code in ["engine.checkpoints.transfer(id)", "self.engine\n    .places\n    .stream(uri)", "&*engine.places"] {
        assert_eq!(bare_stores(code).len(), 1, "{code}");
    }
    assert_eq!(bare_stores("engine.places().work(); patience.over(engine.places.clone())"), Vec::<String>::new());
}

#[test]
fn a_use_of_what_lies_above_is_seen() {
    let files = operations();
    let seen = |from: &str, code: &str| upwards(from, &code_of(code), &files);
    for (from, code) in [
        ("slice", "use crate::settle::settle;"),
        ("slice", "use crate::lane::ShardEnd;"),
        ("slice", "fn f() { crate::plan::plan() }"),
        ("slice", "use crate::records::totals;"),
        ("slice", "use crate::{engine::Engine, export::run::export_slice};"),
        ("slice", "use crate::Engine;"),
        ("export/shard", "use super::{\n    target::Target,\n    closing::{complete, abandon},\n};"),
        ("export/shard", "use super::export_slice;"),
        ("import/shard", "use crate::export::target::Target;"),
        ("plan/export", "use super::plan;"),
    ] {
        assert_eq!(seen(from, code).len(), 1, "{from}: {code}: {:?}", seen(from, code));
    }
    for (from, code) in [
        ("slice", "use crate::{engine::Engine, error::{Code, OperationError}};"),
        ("export/shard", "use super::{in_flight::InFlight, target::Target};"),
        ("settle", "// use crate::verify::verify;\nuse crate::rest::{Rest, rest_or_drop};"),
        ("slice", "#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
    ] {
        assert_eq!(seen(from, code), Vec::<String>::new(), "{from}: {code}");
    }
}
