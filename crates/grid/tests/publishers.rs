//! Each publisher against a local server that answers in its shape, and in every wrong one.

#![expect(clippy::unwrap_used, reason = "all of this program is a test, its helpers too")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gramwise_carbon::{IntensityKind, Signal, Source, utc};
use gramwise_grid::{Client, Error, Fetched, Keys};

/// What the server does with one connection.
#[derive(Debug, Clone)]
enum Answer {
    /// Status, more headers, body.
    Http(u16, &'static str, String),
    /// Bytes that are no HTTP.
    Raw(&'static [u8]),
    /// Nothing, for longer than anyone waits.
    Silence,
}

fn json(body: &str) -> Answer {
    Answer::Http(200, "", body.to_owned())
}

fn status(status: u16) -> Answer {
    Answer::Http(status, "", r#"{"error":"because"}"#.to_owned())
}

/// A server that gives these answers in turn, the last one for ever, and what it was asked.
struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                log.lock().unwrap().push(question(&stream));
                match &answers[number.min(answers.len() - 1)] {
                    Answer::Http(status, headers, body) => {
                        let length = body.len();
                        let text = format!(
                            "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                        );
                        let _ = stream.write_all(text.as_bytes());
                    }
                    Answer::Raw(bytes) => drop(stream.write_all(bytes)),
                    Answer::Silence => silent.push(stream),
                }
            }
        });
        Self { base, asked }
    }

    fn client(&self) -> Client {
        let keys = Keys {
            electricity_maps: Some("secret".to_owned()),
            watttime: Some(("ada".to_owned(), "pass".to_owned())),
        };
        Client::new(keys, None, Some(self.base.clone())).with_timeout(Duration::from_millis(400))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Request line and headers, in lower case.
fn question(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn at(text: &str) -> u64 {
    utc::parse(text).unwrap()
}

fn morning() -> (u64, u64) {
    (at("2023-03-14T04:00Z"), at("2023-03-14T06:00Z"))
}

const LATER: &str = "2023-03-20T00:00Z";

fn values(fetched: &Fetched) -> Vec<(f64, IntensityKind)> {
    fetched.readings.iter().map(|reading| (reading.intensity.get(), reading.kind)).collect()
}

const UK: &str = r#"{"data":[
    {"from":"2023-03-14T03:30Z","to":"2023-03-14T04:00Z","intensity":{"forecast":72,"actual":78,"index":"low"}},
    {"from":"2023-03-14T04:00Z","to":"2023-03-14T04:30Z","intensity":{"forecast":74,"actual":84,"index":"low"}},
    {"from":"2023-03-14T04:30Z","to":"2023-03-14T05:00Z","intensity":{"forecast":78,"actual":null,"index":"low"}},
    {"from":"2023-03-14T05:00Z","to":"2023-03-14T05:30Z","intensity":{"forecast":null,"actual":null,"index":null}}]}"#;

const ELECTRICITY_MAPS: &str = r#"{"zone":"DE","data":[
    {"zone":"DE","carbonIntensity":216,"datetime":"2023-03-14T04:00:00.000Z","updatedAt":"2023-03-15T00:00:00.000Z",
     "emissionFactorType":"lifecycle","isEstimated":false,"estimationMethod":null},
    {"zone":"DE","carbonIntensity":230,"datetime":"2023-03-14T05:00:00.000Z","isEstimated":true,"estimationMethod":"TIME_SLICER_AVERAGE"}]}"#;

const WATTTIME: &str = r#"{"data":[
    {"point_time":"2023-03-14T04:00:00+00:00","value":1000.0},{"point_time":"2023-03-14T04:05:00+00:00","value":null},
    {"point_time":"2023-03-14T04:10:00+00:00","value":500.0}],
    "meta":{"region":"CAISO_NORTH","signal_type":"co2_aoer","units":"lbs_co2_per_mwh","data_point_period_seconds":300}}"#;

