//! No text makes the reader panic, and every problem points into the text.

use gramwise_model::{Problems, SweepSpec};
use proptest::prelude::*;

const GOOD: [&str; 2] = [include_str!("good/digits.yaml"), include_str!("good/wandb.yaml")];

/// One change to a text.
#[derive(Debug, Clone)]
enum Edit {
    Delete,
    Repeat,
    Replace(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let pieces = prop_oneof![
        Just("\t".to_owned()),
        Just("\n".to_owned()),
        Just(": ".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("<<: ".to_owned()),
        Just("${".to_owned()),
        Just("é€".to_owned()),
        "[-0-9.e]{1,30}",
        "[ -~]{0,8}",
        any::<String>(),
    ];
    prop_oneof![Just(Edit::Delete), Just(Edit::Repeat), pieces.prop_map(Edit::Replace)]
}

/// Applies an edit to a range that is moved to whole characters.
fn applied(mut text: String, edit: &Edit, at: prop::sample::Index, length: usize) -> String {
    let boundary =
        |text: &str, offset: usize| (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = boundary(&text, at.index(text.len() + 1));
    let end = boundary(&text, (start + length).min(text.len())).max(start);
    let with = match edit {
        Edit::Delete => String::new(),
        Edit::Repeat => text[start..end].repeat(2),
        Edit::Replace(with) => with.clone(),
    };
    text.replace_range(start..end, &with);
    text
}

fn point_into(text: &str, problems: &Problems) {
    let mut last = 0;
    for problem in &problems.0 {
        assert!(text.get(problem.span.clone()).is_some(), "{problem:?} in {text:?}");
        assert!(last <= problem.span.start, "out of order: {problems}");
        last = problem.span.start;
        let before = &text[..problem.span.start];
        assert_eq!(problem.line, before.matches('\n').count() + 1);
        assert_eq!(problem.column, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
    }
}

fn check(text: &str) {
    match SweepSpec::from_yaml(text) {
        Ok((spec, warnings)) => {
            point_into(text, &warnings);
            assert!(
                !spec.objectives.is_empty()
                    && !spec.command.is_empty()
                    && !spec.space.parameters().is_empty()
            );
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason: {text:?}");
            point_into(text, &problems);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn anything_like_yaml_is_read_or_refused(text in "([a-c&*!<>|?'\"\\[\\]{},:# \n-]|parameters|value){0,80}") {
        check(&text);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(
        which in 0..2usize,
        edits in prop::collection::vec((edit(), any::<prop::sample::Index>(), 0..40usize), 1..6),
    ) {
        let text = edits.iter().fold(GOOD[which].to_owned(), |text, (edit, at, length)| applied(text, edit, *at, *length));
        check(&text);
    }
}
