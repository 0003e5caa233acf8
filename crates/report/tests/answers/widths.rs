//! No answer is wider than the terminal, and colour adds nothing but colour.

use gramwise_model::{Timestamp, TrialId};
use gramwise_report::{
    Format, GroupBy, HistoryQuery, ListFormat, Terminal, best, explain, front, history, report, report_text,
    show, status, sweeps, trials,
};
use unicode_width::UnicodeWidthStr;

use crate::sample::{PRUNED, START, empty, record, steps, summaries};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn answers(terminal: Terminal) -> Vec<String> {
    let table = Format::Table;
    let mut record = record();
    // A long, wide name, such as users have.
    "画像分類のハイパーパラメータ探索 with-quite-a-long-unbroken-suffix-behind-it-v2"
        .clone_into(&mut record.sweep.spec.name);
    let query = HistoryQuery {
        group_by: vec![GroupBy::Month, GroupBy::Name, GroupBy::User, GroupBy::Zone],
        ..HistoryQuery::default()
    };
    let mut out: Vec<String> =
        (1..=10).filter_map(|id| explain(&record, TrialId(id), table, terminal)).collect();
    out.extend([
        report_text(&report(&record), &record, terminal),
        report_text(&report(&empty()), &empty(), terminal),
        text(trials(&record).written(ListFormat::Table, terminal)),
        best(&record, table, terminal).unwrap(),
        text(front(&record).written(ListFormat::Table, terminal)),
        show(&record, PRUNED, &steps(), table, terminal).unwrap(),
        show(&record, TrialId(7), &[], table, terminal).unwrap(),
        status(&record, Timestamp(START.0 + 1), table, terminal),
        text(sweeps(&summaries()).written(ListFormat::Table, terminal)),
        text(history(&summaries(), &query).written(ListFormat::Table, terminal)),
    ]);
    out
}

#[test]
fn every_line_of_every_answer_fits() {
    for width in [20, 40, 60, 80, 120] {
        for answer in answers(Terminal { width, colour: false }) {
            assert!(answer.ends_with('\n'));
            for line in answer.lines() {
                assert!(line.width() <= width, "{} > {width}: {line:?}\n{answer}", line.width());
            }
        }
    }
}

#[test]
fn colour_says_nothing_that_words_do_not() {
    let plain = answers(Terminal { width: 80, colour: false });
    let coloured = answers(Terminal { width: 80, colour: true });
    assert!(plain.iter().all(|answer| !answer.contains('\x1b')));
    for (plain, coloured) in plain.iter().zip(coloured) {
        let stripped =
            ["\x1b[1m", "\x1b[36m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, &stripped);
    }
}
