//! Goes through one event by its schema: reads the fields that were asked for and passes over all others.
//!
//! **Invariant.** Depth and steps are bounded, whatever the schema and its data promise.

use std::ops::Range;

use super::schema::{Kind, Meaning, Node, Schema, Unit};
use super::varint::{Fault, Reader};

/// How deep values may lie in each other.
const DEPTH: u32 = 128;
/// Values without bytes that are passed over for each that has some.
const HOLLOW: usize = 4;
/// Values without bytes that are passed over beyond these in a block.
const SPARE: usize = 2_000_000;

/// What going through a block's events has cost, and may still cost: a schema of some KB can promise any number of
/// values that have no bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// Values that were looked at.
    pub taken: usize,
    /// Values that may be looked at before some bytes are read.
    left: usize,
}

impl Default for Steps {
    fn default() -> Self {
        Self { taken: 0, left: SPARE }
    }
}

/// A value that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    Null,
    Boolean(bool),
    Long(i64, Unit),
    Double(f64),
    /// Where its bytes lie, and what they stand for.
    Bytes(Range<usize>, Meaning),
    Text(String),
}

impl Schema {
    /// Reads an event that is a value without others within.
    pub(super) fn read_leaf(&self, reader: &mut Reader<'_>, steps: &mut Steps) -> Result<Found, Fault> {
        Walk { schema: self, steps, left: DEPTH }.value(reader, self.root)
    }

    /// Reads an event, and of it the fields at these paths; none where a record in front of one is null.
    pub(super) fn read<const N: usize>(
        &self,
        reader: &mut Reader<'_>,
        paths: &[Option<Vec<String>>; N],
        steps: &mut Steps,
    ) -> Result<[Option<Found>; N], Fault> {
        let mut walk = Walk { schema: self, steps, left: DEPTH };
        let mut found = [const { None }; N];
        let wanted: Vec<usize> = (0..N).filter(|index| paths[*index].is_some()).collect();
        walk.record(reader, self.root, 0, &wanted, paths, &mut found)?;
        Ok(found)
    }
}

/// Goes through one event.
struct Walk<'s> {
    schema: &'s Schema,
    steps: &'s mut Steps,
    left: u32,
}

