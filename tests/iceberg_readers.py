#!/usr/bin/env python3
"""What PyIceberg and DuckDB see of the tables that src/iceberg/readers_test.cc commits.

    iceberg_readers.py make DIR FILES ROWS   Parquet files with field ids, and DIR/files.json about them
    iceberg_readers.py check WAREHOUSE       compares every table with WAREHOUSE/expected.json

Row n of every table is row(n), so that expected.json only has to name the rows that are alive.
"""
import datetime
import decimal
import glob
import json
import os
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
ROWS_PER_DAY = 50


def field(name, type, id, nullable=True):
    return pa.field(name, type, nullable, {"PARQUET:field_id": str(id)})


SCHEMA = pa.schema([
    field("id", pa.int64(), 1, nullable=False),
    field("name", pa.string(), 2),
    field("ts", pa.timestamp("us", "UTC"), 3),
    field("amount", pa.decimal128(12, 3), 4),
    field("tags", pa.list_(field("element", pa.string(), 6)), 5),
])


def row(n):
    return {
        "id": n,
        "name": None if n % 7 == 0 else f"name {n}",
        "ts": EPOCH + datetime.timedelta(days=n // ROWS_PER_DAY, seconds=n),
        "amount": decimal.Decimal(n * 1125).scaleb(-3),
        "tags": ["x", f"t{n}"],
    }


def make(folder, files, rows):
    os.makedirs(folder)
    about = []
    for i in range(files):
        path = os.path.join(folder, f"{i:04}.parquet")
        ids = range(i * rows, (i + 1) * rows)
        pq.write_table(pa.Table.from_pylist([row(n) for n in ids], SCHEMA), path)
        day = (row(ids[0])["ts"].date() - datetime.date(1970, 1, 1)).days
        about.append({"path": path, "bytes": os.path.getsize(path), "first": ids[0], "day": day, "rows": rows})
    with open(os.path.join(folder, "files.json"), "w") as out:
        json.dump(about, out)


def plain(rows):
    return sorted((r["id"], r["name"], r["ts"].timestamp(), r["amount"], tuple(r["tags"])) for r in rows)


def compare(what, got, want):
    if got != want:
        missing = [r for r in want if r not in got]
        extra = [r for r in got if r not in want]
        sys.exit(f"{what}: {len(got)} rows instead of {len(want)}; missing {missing[:3]}, too many {extra[:3]}")


def attach_duckdb():
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("avro", "iceberg"):  # iceberg needs avro first
        package = __import__(f"duckdb_extension_{name}")
        [file] = glob.glob(os.path.join(os.path.dirname(package.__file__), "extensions", "*", f"{name}.duckdb_extension"))
        connection.execute(f"LOAD '{file}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def duckdb_rows(connection, metadata, where="true"):
    cursor = connection.execute(f"SELECT id, name, epoch_us(ts) AS us, amount, tags FROM iceberg_scan('{metadata}') WHERE {where}")
    return sorted((i, name, us / 1e6, amount, tuple(tags)) for i, name, us, amount, tags in cursor.fetchall())


def check(warehouse):
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan

    catalog = SqlCatalog("weir", uri=f"sqlite:///{warehouse}/catalog.db", warehouse=f"file://{warehouse}")
    with open(os.path.join(warehouse, "expected.json")) as file:
        expected = json.load(file)
    connection = attach_duckdb()
    listed = sorted(".".join(name) for space in catalog.list_namespaces() for name in catalog.list_tables(space))
    if listed != sorted(expected):
        sys.exit(f"the catalog lists {listed}")
    for name, want in expected.items():
        table = catalog.load_table(name)
        metadata = table.metadata_location.removeprefix("file://")
        alive = plain(map(row, want["rows"]))
        compare(f"{name} by PyIceberg", plain(table.scan().to_arrow().to_pylist()), alive)
        compare(f"{name} by DuckDB", duckdb_rows(connection, metadata), alive)

        low, high = want["range"]
        part = [r for r in alive if low <= r[0] < high]
        scan = table.scan(And(GreaterThanOrEqual("id", low), LessThan("id", high)))
        compare(f"{name} filtered by PyIceberg", plain(scan.to_arrow().to_pylist()), part)
        compare(f"{name} filtered by DuckDB", duckdb_rows(connection, metadata, f"id >= {low} AND id < {high}"), part)

        total = int(table.current_snapshot().summary["total-records"]) - int(table.current_snapshot().summary["total-position-deletes"])
        if total != len(alive):
            sys.exit(f"{name}: the summary counts {total} rows, there are {len(alive)}")
        if len(table.inspect.snapshots()) != want["snapshots"]:
            sys.exit(f"{name}: {len(table.inspect.snapshots())} snapshots instead of {want['snapshots']}")
        for snapshot in table.snapshots():  # every snapshot that is left can still be read
            table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        if want["row_ids"]:
            for where in ("true", f"id >= {low} AND id < {high}"):
                cursor = connection.execute(f"SELECT id, _row_id FROM iceberg_scan('{metadata}') WHERE {where}")
                for id, row_id in cursor.fetchall():
                    if row_id != want["row_ids"][str(id)]:
                        sys.exit(f"{name}: row {id} has _row_id {row_id} instead of {want['row_ids'][str(id)]}")
    print(f"{len(expected)} tables are as expected")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        check(sys.argv[2])
