//! The stories: the first hour with gramwise, as texts.

use std::path::Path;

#[test]
fn quickstart() {
    play("quickstart");
}

#[test]
fn malformed() {
    play("malformed");
}

#[test]
fn explain() {
    play("explain");
}

fn play(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stories");
    e2e::story::play(&folder.join(name).with_extension("story"));
}

#[test]
fn every_story_is_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stories");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> =
        files.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["explain", "malformed", "quickstart"], "a test for each of the stories, please");
}
