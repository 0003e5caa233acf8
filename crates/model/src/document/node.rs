//! The tree of a YAML text: scalars by the core schema of YAML 1.2, each with its place.

use std::ops::Range;

/// One value with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it stands, in bytes. The value of an alias stands where its anchor does.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) content: Content,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; too large ones are the nearest that fits. With it, how it was written.
    Int(i128, String),
    /// Any other number, also `.inf` and `.nan`. With it, how it was written.
    Float(f64, String),
    /// A word written without quotes.
    Plain(String),
    /// A text in quotes, or a block of text.
    Quoted(String),
    /// Values in order.
    List(Vec<Node>),
    /// Keys with values, in order, no key twice.
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_span: Range<usize>,
    /// What it is set to.
    pub(crate) value: Node,
}

impl Node {
    /// What was found here, for messages: kind and value.
    pub(crate) fn found(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Int(_, written) | Content::Float(_, written) => format!("the number {}", short(written)),
            Content::Plain(text) | Content::Quoted(text) => format!("the text `{}`", short(text)),
            Content::List(items) if items.is_empty() => "an empty list".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Map(entries) if entries.is_empty() => "an empty mapping".to_owned(),
            Content::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The text of a scalar as it was written; `None` for null, lists and mappings.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.content {
            Content::Bool(value) => Some(value.to_string()),
            Content::Int(_, text)
            | Content::Float(_, text)
            | Content::Plain(text)
            | Content::Quoted(text) => Some(text.clone()),
            Content::Null | Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The text, if it is one rather than a number or a truth value.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) | Content::Quoted(text) => Some(text),
            Content::Null
            | Content::Bool(_)
            | Content::Int(..)
            | Content::Float(..)
            | Content::List(_)
            | Content::Map(_) => None,
        }
    }
}

impl Content {
    /// The kind and value of a plain scalar: YAML 1.2.2, section 10.3.2. `1e-4` is a number, `yes` is a word.
    pub(crate) fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        integer(text)
            .map(|value| Self::Int(value, text.to_owned()))
            .or_else(|| float(text).map(|value| Self::Float(value, text.to_owned())))
            .unwrap_or_else(|| Self::Plain(text.to_owned()))
    }
}

/// `text` cut to a length that fits in a message.
fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    let cut: String = line.chars().take(LONGEST).collect();
    format!("{cut}...")
}

fn integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i128::MIN } else { i128::MAX }))
}

fn based(digits: &str, radix: u32) -> Option<i128> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    Some(i128::from_str_radix(digits, radix).unwrap_or(i128::MAX))
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return (unsigned.len() == text.len()).then_some(f64::NAN),
        _ => {}
    }
    // What is left after the next two checks is what both YAML and `f64::from_str` read the same way.
    let has_digit = unsigned.starts_with(|first: char| first.is_ascii_digit())
        || unsigned
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    let legal = unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    if has_digit && legal { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<f64> {
        match Content::plain(text) {
            Content::Float(value, _) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        assert_eq!(Content::plain("0x1F"), Content::Int(31, "0x1F".to_owned()));
        assert_eq!(Content::plain("0o17"), Content::Int(15, "0o17".to_owned()));
        assert_eq!(Content::plain("-12"), Content::Int(-12, "-12".to_owned()));
        assert_eq!(Content::plain("~"), Content::Null);
        assert_eq!(Content::plain("True"), Content::Bool(true));
        for word in [
            "yes", "no", "off", "NO", "1_000", "18:00", "inf", "nan", "e5", "1.2.3", "-", "+", ".", "0x",
            "1e",
        ] {
            assert_eq!(Content::plain(word), Content::Plain(word.to_owned()));
        }
    }

    #[test]
    fn an_exponent_without_a_point_is_a_number() {
        assert_eq!(number("1e-4"), Some(1e-4));
        assert_eq!(number("+.5E3"), Some(500.0));
        assert_eq!(number("1."), Some(1.0));
        assert_eq!(number("-.inf"), Some(f64::NEG_INFINITY));
        assert!(number(".nan").is_some_and(f64::is_nan));
    }

    #[test]
    fn a_number_that_is_too_large_stays_too_large() {
        assert!(matches!(Content::plain(&"9".repeat(60)), Content::Int(i128::MAX, _)));
        assert_eq!(number("1e999"), Some(f64::INFINITY));
    }
}
