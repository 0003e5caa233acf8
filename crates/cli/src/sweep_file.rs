//! What is wrong or doubtful in a sweep file, shown as compilers do: place, the text underlined, what to try.

use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use gramwise_model::{Problem, Problems};

/// After so many problems the first is to be solved before the next is of use.
const MOST_SHOWN: usize = 50;

/// Do the problems keep the sweep from running?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// They do.
    Error,
    /// They do not; something is probably not meant as written.
    Warning,
}

/// All problems of the file at `path` that holds `text`, each followed by an empty line; nothing for none.
pub(crate) fn render(
    path: &str,
    text: &str,
    problems: &Problems,
    severity: Severity,
    colour: bool,
) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut shown = String::new();
    for problem in problems.0.iter().take(MOST_SHOWN) {
        shown.push_str(&one(&renderer, path, text, problem, severity));
        shown.push_str("\n\n");
    }
    let more = problems.0.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        writeln!(shown, "... and {more} more\n").expect("a string takes all");
    }
    shown
}

fn one(renderer: &Renderer, path: &str, text: &str, problem: &Problem, severity: Severity) -> String {
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let snippet =
        Snippet::source(text).path(path).annotation(AnnotationKind::Primary.span(problem.span.clone()));
    let group = level.primary_title(problem.message.as_str()).element(snippet);
    let group = match &problem.hint {
        Some(hint) => group.element(Level::HELP.message(hint.as_str())),
        None => group,
    };
    renderer.render(&[group])
}

#[cfg(test)]
mod tests {
    use gramwise_model::SweepSpec;

    use super::*;

    const TEXT: &str = "command: [train, \"${args}\"]\nobjectives: [{name: loss, goal: minimise}]\n\
        parameters: {é: {values: [1, 2]}}\nbudget: {trials: 3}\n";

    fn shown(text: &str, colour: bool) -> String {
        render("sweep.yaml", text, &SweepSpec::from_yaml(text).unwrap_err(), Severity::Error, colour)
    }

    #[test]
    fn the_place_the_text_and_the_hint_are_shown() {
        let first = "\
error: `objectives.goal` must be one of minimize, maximize, found the text `minimise`
 --> sweep.yaml:2:33
  |
2 | objectives: [{name: loss, goal: minimise}]
  |                                 ^^^^^^^^
  |
  = help: did you mean `minimize`?

";
        let shown = shown(TEXT, false);
        assert!(shown.starts_with(first), "{shown}");
        assert!(shown.contains("error: the name `é`") && shown.contains(" --> sweep.yaml:3:14\n"), "{shown}");
    }

    #[test]
    fn colour_is_only_used_when_asked_for() {
        assert!(shown(TEXT, true).contains('\u{1b}'));
        assert!(!shown(TEXT, false).contains('\u{1b}'));
    }

    #[test]
    fn warnings_are_called_so_and_no_problem_shows_nothing() {
        let text = TEXT.replace('é', "x").replace("minimise", "minimize") + "entity: old\n";
        let (_, warnings) = SweepSpec::from_yaml(&text).unwrap();
        assert!(render("s.yaml", &text, &warnings, Severity::Warning, false).starts_with("warning: "));
        assert_eq!(render("s.yaml", &text, &Problems::default(), Severity::Error, false), "");
    }

    #[test]
    fn an_empty_file_and_a_place_at_the_end_are_shown_too() {
        assert!(shown("", false).starts_with("error: the file is empty"));
        assert!(shown("a: [", false).contains("close the bracket"));
        assert!(shown("a: \r\n\tb: 1\r\n", false).contains("tab"));
    }

    #[test]
    fn a_flood_of_problems_is_cut() {
        let keys: String = (0..80).fold(String::new(), |keys, key| keys + &format!("zzz{key}: 1\n"));
        assert!(shown(&keys, false).contains("... and "));
    }
}
