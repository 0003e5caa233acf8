//! Sweep files and what is said about them, side by side: `malformed/NAME.yaml` with `malformed/NAME.expected`.
//!
//! After a message was changed on purpose, `GRAMWISE_BLESS=1 cargo test -p gramwise-model` writes what is said
//! now; read the difference before keeping it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use gramwise_model::{Problems, SweepSpec};

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its files, and is told to write them")]
fn a_malformed_file_has_one_problem_with_its_place_and_a_hint() {
    let bless = std::env::var("GRAMWISE_BLESS").is_ok();
    let files = yaml_files("malformed");
    assert!(files.len() >= 20, "only {} files", files.len());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let problems = SweepSpec::from_yaml(&text).expect_err(&format!("{} was accepted", path.display()));
        let said = rendered(&problems);
        let expected_path = path.with_extension("expected");
        if bless {
            fs::write(&expected_path, &said).unwrap();
        }
        assert_eq!(problems.0.len(), 1, "{}: one cause, one problem\n{said}", path.display());
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        assert_eq!(said, expected, "{}", path.display());
    }
}

/// `line L, column C: message`, then `hint: ...`.
fn rendered(problems: &Problems) -> String {
    let mut said = String::new();
    for problem in &problems.0 {
        writeln!(said, "line {}, column {}: {}", problem.line, problem.column, problem.message)
            .expect("a string takes all");
        if let Some(hint) = &problem.hint {
            writeln!(said, "hint: {hint}").expect("a string takes all");
        }
    }
    said
}

/// The files of a folder beside this one, by name.
fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder stands beside this file")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}
