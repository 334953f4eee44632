"""Models that do not follow every epoch: slower lanes, full refreshes, models that are new or changed. All end equal to their completed SQL."""
import shutil

from answers import MODELS, SOURCE, connect, difference, read
from harness import PROJECT

# The project's own models, and one of each kind of lane.
EXTRA = {
    "gold/lagging.sql": """CREATE MATERIALIZED VIEW gold.lagging TARGET_LAG = '1 hour'
AS SELECT driver_id, count(*) AS trips, max(completed_at) AS latest, min(fare_amount) AS cheapest FROM silver.trips GROUP BY driver_id;""",
    "gold/on_lagging.sql": """CREATE MATERIALIZED VIEW gold.on_lagging
AS SELECT trips, count(*) AS drivers FROM gold.lagging GROUP BY trips;""",
    "gold/joined.sql": """CREATE MATERIALIZED VIEW gold.joined
AS SELECT t.trip_id, t.fare_amount, l.trips FROM silver.trips t JOIN gold.lagging l ON t.driver_id = l.driver_id WHERE l.trips > 1;""",
    "gold/riders.sql": """CREATE MATERIALIZED VIEW gold.riders
AS SELECT pickup_location_id, count(DISTINCT rider_id) AS riders FROM silver.trips GROUP BY pickup_location_id;""",
    "gold/places.sql": """CREATE MATERIALIZED VIEW gold.places AS SELECT trip_id, percent_rank() OVER (ORDER BY fare_amount) AS place FROM silver.trips;""",
    "silver/zones.sql": """CREATE MATERIALIZED VIEW silver.zones AS SELECT DISTINCT pickup_location_id, dropoff_location_id FROM silver.trips;""",
    "gold/recent.sql": """CREATE MATERIALIZED VIEW gold.recent
AS SELECT pickup_location_id, count(*) AS trips FROM silver.trips WHERE requested_at > watermark() - INTERVAL '5 days' GROUP BY pickup_location_id;""",
    "gold/closed.sql": """CREATE MATERIALIZED VIEW gold.closed
AS SELECT window_start, window_end, count(*) AS trips FROM TUMBLE(TABLE silver.trips, DESCRIPTOR(requested_at), INTERVAL '1 hour')
GROUP BY ALL EMIT ON WINDOW CLOSE;""",
    "silver/rejected.sql": """CREATE MATERIALIZED VIEW silver.rejected
AS SELECT reason, count(*) AS records FROM bronze."ride_events$rejected" GROUP BY reason;""",
}
NAMES = ["gold.lagging", "gold.on_lagging", "gold.joined", "gold.riders", "gold.places", "gold.recent", "gold.closed", "silver.zones", "silver.rejected"]


def project_with(t, files, name="project"):
    folder = t.dir / name
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("taxi", "data"))
    for file, text in files.items():
        (folder / "models" / file).write_text(text)
    return folder


def check_models(t, project, lake, names):
    """Every model's table against its completed SQL, run by DuckDB over its inputs' tables as PyIceberg reads them."""
    db = connect()
    for space in ("bronze", "silver", "gold"):
        db.execute(f"CREATE SCHEMA {space}")
    for table in [f"bronze.{SOURCE}", f"bronze.{SOURCE}$rejected", *MODELS, *names]:
        db.register("rows", read(lake, table))
        space, name = table.split(".", 1)
        db.execute(f'CREATE OR REPLACE TABLE {space}."{name}" AS SELECT * FROM rows')
    epochs = t.weir("show", "epochs", "--data", lake, "-o", "json").json
    db.execute(f"CREATE MACRO watermark() AS TIMESTAMPTZ '{next(e for e in epochs if e['lane'] == 'live')['frontier']['watermark']}'")
    for model in [*MODELS, *names]:
        sql = t.weir("show", "sql", model, "--project", project).out.strip().rstrip(";")
        db.execute(f"CREATE OR REPLACE TABLE want AS {sql}")
        got, columns = db.execute(f"SELECT count(*) FROM {model}").fetchone()[0], [c[0] for c in db.execute("DESCRIBE want").fetchall()]
        t.ok(got > 0, f"{model} is empty")
        keys = {"silver.trips": ["trip_id"], "gold.city_hourly": ["pickup_location_id", "hour"], "gold.lagging": ["driver_id"]}.get(model, columns[:1])
        if db.execute(f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(keys)} FROM want)").fetchone() != db.execute("SELECT count(*) FROM want").fetchone():
            keys = columns
        wrong = difference(db, model, "want", keys)
        t.ok(not wrong, f"{model} against its completed SQL: {wrong}")


