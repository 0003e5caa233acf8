//! The small table that every listing uses.

use unicode_width::UnicodeWidthStr;

use crate::Terminal;
use crate::output::{Paint, printable, truncated};

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words. They may be cut off with `…`.
    Left,
    /// Numbers. They are shown whole or not at all: half a number is a wrong number.
    Right,
}

/// Lays out rows under a header so that no line is wider than the terminal. Columns stand in order of
/// importance: where there is no room, first words are cut to sixteen columns, then columns are dropped from the
/// right, and a `…` at the end of the header says so. The first column always stays. Missing cells are empty,
/// and a column without a stated alignment is [`Align::Left`].
///
/// ```
/// use gramwise_report::{Align, Terminal, table};
/// let rows = vec![vec!["1".to_owned(), "completed".to_owned()], vec!["12".to_owned(), "pruned".to_owned()]];
/// let terminal = Terminal { width: 80, colour: false };
/// let text = table(&["trial", "state"], rows, &[Align::Right, Align::Left], terminal);
/// assert_eq!(text, "trial  state\n    1  completed\n   12  pruned\n");
/// ```
pub fn table(header: &[&str], rows: Vec<Vec<String>>, alignment: &[Align], terminal: Terminal) -> String {
    let columns = header.len().max(rows.iter().map(Vec::len).max().unwrap_or(0));
    let align = |column: usize| alignment.get(column).copied().unwrap_or(Align::Left);
    let header: Vec<String> = header.iter().map(|title| printable(title)).collect();
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let natural: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().chain([&header]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        })
        .collect();
    let layout = fit(&natural, align, terminal.width);
    let mut out = String::new();
    let marker = if layout.dropped { "…" } else { "" };
    out.push_str(&terminal.paint(&laid_out(&header, &layout.widths, align, marker), Paint::Bold));
    out.push('\n');
    for row in &rows {
        out.push_str(&laid_out(row, &layout.widths, align, ""));
        out.push('\n');
    }
    out
}

/// Between two columns.
const GAP: usize = 2;

/// A word cut shorter than this says nothing.
const SHORTEST: usize = 16;

struct Layout {
    widths: Vec<usize>,
    dropped: bool,
}

/// The most columns that fit, with the width of each.
fn fit(natural: &[usize], align: impl Fn(usize) -> Align, room: usize) -> Layout {
    for count in (1..=natural.len()).rev() {
        let dropped = count < natural.len();
        let marker = if dropped { GAP + 1 } else { 0 };
        let gaps = GAP * (count - 1) + marker;
        let Some(for_cells) = room.checked_sub(gaps) else { continue };
        let mut widths = natural[..count].to_vec();
        shrink(&mut widths, &align, for_cells);
        if widths.iter().sum::<usize>() <= for_cells {
            return Layout { widths, dropped };
        }
    }
    let widths = natural.first().map(|width| (*width).min(room)).into_iter().collect();
    Layout { widths, dropped: false }
}

/// Takes room from the widest words until all fits or no word has any to give.
fn shrink(widths: &mut [usize], align: impl Fn(usize) -> Align, room: usize) {
    loop {
        let total: usize = widths.iter().sum();
        let words =
            (0..widths.len()).filter(|&column| align(column) == Align::Left && widths[column] > SHORTEST);
        let Some(widest) = words.max_by_key(|&column| widths[column]) else { return };
        let Some(excess) = total.checked_sub(room).filter(|excess| *excess > 0) else { return };
        // Down to the next widest at most, so that columns of one width give alike.
        let next = (0..widths.len())
            .filter(|&column| column != widest && align(column) == Align::Left)
            .map(|column| widths[column])
            .filter(|width| *width < widths[widest])
            .max()
            .unwrap_or(0)
            .max(SHORTEST);
        widths[widest] -= excess.min(widths[widest] - next).max(1);
    }
}

fn laid_out(cells: &[String], widths: &[usize], align: impl Fn(usize) -> Align, end: &str) -> String {
    let mut line = String::new();
    for (column, &width) in widths.iter().enumerate() {
        let cell = truncated(cells.get(column).map_or("", String::as_str), width);
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        if column > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        match align(column) {
            Align::Left => line.extend([cell.as_str(), &padding]),
            Align::Right => line.extend([padding.as_str(), &cell]),
        }
    }
    if !end.is_empty() {
        line.push_str(&" ".repeat(GAP));
        line.push_str(end);
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(width: usize) -> Terminal {
        Terminal { width, colour: false }
    }

    fn rows() -> Vec<Vec<String>> {
        [["1", "completed", "0.0183", "a rather long remark"], ["12", "模型训练", "12.5", "short"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    const HEADER: [&str; 4] = ["trial", "state", "val_error", "remark"];
    const ALIGNMENT: [Align; 4] = [Align::Right, Align::Left, Align::Right, Align::Left];

    #[test]
    fn numbers_stand_right_and_wide_letters_count_twice() {
        assert_eq!(
            table(&HEADER, rows(), &ALIGNMENT, plain(80)),
            "trial  state      val_error  remark\n    1  completed     0.0183  a rather long remark\n   12  模型训练        12.5  short\n"
        );
    }

    #[test]
    fn words_are_cut_before_columns_are_dropped_and_numbers_never() {
        assert_eq!(
            table(&HEADER, rows(), &ALIGNMENT, plain(45)),
            "trial  state      val_error  remark\n    1  completed     0.0183  a rather long r…\n   12  模型训练        12.5  short\n"
        );
        assert_eq!(
            table(&HEADER, rows(), &ALIGNMENT, plain(29)),
            "trial  state      …\n    1  completed\n   12  模型训练\n"
        );
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            width in prop_oneof![Just(40usize), Just(60), Just(80), Just(120), 1usize..40],
            colour in any::<bool>(),
            header in prop::collection::vec("\\PC{0,12}", 1..8),
            rows in prop::collection::vec(prop::collection::vec("([a-z ]{0,60}|\\PC{0,30}|[日本語한국🦀👩‍🔬\u{301}\n\t\u{1b}é]{0,30})", 0..9), 0..5),
            right in any::<u16>(),
        ) {
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            let alignment: Vec<Align> =
                (0..9).map(|bit| if right >> bit & 1 == 1 { Align::Right } else { Align::Left }).collect();
            let count = rows.len();
            let text = table(&header, rows, &alignment, Terminal { width, colour });
            let text = text.replace("\x1b[1m", "").replace("\x1b[0m", "");
            prop_assert_eq!(text.lines().count(), count + 1);
            for line in text.lines() {
                prop_assert!(line.width() <= width, "{} > {}: {:?}", line.width(), width, line);
            }
        }
    }
}
