"""CONSTRAINT … EXPECT on the way through: a gate that holds gold back, rows in $rejected, and both after the data is mended."""
import datetime
import json

from answers import connect, difference, read
from lanes import check_models, project_with

GATE = """CREATE MATERIALIZED VIEW silver.trips
  CONSTRAINT trip_known EXPECT (trip_id IS NOT NULL) ON VIOLATION FAIL UPDATE
  CONSTRAINT fare_sane EXPECT (fare_amount IS NULL OR fare_amount < 5000) ON VIOLATION FAIL UPDATE
  CONSTRAINT started EXPECT (started_at IS NOT NULL)"""
SHORT = {"gold/short.sql": """CREATE MATERIALIZED VIEW gold.short
  CONSTRAINT far EXPECT (trip_distance >= 1) ON VIOLATION QUARANTINE
  CONSTRAINT paid EXPECT (fare_amount > 0) ON VIOLATION DROP ROW
AS SELECT trip_id, trip_distance, fare_amount FROM silver.trips WHERE completed_at IS NOT NULL;""",
         "gold/why.sql": """CREATE MATERIALIZED VIEW gold.why
AS SELECT _constraint AS broken, count(*) AS trips FROM gold."short$rejected" GROUP BY ALL;"""}
GOLD = ["gold.city_hourly", "gold.driver_daily", "gold.surge_effect", "gold.short", "gold.short$rejected", "gold.why"]


def gated(t):
    project = project_with(t, SHORT)
    trips = project / "models/silver/trips.sql"
    text = trips.read_text()
    assert "CREATE MATERIALIZED VIEW silver.trips" in text
    trips.write_text(text.replace("CREATE MATERIALIZED VIEW silver.trips", GATE))
    return project


def at(line, seconds, number, fare):
    """The same payment once more, some seconds later, with another fare."""
    event = json.loads(line)
    stamp = datetime.datetime.fromisoformat(event["event_timestamp"].replace("Z", "+00:00")) + datetime.timedelta(seconds=seconds)
    event.update(event_id=f"incident-{number}", event_timestamp=stamp.isoformat().replace("+00:00", "Z"), fare_amount=fare)
    return json.dumps(event).encode() + b"\n"


def rows(lake, table):
    return read(lake, table).num_rows


def same_tables(t, one, other, tables):
    db = connect()
    for table in tables:
        db.register("a", read(one, table))
        db.register("b", read(other, table))
        count = db.execute("SELECT (SELECT count(*) FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM b)) + "
                           "(SELECT count(*) FROM (SELECT * FROM b EXCEPT ALL SELECT * FROM a))").fetchone()[0]
        t.equal(count, 0, f"rows of {table} that differ from the run without the incident")


def test_gold_holds_its_last_good_epoch_until_the_data_is_mended(t):
    project, lake, calm = gated(t), t.dir / "lake", t.dir / "calm"
    data, folder, quiet = t.stream(seed=31, months="2018-11", trips=600, correct=.05), t.dir / "in", t.dir / "quiet"
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    folder.mkdir(), quiet.mkdir()
    middle = len(lines) // 2
    payment = next(line for line in reversed(lines) if b'"payment_processed"' in line and json.loads(line).get("fare_amount"))
    fare = json.loads(payment)["fare_amount"]
    parts = {"events-1.ndjson": b"".join(lines[:middle]), "events-2.ndjson": b"".join(lines[middle:])}
    for name, text in parts.items():
        (quiet / name).write_bytes(text)
    t.run_once(quiet, calm, project=project)

    (folder / "events-1.ndjson").write_bytes(parts["events-1.ndjson"])
    t.run_once(folder, lake, project=project)
    before = {table: rows(lake, table) for table in ["bronze.ride_events", "silver.trips", *GOLD]}
    check_models(t, project, lake, GOLD[3:])

    # The incident: a fare that cannot be, together with the rest of the events.
    (folder / "events-2.ndjson").write_bytes(parts["events-2.ndjson"] + at(payment, 1, 1, 123456.0))
    done = t.run_once(folder, lake, project=project, code=1)
    t.ok("fare_sane" in done.err + done.out and '"model_halted"' in done.err, f"no alert: {done.err}")
    t.ok(rows(lake, "bronze.ride_events") > before.pop("bronze.ride_events"), "bronze did not go on")
    t.equal({table: rows(lake, table) for table in before}, before, "rows of silver and gold while the gate is shut")
    models = {m["model"]: m for m in t.weir("show", "models", "--data", lake, "-o", "json").json}
    t.ok("fare_sane" in models["silver.trips"]["halted"], f"silver.trips is not marked: {models['silver.trips']}")
    t.equal({models[m]["halted"] for m in GOLD[:3]}, {"silver.trips is halted"}, "why gold stands still")
    t.equal(t.run_once(folder, lake, project=project, code=1).code, 1, "exit code of another run without a fix")

    # The fix: the same trip, corrected later.
    (folder / "events-3.ndjson").write_bytes(at(payment, 2, 2, fare))
    t.run_once(folder, lake, project=project)
    check_models(t, project, lake, GOLD[3:])
    same_tables(t, lake, calm, ["silver.trips", *GOLD])
    models = {m["model"]: m for m in t.weir("show", "models", "--data", lake, "-o", "json").json}
    t.equal({m["halted"] for m in models.values()}, {""}, "models that stand still after the fix")
    counted = {v["constraint"]: v["rows"] for m in ("silver.trips", "gold.short") for v in models[m]["violations"]}
    db = connect()
    for table in ("silver.trips", "gold.short$rejected"):
        db.register(table.split(".")[1], read(lake, table))
    want = {"trip_known": 0, "fare_sane": 0,
            "started": db.execute("SELECT count(*) FROM trips WHERE started_at IS NULL").fetchone()[0],
            "far": db.execute('SELECT count(*) FROM "short$rejected"').fetchone()[0],
            "paid": db.execute("SELECT count(*) FROM trips WHERE completed_at IS NOT NULL AND NOT coalesce(fare_amount > 0, false)").fetchone()[0]}
    t.equal(counted, want, "rows that violate each constraint")
    t.ok(want["far"] > 0, "no trip is short, so nothing was shown")
    t.ok("paid (drop row)" in t.weir("explain", "gold.short", "--analyze", "--project", project, "--data", lake).out, "explain --analyze does not count")
