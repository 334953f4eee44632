"""What the tables must hold, read and computed by others: PyIceberg, DuckDB and Python's own csv."""
import csv
import io
import re
from pathlib import Path

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg
from pyiceberg.catalog.sql import SqlCatalog

from harness import PROJECT, Failure, counts_of, trips_of

SOURCE = "ride_events"
SYSTEM = [f"bronze.{SOURCE}", f"bronze.{SOURCE}$rejected", f"bronze.{SOURCE}$late", f"bronze.{SOURCE}$duplicate"]
MODELS = ["silver.trips", "gold.city_hourly", "gold.driver_daily", "gold.surge_effect"]


def catalog(lake):
    return SqlCatalog("weir", uri=f"sqlite:///{lake}/catalog.db")


def table_names(lake):
    cat = catalog(lake)
    return sorted(".".join(name) for space in cat.list_namespaces() for name in cat.list_tables(space))


def read(lake, table):
    """A whole table by PyIceberg."""
    return catalog(lake).load_table(tuple(table.split(".", 1))).scan().to_arrow()


def count(lake, table):
    """Rows by PyIceberg; 0 for a table that was never made, because nothing fell into it."""
    return read(lake, table).num_rows if table in table_names(lake) else 0


def connect():
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    return db


def with_iceberg(db):
    for module, name in ((duckdb_extension_avro, "avro"), (duckdb_extension_iceberg, "iceberg")):
        path = next(Path(module.__file__).parent.glob(f"extensions/*/{name}.duckdb_extension"))
        db.execute(f"LOAD '{path}'")
    return db


# --------------------------------------------------------------------------------------- known answers

def ledger(t, lake):
    rows = t.weir("show", "ledger", "--project", PROJECT, "--data", lake, "-o", "json").json
    found = [r for r in rows if r["source"] == SOURCE]
    t.equal(len(found), 1, "ledger lines of the source")
    return found[0]


def check_ledger(t, lake, folder):
    want, got = counts_of(folder), ledger(t, lake)
    for key in ("received", "accepted", "rejected", "duplicate", "late"):
        t.equal(got[key], want[key], f"ledger: {key}")
    t.equal(got["blocked"], 0, "ledger: blocked")
    t.equal({k: v for k, v in got["rejected_by_reason"].items() if v},
            {k: v for k, v in want["rejected_by_reason"].items() if v}, "ledger: rejected by reason")
    t.equal(got["received"], sum(got[k] for k in ("accepted", "rejected", "duplicate", "late", "blocked")), "the ledger's balance")
    for table, key in zip(SYSTEM, ("accepted", "rejected", "late", "conflicting")):
        t.equal(count(lake, table), want[key], f"rows of {table}")


def cell(value):
    """A value as ride_stream.py writes it."""
    if value is None:
        return ""
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    if isinstance(value, float):
        return repr(value)
    return str(value)


def same(got, want):
    return got == want or (re.fullmatch(r"-?[\d.]+", got or "") and re.fullmatch(r"-?[\d.]+", want or "") and float(got) == float(want))


def check_trips(t, lake, folder):
    want = trips_of(folder)
    rows = read(lake, "silver.trips").to_pylist()
    got = {row["trip_id"]: row for row in rows}
    t.equal(len(rows), len(got), "silver.trips: rows against distinct trip_ids")
    missing, extra = want.keys() - got.keys(), got.keys() - want.keys()
    t.ok(not missing and not extra, f"silver.trips: {len(missing)} trips missing ({sorted(missing)[:3]}), {len(extra)} too many ({sorted(extra)[:3]})")
    wrong = [(id, c, cell(got[id][c]), row[c]) for id, row in want.items() for c in row if not same(cell(got[id][c]), row[c])]
    t.ok(not wrong, f"silver.trips: {len(wrong)} cells differ; (trip, column, got, want): {wrong[:5]}")


def model_query(name, project=PROJECT):
    """The SELECT of a model file."""
    text = (Path(project) / "models" / (name.replace(".", "/") + ".sql")).read_text()
    return text[re.search(r"\bAS\s+SELECT\b", text).start() + 2:].rstrip().rstrip(";")


def recompute(bronze, project=PROJECT):
    """A DuckDB session in which every model is computed afresh from bronze rows (an Arrow table)."""
    db = connect()
    for space in ("bronze", "silver", "gold"):
        db.execute(f"CREATE SCHEMA {space}")
    db.register("bronze_rows", bronze)
    db.execute(f"CREATE TABLE bronze.{SOURCE} AS SELECT * FROM bronze_rows")
    for name in MODELS:
        db.execute(f"CREATE TABLE {name} AS {model_query(name, project)}")
    return db


def difference(db, left, right, keys):
    """Rows on which two tables of a session differ, floats compared to 1e-9 of their size; at most three of them."""
    columns = db.execute(f"DESCRIBE {left}").fetchall()
    other = {c[0]: c[1] for c in db.execute(f"DESCRIBE {right}").fetchall()}
    if [c[0] for c in columns] != list(other):
        return [("columns", [c[0] for c in columns], list(other))]
    tests = []
    for name, kind, *_ in columns:
        a, b = f'a."{name}"', f'b."{name}"'
        if "DOUBLE" in (kind, other[name]) or "FLOAT" in (kind, other[name]):
            tests.append(f"NOT ({a} IS NOT DISTINCT FROM {b} OR coalesce(abs({a} - {b}) <= 1e-9 * greatest(1, abs({a})), false))")
        else:
            tests.append(f"{a} IS DISTINCT FROM {b}")
    on = " AND ".join(f'a."{k}" IS NOT DISTINCT FROM b."{k}"' for k in keys)
    return db.execute(f"SELECT a, b FROM {left} a FULL JOIN {right} b ON {on} WHERE {' OR '.join(tests)} LIMIT 3").fetchall()


KEYS = {"silver.trips": ["trip_id"], "gold.city_hourly": ["pickup_location_id", "hour"], "gold.driver_daily": ["driver_id", "day"],
        "gold.surge_effect": ["pickup_location_id", "day"]}


def check_models(t, lake, tables=None):
    """Every model equals DuckDB's answer to its SQL over the accepted bronze rows."""
    db = recompute(read(lake, f"bronze.{SOURCE}"))
    for name in tables or MODELS:
        db.register("lake_rows", read(lake, name))
        db.execute("CREATE OR REPLACE TABLE lake_copy AS SELECT * FROM lake_rows")
        mine, theirs = (db.execute(f"SELECT count(*) FROM {x}").fetchone()[0] for x in ("lake_copy", name))
        t.equal(mine, theirs, f"rows of {name} against DuckDB's answer")
        wrong = difference(db, "lake_copy", name, KEYS[name])
        t.ok(not wrong, f"{name} differs from DuckDB's answer over bronze; (lake, DuckDB): {wrong}")


def check_all(t, lake, folder):
    check_ledger(t, lake, folder)
    check_trips(t, lake, folder)
    check_models(t, lake)
