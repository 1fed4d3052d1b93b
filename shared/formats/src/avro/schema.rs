//! Foreign schemas (Apache Avro specification, "Schema Declaration"), as far as reading some fields needs them.
//!
//! **Invariant.** A schema comes from outside, as its data do: types may name themselves, arrays may promise any
//! number of items of no bytes. Depth and steps are bounded, and memory follows the schema's own text.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;
use sluice_transfer::limits::excerpt;

use super::header::shown;

/// Values in a schema's text, by its commas.
const MOST_VALUES: usize = 300_000;
/// Digits of a decimal behind the point.
const LONGEST_SCALE: usize = 1_000;

pub(super) type Node = usize;

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Boolean,
    /// Whole numbers are all encoded the same.
    Long(Unit),
    Float,
    Double,
    /// Bytes and texts.
    Sized(Meaning),
    Fixed(usize, Meaning),
    Enum(Vec<String>),
    Array(Node),
    Map(Node),
    Union(Vec<Node>),
    Record(Vec<(String, Node)>),
    /// A named type whose definition is being read.
    Open,
}

/// The meaning of bytes (specification, "Logical Types").
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// Themselves.
    Bytes,
    /// A number in two's complement, highest byte first, with this scale: its digits behind the point.
    Decimal(usize),
    /// Sixteen bytes of a UUID.
    Uuid,
}

/// What a whole number counts (specification, "Logical Types").
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    None,
    Days,
    Millis,
    Micros,
    Nanos,
    /// Of a day that is not said.
    TimeOfDay,
}

/// A schema, its types by their numbers.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) types: Vec<Kind>,
    pub(super) root: Node,
}

struct Parser {
    types: Vec<Kind>,
    named: HashMap<String, Node>,
}

impl Schema {
    /// Reads a schema from its JSON text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        // A value of JSON is many times as large in memory as in its text.
        if memchr::memchr_iter(b',', text).count() > MOST_VALUES {
            return Err(format!("its schema has more than {MOST_VALUES} values"));
        }
        let json: Json =
            serde_json::from_slice(text).map_err(|error| format!("its schema is no JSON: {}", excerpt(error)))?;
        let mut parser = Parser { types: Vec::new(), named: HashMap::new() };
        let root = parser.node(&json, "").map_err(|why| format!("its schema: {why}"))?;
        Ok(Self { types: parser.types, root })
    }

    /// True if the values are records, or some of them.
    pub(super) fn is_of_records(&self) -> bool {
        self.branches(self.root).iter().any(|node| matches!(self.types[*node], Kind::Record(_)))
    }

    /// True if each value can become the bytes of an event.
    pub(super) fn is_of_leaves(&self) -> bool {
        self.is_leaf(self.root)
    }

    /// The names of a field on the way to the one of this path: `a.b` is the field `b` of the field `a`, or, where
    /// there is no such one, the field `a.b`. An error if it is not there, or cannot become the bytes of a value.
    pub(super) fn resolve(&self, path: &str) -> Result<Vec<String>, String> {
        let Some((names, node)) = self.find(self.root, path) else {
            return Err(format!("it has no field '{}'; there are {}", shown(path.as_bytes()), self.fields_near(path)));
        };
        if self.is_leaf(node) {
            return Ok(names.into_iter().map(str::to_owned).collect());
        }
        Err(format!("'{path}' may hold other values within: choose a field of bytes, text or a number"))
    }

    fn find<'p>(&self, node: Node, path: &'p str) -> Option<(Vec<&'p str>, Node)> {
        let dots = path.match_indices('.').map(|(at, _)| (&path[..at], Some(&path[at + 1..])));
        dots.chain([(path, None)]).find_map(|(name, rest)| {
            let mut found = self.records(node).filter_map(|fields| fields.iter().find(|(field, _)| field == name));
            found.find_map(|(_, inner)| match rest {
                None => Some((vec![name], *inner)),
                Some(rest) => {
                    let (mut names, node) = self.find(*inner, rest)?;
                    names.insert(0, name);
                    Some((names, node))
                }
            })
        })
    }

    /// The fields that stand where a path leads astray, for a message.
    fn fields_near(&self, path: &str) -> String {
        let mut node = self.root;
        for name in path.split('.') {
            let inner = self.records(node).flatten().find(|(field, _)| field == name).map(|(_, inner)| *inner);
            match inner.filter(|inner| self.records(*inner).next().is_some()) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        let there: Vec<_> = self.records(node).flatten().take(20).map(|(name, _)| shown(name.as_bytes())).collect();
        there.join(", ")
    }

    /// Names of the fields of its records, for a message.
    pub(super) fn fields(&self) -> String {
        self.fields_near("")
    }

    /// The records that a value may be.
    fn records(&self, node: Node) -> impl Iterator<Item = &[(String, Node)]> {
        self.branches(node).into_iter().filter_map(|branch| match &self.types[branch] {
            Kind::Record(fields) => Some(&fields[..]),
            _ => None,
        })
    }

    /// The types that a value may have. A union does not hold another.
    fn branches(&self, node: Node) -> Vec<Node> {
        match &self.types[node] {
            Kind::Union(branches) => branches.clone(),
            _ => vec![node],
        }
    }

    fn is_leaf(&self, node: Node) -> bool {
        let nested =
            |node: &Node| matches!(self.types[*node], Kind::Array(_) | Kind::Map(_) | Kind::Record(_) | Kind::Union(_));
        !self.branches(node).iter().any(nested)
    }
}

