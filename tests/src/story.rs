//! A story is a text anyone can read: commands, and beside each what it prints.
//!
//! ```text
//! # What the story is about.
//! --- file hello.txt
//! hello
//! ---
//! $ cat hello.txt nothing.txt
//! hel…
//! ! cat: nothing.txt: …
//! [exit 1]
//! ```
//! All commands of a story run in one fresh folder, `gramwise` with `$GRAMWISE_DB` set to a file in it. The lines below a command
//! are its stdout, those after `! ` its stderr, `[exit N]` is its exit code where it is not 0. `…` stands for any text within a
//! line, alone on a line for any lines, `<number>` for a number. Columns shift with their contents, so several spaces count as
//! one, and empty lines at the end of an output as none.

use std::path::Path;

use crate::{Done, Place, gramwise, run};

/// One command of a story with what it should print.
#[derive(Debug, Default)]
struct Scene {
    /// Files that are written before it, by name.
    files: Vec<(String, String)>,
    line: usize,
    command: String,
    stdout: Vec<String>,
    stderr: Vec<String>,
    code: i32,
}

/// Runs all commands of the story in a file.
///
/// # Panics
/// At the first that prints or ends otherwise than told, with both side by side.
pub fn play(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let place = Place::new();
    let scenes = read(&text);
    assert!(!scenes.is_empty(), "{} runs nothing", file.display());
    for scene in scenes {
        for (name, content) in &scene.files {
            place.write(name, content);
        }
        let done = perform(&scene, &place);
        let fits = done.code == Some(scene.code)
            && matches(&scene.stdout, &lines(&done.stdout))
            && matches(&scene.stderr, &lines(&done.stderr));
        assert!(
            fits,
            "{}:{}: {}\n---- told, exit {}\n{}\n! {}\n---- happened\n{done}",
            file.display(),
            scene.line,
            scene.command,
            scene.code,
            scene.stdout.join("\n"),
            scene.stderr.join("\n! "),
        );
    }
}

/// Takes a story apart.
fn read(text: &str) -> Vec<Scene> {
    let mut scenes: Vec<Scene> = Vec::new();
    let mut files = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if let Some(name) = line.strip_prefix("--- file ") {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "---");
            let content = inside.fold(String::new(), |content, line| content + line + "\n");
            files.push((name.to_owned(), content));
        } else if let Some(command) = line.strip_prefix("$ ") {
            let (command, files) = (command.to_owned(), std::mem::take(&mut files));
            scenes.push(Scene { files, line: number, command, ..Scene::default() });
        } else if let (Some(scene), false) = (scenes.last_mut(), line.starts_with("# ")) {
            let code = line.strip_prefix("[exit ").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
            match (code, line.strip_prefix('!')) {
                (Some(code), _) => scene.code = code,
                (None, Some(rest)) => scene.stderr.push(squeezed(rest)),
                (None, None) => scene.stdout.push(squeezed(line)),
            }
        }
    }
    for scene in &mut scenes {
        without_end(&mut scene.stdout);
        without_end(&mut scene.stderr);
    }
    scenes
}

fn perform(scene: &Scene, place: &Place) -> Done {
    let mut words = scene.command.split_whitespace();
    let program = match words.next() {
        Some("gramwise") => gramwise(),
        Some(other) => Path::new(other),
        None => panic!("line {}: a command is missing", scene.line),
    };
    run(place.program(program).args(words).env("GRAMWISE_DB", place.path("gramwise.db")))
}

fn lines(text: &str) -> Vec<String> {
    let mut lines = text.lines().map(squeezed).collect();
    without_end(&mut lines);
    lines
}

/// One space where there are several, none at the ends.
fn squeezed(line: &str) -> String {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn without_end(lines: &mut Vec<String>) {
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
}

/// Do the lines happen as told?
fn matches(told: &[String], happened: &[String]) -> bool {
    match told.split_first() {
        None => happened.is_empty(),
        Some((any, rest)) if any == "…" => {
            (0..=happened.len()).any(|skip| matches(rest, &happened[skip..]))
        }
        Some((line, rest)) => happened
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others)),
    }
}

fn line_matches(told: &str, happened: &str) -> bool {
    if let Some(rest) = told.strip_prefix('…') {
        let mut ends = (0..=happened.len()).filter(|end| happened.is_char_boundary(*end));
        return ends.any(|end| line_matches(rest, &happened[end..]));
    }
    if let Some(rest) = told.strip_prefix("<number>") {
        let is_digit = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | 'e' | '-');
        let end = happened.find(|letter| !is_digit(letter)).unwrap_or(happened.len());
        return happened[..end].parse::<f64>().is_ok() && line_matches(rest, &happened[end..]);
    }
    let mut told = told.chars();
    match told.next() {
        None => happened.is_empty(),
        Some(letter) => {
            happened.strip_prefix(letter).is_some_and(|happened| line_matches(told.as_str(), happened))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(told: &str, happened: &str) -> bool {
        matches(&lines(told), &lines(happened))
    }

    #[test]
    fn what_is_told_in_full_must_happen_in_full() {
        assert!(fits("a  b\n\nc\n\n", "a b\n\nc"));
        assert!(!fits("a", "a\nb"));
        assert!(!fits("a\nb", "a"));
        assert!(!fits("ab", "a b"));
    }

    #[test]
    fn an_ellipsis_stands_for_text_or_lines() {
        assert!(fits("took … s", "took 3 min 2 s"));
        assert!(!fits("took … s", "took 3 min"));
        assert!(fits("a\n…\nb", "a\nb"));
        assert!(fits("a\n…\nb", "a\nx\ny\nb"));
        assert!(!fits("a\n…\nb", "a\nx"));
    }

    #[test]
    fn a_number_stands_for_a_number() {
        assert!(fits("<number> µg, <number>", "34.9 µg, 2e-9"));
        assert!(!fits("<number> µg", "none µg"));
        assert!(!fits("<number>", ""));
    }

    #[test]
    fn a_story_is_taken_apart() {
        let text = "# About.\n--- file a.txt\n$ no command\n---\n$ cat a.txt\nhello\n! oh\n!\n# Then.\n[exit 3]\n\n$ ls\n";
        let scenes = read(text);
        let [first, second] = scenes.as_slice() else { panic!("{scenes:?}") };
        assert_eq!(first.files, [("a.txt".to_owned(), "$ no command\n".to_owned())]);
        assert_eq!((first.line, first.command.as_str(), first.code), (5, "cat a.txt", 3));
        assert_eq!(
            (&first.stdout[..], &first.stderr[..]),
            (&["hello".to_owned()][..], &["oh".to_owned()][..])
        );
        assert_eq!((second.command.as_str(), second.code, second.stdout.len()), ("ls", 0, 0));
    }
}
