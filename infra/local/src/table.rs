//! Rows of cells, as wide as a terminal allows.

/// What becomes of a column where a terminal is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Narrow {
    /// It stays as it is.
    Keep,
    /// Its longest cells lose their middles. If that is not enough it is left out, the smaller number first.
    Shorten(u8),
    /// It is left out, the smaller number first.
    Drop(u8),
}

/// A column's head, whether its cells stand at the right, and what becomes of it.
pub(crate) type Column = (&'static str, bool, Narrow);

/// A shortened cell keeps at least this many characters.
const SHORTEST: usize = 16;
/// Between two columns.
const BETWEEN: usize = 2;

/// A table and the heads of columns that did not fit into `room`; all fit where there is no bound.
pub(crate) fn fitted<const N: usize>(
    columns: &[Column; N],
    rows: &[[String; N]],
    room: Option<usize>,
) -> (String, Vec<&'static str>) {
    let natural = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([columns[column].0.chars().count()]).max().unwrap_or_default()
    };
    let mut shown: Vec<(usize, usize)> = (0..N).map(|column| (column, natural(column))).collect();
    let mut left_out = Vec::new();
    if let Some(room) = room {
        while total(&shown) > room {
            let mut shortened = shown.clone();
            shorten(columns, &mut shortened, room);
            if total(&shortened) <= room {
                shown = shortened;
                break;
            }
            let dropped = shown.iter().position(|(column, _)| Some(*column) == first_to_drop(columns, &shown));
            let Some(dropped) = dropped else {
                shown = shortened;
                break;
            };
            left_out.push(columns[shown.remove(dropped).0].0);
        }
    }
    let heads = columns.map(|(head, ..)| head.to_owned());
    let lines = std::iter::once(&heads).chain(rows).map(|row| {
        let cells = shown.iter().map(|&(column, width)| {
            let cell = shortened(&row[column], width);
            if columns[column].1 { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join(&" ".repeat(BETWEEN)).trim_end())
    });
    (lines.collect(), left_out)
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, width)| width).sum::<usize>() + BETWEEN * shown.len().saturating_sub(1)
}

/// Takes what is too much off the widest columns that may be shortened.
fn shorten<const N: usize>(columns: &[Column; N], shown: &mut [(usize, usize)], room: usize) {
    while total(shown) > room {
        let may = shown
            .iter_mut()
            .filter(|(column, width)| matches!(columns[*column].2, Narrow::Shorten(_)) && *width > SHORTEST);
        let Some((_, width)) = may.max_by_key(|(_, width)| *width) else { return };
        *width -= 1;
    }
}

fn first_to_drop<const N: usize>(columns: &[Column; N], shown: &[(usize, usize)]) -> Option<usize> {
    let order = |column: usize| match columns[column].2 {
        Narrow::Keep => None,
        Narrow::Shorten(order) | Narrow::Drop(order) => Some(order),
    };
    shown.iter().filter_map(|&(column, _)| Some((order(column)?, column))).min().map(|(_, column)| column)
}

/// A text without its middle, if it is longer than that: both ends tell places apart.
fn shortened(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let front = kept / 3;
    let behind = kept - front;
    let head: String = text.chars().take(front).collect();
    let tail: String = text.chars().skip(length - behind).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: [Column; 4] = [
        ("ID", false, Narrow::Keep),
        ("AGE", true, Narrow::Drop(1)),
        ("EVENTS", true, Narrow::Drop(0)),
        ("TO", false, Narrow::Shorten(2)),
    ];

    fn rows() -> Vec<[String; 4]> {
        vec![["one", "5 d", "1,000,000", "dir:/archive/of/all/that/there/is/orders"].map(str::to_owned)]
    }

    #[test]
    fn names_are_shortened_first_and_columns_left_out_then() {
        let at = |room| fitted(&COLUMNS, &rows(), room);
        let (text, left_out) = at(None);
        assert_eq!(text.lines().nth(1), Some("one  5 d  1,000,000  dir:/archive/of/all/that/there/is/orders"));
        assert!(left_out.is_empty());
        assert_eq!(at(Some(61)), at(None));
        let (text, left_out) = at(Some(45));
        assert_eq!(text.lines().nth(1), Some("one  5 d  1,000,000  dir:/ar…/there/is/orders"), "{text}");
        assert!(left_out.is_empty());
        let (text, left_out) = at(Some(30));
        assert_eq!((text.lines().next(), left_out), (Some("ID   AGE  TO"), vec!["EVENTS"]));
        let (text, left_out) = at(Some(5));
        assert_eq!((text.as_str(), left_out), ("ID\none\n", vec!["EVENTS", "AGE", "TO"]));
    }

    proptest! {
        #[test]
        fn what_fits_fits_and_nothing_is_lost_without_a_word(room in 0_usize..90, names in proptest::collection::vec("[a-z/é]{0,60}", 1..5)) {
            let rows: Vec<_> = names.iter().map(|name| ["t".to_owned(), "5 d".to_owned(), "1".to_owned(), name.clone()]).collect();
            let (text, left_out) = fitted(&COLUMNS, &rows, Some(room));
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            prop_assert!(widest <= room.max(2), "{text}");
            for (head, ..) in COLUMNS {
                prop_assert!(text.lines().next().is_some_and(|line| line.contains(head)) != left_out.contains(&head));
            }
            prop_assert_eq!(text.lines().count(), rows.len() + 1);
        }
    }
}