impl Parser {
    fn add(&mut self, kind: Kind) -> Node {
        self.types.push(kind);
        self.types.len() - 1
    }

    /// JSON is at most 128 levels deep, by `serde_json`'s limit.
    fn node(&mut self, json: &Json, space: &str) -> Result<Node, String> {
        match json {
            Json::String(name) => self.by_name(name, space, Unit::None, Meaning::Bytes),
            Json::Array(branches) => {
                let branches: Result<Vec<_>, _> = branches.iter().map(|branch| self.node(branch, space)).collect();
                Ok(self.add(Kind::Union(branches?)))
            }
            Json::Object(object) => {
                let Some(kind) = object.get("type") else { return Err("a type is missing".to_owned()) };
                let Json::String(kind) = kind else { return self.node(kind, space) };
                let part = |name: &str| object.get(name).ok_or_else(|| format!("'{name}' is missing of a type {kind}"));
                match &kind[..] {
                    "record" | "error" => self.record(object, space),
                    "enum" => {
                        let symbols = part("symbols")?.as_array().ok_or("symbols are no list")?;
                        let symbols = symbols.iter().filter_map(Json::as_str).map(str::to_owned).collect();
                        self.define(object, space, Kind::Enum(symbols))
                    }
                    "fixed" => {
                        let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                        let size = size.ok_or("a size is no number")?;
                        self.define(object, space, Kind::Fixed(size, meaning(object, Some(size))))
                    }
                    "array" => {
                        let items = self.node(part("items")?, space)?;
                        Ok(self.add(Kind::Array(items)))
                    }
                    "map" => {
                        let values = self.node(part("values")?, space)?;
                        Ok(self.add(Kind::Map(values)))
                    }
                    name => self.by_name(name, space, unit(object.get("logicalType")), meaning(object, None)),
                }
            }
            _ => Err("a type is neither a name, a list nor an object".to_owned()),
        }
    }

