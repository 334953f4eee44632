"""The third reader: what must be in the tables, computed by DuckDB from the input, against what PyIceberg finds there.

    answer.py lake LAKE INPUT [--models]       a data directory of Weir: bronze; with --models also silver.trips and all gold
    answer.py parquet FILE INPUT               bronze rows in Parquet files, as a peer wrote them
    answer.py metadata FILE INPUT              bronze rows in an Iceberg table, by its metadata file

INPUT is a folder with events*.ndjson; the answer is computed once and kept there as answer.json and answer.*.parquet. Rows are
compared by count and by the sum of a 64-bit hash of each row (a multiset hash: neither order nor files matter), gold row by row
with floats to 1e-9 of their size. Nothing of Weir is used but the model files, which are SQL. Ends with 1 on any difference.
"""
import json
import re
import sqlite3
import sys
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "tests/projects/rides"
COLUMNS = {"event_id": "VARCHAR", "event_name": "VARCHAR", "event_timestamp": "TIMESTAMPTZ", "schema_version": "VARCHAR", "trip_id": "VARCHAR",
           "rider_id": "VARCHAR", "pickup_location_id": "INTEGER", "surge_amount": "DOUBLE", "driver_id": "VARCHAR", "dropoff_location_id": "INTEGER",
           "trip_distance": "DOUBLE", "fare_amount": "DOUBLE", "tip_amount": "DOUBLE", "total_amount": "DOUBLE", "payment_type": "INTEGER"}
REQUIRED = ("event_id", "event_name", "event_timestamp", "schema_version", "trip_id")
KINDS = ("trip_requested", "driver_assigned", "driver_arrived", "trip_started", "trip_completed", "payment_processed")
WIDE = ("request_id", "push_token", "gps_trace")  # of the undeclared fields of wide events, these are compared too
MODELS = {"silver.trips": ("trip_id",), "gold.city_hourly": ("pickup_location_id", "hour"), "gold.driver_daily": ("driver_id", "day"),
          "gold.surge_effect": ("pickup_location_id", "day")}


def connect():
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'; SET memory_limit = '8GB'")
    return db


def events_sql(folder, extra=()):
    """The events as the contract types them. No broken lines are expected: after one that ends behind a colon, DuckDB 1.5 takes
    the next line for its value and loses it."""
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in {**COLUMNS, **dict.fromkeys(extra, "VARCHAR")}.items())
    return f"read_json('{folder}/events*.ndjson', format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = 4194304)"


def accepted_sql(folder, extra=()):
    """Accepted events: complete, of a known kind, the first of their id. (The input has no event beyond the lateness.)"""
    kinds = ", ".join(f"'{k}'" for k in KINDS)
    needed = " AND ".join(f"{c} IS NOT NULL" for c in REQUIRED)
    return f"SELECT DISTINCT ON (event_id) * FROM {events_sql(folder, extra)} WHERE {needed} AND event_name IN ({kinds})"


def bronze_hash(source, extra=()):
    cells = ", ".join(f"epoch_us({c})" if kind == "TIMESTAMPTZ" else f"CAST({c} AS {kind})" for c, kind in COLUMNS.items())
    more = "".join(f", {e}" for e in extra)
    return f"SELECT count(*), CAST(sum(CAST(hash({cells}{more}) AS HUGEINT)) AS VARCHAR) FROM {source}"


def table_hash(db, source):
    cells = ", ".join(f"epoch_us({r[0]})" if r[1].startswith("TIMESTAMP") else r[0] for r in sorted(db.execute(f"DESCRIBE {source}").fetchall()))
    return db.execute(f"SELECT count(*), CAST(sum(CAST(hash({cells}) AS HUGEINT)) AS VARCHAR) FROM {source}").fetchone()


def model_query(name):
    text = (PROJECT / "models" / (name.replace(".", "/") + ".sql")).read_text()
    query = text[re.search(r"\bAS\s+SELECT\b", text).start() + 2:].rstrip().rstrip(";")
    # The contract's order (event_id) decides between events of one instant.
    return re.sub(r"arg_max\((\w+), event_timestamp\)", r"arg_max(\1, row(event_timestamp, event_id))", query)


def wide_fields(folder):
    with open(sorted(Path(folder).glob("events*.ndjson"))[0], "rb") as f:
        first = json.loads(f.readline())
    return [w for w in WIDE if w in first]


