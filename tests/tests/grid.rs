//! Grid intensities from a publisher, in the shape of NESO's API, while a sweep runs. Whatever it answers, the sweep goes on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use e2e::{DEADLINE, Place, eventually};

use crate::sweeps::{Sweep, assert_balanced, count};

/// What the publisher does with a question.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    /// Tells this intensity of any time, as an actual.
    Tells(f64),
    Fails,
    Refuses,
    IsBusy,
    Babbles,
    /// Takes the question and never answers.
    Sulks,
}

/// A publisher whose mood can be changed.
struct Publisher {
    url: String,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<usize>>,
}

impl Publisher {
    fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let publisher = Self { url, mood: Arc::new(Mutex::new(mood)), asked: Arc::default() };
        let (mood, asked) = (publisher.mood.clone(), publisher.asked.clone());
        std::thread::spawn(move || {
            let mut sulked = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                let path = question(&stream);
                *asked.lock().unwrap() += 1;
                let mood = *mood.lock().unwrap();
                if mood == Mood::Sulks {
                    sulked.push(stream);
                } else {
                    let _ = stream.write_all(answer(mood, &path).as_bytes());
                }
            }
        });
        publisher
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How often it was asked so far.
    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

/// The path that is asked for.
fn question(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
    lines.find(String::is_empty);
    path
}