def halves(t):
    data, folder = t.stream(seed=21, months="2018-11", trips=1500, correct=.05), t.dir / "in"
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    folder.mkdir()
    middle = len(lines) // 2
    return folder, b"".join(lines[:middle]), b"".join(lines[middle:])


def test_every_lane_ends_equal_to_its_query(t):
    project, lake = project_with(t, EXTRA), t.dir / "lake"
    folder, first, second = halves(t)
    (folder / "events-1.ndjson").write_bytes(first)
    t.run_once(folder, lake, project=project)
    check_models(t, project, lake, NAMES)
    (folder / "events-2.ndjson").write_bytes(second)
    t.run_once(folder, lake, project=project, sets=["weir.step.rows=1000", "weir.epoch.steps=1", "weir.threads.shards=2"])
    check_models(t, project, lake, NAMES)
    lanes = {m["model"]: m["lane"] for m in t.weir("show", "models", "--data", lake, "-o", "json").json}
    t.equal({m: lanes[m] for m in ("silver.trips", "silver.zones", "gold.lagging", "gold.on_lagging", "gold.joined", "gold.riders", "gold.places")},
            {"silver.trips": "live", "silver.zones": "live", "gold.lagging": "lag-PT1H", "gold.on_lagging": "lag-PT1H", "gold.joined": "lag-PT1H",
             "gold.riders": "live", "gold.places": "refresh"}, "lanes")


def test_new_and_changed_models_catch_up_from_the_tables(t):
    plain, lake = project_with(t, {}, "plain"), t.dir / "lake"
    folder, first, second = halves(t)
    (folder / "events-1.ndjson").write_bytes(first)
    t.run_once(folder, lake, project=plain, sets=["weir.step.rows=1000", "weir.epoch.steps=1"])
    project = project_with(t, EXTRA)
    report = t.run_once(folder, lake, project=project)
    t.equal(report["received"], 0, "records read again for new models")
    check_models(t, project, lake, NAMES)
    # Another meaning of the same names: what reads the changed model is made anew too.
    trips = project / "models/silver/trips.sql"
    text = trips.read_text()
    assert "GROUP BY trip_id" in text
    trips.write_text(text.replace("GROUP BY trip_id", "WHERE trip_id NOT LIKE '%7' GROUP BY trip_id"))
    (folder / "events-2.ndjson").write_bytes(second)
    t.run_once(folder, lake, project=project)
    check_models(t, project, lake, NAMES)


def test_a_false_key_halts_its_model_only(t):
    bad = {"gold/bad.sql": "CREATE MATERIALIZED VIEW gold.bad KEY (driver_id) AS SELECT driver_id, trip_id FROM silver.trips;",
           "gold/on_bad.sql": "CREATE MATERIALIZED VIEW gold.on_bad AS SELECT driver_id, count(*) AS n FROM gold.bad GROUP BY driver_id;"}
    project, lake = project_with(t, bad), t.dir / "lake"
    folder, first, _ = halves(t)
    (folder / "events-1.ndjson").write_bytes(first)
    done = t.run_once(folder, lake, project=project, code=1)
    t.ok("gold.bad" in done.err + done.out and "driver_id" in done.err + done.out, f"the false key is not explained: {done.err}{done.out}")
    check_models(t, project, lake, [])
    (project / "models/gold/bad.sql").write_text(bad["gold/bad.sql"].replace("KEY (driver_id)", "KEY (trip_id)"))
    t.run_once(folder, lake, project=project)
    check_models(t, project, lake, ["gold.bad", "gold.on_bad"])
