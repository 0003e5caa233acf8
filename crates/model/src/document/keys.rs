//! The keys of a mapping: none twice, and `<<` brings in those of another mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Content, Entry, Findings, Node};

/// Where a mapping is between a key and its value.
pub(super) enum Key {
    /// The next node is a key.
    Awaited,
    /// The next node is the value of this key.
    Given(String, Range<usize>),
    /// The next node is the value of a key that was refused.
    Refused,
}

/// Checks that a key is a word and new.
pub(super) fn accept_key(findings: &mut Findings<'_>, seen: &mut BTreeMap<String, usize>, node: Node) -> Key {
    let Some(name) = node.scalar_text() else {
        let message = format!("a key must be a word, found {}", node.found());
        findings.error(
            &node.span,
            message,
            "quote it if it is meant as text; macros like \"${args}\" need quotes in [ ] and { }",
        );
        return Key::Refused;
    };
    if let Some(first) = seen.get(&name) {
        let line = findings.text()[..*first].matches('\n').count() + 1;
        findings.error(
            &node.span,
            format!("the key `{name}` occurs twice"),
            format!("it is first set on line {line}; keep one of the two"),
        );
        return Key::Refused;
    }
    seen.insert(name.clone(), node.span.start);
    Key::Given(name, node.span)
}

/// What `<<:` names: a mapping or a list of mappings.
pub(super) fn mappings(findings: &mut Findings<'_>, key_span: &Range<usize>, node: Node) -> Vec<Node> {
    let nodes = match node.content {
        Content::List(items) => items,
        _ => vec![node],
    };
    if nodes.iter().all(|node| matches!(node.content, Content::Map(_))) {
        return nodes;
    }
    findings.error(
        key_span,
        "`<<` takes a mapping or a list of mappings",
        "name an anchored mapping: `<<: *defaults`",
    );
    Vec::new()
}

/// Adds what `<<` brings in below what is stated; the first mapping that has a key wins.
pub(super) fn merge(mut entries: Vec<Entry>, merged: Vec<Node>) -> Vec<Entry> {
    let mut seen: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for node in merged {
        if let Content::Map(more) = node.content {
            entries.extend(more.into_iter().filter(|entry| seen.insert(entry.key.clone())));
        }
    }
    entries
}