fn answer(mood: Mood, path: &str) -> String {
    let (status, body) = match mood {
        Mood::Tells(grams) => {
            // `/intensity/FROM/TO`: one slot from there on.
            let from = path.split('/').nth(2).unwrap_or_default();
            let intensity = format!(r#"{{"forecast":1,"actual":{grams},"index":"low"}}"#);
            let slot = format!(r#"{{"from":"{from}","to":"2100-01-01T00:00Z","intensity":{intensity}}}"#);
            (200, format!(r#"{{"data":[{slot}]}}"#))
        }
        Mood::Fails => (500, "{}".to_owned()),
        Mood::Refuses => (401, "who are you".to_owned()),
        Mood::IsBusy => (429, String::new()),
        Mood::Babbles => (200, "<html>".to_owned()),
        Mood::Sulks => unreachable!("it does not answer"),
    };
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn flags<'a>(publisher: &'a Publisher, more: &[&'a str]) -> Vec<&'a str> {
    let url = [
        "--zone",
        "GB",
        "--intensity",
        "uk",
        "--intensity-every",
        "100ms",
        "--intensity-url",
        &publisher.url,
    ];
    [&url[..], more].concat()
}

#[test]
fn what_is_burnt_becomes_grams_by_the_intensity_of_its_time() {
    let (place, publisher) = (Place::new(), Publisher::start(Mood::Tells(100.0)));
    Sweep { lr: vec![0.1, 0.2, 0.3, 0.4], steps: 2, ..Sweep::default() }
        .told("--ms 100")
        .held(&place, 3)
        .write(&place);
    let running = place.start_sweep(&flags(&publisher, &["--slots", "1"]));
    let stated =
        |place: &Place| place.rows("SELECT CAST(g_per_kwh AS INTEGER) FROM intensity ORDER BY rowid");
    eventually("two trials are done by the first intensity", DEADLINE, || {
        if count(&place, "completed") == 2 { Ok(()) } else { Err(format!("{:?}", stated(&place))) }
    });
    // Each of these is asked twice at least; a second is lost to the one who does not answer only at the end.
    for mood in [Mood::Fails, Mood::Refuses, Mood::IsBusy, Mood::Babbles] {
        publisher.becomes(mood);
        let before = publisher.asked();
        eventually("it was asked again", DEADLINE, || {
            let asked = publisher.asked();
            if asked >= before + 2 { Ok(()) } else { Err(asked.to_string()) }
        });
    }
    assert_eq!(stated(&place), [[100]], "the last word stands in");
    publisher.becomes(Mood::Tells(300.0));
    eventually("the new intensity is stated", DEADLINE, || {
        if stated(&place) == [[100], [300]] { Ok(()) } else { Err(format!("{:?}", stated(&place))) }
    });
    publisher.becomes(Mood::Sulks);
    place.write("go", "");
    running.wait().expect(0);
    assert_eq!(count(&place, "completed") + count(&place, "pruned") + count(&place, "paused"), 4);
    assert_balanced(&place);
    let off = place.rows(
        "SELECT CAST(max(abs(co2e_ng - energy_uj / 3600.0 * intensity_g_per_kwh)) * 1000 AS INTEGER) FROM ledger_entry",
    );
    assert!(off[0][0] <= 501, "{off:?} thousandths of a nanogram off");
    let report = place.json(&["report"]);
    let grid = &report["grid"];
    assert_eq!(
        (grid[0]["lowest_g_per_kwh"].as_f64(), grid[0]["highest_g_per_kwh"].as_f64()),
        (Some(100.0), Some(300.0))
    );
    assert_eq!((&grid[0]["kind"], &grid[0]["statements"]), (&"actual".into(), &2.into()), "{grid}");
    let mean = report["co2e_g"].as_f64().unwrap() / report["energy_j"].as_f64().unwrap() * 3.6e6;
    assert!((mean - grid[0]["g_per_kwh"].as_f64().unwrap()).abs() < 0.01 * mean, "{mean} and {grid}");
}

#[test]
fn a_publisher_that_never_answers_costs_nothing_but_the_figure() {
    for mood in [Mood::Fails, Mood::Babbles] {
        let (place, publisher) = (Place::new(), Publisher::start(mood));
        Sweep::default().write(&place);
        let talking = [&["run", "sweep.yaml", "--no-gpu"][..], &flags(&publisher, &[])].concat();
        let done = place.gramwise(&talking).expect(0);
        assert!(done.stderr.contains("the grid's intensity is not known"), "{done}");
        assert!(publisher.asked() > 0);
        assert_balanced(&place);
        let grid = &place.json(&["report"])["grid"];
        assert_eq!((&grid[0]["kind"], grid.as_array().unwrap().len()), (&"yearly".into(), 1), "{grid}");
    }
}

#[test]
fn actuals_restate_a_sweep_and_a_command_is_metered_by_them() {
    let (place, publisher) = (Place::new(), Publisher::start(Mood::Tells(50.0)));
    Sweep::default().write(&place);
    place.run_sweep(&["--zone", "GB"]).expect(0);
    let restate = ["restate", "--intensity", "uk", "--intensity-url", &publisher.url];
    let told = place.json(&restate);
    assert_eq!(told["energy_uj"], place.json(&["report"])["energy_uj"]);
    assert!((told["restated_g_per_kwh"].as_f64().unwrap() - 50.0).abs() < 1e-9, "{told}");
    assert_eq!(place.json(&restate), told, "the same again");
    publisher.becomes(Mood::Refuses);
    let refused = place.gramwise(&restate).expect(2);
    assert!(refused.stderr.contains("NESO Carbon Intensity API refused (401): who are you"), "{refused}");
    publisher.becomes(Mood::Tells(70.0));
    let metered = [
        "meter",
        "--no-gpu",
        "--intensity",
        "uk",
        "--intensity-url",
        &publisher.url,
        "-o",
        "json",
        "--",
        "true",
    ];
    let done = place.gramwise(&metered).expect(0);
    let told: serde_json::Value = serde_json::from_str(&done.stderr).unwrap();
    assert_eq!(
        (told["grid"]["g_per_kwh"].as_f64(), &told["grid"]["kind"]),
        (Some(70.0), &"actual".into()),
        "{told}"
    );
    let listed =
        place.gramwise(&["intensity", "uk", "--intensity-url", &publisher.url, "-o", "value"]).expect(0);
    assert_eq!(listed.stdout, "70\n");
}
