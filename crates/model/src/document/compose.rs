//! From the events of the YAML parser to a tree, with limits that a text cannot talk its way around.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::keys::{Key, accept_key, mappings, merge};
use super::{Content, Entry, Findings, Node, syntax};

/// A sweep file is a page or two; a megabyte is a wrong file.
const LARGEST_TEXT: usize = 1 << 20;
/// Deeper than any sweep file, and shallow enough for functions that call themselves.
const DEEPEST: usize = 64;
/// Aliases may repeat this many nodes in all: a few lines of them can otherwise fill any memory.
const MOST_REPEATED: usize = 10_000;

/// Reads a text of one document. `None` when there is no tree; then at least one error was noted. Errors that
/// leave a tree (a key twice, an unknown tag) are noted too.
pub(crate) fn compose(findings: &mut Findings<'_>) -> Option<Node> {
    let text = findings.text();
    if text.len() > LARGEST_TEXT {
        let hint = "is this the right file? A sweep file is a page or two";
        findings.error(
            &(0..0),
            format!("the text has {} bytes; at most {LARGEST_TEXT} are read", text.len()),
            hint,
        );
        return None;
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut composer = Composer::new(findings);
    for item in Parser::new_from_str_with_options(text, options) {
        match item {
            Ok((event, span)) => composer.on_event(event, span.byte_range().unwrap_or(0..0))?,
            Err(error) => {
                syntax::explain(composer.findings, &error);
                return None;
            }
        }
    }
    composer.root()
}

/// A tree that is being built.
struct Composer<'f, 't> {
    findings: &'f mut Findings<'t>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Anchored>,
    repeated: usize,
}

/// A list or mapping whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    collection: Collection,
    /// How many nodes it holds, itself included.
    size: usize,
    /// How deep the deepest of its parts is.
    depth: usize,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merged: Vec<Node>, seen: BTreeMap<String, usize>, key: Key },
}

/// A node that aliases repeat.
struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

impl<'f, 't> Composer<'f, 't> {
    fn new(findings: &'f mut Findings<'t>) -> Self {
        Self { findings, open: Vec::new(), root: None, anchors: BTreeMap::new(), repeated: 0 }
    }

    /// The finished tree.
    fn root(self) -> Option<Node> {
        if self.root.is_none() {
            let hint = "a sweep needs at least `command`, `objectives`, `parameters` and `budget`";
            self.findings.error(&(0..0), "the file is empty", hint);
        }
        self.root
    }

