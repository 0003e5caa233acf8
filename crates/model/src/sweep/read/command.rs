//! `command:` and W&B's `program:`: what is run for a trial.

use std::ops::Range;

use super::fields::{Field, Fields, meant};
use crate::document::{Content, Findings};

const EXAMPLE: &str = "for example `command: [python, train.py, \"${args}\"]`";

/// Macros that are replaced here: what they stand for is in the file.
const HERE: [&str; 3] = ["env", "interpreter", "program"];
/// Macros that the worker replaces, by what they begin with where they bring in the parameters.
const AT_THE_WORKER: [&str; 5] =
    ["args", "args_no_boolean_flags", "args_no_hyphens", "args_json", "args_json_file"];

/// Program and arguments; empty only if something was wrong.
pub(super) fn command(findings: &mut Findings<'_>, file: &Fields<'_>, has_parameters: bool) -> Vec<String> {
    let program = file.get("program").and_then(|field| field.text(findings));
    let Some(field) = file.get("command") else {
        if let Some(program) = program {
            return vec!["/usr/bin/env".to_owned(), "python".to_owned(), program, "${args}".to_owned()];
        }
        if file.get("program").is_none() && !file.is_meant("program") {
            file.require(findings, "command", EXAMPLE);
        }
        return Vec::new();
    };
    let Some(words) = words(findings, &field) else { return Vec::new() };
    let mut takes_parameters = false;
    let before = findings.error_count();
    let command = words
        .into_iter()
        .map(|word| {
            let mut macros = Macros { program: program.as_deref(), takes_parameters: &mut takes_parameters };
            macros.expand(findings, &word)
        })
        .collect();
    if has_parameters && !takes_parameters && findings.error_count() == before {
        let message =
            "no macro of `command` passes the parameters on; the trial finds them in its environment only";
        findings.warning(&field.node.span, message, "add \"${args}\" if the program reads arguments");
    }
    command
}

/// A word of the command with its place.
struct Word {
    text: String,
    span: Range<usize>,
}

fn words(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<Vec<Word>> {
    if let Content::List(items) = &field.node.content {
        if items.is_empty() {
            field.wrong(findings, "a list that begins with a program", EXAMPLE);
            return None;
        }
        let words = items.iter().map(|node| {
            let item = field.item(node);
            let text = node.scalar_text();
            if text.is_none() {
                item.wrong(findings, "a list of texts", "put macros in quotes: \"${args}\"");
            }
            text.map(|text| Word { text, span: node.span.clone() })
        });
        // Every word is looked at before the first that is wrong ends it.
        return words.collect::<Vec<_>>().into_iter().collect();
    }
    let Some(line) = field.node.text().filter(|line| !line.trim().is_empty()) else {
        field.wrong(findings, "a list of texts or one line of text", EXAMPLE);
        return None;
    };
    let Some(split) = split(line) else {
        findings.error(
            &field.node.span,
            "a quote in `command` is not closed",
            "close it, or write the command as a list",
        );
        return None;
    };
    if let Some(operator) =
        split.iter().find(|word| ["|", "||", "&", "&&", ";", ">", ">>", "<"].contains(&word.as_str()))
    {
        let message = format!("`command` is not run by a shell: `{operator}` is passed on as an argument");
        findings.warning(&field.node.span, message, "to use a shell write `command: [sh, -c, \"...\"]`");
    }
    Some(split.into_iter().map(|text| Word { text, span: field.node.span.clone() }).collect())
}

/// Splits a line into words like a shell: blanks separate, quotes and backslashes protect. `None` when a quote
/// is left open.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => quoted(&mut letters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(letters.next()?),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Some(words)
}

/// The rest of a double-quoted part, where a backslash protects quotes and backslashes only.
fn quoted(letters: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match letters.next()? {
            '"' => return Some(()),
            '\\' => match letters.next()? {
                letter @ ('"' | '\\' | '$' | '`') => word.push(letter),
                letter => word.extend(['\\', letter]),
            },
            letter => word.push(letter),
        }
    }
}

/// Replaces what the file itself determines and checks the rest.
struct Macros<'p> {
    program: Option<&'p str>,
    takes_parameters: &'p mut bool,
}

impl Macros<'_> {
    fn expand(&mut self, findings: &mut Findings<'_>, word: &Word) -> String {
        let mut expanded = String::new();
        let mut rest = word.text.as_str();
        while let Some(start) = rest.find("${") {
            expanded.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                let hint = "close it with `}`";
                findings.error(&place(findings, word, "${"), "a macro is not closed", hint);
                break;
            };
            let whole = &rest[start..=start + length];
            match self.value(findings, word, whole) {
                Some(value) => expanded.push_str(&value),
                None => expanded.push_str(whole),
            }
            rest = &rest[start + length + 1..];
        }
        expanded.push_str(rest);
        expanded
    }

    /// What stands for a macro; `None` leaves it as it is.
    fn value(&mut self, findings: &mut Findings<'_>, word: &Word, whole: &str) -> Option<String> {
        let name = whole.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        match name {
            "env" => return Some("/usr/bin/env".to_owned()),
            "interpreter" => return Some("python".to_owned()),
            "program" => {
                if self.program.is_none() {
                    let hint = "add `program: train.py`, or write the program in place of the macro";
                    findings.error(
                        &place(findings, word, whole),
                        "`${program}` is used, and `program` is missing",
                        hint,
                    );
                }
                return self.program.map(str::to_owned);
            }
            _ => {}
        }
        if AT_THE_WORKER.contains(&name) {
            *self.takes_parameters = true;
            return None;
        }
        let variable = name.strip_prefix("envvar:");
        if variable.is_some_and(|variable| !variable.is_empty()) {
            return None;
        }
        let known = [HERE.as_slice(), AT_THE_WORKER.as_slice()].concat();
        let hint = match meant(name, &known) {
            Some(near) => format!("did you mean `${{{near}}}`?"),
            None if looks_like_a_variable(name) => {
                format!("for an environment variable write `${{envvar:{name}}}`")
            }
            None => {
                let known: Vec<String> = known.iter().map(|name| format!("${{{name}}}")).collect();
                format!("known macros: {} ${{envvar:NAME}}", known.join(" "))
            }
        };
        findings.error(&place(findings, word, whole), format!("unknown macro `{whole}`"), hint);
        None
    }
}

fn looks_like_a_variable(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Where a part of a word stands, or the whole word where escapes hide it.
fn place(findings: &Findings<'_>, word: &Word, part: &str) -> Range<usize> {
    let found = findings.text().get(word.span.clone()).and_then(|source| source.find(part));
    found.map_or_else(|| word.span.clone(), |at| word.span.start + at..word.span.start + at + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_like_a_shell_does() {
        let split = |line| split(line).map(|words| words.join("|"));
        assert_eq!(
            split("python  train.py --a='b c' \"d \\\" e\" f\\ g ''"),
            Some("python|train.py|--a=b c|d \" e|f g|".to_owned())
        );
        assert_eq!(split("a 'b"), None);
        assert_eq!(split("a \"b"), None);
        assert_eq!(split("a \\"), None);
    }
}
