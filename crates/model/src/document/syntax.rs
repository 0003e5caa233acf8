//! What the YAML parser objects to, in words that name the usual cause.

use granit_parser::{ErrorKind, ScanError};

use super::Findings;

/// Notes a syntax error at its place.
pub(super) fn explain(findings: &mut Findings<'_>, error: &ScanError) {
    let text = findings.text();
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let at = super::floor_boundary(text, at);
    let line = Line::around(text, at);
    if let Some(tab) = line.tab_in_indentation() {
        let hint = "indent with spaces; YAML allows no tabs there";
        return findings.error(&(tab..tab + 1), "a tab is used as indentation", hint);
    }
    let letter = text[at..].chars().next().map_or(0, char::len_utf8);
    let message = format!("this is not YAML: {}", error.info());
    let usual = "look at indentation, quotes and brackets here and on the line above";
    let hint = cause(text, at, &line, error.kind()).unwrap_or_else(|| usual.to_owned());
    findings.error(&(at..at + letter), message, hint);
}

/// The usual cause of an error at `at`.
fn cause(text: &str, at: usize, line: &Line<'_>, kind: &ErrorKind) -> Option<String> {
    if text[..at].ends_with('$') && text[at..].starts_with('{') {
        return Some("put macros in quotes inside [ ] and { }: \"${args}\"".to_owned());
    }
    if let Some(word) = line.colon_without_space().or_else(|| line.previous(text)?.colon_without_space()) {
        return Some(format!("put a space after the colon: `{}`", word.replacen(':', ": ", 1)));
    }
    match kind {
        ErrorKind::UnexpectedCharacter { character } if "@`%".contains(*character) => {
            Some("put a text that begins with this character in quotes".to_owned())
        }
        ErrorKind::UnclosedQuotedScalar => Some("close the quote".to_owned()),
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::DocumentIndicatorInQuotedScalar => {
            Some("a quote that a line before this opens may not be closed".to_owned())
        }
        ErrorKind::UnclosedFlowCollection { .. } => Some("close the bracket".to_owned()),
        ErrorKind::UnknownAnchor => Some(
            "an alias `*name` needs an anchor `&name` before it; put a text that begins with `*` in quotes"
                .to_owned(),
        ),
        ErrorKind::InvalidColonPlacement
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::ExpectedFlowMappingSeparator => {
            Some("a comma or a closing bracket may be missing before this".to_owned())
        }
        ErrorKind::MappingValueNotAllowed => {
            Some("put a text that holds `: ` in quotes, and check the indentation".to_owned())
        }
        ErrorKind::RecursionLimitExceeded => Some("use fewer levels".to_owned()),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockSequenceEntry => {
            Some("keys of one mapping, and dashes of one list, start in the same column".to_owned())
        }
        // The parser may learn new kinds of errors; they have no hint until someone writes it.
        _ => None,
    }
}

/// One line of the text, without its end.
struct Line<'t> {
    start: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    fn around(text: &'t str, at: usize) -> Self {
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        Self { start, text: &text[start..end] }
    }

    /// The line before this one.
    fn previous(&self, text: &'t str) -> Option<Self> {
        Some(Self::around(text, self.start.checked_sub(1)?))
    }

    /// Where a tab stands before the first letter.
    fn tab_in_indentation(&self) -> Option<usize> {
        let indentation = self.text.len() - self.text.trim_start().len();
        self.text[..indentation].find('\t').map(|offset| self.start + offset)
    }

    /// The first word like `min:1`.
    fn colon_without_space(&self) -> Option<&'t str> {
        let code = self.text.split(" #").next().unwrap_or_default();
        code.split([' ', '\t', '{', '}', '[', ']', ',']).find(|word| is_glued(word))
    }
}

/// Does a word look like a key glued to its value? `"18:00"`, `http://host` and `${envvar:X}` do not.
pub(crate) fn is_glued(word: &str) -> bool {
    word.split_once(':').is_some_and(|(key, value)| {
        let is_key = key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        is_key && key != "envvar" && !value.is_empty() && !value.starts_with(['/', ':', '\\'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::compose;

    fn complaint(text: &str) -> String {
        let mut findings = Findings::new(text);
        compose(&mut findings);
        findings.finish().0.to_string()
    }

    #[test]
    fn the_usual_causes_are_named() {
        for (text, place, hint) in [
            ("a:\n\tb: 1\n", "line 2, column 1: a tab", "indent with spaces"),
            ("name:digits\nseed: 1\n", "line 2, column 5", "put a space after the colon: `name: digits`"),
            ("command: [x, ${args}]\n", "line 1, column 15", "put macros in quotes"),
            ("a: \"x", "line 1, column 4", "close the quote"),
            ("a: \"x\nb: 1\n", "line 2, column 1", "may not be closed"),
            ("a: {b: 1\n", "line 1, column 4", "close the bracket"),
            ("a: [1, 2\nb: 1\n", "line 2, column 2", "closing bracket may be missing"),
            ("a: b: c\n", "line 1, column 5", "in quotes"),
            ("a: *all\n", "line 1, column 4", "needs an anchor"),
            ("a: @x\n", "line 1, column 4", "in quotes"),
        ] {
            let complaint = complaint(text);
            assert!(complaint.starts_with(place) && complaint.contains(hint), "{text:?}: {complaint}");
        }
    }

    #[test]
    fn times_addresses_and_macros_are_not_glued_keys() {
        assert!(is_glued("min:1"));
        assert!(!["18:00", "http://host", "${envvar:HOME}", "a:", "std::vec"].into_iter().any(is_glued));
    }
}