impl Walk<'_> {
    fn step(&mut self) -> Result<(), Fault> {
        self.steps.taken += 1;
        self.steps.left =
            self.steps.left.checked_sub(1).ok_or(Fault::TooLarge("there are too many values for their bytes"))?;
        Ok(())
    }

    /// Some bytes were read.
    fn earn(&mut self) {
        self.steps.left = self.steps.left.saturating_add(1 + HOLLOW);
    }

    fn deeper<T>(&mut self, within: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.left = self.left.checked_sub(1).ok_or(Fault::TooLarge("an event's values lie too deep in each other"))?;
        let answer = within(self);
        self.left += 1;
        answer
    }

    /// The fields of a record, or of a union's; `wanted` are those whose paths lead here.
    fn record<const N: usize>(
        &mut self,
        reader: &mut Reader<'_>,
        node: Node,
        depth: usize,
        wanted: &[usize],
        paths: &[Option<Vec<String>>; N],
        found: &mut [Option<Found>; N],
    ) -> Result<(), Fault> {
        self.step()?;
        let schema = self.schema;
        match &schema.types[node] {
            Kind::Union(branches) => {
                let held = self.branch(reader, branches)?;
                self.deeper(|walk| walk.record(reader, held, depth, wanted, paths, found))
            }
            Kind::Record(fields) => {
                for (name, inner) in fields {
                    let path = |index: &usize| paths[*index].as_deref().unwrap_or_default();
                    let here: Vec<usize> =
                        wanted.iter().copied().filter(|index| path(index).get(depth) == Some(name)).collect();
                    if here.is_empty() {
                        self.deeper(|walk| walk.skip(reader, *inner))?;
                    } else if here.iter().any(|index| path(index).len() == depth + 1) {
                        let value = self.deeper(|walk| walk.value(reader, *inner))?;
                        for index in here {
                            found[index] = Some(value.clone());
                        }
                    } else {
                        self.deeper(|walk| walk.record(reader, *inner, depth + 1, &here, paths, found))?;
                    }
                }
                Ok(())
            }
            _ => self.skip(reader, node),
        }
    }

    fn value(&mut self, reader: &mut Reader<'_>, node: Node) -> Result<Found, Fault> {
        self.step()?;
        self.leaf(reader, node)
    }

    fn leaf(&mut self, reader: &mut Reader<'_>, node: Node) -> Result<Found, Fault> {
        let (schema, before) = (self.schema, reader.at());
        let found = self.found(reader, schema, node)?;
        if reader.at() > before {
            self.earn();
        }
        Ok(found)
    }

    fn found(&mut self, reader: &mut Reader<'_>, schema: &Schema, node: Node) -> Result<Found, Fault> {
        Ok(match &schema.types[node] {
            Kind::Null => Found::Null,
            Kind::Boolean => Found::Boolean(reader.byte()? != 0),
            Kind::Long(unit) => Found::Long(reader.long()?, *unit),
            Kind::Float => Found::Double(f64::from(f32::from_le_bytes(array(reader)?))),
            Kind::Double => Found::Double(f64::from_le_bytes(array(reader)?)),
            Kind::Sized(meaning) => {
                let len = reader.size()?;
                Found::Bytes(reader.skip(len)?, *meaning)
            }
            Kind::Fixed(len, meaning) => Found::Bytes(reader.skip(*len)?, *meaning),
            Kind::Enum(symbols) => Found::Text(symbol(reader, symbols)?.to_owned()),
            Kind::Union(branches) => {
                let held = self.branch(reader, branches)?;
                return self.deeper(|walk| walk.value(reader, held));
            }
            Kind::Array(_) | Kind::Map(_) | Kind::Record(_) | Kind::Open => {
                return Err(Fault::Damaged("a field holds other values within"));
            }
        })
    }

    fn skip(&mut self, reader: &mut Reader<'_>, node: Node) -> Result<(), Fault> {
        self.step()?;
        let schema = self.schema;
        match &schema.types[node] {
            Kind::Array(items) => self.items(reader, *items, false),
            Kind::Map(values) => self.items(reader, *values, true),
            Kind::Record(fields) => {
                fields.iter().try_for_each(|(_, inner)| self.deeper(|walk| walk.skip(reader, *inner)))
            }
            Kind::Union(branches) => {
                let held = self.branch(reader, branches)?;
                self.deeper(|walk| walk.skip(reader, held))
            }
            Kind::Enum(symbols) => {
                symbol(reader, symbols)?;
                self.earn();
                Ok(())
            }
            _ => self.leaf(reader, node).map(|_| ()),
        }
    }

    /// The branch that a union says it holds.
    fn branch(&mut self, reader: &mut Reader<'_>, branches: &[Node]) -> Result<Node, Fault> {
        let number = usize::try_from(reader.long()?).ok();
        self.earn();
        number.and_then(|number| branches.get(number)).copied().ok_or(Fault::Damaged("a union has no such branch"))
    }

    fn items(&mut self, reader: &mut Reader<'_>, inner: Node, named: bool) -> Result<(), Fault> {
        loop {
            let (count, size) = reader.items()?;
            self.earn();
            if count == 0 {
                return Ok(());
            }
            if let Some(size) = size {
                reader.skip(size)?;
                continue;
            }
            for _ in 0..count {
                let before = reader.at();
                if named {
                    reader.sized()?;
                    self.earn();
                }
                self.deeper(|walk| walk.skip(reader, inner))?;
                if reader.at() == before {
                    // Items of no bytes, of which any number may be promised: none of the others has any.
                    break;
                }
            }
        }
    }
}

/// What an enum says that it holds.
fn symbol<'e>(reader: &mut Reader<'_>, symbols: &'e [String]) -> Result<&'e str, Fault> {
    let symbol = usize::try_from(reader.long()?).ok().and_then(|number| symbols.get(number));
    symbol.map(String::as_str).ok_or(Fault::Damaged("an enum has no such symbol"))
}

fn array<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = reader.byte()?;
    }
    Ok(bytes)
}
