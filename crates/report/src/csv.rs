//! Comma-separated values.

/// A CSV text with a header line: fields quoted by RFC 4180 where they must be, lines ended by LF alone, as
/// the tools of a Unix pipe expect. A record of one empty field is written as `""`, so that no line is empty.
pub fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    line(&mut out, header.iter().copied());
    for row in rows {
        line(&mut out, row.iter().map(String::as_str));
    }
    out
}

fn line<'a>(out: &mut String, fields: impl Iterator<Item = &'a str>) {
    let start = out.len();
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if field.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(field);
        }
    }
    if out.len() == start {
        out.push_str("\"\"");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reader of RFC 4180, written from its grammar, to read back what was written.
    fn read(text: &str) -> Vec<Vec<String>> {
        let mut records = vec![vec![String::new()]];
        let mut quoted = false;
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let record = records.last_mut().unwrap();
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => {
                    record.last_mut().unwrap().extend(letters.next());
                }
                '"' => quoted = !quoted,
                ',' if !quoted => record.push(String::new()),
                '\n' if !quoted => records.push(vec![String::new()]),
                other => record.last_mut().unwrap().push(other),
            }
        }
        records.pop();
        records
    }

    #[test]
    fn quotes_only_where_it_must() {
        let rows = [
            vec!["a b".to_owned(), "say \"hi\"".to_owned()],
            vec!["1,5".to_owned(), "two\nlines".to_owned()],
        ];
        assert_eq!(csv(&["x", "y"], &rows), "x,y\na b,\"say \"\"hi\"\"\"\n\"1,5\",\"two\nlines\"\n");
        assert_eq!(csv(&["x"], &[vec![String::new()]]), "x\n\"\"\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            rows in (1usize..5).prop_flat_map(|columns| {
                prop::collection::vec(prop::collection::vec("[a-c\",\r\n é]{0,6}", columns), 0..6)
            }),
        ) {
            let columns = rows.first().map_or(1, Vec::len);
            let header: Vec<String> = (0..columns).map(|index| format!("c,{index}")).collect();
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            let records = read(&csv(&header, &rows));
            prop_assert_eq!(&records[0], &header);
            prop_assert_eq!(&records[1..], &rows[..]);
        }
    }
}