    /// Takes the next event; `None` when going on makes no sense.
    fn on_event(&mut self, event: Event<'_>, span: Range<usize>) -> Option<()> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let hint = "keep one sweep in a file; remove this `---` and what follows";
                self.findings.error(&span, "a second document begins here", hint);
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                let content = self.scalar(&text, style, tag.as_deref(), &span);
                self.complete(Node { span, content }, anchor, 1, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &span);
                self.begin(span.start, anchor, Collection::List(Vec::new()));
                Some(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &span);
                let (seen, key) = (BTreeMap::new(), Key::Awaited);
                self.begin(
                    span.start,
                    anchor,
                    Collection::Map { entries: Vec::new(), merged: Vec::new(), seen, key },
                );
                Some(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span),
            Event::Alias(anchor) => self.alias(anchor, &span),
            // Ends of documents and comments say nothing about values; nor will kinds that are yet to come.
            _ => Some(()),
        }
    }

    fn begin(&mut self, start: usize, anchor: usize, collection: Collection) {
        self.open.push(Open { start, anchor, collection, size: 1, depth: 1 });
    }

    fn end(&mut self, span: &Range<usize>) -> Option<()> {
        let Open { start, anchor, collection, size, depth } = self.open.pop()?;
        let (content, last) = match collection {
            Collection::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Content::List(items), last)
            }
            Collection::Map { entries, merged, .. } => {
                let last = entries.last().map(|entry| entry.value.span.end.max(entry.key_span.end));
                (Content::Map(merge(entries, merged)), last)
            }
        };
        // A bracket ends the span; a block ends with its last part, before the blank lines that follow it.
        let end = if span.is_empty() { last.unwrap_or(start) } else { span.end };
        self.complete(Node { span: start..end.max(start), content }, anchor, size, depth)
    }

    fn alias(&mut self, anchor: usize, span: &Range<usize>) -> Option<()> {
        let Some(Anchored { node, size, depth }) = self.anchors.get(&anchor) else {
            self.findings.error(
                span,
                "this alias stands inside what it repeats and would never end",
                "write the value out",
            );
            return None;
        };
        let (node, size, depth) = (node.clone(), *size, *depth);
        self.repeated += size;
        if self.repeated > MOST_REPEATED {
            let message = format!("aliases repeat more than {MOST_REPEATED} values up to here");
            self.findings.error(span, message, "write the values out, or use fewer of them");
            return None;
        }
        if self.open.len() + depth > DEEPEST {
            let message = format!("with this alias values are nested deeper than {DEEPEST} levels");
            self.findings.error(span, message, "use fewer levels");
            return None;
        }
        self.complete(node, 0, size, depth)
    }

    /// Puts a finished node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize, size: usize, depth: usize) -> Option<()> {
        if self.open.len() + depth > DEEPEST {
            let message = format!("values are nested deeper than {DEEPEST} levels");
            self.findings.error(&node.span, message, "use fewer levels");
            return None;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        parent.size += size;
        parent.depth = parent.depth.max(depth + 1);
        match &mut parent.collection {
            Collection::List(items) => items.push(node),
            Collection::Map { entries, merged, seen, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => *key = accept_key(self.findings, seen, node),
                Key::Given(name, key_span) if name == "<<" => {
                    merged.extend(mappings(self.findings, &key_span, node));
                }
                Key::Given(name, key_span) => {
                    // A value left out stands nowhere; what is wrong with it is shown at its key.
                    let span = if node.span.is_empty() { key_span.clone() } else { node.span };
                    entries.push(Entry { key: name, key_span, value: Node { span, content: node.content } });
                }
                Key::Refused => {}
            },
        }
        Some(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Range<usize>) -> Content {
        let is_text = tag.is_some_and(|tag| tag.core_suffix() == Some("str") || tag.original() == "!");
        let known = tag
            .is_none_or(|tag| matches!(tag.core_suffix(), Some("str" | "int" | "float" | "bool" | "null")));
        if !known && !is_text {
            self.check_tag(tag, "str", span);
        }
        if is_text || style != ScalarStyle::Plain {
            Content::Quoted(text.to_owned())
        } else {
            Content::plain(text)
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, legal: &str, span: &Range<usize>) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(legal)) {
            self.findings.error(
                span,
                format!("the tag `{}` has no meaning here", tag.original()),
                "remove the tag",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn tree(text: &str) -> Result<Node, String> {
        let mut findings = Findings::new(text);
        let node = compose(&mut findings);
        let (errors, _) = findings.finish();
        if errors.0.is_empty() { Ok(node.unwrap()) } else { Err(errors.to_string()) }
    }

    fn entries(text: &str) -> Vec<Entry> {
        match tree(text).unwrap().content {
            Content::Map(entries) => entries,
            other => panic!("not a mapping: {other:?}"),
        }
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let text = "a: é\nb:\n  - [1, 2]\n\nc:\n";
        let entries = entries(text);
        assert_eq!(&text[entries[0].value.span.clone()], "é");
        assert_eq!(&text[entries[1].value.span.clone()], "- [1, 2]");
        assert_eq!(&text[entries[2].value.span.clone()], "c", "a missing value is shown at its key");
    }

    #[test]
    fn aliases_and_merge_keys_are_expanded() {
        let entries = entries("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nsame: *b\n");
        let Content::Map(used) = &entries[1].value.content else { panic!("not a mapping") };
        let keys: Vec<&str> = used.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["y", "x"]);
        assert_eq!(used[0].value.content, Content::Int(3, "3".to_owned()));
        assert_eq!(entries[0].value.content, entries[2].value.content);
    }

    #[test]
    fn aliases_cannot_fill_the_memory_or_run_in_circles() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(laughs, "a{level}: &a{level} [{list}]").unwrap();
        }
        assert!(tree(&laughs).unwrap_err().contains("aliases repeat more than"));
        assert!(tree("a: &x [*x]").unwrap_err().contains("never end"));
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for level in 1..100 {
            writeln!(chain, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
        }
        assert!(tree(&chain).unwrap_err().contains("nested deeper"));
    }

    #[test]
    fn what_is_no_tree_of_one_document_is_refused() {
        assert!(tree("a: 1\na: 2\n").unwrap_err().contains("line 2, column 1: the key `a` occurs twice"));
        assert!(
            tree("---\na: 1\n---\nb: 1\n").unwrap_err().starts_with("line 3, column 1: a second document")
        );
        assert!(tree("").unwrap_err().contains("empty"));
        assert!(tree("a: !color red\n").unwrap_err().contains("`!color`"));
        assert!(tree("a: {[1]: 2}\n").unwrap_err().contains("a key must be a word"));
        assert!(tree(&format!("a: {}{}", "[".repeat(200), "]".repeat(200))).is_err());
        assert!(tree(&"x".repeat(LARGEST_TEXT + 1)).unwrap_err().contains("bytes"));
    }
}
