//! A table that is not laid out yet: for a terminal, for notes, or for a paper.

use std::fmt::Write;

use crate::output::printable;
use crate::{Align, Terminal, table};

/// What a table is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Of GitHub's flavour.
    Markdown,
    /// With `booktabs`.
    Latex,
}

/// Rows under a header, and where each column's text stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sheet {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) alignment: Vec<Align>,
}

impl Sheet {
    pub(crate) fn new(header: &[&str], rows: Vec<Vec<String>>, alignment: &[Align]) -> Self {
        let header = header.iter().map(|title| (*title).to_owned()).collect();
        Self { header, rows, alignment: alignment.to_vec() }
    }

    /// For a terminal, by [`table()`].
    pub(crate) fn laid_out(self, terminal: Terminal) -> String {
        let header: Vec<&str> = self.header.iter().map(String::as_str).collect();
        table(&header, self.rows, &self.alignment, terminal)
    }

    /// For notes or a paper. A caption is not written: what a table shows is for its author to say.
    pub(crate) fn marked_up(&self, markup: Markup) -> String {
        match markup {
            Markup::Markdown => self.markdown(),
            Markup::Latex => self.latex(),
        }
    }

    fn align(&self, column: usize) -> Align {
        self.alignment.get(column).copied().unwrap_or(Align::Left)
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| markdown(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = line(&self.header);
        let rule = |column| if self.align(column) == Align::Right { "---:" } else { "---" };
        let rules: Vec<&str> = (0..self.header.len()).map(rule).collect();
        let _ = writeln!(text, "| {} |", rules.join(" | "));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }

    fn latex(&self) -> String {
        let columns: String =
            (0..self.header.len()).map(|at| if self.align(at) == Align::Right { 'r' } else { 'l' }).collect();
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| latex(cell)).collect();
            format!("  {} \\\\\n", cells.join(" & "))
        };
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "% needs \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{columns}}}\n  \\toprule\n{}  \\midrule\n{rows}  \\bottomrule\n\\end{{tabular}}\n",
            line(&self.header)
        )
    }
}

/// A cell of Markdown: nothing in it is markup.
pub(crate) fn markdown(text: &str) -> String {
    let mut safe = String::new();
    for letter in printable(text).chars() {
        if matches!(letter, '\\' | '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']') {
            safe.push('\\');
        }
        safe.push(letter);
    }
    safe
}

/// Text of LaTeX: nothing in it is a command.
pub(crate) fn latex(text: &str) -> String {
    let mut safe = String::new();
    for letter in printable(text).chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => safe.extend(['\\', letter]),
            '~' => safe.push_str("\\textasciitilde{}"),
            '^' => safe.push_str("\\textasciicircum{}"),
            '\\' => safe.push_str("\\textbackslash{}"),
            'µ' => safe.push_str("\\textmu{}"),
            '█' => safe.push_str("\\rule{1ex}{1ex}"),
            '▏' | '▎' | '▍' | '▌' | '▋' | '▊' | '▉' => safe.push_str("\\rule{0.5ex}{1ex}"),
            '±' => safe.push_str("$\\pm$"),
            '∞' => safe.push_str("$\\infty$"),
            '<' => safe.push_str("\\textless{}"),
            '>' => safe.push_str("\\textgreater{}"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_cell_is_markup() {
        let sheet = Sheet::new(
            &["name", "co2e"],
            vec![vec!["a_b|c & 50 % *x* \\ {}".to_owned(), "3.1 µg".to_owned()]],
            &[Align::Left, Align::Right],
        );
        assert_eq!(
            sheet.marked_up(Markup::Markdown),
            "| name | co2e |\n| --- | ---: |\n| a\\_b\\|c & 50 % \\*x\\* \\\\ {} | 3.1 µg |\n"
        );
        let latex = sheet.marked_up(Markup::Latex);
        assert!(latex.contains("\\begin{tabular}{lr}"), "{latex}");
        assert!(
            latex.contains("a\\_b|c \\& 50 \\% *x* \\textbackslash{} \\{\\} & 3.1 \\textmu{}g \\\\"),
            "{latex}"
        );
    }
}
