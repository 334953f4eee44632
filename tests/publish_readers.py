"""The other half of src/publish/keyed_writer_test.cc: do PyIceberg and DuckDB read the rows that the writer was told to keep?

    publish_readers.py METADATA_FILE ROWS_JSON      rows: [[id, name, microseconds, count], …]
"""
import collections
import json
import sys

from pyiceberg.table import StaticTable

from iceberg_readers import attach_duckdb


def counted(rows):
    return collections.Counter((id, name, micros) for id, name, micros in rows)


def compare(reader, got, want):
    if got != want:
        sys.exit(f"{reader}: rows missing {list((want - got).items())[:5]}, rows too many {list((got - want).items())[:5]}")


def main(metadata, rows_file):
    with open(rows_file) as file:
        want = collections.Counter({(id, name, micros): n for id, name, micros, n in json.load(file)})
    table = StaticTable.from_metadata("file://" + metadata).scan().to_arrow()
    micros = [int(at.timestamp()) * 1_000_000 + at.microsecond for at in table["at"].to_pylist()]
    compare("PyIceberg", counted(zip(table["id"].to_pylist(), table["name"].to_pylist(), micros)), want)
    rows = attach_duckdb().execute(f"SELECT id, name, epoch_us(\"at\") FROM iceberg_scan('{metadata}')").fetchall()
    compare("DuckDB", counted(rows), want)


if __name__ == "__main__":
    main(*sys.argv[1:])
