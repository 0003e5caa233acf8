//! The report as a page: whole, safe, and asking for nothing outside.

use gramwise_model::rows::TrialState;
use gramwise_model::{Config, Metric, Value};
use gramwise_report::{report, report_html};

use crate::sample::{empty, record, steps};

/// Every tag is closed, in order; answers the names of all.
fn tags(page: &str) -> Vec<String> {
    const VOID: [&str; 3] = ["meta", "link", "!doctype"];
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_ref(), Some(&name), "closed in order");
        } else {
            seen.push(name.clone());
            if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    seen
}

fn checked(page: &str) -> Vec<String> {
    let body = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "//", "url(", "@import", "<script", "NaN", "inf"] {
        let found = body.find(outside).filter(|at| outside != "inf" || !body[*at..].starts_with("info"));
        assert_eq!(
            found.map(|at| &body[at.saturating_sub(60)..(at + 60).min(body.len())]),
            None,
            "{outside}"
        );
    }
    tags(page)
}

#[test]
fn a_page_is_whole_and_has_its_plots() {
    let record = record();
    let page = report_html(&report(&record), &record, &steps(), "0.1.0");
    let tags = checked(&page);
    assert!(tags.iter().filter(|name| *name == "figure").count() >= 5, "{tags:?}");
    for said in
        ["val_error against what a trial emitted", "What the grams bought", "Learning curves", "To cite"]
    {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_sweep_that_has_only_begun_has_a_page() {
    let record = empty();
    checked(&report_html(&report(&record), &record, &[], "0.1.0"));
}

#[test]
fn what_a_trial_or_a_name_says_is_text() {
    let mut record = record();
    let evil = "<img src=x onerror=alert(1)>\"'&";
    evil.clone_into(&mut record.sweep.spec.name);
    record.sweep.ended_because = Some(evil.to_owned());
    record.hosts[0].description = evil.to_owned();
    record.trials[1].config = Config::from([(evil.to_owned(), Value::Text(evil.to_owned()))]);
    record.trials[0].metrics.insert(evil.to_owned(), Metric::Finite(1.0));
    record.trials[4].state = TrialState::Failed;
    let page = report_html(&report(&record), &record, &steps(), "0.1.0");
    assert!(!checked(&page).contains(&"img".to_owned()));
    assert!(page.contains("&lt;img src=x"));
}

#[test]
fn numbers_without_bounds_do_not_break_a_plot() {
    let mut record = record();
    for (at, value) in [(0, 1e300), (1, -1e300), (9, 0.0)] {
        record.trials[at].metrics.insert("val_error".to_owned(), Metric::Finite(value));
    }
    checked(&report_html(&report(&record), &record, &steps(), "0.1.0"));
    for trial in &mut record.trials {
        trial.metrics.insert("val_error".to_owned(), Metric::Finite(0.5));
    }
    checked(&report_html(&report(&record), &record, &steps(), "0.1.0"));
}
