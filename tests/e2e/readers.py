"""The tables are open: PyIceberg and DuckDB read what `weir query` reads, also while a run is going on."""
import json
import sqlite3
import time

from pyiceberg.table import StaticTable

from answers import MODELS, SOURCE, SYSTEM, KEYS, connect, difference, read, recompute, table_names, with_iceberg, catalog
from harness import PROJECT, Failure

ROW = "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM"


def quoted(table):
    space, name = table.split(".", 1)
    return f'{space}."{name}"'


def not_in_both(db, left, right):
    """Rows of one relation that the other has not, counted with multiplicity."""
    return db.execute(f"({left} EXCEPT ALL {right}) UNION ALL ({right} EXCEPT ALL {left}) LIMIT 3").fetchall()


def test_three_readers_agree(t):
    data, lake = t.stream(seed=16, months="2018-12", trips=3000, returning=.02, conflict=.02, correct=.05), t.dir / "lake"
    # Several epochs, so that there are deletion vectors and several manifests.
    t.run_once(data / "events.ndjson", lake, sets=["weir.step.rows=1000", "weir.epoch.steps=3"])
    names = table_names(lake)
    for table in SYSTEM + MODELS:
        t.ok(table in names, f"{table} is not in the catalog, which has {names}")
    db = with_iceberg(connect())
    for table in names:
        db.register("arrow", read(lake, table))
        db.execute("CREATE OR REPLACE TABLE pyiceberg AS SELECT * FROM arrow")
        columns = [c[0] for c in db.execute("DESCRIBE pyiceberg").fetchall()]
        metadata = catalog(lake).load_table(tuple(table.split(".", 1))).metadata_location
        db.execute(f"CREATE OR REPLACE TABLE duck AS SELECT * FROM iceberg_scan('{metadata}')")
        t.equal([c[0] for c in db.execute("DESCRIBE duck").fetchall()], columns, f"columns of {table} in DuckDB")
        wrong = not_in_both(db, f"{ROW} pyiceberg", f"{ROW} duck")
        t.ok(not wrong, f"{table}: PyIceberg and DuckDB differ: {wrong}")

        out = t.dir / "query.csv"
        out.write_text(t.weir("query", "--data", lake, "-o", "csv", f"SELECT * FROM {quoted(table)}").out)
        db.execute(f"CREATE OR REPLACE TABLE mine AS SELECT * FROM read_csv('{out}', header=true, all_varchar=true, nullstr='', quote='\"', escape='\"', "
                   "allow_quoted_nulls=false, strict_mode=false)")
        t.equal([c[0] for c in db.execute("DESCRIBE mine").fetchall()], columns, f"columns of {table} in weir query")
        casts = ", ".join(f'CAST(CAST("{c[0]}" AS {c[1]}) AS VARCHAR)' for c in db.execute("DESCRIBE pyiceberg").fetchall())
        wrong = not_in_both(db, f"{ROW} pyiceberg", f"SELECT {casts} FROM mine")
        t.ok(not wrong, f"{table}: PyIceberg and weir query differ: {wrong}")


def one_cut(lake):
    """All current metadata files, read in one transaction: {table: location}."""
    db = sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True, timeout=10)
    try:
        rows = db.execute("SELECT table_namespace, table_name, metadata_location FROM iceberg_tables").fetchall()
    finally:
        db.close()
    return {f"{space}.{name}": location for space, name, location in rows}


def test_a_reader_never_sees_a_mixed_cut(t):
    data, lake = t.stream(seed=17, months="2019-01", trips=3000, correct=.05), t.dir / "lake"
    process = t.start("run", "--once", "--project", PROJECT, "--data", lake, "--source", f"ride_events={data / 'events.ndjson'}",
                      "--set", "weir.step.rows=100", "--set", "weir.epoch.steps=3")
    cuts, seen = [], set()
    while process.poll() is None:
        try:
            cut = one_cut(lake)
        except sqlite3.OperationalError:  # not made yet
            time.sleep(.01)
            continue
        key = tuple(sorted(cut.items()))
        if f"bronze.{SOURCE}" in cut and key not in seen:
            seen.add(key)
            cuts.append({name: StaticTable.from_metadata(location) for name, location in cut.items()})
        time.sleep(.02)
    t.equal(process.wait(), 0, f"exit code of the run; it said {process.err_path.read_text()[-2000:]}")
    t.ok(len(cuts) >= 5, f"only {len(cuts)} different cuts were seen: the run is too short for this test")
    for cut in cuts[:: max(1, len(cuts) // 12)] + [cuts[-1]]:
        check_cut(t, cut)


def check_cut(t, cut):
    epochs = {name: table.current_snapshot().summary["weir.epoch"] for name, table in cut.items() if table.current_snapshot()}
    newest = max(map(int, epochs.values()), default=0)
    db = recompute(cut[f"bronze.{SOURCE}"].scan().to_arrow())
    for name in MODELS:
        if name not in cut:
            rows = db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            t.equal(rows, 0, f"rows that {name} should have in a cut of epoch {newest} where it is missing")
            continue
        db.register("lake_rows", cut[name].scan().to_arrow())
        db.execute("CREATE OR REPLACE TABLE lake_copy AS SELECT * FROM lake_rows")
        wrong = difference(db, "lake_copy", name, KEYS[name])
        t.ok(not wrong, f"a mixed cut: with bronze at epoch {epochs}, {name} is not its query over bronze; (lake, DuckDB): {wrong}")


def test_snapshots_say_where_they_stand(t):
    data, lake = t.stream(seed=16, months="2018-12", trips=1000), t.dir / "lake"
    t.run_once(data / "events.ndjson", lake)
    frontiers = set()
    for name in [f"bronze.{SOURCE}", *MODELS]:
        summary = catalog(lake).load_table(tuple(name.split(".", 1))).current_snapshot().summary
        for key in ("weir.lane", "weir.epoch", "weir.frontier"):
            t.ok(summary[key] is not None, f"{name}: no {key} in the snapshot summary")
        json.loads(summary["weir.frontier"])
        frontiers.add(summary["weir.frontier"])
    t.equal(len(frontiers), 1, "frontiers of one lane after one run")
