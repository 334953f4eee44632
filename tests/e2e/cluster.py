"""CLUSTER BY: rows inside every data file are in the order that the table's metadata names, as other readers see it."""
import json

import pyarrow.compute as pc
import pyarrow.parquet as pq

from answers import catalog, read
from lanes import check_models, project_with

PAID = """CREATE MATERIALIZED VIEW gold.paid
  CLUSTER BY ({})
AS SELECT trip_id, driver_id, fare_amount, started_at FROM silver.trips;"""
SEEN = """CREATE STREAMING TABLE silver.seen
  PARTITIONED BY (day(event_timestamp))
  CLUSTER BY (event_name, trip_id)
AS SELECT event_id, event_name, trip_id, event_timestamp FROM STREAM bronze.ride_events;"""


def load(lake, table):
    return catalog(lake).load_table(tuple(table.split(".", 1)))


def check_files(t, lake, table, columns):
    """Every file carries a sort order of the table and is in it; returns how many carry the present one, which is by `columns`."""
    loaded = load(lake, table)
    names = {field.field_id: field.name for field in loaded.schema().fields}
    orders = {o.order_id: [names[f.source_id] for f in o.fields] for o in loaded.metadata.sort_orders}
    present = loaded.metadata.default_sort_order_id
    t.equal(orders[present], columns, f"the sort order of {table}")
    for field in loaded.sort_order().fields:
        t.equal((str(field.transform), field.direction.value, field.null_order.value), ("identity", "asc", "nulls-last"), f"the order of {table}")
    files = [task.file for task in loaded.scan().plan_files()]
    for file in files:
        t.ok(file.sort_order_id in orders and file.sort_order_id, f"{file.file_path} carries the order {file.sort_order_id}")
        rows = pq.read_table(file.file_path.removeprefix("file://"))
        keys = [(name, "ascending", "at_end") for name in orders[file.sort_order_id]]
        sorted_rows = rows.take(pc.sort_indices(rows, sort_keys=keys))
        for name, *_ in keys:
            t.ok(rows[name].equals(sorted_rows[name]), f"{file.file_path}: {name} is not in order: {rows[name].slice(0, 20)}")
    t.ok(files, f"{table} has no files")
    return sum(file.sort_order_id == present for file in files)


def test_files_are_sorted_as_the_metadata_says(t):
    project, lake = project_with(t, {"gold/paid.sql": PAID.format("driver_id, fare_amount"), "silver/seen.sql": SEEN}), t.dir / "lake"
    data = t.stream(seed=41, months="2018-11", trips=900, correct=.1)
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    folder, sets = t.dir / "in", ["weir.step.rows=200", "weir.epoch.steps=2"]
    folder.mkdir()
    (folder / "events-1.ndjson").write_bytes(b"".join(lines[:len(lines) // 2]))
    t.run_once(folder, lake, project=project, sets=sets)
    check_files(t, lake, "gold.paid", ["driver_id", "fare_amount"])
    check_files(t, lake, "silver.seen", ["event_name", "trip_id"])
    t.ok(any(task.delete_files for task in load(lake, "gold.paid").scan().plan_files()), "no row was ever updated, so nothing is shown")
    check_models(t, project, lake, ["gold.paid", "silver.seen"])
    # Another clause is another order of the same table: what was written before keeps its own.
    uuid, snapshots = load(lake, "gold.paid").metadata.table_uuid, len(load(lake, "gold.paid").metadata.snapshots)
    (project / "models/gold/paid.sql").write_text(PAID.format("trip_id"))
    t.run_once(folder, lake, project=project, sets=sets)
    t.equal(load(lake, "gold.paid").metadata.default_sort_order_id, 2, "the sort order after the clause was changed")
    t.equal((load(lake, "gold.paid").metadata.table_uuid, len(load(lake, "gold.paid").metadata.snapshots)), (uuid, snapshots), "the table after that")
    (folder / "events-2.ndjson").write_bytes(b"".join(lines[len(lines) // 2:]))
    t.run_once(folder, lake, project=project, sets=sets)
    t.ok(check_files(t, lake, "gold.paid", ["trip_id"]) > 0, "no file is in the new order")
    check_models(t, project, lake, ["gold.paid", "silver.seen"])
    # And none at all.
    (project / "models/gold/paid.sql").write_text(PAID.format("x").replace("  CLUSTER BY (x)\n", ""))
    t.run_once(folder, lake, project=project, sets=sets)
    t.equal(load(lake, "gold.paid").metadata.default_sort_order_id, 0, "the sort order without a clause")
    rows = t.weir("query", "--data", lake, "-o", "json", "SELECT count(*) AS n FROM gold.paid").json[0]["n"]
    t.equal(rows, read(lake, "gold.paid").num_rows, f"rows of gold.paid; {json.dumps(rows)}")
