//! Mappings with known keys: what is unknown, missing, of the wrong kind or out of range is said once.

use std::ops::{Range, RangeInclusive};

use crate::document::{Content, Entry, Findings, Node, is_glued};
use crate::nearest;

/// A value with the path of keys that leads to it, for messages.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    /// Keys joined by dots; empty for the whole file.
    pub(super) path: String,
    /// Where its key stands (for an item of a list: the item itself).
    pub(super) key_span: Range<usize>,
    /// The value.
    pub(super) node: &'n Node,
}

/// A mapping whose keys were checked.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    path: String,
    span: Range<usize>,
    entries: &'n [Entry],
    /// Known keys that an unknown key was probably meant to be: they are not reported missing as well.
    meant: Vec<&'static str>,
}

impl<'n> Field<'n> {
    /// The whole file.
    pub(super) fn root(node: &'n Node) -> Self {
        Self { path: String::new(), key_span: node.span.clone(), node }
    }

    /// An item of a list that stands in this field.
    pub(super) fn item(&self, node: &'n Node) -> Self {
        Self { path: self.path.clone(), key_span: node.span.clone(), node }
    }

    /// The value of a key of a mapping that stands in this field.
    pub(super) fn child(&self, entry: &'n Entry) -> Self {
        field(&self.path, entry)
    }

    /// Says that the value is not what is expected here.
    pub(super) fn wrong(&self, findings: &mut Findings<'_>, expected: &str, hint: &str) {
        let what = if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path) };
        let message = format!("{what} must be {expected}, found {}", self.node.found());
        let key = self.path.rsplit('.').next().filter(|key| !key.is_empty());
        let usual = || {
            key.map_or_else(|| format!("write {expected}"), |key| format!("after `{key}:` write {expected}"))
        };
        let hint = if hint.is_empty() { usual() } else { hint.to_owned() };
        findings.error(&self.node.span, message, hint);
    }

    /// A text that is not empty; a bare number or truth value is taken as it is written.
    pub(super) fn text(&self, findings: &mut Findings<'_>) -> Option<String> {
        self.name(findings, "a text", "")
    }

    /// A text that names something.
    pub(super) fn name(&self, findings: &mut Findings<'_>, expected: &str, hint: &str) -> Option<String> {
        let text = self.node.scalar_text().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.wrong(findings, expected, hint);
        }
        text
    }

    /// A finite number.
    pub(super) fn number(&self, findings: &mut Findings<'_>) -> Option<f64> {
        let number = match &self.node.content {
            Content::Int(value, _) => Some(*value as f64),
            Content::Float(value, _) => Some(*value),
            Content::Null
            | Content::Bool(_)
            | Content::Plain(_)
            | Content::Quoted(_)
            | Content::List(_)
            | Content::Map(_) => None,
        };
        let finite = number.filter(|value| value.is_finite());
        if finite.is_none() {
            let expected = if number.is_some() { "a finite number" } else { "a number" };
            self.wrong(findings, expected, self.number_hint());
        }
        finite
    }

    /// A number above zero.
    pub(super) fn positive(&self, findings: &mut Findings<'_>, hint: &str) -> Option<f64> {
        let number = self.number(findings)?;
        if number > 0.0 {
            return Some(number);
        }
        self.wrong(findings, "above zero", hint);
        None
    }

    /// A whole number; one with an empty fraction (`1e3`) counts.
    pub(super) fn integer(&self, findings: &mut Findings<'_>) -> Option<i64> {
        let Some(value) = self.whole() else {
            self.wrong(findings, "a whole number", self.number_hint());
            return None;
        };
        let fits = i64::try_from(value).ok();
        if fits.is_none() {
            let hint = format!("the range is {} to {}", i64::MIN, i64::MAX);
            self.wrong(findings, "a whole number of 64 bits", &hint);
        }
        fits
    }

    /// A whole number in a range.
    pub(super) fn unsigned(&self, findings: &mut Findings<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(value) = self.whole() else {
            self.wrong(findings, "a whole number", self.number_hint());
            return None;
        };
        let fits = u64::try_from(value).ok().filter(|value| range.contains(value));
        if fits.is_none() {
            let expected = match (value < i128::from(*range.start()), range.end()) {
                (true, _) => format!("a whole number of at least {}", range.start()),
                (false, end) => format!("a whole number of at most {end}"),
            };
            self.wrong(findings, &expected, "");
        }
        fits
    }

    /// A whole number of 32 bits, at least `least`.
    pub(super) fn count(&self, findings: &mut Findings<'_>, least: u32) -> Option<u32> {
        let value = self.unsigned(findings, u64::from(least)..=u64::from(u32::MAX))?;
        u32::try_from(value).ok()
    }

    /// True or false.
    pub(super) fn boolean(&self, findings: &mut Findings<'_>) -> Option<bool> {
        if let Content::Bool(value) = self.node.content {
            return Some(value);
        }
        self.wrong(findings, "true or false", "");
        None
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(
        &self,
        findings: &mut Findings<'_>,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let found = self.node.scalar_text().unwrap_or_default();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = meant(&found, &names).map(|word| format!("did you mean `{word}`?"));
        self.wrong(findings, &format!("one of {}", names.join(", ")), &hint.unwrap_or_default());
        None
    }

    /// Is it a list?
    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.content, Content::List(_))
    }

    /// The items of a list.
    pub(super) fn list(&self, findings: &mut Findings<'_>, hint: &str) -> Option<Vec<Field<'n>>> {
        if let Content::List(items) = &self.node.content {
            return Some(items.iter().map(|item| self.item(item)).collect());
        }
        self.wrong(findings, "a list", hint);
        None
    }

    /// The entries of a mapping whose keys are names that the user chose.
    pub(super) fn entries(&self, findings: &mut Findings<'_>, hint: &str) -> Option<&'n [Entry]> {
        if let Content::Map(entries) = &self.node.content {
            return Some(entries);
        }
        let glued = self.node.text().is_some_and(|text| text.split_whitespace().any(is_glued));
        self.wrong(findings, "a mapping", if glued { "put a space after the colon" } else { hint });
        None
    }

    /// The value as a whole number, if it is one.
    fn whole(&self) -> Option<i128> {
        match &self.node.content {
            Content::Int(value, _) => Some(*value),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "no fraction, and far inside the range of i128"
            )]
            Content::Float(value, _) => {
                (value.fract() == 0.0 && value.abs() < 1e30).then_some(*value as i128)
            }
            Content::Null
            | Content::Bool(_)
            | Content::Plain(_)
            | Content::Quoted(_)
            | Content::List(_)
            | Content::Map(_) => None,
        }
    }

    fn number_hint(&self) -> &'static str {
        match &self.node.content {
            Content::Quoted(text)
                if matches!(Content::plain(text), Content::Int(..) | Content::Float(..)) =>
            {
                "remove the quotes"
            }
            _ => "",
        }
    }
}

