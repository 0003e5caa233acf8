//! A wrong sweep file is refused with the place and a hint, and nothing is left behind.

use std::path::{Path, PathBuf};

use e2e::Place;

use crate::sweeps::Sweep;

/// The files that the reader of sweep files is tested with: the cause stands in their name.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/malformed");
    let entries = std::fs::read_dir(folder).expect("the model's tests are beside these");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 12, "only {} files", files.len());
    files
}

/// Runs a command over each file, in a folder that holds nothing else, and checks what is said and left.
fn refuses(arguments: &[&str]) {
    for file in files() {
        let place = Place::new();
        let text = std::fs::read_to_string(&file).unwrap();
        place.write("sweep.yaml", &text);
        let expected = std::fs::read_to_string(file.with_extension("expected")).unwrap();
        let (where_and_what, hint) =
            expected.split_once("\nhint: ").unwrap_or_else(|| (expected.trim_end(), ""));
        let (position, message) = where_and_what.split_once(": ").expect("an expected answer has a place");
        let (line, column) =
            position.trim_start_matches("line ").split_once(", column ").expect("a place has a line");

        let name = file.display();
        let done = place.gramwise(arguments);
        assert_eq!(done.code, Some(2), "{name}\n{done}");
        assert_eq!(done.stdout, "", "{name}");
        let said = &done.stderr;
        let places = said.lines().filter(|line| line.trim_start().starts_with("--> ")).count();
        assert_eq!(places, 1, "{name}: one cause, one diagnostic\n{said}");
        assert!(said.starts_with(&format!("error: {message}\n")), "{name}: {message}\n{said}");
        assert!(said.contains(&format!("--> sweep.yaml:{line}:{column}\n")), "{name}: {position}\n{said}");
        // A message that says what the value must be is its own hint.
        let first = hint.lines().next().unwrap_or_default();
        let is_helpful = said.contains("= help: ") || message.contains(" must be ");
        assert!(is_helpful && said.contains(first), "{name}: {hint}\n{said}");
        assert_eq!(place.names(), ["sweep.yaml"], "{name}: nothing is created");
    }
}

#[test]
fn run_names_the_place_and_the_remedy() {
    refuses(&["run", "sweep.yaml", "--no-gpu"]);
}

#[test]
fn check_says_the_same() {
    refuses(&["check", "sweep.yaml"]);
}

#[test]
fn a_file_that_is_none_is_refused_too() {
    let place = Place::new();
    for (name, contents) in [("empty.yaml", &b""[..]), ("binary.yaml", &[0xff, 0xfe, 0x00, 0x80])] {
        std::fs::write(place.path(name), contents).unwrap();
        let done = place.gramwise(&["run", name, "--no-gpu"]).expect(2);
        assert!(done.stderr.starts_with("error: "), "{done}");
        assert!(!done.stderr.contains("panicked"), "{done}");
    }
    assert_eq!(place.names(), ["binary.yaml", "empty.yaml"]);
}

#[test]
fn a_database_that_is_there_is_not_touched() {
    let place = Place::new();
    Sweep::default().write(&place);
    place.run_sweep(&[]).expect(0);
    let before = place.gramwise(&["report"]).expect(0).stdout;
    place.write("sweep.yaml", "name: broken\n");
    place.run_sweep(&[]).expect(2);
    assert_eq!(place.gramwise(&["report"]).expect(0).stdout, before);
    assert_eq!(place.number("SELECT count(*) FROM sweep"), 1);
}