def answer(folder):
    """{"bronze": [rows, hash], "silver.trips": [rows, hash]}, kept beside the input; gold in answer.gold.*.parquet."""
    path = Path(folder) / "answer.json"
    if path.exists():
        return json.loads(path.read_text())
    db, extra = connect(), wide_fields(folder)
    for space in ("bronze", "silver", "gold"):
        db.execute(f"CREATE SCHEMA {space}")
    db.execute(f"CREATE TABLE bronze.ride_events AS {accepted_sql(folder, extra)}")
    found = {"bronze": db.execute(bronze_hash("bronze.ride_events", extra)).fetchone()}
    counts = Path(folder) / "expected_counts.json"
    if counts.exists():
        want = json.loads(counts.read_text())
        if (want["accepted"], want["late"]) != (found["bronze"][0], 0):
            sys.exit(f"answer: DuckDB accepts {found['bronze'][0]} events of {folder}; its maker says {want}")
    for name in MODELS:
        db.execute(f"CREATE TABLE {name} AS {model_query(name)}")
        if name.startswith("gold."):
            db.execute(f"COPY {name} TO '{folder}/answer.{name}.parquet'")
    found["silver.trips"] = table_hash(db, "silver.trips")
    path.write_text(json.dumps(found))
    return json.loads(path.read_text())


class Reader:
    """Tables of a data directory of Weir by PyIceberg and its standard SQL catalog."""

    def __init__(self, lake):
        from pyiceberg.catalog.sql import SqlCatalog
        self.catalog = SqlCatalog("weir", uri=f"sqlite:///{lake}/catalog.db")

    def table(self, name):
        return self.catalog.load_table(tuple(name.split(".", 1)))


def register(db, name, table):
    """A table under a name in DuckDB: its Parquet files where nothing is deleted from them, else its rows as PyIceberg reads them."""
    tasks = list(table.scan().plan_files())
    if tasks and not any(t.delete_files for t in tasks):
        files = ", ".join("'" + t.file.file_path.removeprefix("file://") + "'" for t in tasks)
        db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{files}], hive_partitioning = false, union_by_name = true)")
    else:
        rows = table.scan().to_arrow()
        db.register(name, rows)


def same(what, got, want):
    if list(got) != list(want):
        sys.exit(f"answer: {what}: got {got[0]:,} rows (hash {got[1]}), want {want[0]:,} ({want[1]})")


def check_gold(db, name, folder):
    keys = MODELS[name]
    db.execute(f"CREATE OR REPLACE TABLE want AS SELECT * FROM '{folder}/answer.{name}.parquet'")
    columns = [r[0] for r in db.execute("DESCRIBE want").fetchall() if r[0] not in keys]
    differs = " OR ".join(f"(g.{c} IS NULL) <> (w.{c} IS NULL) OR abs(CAST(g.{c} AS DOUBLE) - w.{c}) > 1e-9 * greatest(1, abs(w.{c}))" for c in columns)
    on = " AND ".join(f"g.{k} IS NOT DISTINCT FROM w.{k}" for k in keys)
    rows = db.execute(f"SELECT (SELECT count(*) FROM got), (SELECT count(*) FROM want)").fetchone()
    wrong = db.execute(f"SELECT count(*) FROM got g FULL JOIN want w ON {on} WHERE g.{keys[0]} IS NULL OR w.{keys[0]} IS NULL OR {differs}").fetchone()[0]
    if rows[0] != rows[1] or wrong:
        sys.exit(f"answer: {name}: {rows[0]:,} rows, want {rows[1]:,}; {wrong:,} differ")


def check_lake(lake, folder, models):
    want, reader, db = answer(folder), Reader(lake), connect()
    extra = wide_fields(folder)
    register(db, "bronze_rows", reader.table("bronze.ride_events"))
    columns = {r[0] for r in db.execute("DESCRIBE bronze_rows").fetchall()}
    same("bronze.ride_events", db.execute(bronze_hash("bronze_rows", [e if e in columns else f"_extra->>'$.{e}'" for e in extra])).fetchone(), want["bronze"])
    if models:
        rows = reader.table("silver.trips").scan().to_arrow()
        db.register("trips", rows)
        same("silver.trips", table_hash(db, "trips"), want["silver.trips"])
        for name in MODELS:
            if name.startswith("gold."):
                db.register("got", reader.table(name).scan().to_arrow())
                check_gold(db, name, folder)
                db.unregister("got")
    # The standard catalog names what was read, so that a reader without Weir finds it too.
    with sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True) as c:
        c.execute("SELECT count(*) FROM iceberg_tables").fetchone()


def main():
    what, path, folder = sys.argv[1:4]
    if what == "lake":
        check_lake(path, folder, "--models" in sys.argv)
    elif what == "parquet":
        same(path, connect().execute(bronze_hash(f"read_parquet('{path}')")).fetchone(), answer(folder)["bronze"])
    elif what == "metadata":
        from pyiceberg.table import StaticTable
        db = connect()
        register(db, "bronze_rows", StaticTable.from_metadata(path))
        same(path, db.execute(bronze_hash("bronze_rows")).fetchone(), answer(folder)["bronze"])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