    fn by_name(&mut self, name: &str, space: &str, unit: Unit, meaning: Meaning) -> Result<Node, String> {
        let kind = match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "int" | "long" => Kind::Long(unit),
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Sized(meaning),
            "string" => Kind::Sized(Meaning::Bytes),
            _ => {
                let full = full_name(name, None, space);
                let known = self.named.get(&full).or_else(|| self.named.get(name));
                return known.copied().ok_or_else(|| format!("there is no type '{}'", shown(name.as_bytes())));
            }
        };
        Ok(self.add(kind))
    }

    fn define(&mut self, object: &serde_json::Map<String, Json>, space: &str, kind: Kind) -> Result<Node, String> {
        let full = name_of(object, space)?;
        let node = self.add(kind);
        match self.named.get(&full) {
            None => {
                self.named.insert(full, node);
                Ok(node)
            }
            Some(first) => self.again(*first, node, &full),
        }
    }

    fn record(&mut self, object: &serde_json::Map<String, Json>, space: &str) -> Result<Node, String> {
        let full = name_of(object, space)?;
        let node = self.add(Kind::Open);
        let first = *self.named.entry(full.clone()).or_insert(node);
        let space = full.rsplit_once('.').map_or("", |(space, _)| space);
        let mut fields = Vec::new();
        for field in object.get("fields").and_then(Json::as_array).ok_or("a record has no fields")? {
            let name = field.get("name").and_then(Json::as_str).ok_or("a field has no name")?;
            let kind = field.get("type").ok_or("a field has no type")?;
            fields.push((name.to_owned(), self.node(kind, space)?));
        }
        self.types[node] = Kind::Record(fields);
        if first == node { Ok(node) } else { self.again(first, node, &full) }
    }

    /// A type of a name that has one. Some writers repeat a definition where they should name it, which is harmless as
    /// long as it is the same.
    fn again(&self, first: Node, second: Node, name: &str) -> Result<Node, String> {
        let (mut seen, mut open) = (HashSet::new(), vec![(first, second)]);
        while let Some((one, other)) = open.pop() {
            if one == other || !seen.insert((one, other)) {
                continue;
            }
            let alike = match (&self.types[one], &self.types[other]) {
                (Kind::Array(one), Kind::Array(other)) | (Kind::Map(one), Kind::Map(other)) => {
                    open.push((*one, *other));
                    true
                }
                (Kind::Union(one), Kind::Union(other)) => {
                    open.extend(one.iter().copied().zip(other.iter().copied()));
                    one.len() == other.len()
                }
                (Kind::Record(one), Kind::Record(other)) => {
                    open.extend(one.iter().zip(other).map(|((_, one), (_, other))| (*one, *other)));
                    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.0 == other.0)
                }
                (Kind::Open, _) | (_, Kind::Open) => false,
                (one, other) => one == other,
            };
            if !alike {
                return Err(format!("the type '{}' is defined twice, and not alike", shown(name.as_bytes())));
            }
        }
        Ok(first)
    }
}

fn name_of(object: &serde_json::Map<String, Json>, space: &str) -> Result<String, String> {
    let name = object.get("name").and_then(Json::as_str).ok_or("a type has no name")?;
    Ok(full_name(name, object.get("namespace").and_then(Json::as_str), space))
}

/// The meaning of a type's bytes. A logical type that is not valid is none (specification, "Logical Types").
fn meaning(object: &serde_json::Map<String, Json>, fixed: Option<usize>) -> Meaning {
    let number = |name: &str| object.get(name).and_then(Json::as_u64);
    match object.get("logicalType").and_then(Json::as_str) {
        Some("decimal") => {
            let scale = if object.contains_key("scale") { number("scale") } else { Some(0) };
            let valid = scale.filter(|scale| number("precision").is_some_and(|digits| *scale <= digits));
            let scale = valid.and_then(|scale| usize::try_from(scale).ok()).filter(|scale| *scale <= LONGEST_SCALE);
            scale.map_or(Meaning::Bytes, Meaning::Decimal)
        }
        Some("uuid") if fixed == Some(16) => Meaning::Uuid,
        _ => Meaning::Bytes,
    }
}

fn full_name(name: &str, given: Option<&str>, space: &str) -> String {
    let space = given.unwrap_or(space);
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

fn unit(logical: Option<&Json>) -> Unit {
    match logical.and_then(Json::as_str) {
        Some("date") => Unit::Days,
        Some("time-millis" | "time-micros") => Unit::TimeOfDay,
        Some("timestamp-millis" | "local-timestamp-millis") => Unit::Millis,
        Some("timestamp-micros" | "local-timestamp-micros") => Unit::Micros,
        Some("timestamp-nanos" | "local-timestamp-nanos") => Unit::Nanos,
        _ => Unit::None,
    }
}
