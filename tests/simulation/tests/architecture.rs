//! Who may know whom. The workspace's own metadata is read, and an arrow that runs the wrong way fails.
//!
//! Kinds of crates follow from their folders and names, so that a new adapter or function is held to the rules from
//! its first day. Dependencies of tests are looked at too: only the layers that test others may reach down.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What a crate of the workspace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Plain values; knows nobody.
    Core,
    /// Bytes and events.
    Formats,
    /// Traits.
    Ports,
    /// The use cases.
    Operations,
    /// A server inside the process; an adapter of nothing, so it knows nobody.
    Embedded,
    /// One store, one crate.
    Adapter,
    /// Names to stores: opens adapters for a host.
    Places,
    /// What the functions share: configuration, tracing, errors in Lambda's terms.
    Start,
    /// What hosts the engine: the command, and later the functions.
    Host,
    /// Looks at the others from outside.
    Tests,
    /// Hands foreign bytes to whoever reads such.
    Fuzz,
}

fn layer(folder: &str) -> Option<Layer> {
    Some(match folder {
        "shared/transfer" => Layer::Core,
        "shared/formats" => Layer::Formats,
        "shared/ports" => Layer::Ports,
        "shared/operations" => Layer::Operations,
        "shared/dynamodb-embedded" => Layer::Embedded,
        "shared/host" => Layer::Start,
        _ if folder.starts_with("shared/places-") => Layer::Places,
        _ if ["shared/stream-", "shared/bucket-", "shared/checkpoint-"].iter().any(|kind| folder.starts_with(kind)) => {
            Layer::Adapter
        }
        _ if folder.starts_with("functions/") || folder.starts_with("infra/") => Layer::Host,
        "tests/fuzz" => Layer::Fuzz,
        _ if folder.starts_with("tests/") => Layer::Tests,
        _ => return None,
    })
}

/// Whom a layer may know.
fn allowed(layer: Layer) -> &'static [Layer] {
    use Layer::{Adapter, Core, Embedded, Formats, Operations, Places, Ports, Start};
    match layer {
        Core | Embedded => &[],
        Formats | Ports => &[Core],
        Adapter => &[Core, Ports],
        Operations => &[Core, Formats, Ports],
        Places => &[Core, Ports, Adapter],
        Start => &[Core, Ports, Operations, Adapter, Places],
        Layer::Host => &[Core, Formats, Ports, Operations, Adapter, Embedded, Places, Start],
        Layer::Tests => &[Core, Formats, Ports, Operations],
        Layer::Fuzz => &[Core, Formats, Ports, Operations, Adapter, Start],
    }
}

/// Whom the tests of a layer may know besides.
fn allowed_in_tests(layer: Layer) -> &'static [Layer] {
    match layer {
        // The adapter of a table is tested against the table that the process can hold.
        Layer::Adapter => &[Layer::Embedded],
        _ => &[],
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
fn forbidden(from: &str, layers: &BTreeMap<String, Layer>, arrows: &[(String, bool)]) -> Vec<String> {
    let own = layers[from];
    let known = |in_tests: bool, layer: &Layer| {
        allowed(own).contains(layer) || (in_tests && allowed_in_tests(own).contains(layer))
    };
    arrows
        .iter()
        .filter_map(|(to, in_tests)| layers.get(to).map(|layer| (to, in_tests, layer)))
        .filter(|(_, in_tests, layer)| !known(**in_tests, layer))
        .map(|(to, _, layer)| format!("{from} ({own:?}) knows {to} ({layer:?})"))
        .collect()
}

#[test]
fn arrows_run_one_way() {
    let metadata = metadata();
    let (layers, homeless) = layers(&metadata);
    assert!(homeless.is_empty(), "crates without a place in the house: {homeless:?}");
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let arrows: Vec<(String, bool)> = package
            .dependencies
            .iter()
            .map(|dependency| (dependency.name.clone(), dependency.kind == DependencyKind::Development))
            .collect();
        wrong.extend(forbidden(&package.name, &layers, &arrows));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_layer_is_there() {
    let (layers, _) = layers(&metadata());
    let there: BTreeSet<Layer> = layers.values().copied().collect();
    // Otherwise the rules above would be about nothing.
    assert_eq!(there.len(), 11, "{there:?}");
}

#[test]
fn the_wrong_way_is_seen() {
    let (layers, _) = layers(&metadata());
    let arrow = |from: &str, to: &str, in_tests: bool| forbidden(from, &layers, &[(to.to_owned(), in_tests)]).len();
    for (from, to) in [
        ("sluice-transfer", "sluice-ports"),
        ("sluice-formats", "sluice-ports"),
        ("sluice-ports", "sluice-formats"),
        ("sluice-stream-local", "sluice-bucket-dir"),
        ("sluice-bucket-dir", "sluice-operations"),
        ("sluice-operations", "sluice-stream-local"),
        ("sluice-operations", "sluice-local"),
        ("sluice-checkpoint-dynamodb", "sluice-dynamodb-embedded"),
        ("sluice-simulation", "sluice-local"),
    ] {
        assert_eq!(arrow(from, to, false), 1, "{from} may not know {to}");
    }
    assert_eq!(arrow("sluice-checkpoint-dynamodb", "sluice-dynamodb-embedded", true), 0);
    assert_eq!(arrow("sluice-local", "sluice-stream-local", false), 0);
    // What comes from outside the workspace is nobody's layer.
    assert_eq!(arrow("sluice-transfer", "serde", false), 0);
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