impl<'n> Fields<'n> {
    /// Opens a mapping and reports every key that is not in `known`. `example` shows what is expected.
    pub(super) fn open(
        findings: &mut Findings<'_>,
        field: &Field<'n>,
        known: &'static [&'static str],
        example: &str,
    ) -> Option<Self> {
        let entries = field.entries(findings, example)?;
        let mut fields =
            Self { path: field.path.clone(), span: field.node.span.clone(), entries, meant: Vec::new() };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            fields.unknown(findings, entry, known);
        }
        Some(fields)
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Field<'n>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(field(&self.path, entry))
    }

    /// The value of a key that must be there; `hint` is what to add.
    pub(super) fn require(&self, findings: &mut Findings<'_>, key: &str, hint: &str) -> Option<Field<'n>> {
        let found = self.get(key);
        if found.is_none() && !self.meant.contains(&key) {
            let message = match self.path.as_str() {
                "" => format!("`{key}` is missing"),
                path => format!("`{path}` needs `{key}`"),
            };
            findings.error(&self.place(), message, hint);
        }
        found
    }

    /// Was an unknown key probably meant to be this one?
    pub(super) fn is_meant(&self, key: &str) -> bool {
        self.meant.contains(&key)
    }

    /// What to underline when something is missing: the beginning.
    pub(super) fn place(&self) -> Range<usize> {
        match self.entries.first() {
            Some(entry) if self.path.is_empty() => entry.key_span.clone(),
            _ => self.span.clone(),
        }
    }

    fn unknown(&mut self, findings: &mut Findings<'_>, entry: &Entry, known: &'static [&'static str]) {
        let key = entry.key.as_str();
        let message = match self.path.as_str() {
            "" => format!("unknown key `{key}`"),
            path => format!("unknown key `{key}` in `{path}`"),
        };
        let glued = is_glued(key).then(|| key.split(':').next().unwrap_or_default());
        let near = meant(glued.unwrap_or(key), known);
        self.meant.extend(known.iter().copied().filter(|word| near == Some(*word)));
        let hint = match (glued, near) {
            (Some(_), _) => format!("put a space after the colon: `{}`", key.replacen(':', ": ", 1)),
            (None, Some(word)) => format!("did you mean `{word}`?"),
            (None, None) => format!("known here: {}", known.join(", ")),
        };
        findings.error(&entry.key_span, message, hint);
    }
}

fn field<'n>(path: &str, entry: &'n Entry) -> Field<'n> {
    let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
    Field { path, key_span: entry.key_span.clone(), node: &entry.value }
}

/// The word that a slip was meant to be. Besides single letters, swapped ones are the usual slip.
pub(super) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let letters = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    let swapped = || known.iter().copied().find(|other| word.len() > 2 && letters(other) == letters(word));
    nearest(word, known.iter().copied()).or_else(swapped)
}
