//! Rows as a Parquet file.

use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as Physical};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::Type;

/// What a column holds, by all its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Float,
    Text,
}

/// A file of one row group. A column whose cells are all whole numbers has 64-bit integers, one of other numbers doubles, and any other
/// text; empty cells are nulls.
pub(crate) fn file(header: &[String], rows: &[Vec<String>]) -> Vec<u8> {
    written(header, rows).expect("rows of plain values have a schema, and memory takes what is written")
}

fn written(header: &[String], rows: &[Vec<String>]) -> Result<Vec<u8>, ParquetError> {
    let cells = |column: usize| rows.iter().map(move |row| row.get(column).map_or("", String::as_str));
    let kind_of = |(column, name): (usize, &String)| match kind(cells(column)) {
        // Quantities and metrics are no counts, also where all happen to be whole.
        Kind::Int if name.ends_with("_g") || name.starts_with("metrics.") => Kind::Float,
        kind => kind,
    };
    let kinds: Vec<Kind> = header.iter().enumerate().map(kind_of).collect();
    let fields = header.iter().zip(&kinds).map(|(name, kind)| Ok(Arc::new(field(name, *kind)?)));
    let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
    let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
    let properties = Arc::new(WriterProperties::builder().set_created_by("gramwise".to_owned()).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties)?;
    let mut group = writer.next_row_group()?;
    let mut column = 0;
    while let Some(mut open) = group.next_column()? {
        let levels: Vec<i16> = cells(column).map(|cell| i16::from(!cell.is_empty())).collect();
        let held = cells(column).filter(|cell| !cell.is_empty());
        match open.untyped() {
            ColumnWriter::Int64ColumnWriter(typed) => {
                let values: Vec<i64> = held.filter_map(|cell| cell.parse().ok()).collect();
                typed.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::DoubleColumnWriter(typed) => {
                let values: Vec<f64> = held.filter_map(|cell| cell.parse().ok()).collect();
                typed.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(typed) => {
                let values: Vec<ByteArray> = held.map(ByteArray::from).collect();
                typed.write_batch(&values, Some(&levels), None)?;
            }
            _ => return Err(ParquetError::General("a column of a type that none has".to_owned())),
        }
        open.close()?;
        column += 1;
    }
    group.close()?;
    writer.into_inner()
}

fn kind<'a>(cells: impl Iterator<Item = &'a str>) -> Kind {
    let mut kind = None;
    for cell in cells.filter(|cell| !cell.is_empty()) {
        let own = match (cell.parse::<i64>(), cell.parse::<f64>()) {
            (Ok(_), _) => Kind::Int,
            (Err(_), Ok(_)) => Kind::Float,
            (Err(_), Err(_)) => return Kind::Text,
        };
        kind = Some(if kind == Some(Kind::Float) { Kind::Float } else { own });
    }
    kind.unwrap_or(Kind::Text)
}

fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let (physical, logical) = match kind {
        Kind::Int => (Physical::INT64, None),
        Kind::Float => (Physical::DOUBLE, None),
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    builder.with_logical_type(logical).build()
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    #[test]
    fn what_is_written_is_read_back_with_its_types() {
        let header = ["trial", "error", "config.opt", "none"].map(str::to_owned);
        let rows = [
            ["1", "0.5", "adam", ""].map(str::to_owned).to_vec(),
            ["2", "", "", ""].map(str::to_owned).to_vec(),
            ["-3", "1", "7", ""].map(str::to_owned).to_vec(),
        ];
        let reader = SerializedFileReader::new(bytes::Bytes::from(file(&header, &rows))).unwrap();
        let rows: Vec<String> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(
            rows,
            [
                "{trial: 1, error: 0.5, config.opt: \"adam\", none: null}",
                "{trial: 2, error: null, config.opt: null, none: null}",
                "{trial: -3, error: 1.0, config.opt: \"7\", none: null}"
            ]
        );
        // No row is a file too.
        assert_eq!(
            SerializedFileReader::new(bytes::Bytes::from(file(&header, &[])))
                .unwrap()
                .metadata()
                .file_metadata()
                .num_rows(),
            0
        );
    }
}
