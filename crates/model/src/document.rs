//! A YAML text as a tree whose every node knows its place, and what is wrong with it.

mod compose;
mod keys;
mod node;
mod syntax;

use std::fmt;
use std::ops::Range;

pub(crate) use compose::compose;
pub(crate) use node::{Content, Entry, Node};
pub(crate) use syntax::is_glued;

/// One thing wrong (or doubtful) in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Byte range in the text to underline.
    pub span: Range<usize>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
}

/// Several of them, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

/// A problem whose line and column are not computed yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    start: usize,
    end: usize,
    message: String,
    hint: Option<String>,
}

/// Collects what is wrong and what is doubtful while a text is read.
#[derive(Debug)]
pub(crate) struct Findings<'t> {
    text: &'t str,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl<'t> Findings<'t> {
    /// Nothing found so far in `text`.
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The text that is read.
    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// Notes that something is wrong, with what to try.
    pub(crate) fn error(&mut self, span: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let finding = self.finding(span, &message.into(), Some(hint.into().as_str()));
        keep(&mut self.errors, finding);
    }

    /// Notes that something is legal, but probably not meant, with what to try.
    pub(crate) fn warning(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding = self.finding(span, &message.into(), Some(hint.into().as_str()));
        keep(&mut self.warnings, finding);
    }

    /// Notes that something is accepted and has no effect.
    pub(crate) fn bare_warning(&mut self, span: &Range<usize>, message: impl Into<String>) {
        let finding = self.finding(span, &message.into(), None);
        keep(&mut self.warnings, finding);
    }

    /// How many errors there are; whoever asks before and after knows whether something was wrong between.
    pub(crate) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Errors and warnings, each in the order of the text.
    pub(crate) fn finish(self) -> (Problems, Problems) {
        (located(self.text, self.errors), located(self.text, self.warnings))
    }

    /// Cuts a span to its first line, so that a whole block is not underlined, and to whole characters.
    fn finding(&self, span: &Range<usize>, message: &str, hint: Option<&str>) -> Finding {
        let start = floor_boundary(self.text, span.start);
        let end = floor_boundary(self.text, span.end.max(start));
        let first_line = self.text[start..end].split('\n').next().unwrap_or_default().trim_end();
        let (message, hint) = (printable(message), hint.map(printable));
        Finding { start, end: start + first_line.len(), message, hint }
    }
}

/// Keeps a finding while there is a point in it: nobody reads ten thousand, and a text that is no sweep file at
/// all must not fill the memory with them.
fn keep(findings: &mut Vec<Finding>, finding: Finding) {
    const MOST: usize = 10_000;
    if findings.len() < MOST {
        findings.push(finding);
    }
}

/// Messages quote the text; what it holds must not steer a terminal.
fn printable(message: &str) -> String {
    let letters = message.chars().map(|letter| {
        if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }
    });
    letters.collect()
}

/// The nearest start of a character at or before `offset`.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|candidate| text.is_char_boundary(*candidate)).unwrap_or(0)
}

/// Sorts, drops repetitions (an alias is read once per use) and counts lines and columns in one pass.
fn located(text: &str, mut findings: Vec<Finding>) -> Problems {
    findings.sort();
    findings.dedup();
    let (mut at, mut line, mut column) = (0, 1, 1);
    let problems = findings.into_iter().map(|Finding { start, end, message, hint }| {
        for letter in text[at..start].chars() {
            (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        at = start;
        Problem { span: start..end, line, column, message, hint }
    });
    Problems(problems.collect())
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "line {}, column {}: {}", problem.line, problem.column, problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(formatter, " (hint: {hint})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_come_in_text_order() {
        let mut findings = Findings::new("é: 1\nabc\nd");
        findings.error(&(6..10), "second", "try");
        findings.error(&(2..3), "first", "go");
        findings.error(&(6..10), "second", "try");
        let (errors, warnings) = findings.finish();
        assert_eq!(
            errors.to_string(),
            "line 1, column 2: first (hint: go)\nline 2, column 1: second (hint: try)"
        );
        assert_eq!(errors.0[1].span, 6..9, "only the first line is underlined");
        assert_eq!(warnings, Problems::default());
    }

    #[test]
    fn a_message_cannot_steer_a_terminal() {
        let mut findings = Findings::new("x");
        findings.error(&(0..1), "found \u{1b}[2J\n", "");
        assert_eq!(findings.finish().0.0[0].message, "found \\u{1b}[2J\\n");
    }

    #[test]
    fn a_span_outside_the_text_or_inside_a_character_is_moved_in() {
        let mut findings = Findings::new("aé");
        findings.error(&(2..99), "odd", "");
        assert_eq!(findings.finish().0.0[0].span, 1..3);
    }
}
