//! How much room an answer has, and the pieces of text that are no table.

use unicode_width::UnicodeWidthStr;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: documented, versioned, additive.
    Json,
    /// For spreadsheets: one line per row, all columns, exact units in the headings.
    Csv,
    /// One bare value per line, for a shell's `$(...)`.
    Value,
}

/// Where a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns per line.
    pub width: usize,
    /// May ANSI colours be used?
    pub colour: bool,
}

/// A weight of text. Nothing is said by it that the words do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Bold,
    Hint,
}

impl Terminal {
    pub(crate) fn paint(self, text: &str, paint: Paint) -> String {
        let code = match paint {
            Paint::Bold => "1",
            Paint::Hint => "36",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text in labelled paragraphs: a word on the left, what there is to say of it beside it, broken at the width.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal,
    label_width: usize,
    out: String,
}

impl Screen {
    pub(crate) fn new(terminal: Terminal, label_width: usize) -> Self {
        // On a very narrow terminal the text needs the room more than the labels need their column.
        let label_width = if terminal.width >= label_width * 3 { label_width } else { 2 };
        Self { terminal, label_width, out: String::new() }
    }

    pub(crate) fn title(&mut self, text: &str) {
        for line in wrapped(text, self.terminal.width) {
            self.out.push_str(&self.terminal.paint(&line, Paint::Bold));
            self.out.push('\n');
        }
    }

    pub(crate) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A paragraph under a label.
    pub(crate) fn say(&mut self, label: &str, text: &str) {
        let narrow = label.width() >= self.label_width;
        if narrow && !label.is_empty() {
            self.out.push_str(&truncated(label, self.terminal.width));
            self.out.push('\n');
        }
        let mut first = if narrow { "" } else { label };
        for line in wrapped(text, self.terminal.width.saturating_sub(self.label_width)) {
            self.out.push_str(first);
            self.out.push_str(&" ".repeat(self.label_width - first.width()));
            self.out.push_str(&line);
            self.out.push('\n');
            first = "";
        }
    }

    /// A paragraph that goes on under the label before.
    pub(crate) fn more(&mut self, text: &str) {
        self.say("", text);
    }

    /// What to try, on a line of its own.
    pub(crate) fn hint(&mut self, text: &str) {
        for line in wrapped(&format!("hint: {text}"), self.terminal.width.saturating_sub(self.label_width)) {
            let indent = " ".repeat(self.label_width);
            self.out.push_str(&indent);
            self.out.push_str(&self.terminal.paint(&line, Paint::Hint));
            self.out.push('\n');
        }
    }

    /// Text that is already laid out, such as a table.
    pub(crate) fn block(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// One line of printable text: control characters, escape sequences among them, become spaces.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The longest beginning of a printable text that fits, with `…` where something is left out.
pub(crate) fn truncated(text: &str, width: usize) -> String {
    let text = printable(text);
    if text.width() <= width {
        return text;
    }
    if width == 0 {
        return String::new();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        let before = kept.len();
        kept.push(letter);
        // Measured with its mark and as a whole: a letter can change the width of the one before it.
        if kept.width() + 1 > width {
            kept.truncate(before);
            break;
        }
    }
    kept.push('…');
    kept
}

/// Lines of at most `width`, broken between words where possible. At least one line.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in printable(text).split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && format!("{line} {word}").width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&truncated(word, width));
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_paragraph_hangs_under_its_label() {
        let mut screen = Screen::new(Terminal { width: 24, colour: false }, 8);
        screen.say("grid", "WORLD 473 g/kWh, mean of 2023");
        screen.hint("carbon: {zone: FR}");
        assert_eq!(
            screen.finish(),
            "grid    WORLD 473 g/kWh,\n        mean of 2023\n        hint: carbon:\n        {zone: FR}\n"
        );
    }

    #[test]
    fn escape_sequences_of_a_trial_do_not_reach_the_terminal() {
        assert_eq!(truncated("\x1b[31mred\n", 20), " [31mred ");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_it_may_be(text in "\\PC{0,80}", width in 1usize..40) {
            for line in wrapped(&text, width) {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