/// Each publisher's source, its answers where all is well, and how many calls a fetch makes.
fn publishers() -> Vec<(Source, Vec<Answer>)> {
    vec![
        ("uk".parse().unwrap(), vec![json(UK)]),
        ("electricity-maps:DE".parse().unwrap(), vec![json(ELECTRICITY_MAPS)]),
        ("watttime:CAISO_NORTH".parse().unwrap(), vec![json(r#"{"token":"t0ken"}"#), json(WATTTIME)]),
    ]
}

#[test]
fn uk_prefers_actuals_and_leaves_out_what_is_not_known() {
    let server = Server::start(vec![json(UK)]);
    let fetched = server.client().fetch(&"uk".parse().unwrap(), morning(), at(LATER));
    assert_eq!(fetched.problem, None);
    assert_eq!(values(&fetched), [(84.0, IntensityKind::Actual), (78.0, IntensityKind::Forecast)]);
    assert!(server.asked()[0].starts_with("GET /intensity/2023-03-14T04:00Z/2023-03-14T06:00Z HTTP/1.1"));
}

#[test]
fn electricity_maps_is_asked_by_whole_hours_with_the_token() {
    let server = Server::start(vec![json(ELECTRICITY_MAPS)]);
    let source = "electricity-maps:DE".parse().unwrap();
    let half_past = (at("2023-03-14T04:20Z"), at("2023-03-14T05:10Z"));
    let fetched = server.client().fetch(&source, half_past, at(LATER));
    assert_eq!(values(&fetched), [(216.0, IntensityKind::Actual), (230.0, IntensityKind::Estimated)]);
    let asked = &server.asked()[0];
    assert!(asked.contains("zone=DE&start=2023-03-14T04:00Z&end=2023-03-14T06:00Z"), "{asked}");
    assert!(asked.contains("auth-token: secret"), "{asked}");
    let history = Server::start(vec![json(&ELECTRICITY_MAPS.replace(r#""data""#, r#""history""#))]);
    assert_eq!(history.client().fetch(&source, half_past, at(LATER)), fetched, "the other shape");
}

#[test]
fn watttime_logs_in_and_its_pounds_become_grams() {
    let server = Server::start(vec![json(r#"{"token":"t0ken"}"#), json(WATTTIME)]);
    let mut source: Source = "watttime:CAISO_NORTH".parse().unwrap();
    let fetched = server.client().fetch(&source, morning(), at(LATER));
    assert_eq!(values(&fetched), [(453.592_37, IntensityKind::Actual), (226.796_185, IntensityKind::Actual)]);
    let asked = server.asked();
    assert!(asked[0].contains("authorization: Basic YWRhOnBhc3M="), "{asked:?}");
    assert!(asked[1].contains("authorization: Bearer t0ken") && asked[1].contains("signal_type=co2_aoer"));
    source.signal = Signal::Marginal;
    let marginal = Server::start(vec![json(r#"{"token":"t0ken"}"#), json(WATTTIME)]);
    marginal.client().fetch(&source, morning(), at(LATER));
    assert!(marginal.asked()[1].contains("signal_type=co2_moer"));
    let other_units = WATTTIME.replace("lbs_co2_per_mwh", "kg");
    let server = Server::start(vec![json(r#"{"token":"t0ken"}"#), json(&other_units)]);
    let problem = server.client().fetch(&source, morning(), at(LATER)).problem.unwrap();
    assert!(problem.to_string().contains("units `kg`"), "{problem}");
}

#[test]
fn whatever_is_answered_there_is_an_error_and_no_reading() {
    type Check = fn(&Error) -> bool;
    let cases: Vec<(Answer, Check)> = vec![
        (status(401), |error| matches!(error, Error::Refused { status: 401, .. })),
        (status(403), |error| matches!(error, Error::Refused { status: 403, .. })),
        (status(404), |error| matches!(error, Error::Refused { status: 404, .. })),
        (
            Answer::Http(429, "retry-after: 7\r\n", String::new()),
            |error| matches!(error, Error::TooOften { again, .. } if again.as_secs() == 7),
        ),
        (status(429), |error| matches!(error, Error::TooOften { .. })),
        (status(500), |error| matches!(error, Error::Failing { status: 500, .. })),
        (status(503), |error| matches!(error, Error::Failing { status: 503, .. })),
        (json(""), |error| matches!(error, Error::Malformed { .. })),
        (json("<html>login</html>"), |error| matches!(error, Error::Malformed { .. })),
        (json(r#"{"data":null}"#), |error| matches!(error, Error::Malformed { .. })),
        (
            json(
                r#"{"data":[{"from":"yesterday","to":"now","intensity":{"forecast":1,"actual":1},
                 "datetime":"yesterday","carbonIntensity":1,"point_time":"yesterday","value":1}],"token":"t"}"#,
            ),
            |error| matches!(error, Error::Malformed { .. }),
        ),
        (
            json(
                r#"{"data":[{"from":"2023-03-14T04:00Z","to":"2023-03-14T04:30Z","intensity":{"forecast":1,"actual":-5},
                 "datetime":"2023-03-14T04:00Z","carbonIntensity":-5,"point_time":"2023-03-14T04:00Z","value":-5}],"token":"t"}"#,
            ),
            |error| matches!(error, Error::Malformed { .. }),
        ),
        (
            json(
                r#"{"data":[{"from":"2023-03-14T04:00Z","to":"2023-03-14T04:30Z","intensity":{"forecast":1,"actual":1e300},
                 "datetime":"2023-03-14T04:00Z","carbonIntensity":1e300,"point_time":"2023-03-14T04:00Z","value":1e300}],"token":"t"}"#,
            ),
            |error| matches!(error, Error::Malformed { .. }),
        ),
        (Answer::Raw(b"SSH-2.0-OpenSSH\r\n"), |error| matches!(error, Error::Unreachable { .. })),
        (Answer::Raw(b""), |error| matches!(error, Error::Unreachable { .. })),
        (Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), |error| {
            matches!(error, Error::Unreachable { .. })
        }),
        (Answer::Silence, |error| matches!(error, Error::Unreachable { .. })),
    ];
    for (answer, is_expected) in &cases {
        for (source, _) in publishers() {
            let server = Server::start(vec![answer.clone()]);
            let began = Instant::now();
            let fetched = server.client().fetch(&source, morning(), at(LATER));
            assert!(fetched.readings.is_empty(), "{answer:?} {fetched:?}");
            let problem =
                fetched.problem.unwrap_or_else(|| panic!("{source}: {answer:?} was taken for an answer"));
            assert!(is_expected(&problem), "{source}: {answer:?} gave {problem:?}");
            assert!(began.elapsed() < Duration::from_secs(5), "{answer:?} took long");
        }
    }
}

#[test]
fn a_server_that_is_not_there_and_a_key_that_is_not_given() {
    let nowhere = Client::new(Keys::default(), None, Some("http://127.0.0.1:9".to_owned()));
    let uk = nowhere.fetch(&"uk".parse().unwrap(), morning(), at(LATER)).problem.unwrap();
    assert!(uk.to_string().starts_with("NESO Carbon Intensity API cannot be reached: "), "{uk}");
    for (source, variable) in
        [("electricity-maps:DE", "ELECTRICITY_MAPS_TOKEN"), ("watttime:CAISO_NORTH", "WATTTIME_USER")]
    {
        let problem = nowhere.fetch(&source.parse().unwrap(), morning(), at(LATER)).problem.unwrap();
        assert!(problem.to_string().contains(variable), "{problem}");
    }
}

#[test]
fn what_was_told_before_is_known_offline_and_what_is_final_is_not_asked_again() {
    for (source, answers) in publishers() {
        let folder = tempfile::tempdir().unwrap();
        let calls = answers.len();
        let server = Server::start(answers);
        let with = |base: &str| {
            let keys = Keys { electricity_maps: Some("s".into()), watttime: Some(("a".into(), "b".into())) };
            Client::new(keys, Some(folder.path().to_owned()), Some(base.to_owned()))
        };
        let first = with(&server.base).fetch(&source, morning(), at(LATER));
        assert_eq!((first.readings.len(), &first.problem), (2, &None), "{source}");
        let offline = with("http://127.0.0.1:9").fetch(&source, morning(), at(LATER));
        assert_eq!(offline.readings, first.readings, "{source}");
        assert!(offline.problem.is_some(), "{source}: there are holes, and nobody to ask");
        // An actual of days ago stays: no call.
        let told = server.asked().len();
        let known = &first.readings[0];
        let again = with(&server.base).fetch(&source, (known.from, known.to), at(LATER));
        assert_eq!((again.readings.as_slice(), again.problem), (&first.readings[..1], None), "{source}");
        assert_eq!(server.asked().len(), told, "{source}: asked for what is final ({calls} calls)");
    }
}

#[test]
fn long_times_are_asked_for_in_parts() {
    let server = Server::start(vec![json(r#"{"data":[]}"#)]);
    let month = (at("2023-03-01T00:00Z"), at("2023-03-31T00:00Z"));
    let fetched = server.client().fetch(&"uk".parse().unwrap(), month, at(LATER));
    assert_eq!((fetched.readings.len(), fetched.problem), (0, None));
    let parts: Vec<String> = server.asked().iter().map(|asked| asked[..52].to_owned()).collect();
    assert_eq!(
        parts,
        [
            "GET /intensity/2023-03-01T00:00Z/2023-03-15T00:00Z H",
            "GET /intensity/2023-03-15T00:00Z/2023-03-29T00:00Z H",
            "GET /intensity/2023-03-29T00:00Z/2023-03-31T00:00Z H",
        ]
    );
}

#[test]
fn secrets_are_not_shown() {
    let keys =
        Keys { electricity_maps: Some("s3cret".into()), watttime: Some(("ada".into(), "s3cret".into())) };
    let client = Client::new(keys, None, None);
    assert!(!format!("{client:?}").contains("s3cret"));
}
