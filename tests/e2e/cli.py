"""The command line as a newcomer meets it: help, typos, exit codes, faults with their place, a project from nothing."""
import json
import re
import shutil
import sqlite3

from answers import SOURCE, check_all, connect, difference, read, catalog
from gateway import serve
from harness import PATIENCE, PROJECT, ROOT


def copy_project(t, name="project"):
    folder = t.dir / name
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("taxi", "data"))
    return folder


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def line_of(path, text):
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_help_names_every_verb(t):
    text = t.weir("--help").out
    for verb in ("init", "check", "test", "up", "run", "query", "ls", "show", "explain", "generate", "relocate"):
        t.ok(re.search(rf"^\s+{verb}\b", text, re.M), f"--help does not list {verb}:\n{text}")
        help = t.weir(verb, "--help").out
        t.ok(len(help.splitlines()) > 2, f"weir {verb} --help says next to nothing: {help}")


def test_wrong_calls_exit_with_2_and_help_on(t):
    for args, hint in [
        (["quary"], "query"),
        (["run", "--onec"], "--once"),
        (["query"], ""),
        (["run", "--once", "--project", PROJECT, "--data", "lake", "--set", "weir.step.row=1"], "weir.step.rows"),
        (["run", "--once", "--project", PROJECT, "--data", "lake", "--source", "ride_event=x"], "ride_events"),
    ]:
        done = t.weir(*args, code=2)
        t.ok(hint in done.err + done.out, f"{done} does not suggest {hint!r}:\n{done.err}{done.out}")


def test_the_example_has_no_faults(t):
    t.weir("check", "--project", PROJECT)


def test_faults_have_file_line_and_fix_and_come_all_at_once(t):
    project = copy_project(t)
    contract, trips, hourly = (project / p for p in ("contracts/ride_events.odcs.yaml", "models/silver/trips.sql", "models/gold/city_hourly.sql"))
    edit(project / "weir.yml", "weir.step.rows:", "weir.step.row:")
    edit(contract, "value: PT48H", "value: soon")
    edit(contract, "logicalType: timestamp", "logicalType: timestmp")
    done = t.weir("check", "--project", project, code=1)
    text = done.out + done.err
    for place in (f"weir.yml:{line_of(project / 'weir.yml', 'weir.step.row:')}:",
                  f"contracts/ride_events.odcs.yaml:{line_of(contract, 'value: soon')}:",
                  f"contracts/ride_events.odcs.yaml:{line_of(contract, 'timestmp')}:"):
        t.ok(place in text, f"check does not name {place}\n{text}")

    project = copy_project(t, "models")
    trips, hourly = project / "models/silver/trips.sql", project / "models/gold/city_hourly.sql"
    edit(trips, "arg_max(trip_distance,", "arg_max(trip_distanze,")
    edit(hourly, "FROM silver.trips", "FROM silver.tripz")
    done = t.weir("check", "--project", project, code=1)
    text = done.out + done.err
    for place in (f"models/silver/trips.sql:{line_of(trips, 'trip_distanze')}:", f"models/gold/city_hourly.sql:{line_of(hourly, 'tripz')}:"):
        t.ok(place in text, f"check does not name {place}\n{text}")
    for hint in ("trip_distance", "silver.trips"):
        t.ok(hint in text, f"check does not suggest {hint}\n{text}")


def test_refuses_what_is_different_every_time(t):
    project = copy_project(t)
    edit(project / "models/gold/city_hourly.sql", "count(*)   ", "count(*) + random() ")
    done = t.weir("check", "--project", project, code=1)
    t.ok("random" in done.out + done.err, f"check does not name random():\n{done.out}{done.err}")


def test_runtime_failures_exit_with_1(t):
    done = t.weir("run", "--once", "--project", t.dir / "nowhere", "--data", t.dir / "lake", code=1)
    t.ok("weir.yml" in done.out + done.err, f"a missing project is not explained: {done.err}")
    data = t.stream(months="2018-02", trips=50)
    t.run_once(data / "events.ndjson")
    done = t.weir("query", "--data", t.dir / "lake", "SELECT trip_idd FROM silver.trips", code=1)
    t.ok("trip_id" in done.err, f"a wrong column is not explained: {done.err}")
    t.weir("query", "--data", t.dir / "lake", "SELEC 1", code=1)


def test_query_prints_text_json_and_csv(t):
    data = t.stream(months="2018-02", trips=50)
    t.run_once(data / "events.ndjson")
    sql = "SELECT 1 AS one, 'a,\"b' AS text, NULL AS nothing, TIMESTAMPTZ '2018-01-01 00:00:00+00' AS at, [1, 2] AS list"
    rows = t.weir("query", "--data", t.dir / "lake", "-o", "json", sql).json
    t.equal(len(rows), 1, "rows")
    t.equal((rows[0]["one"], rows[0]["text"], rows[0]["nothing"], rows[0]["list"]), (1, 'a,"b', None, [1, 2]), "values as JSON")
    csv = t.weir("query", "--data", t.dir / "lake", "-o", "csv", sql).out.splitlines()
    t.equal(csv[0], "one,text,nothing,at,list", "the CSV header")
    t.ok('"a,""b"' in csv[1], f"CSV quoting: {csv[1]}")
    text = t.weir("query", "--data", t.dir / "lake", "SELECT count(*) AS trips FROM silver.trips").out
    t.ok("trips" in text and "50" in text, f"the text table: {text}")


def test_query_looks_back_in_time(t):
    data, folder = t.stream(months="2018-02", trips=600), t.dir / "in"
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    folder.mkdir()
    (folder / "events-1.ndjson").write_bytes(b"".join(lines[:1000]))
    t.run_once(folder)
    before = t.weir("query", "--data", t.dir / "lake", "-o", "json", "SELECT count(*) AS n FROM silver.trips").json[0]["n"]
    snapshot = catalog(t.dir / "lake").load_table(("silver", "trips")).current_snapshot().snapshot_id
    (folder / "events-2.ndjson").write_bytes(b"".join(lines[1000:]))
    t.run_once(folder)
    after = t.weir("query", "--data", t.dir / "lake", "-o", "json", "SELECT count(*) AS n FROM silver.trips").json[0]["n"]
    t.ok(after > before, f"{after} trips after the second file, {before} before")
    then = t.weir("query", "--data", t.dir / "lake", "-o", "json",
                  f"SELECT count(*) AS n FROM silver.trips AS OF VERSION {snapshot}").json[0]["n"]
    t.equal(then, before, "trips as of the first snapshot")


def test_ls_show_and_explain(t):
    data = t.stream(months="2018-02", trips=200)
    t.run_once(data / "events.ndjson")
    lake = t.dir / "lake"
    text = t.weir("ls", "--project", PROJECT, "--data", lake).out
    for name in (SOURCE, "silver.trips", "gold.city_hourly", "gold.driver_daily", "gold.surge_effect"):
        t.ok(name in text, f"ls does not list {name}:\n{text}")
    text = t.weir("show", "ledger", "--project", PROJECT, "--data", lake).out
    for word in ("received", "accepted", "rejected", "duplicate", "late", f"bronze.{SOURCE}"):
        t.ok(word in text, f"show ledger does not say {word}:\n{text}")
    text = t.weir("explain", "silver.trips", "--project", PROJECT).out
    t.ok("aggregate" in text, f"explain does not name the kind of work:\n{text}")


def test_explain_analyze_and_show_state(t):
    """What the stages of a model measured, and what is kept for them, of a lake at rest and of one at work."""
    data, lake = t.stream(months="2018-02", trips=300), t.dir / "lake"
    t.run_once(data / "events.ndjson")
    trips = t.weir("query", "SELECT count(*) AS n FROM silver.trips", "--data", lake, "-o", "json").json[0]["n"]
    rows = t.weir("query", f"SELECT count(*) AS n FROM bronze.{SOURCE}", "--data", lake, "-o", "json").json[0]["n"]
    measured = t.weir("explain", "silver.trips", "--analyze", "--project", PROJECT, "--data", lake, "-o", "json").json[0]["measured"]
    t.equal(measured["rows_in"], rows, "changed rows that silver.trips took")
    aggregate = next(stage for stage in measured["stages"] if stage["kind"] == "aggregate")
    t.equal(aggregate["memory_keys"], trips, "groups in memory")
    text = t.weir("explain", "silver.trips", "--analyze", "--project", PROJECT, "--data", lake).out
    t.ok("measured  since " in text and "did     " in text, f"explain --analyze:\n{text}")

    def entries():
        lines = t.weir("show", "state", "silver.trips", "--data", lake, "-o", "json").json
        return {line["what"]: line["entries"] for line in lines}

    kept = entries()
    t.equal(kept["where each row stands"], trips, f"rows in the index: {kept}")
    t.ok(kept["stage 0: aggregate"] >= trips, f"groups kept: {kept}")
    server, _ = serve(t)
    t.equal(entries(), kept, "the same while a server has the state")
    server.terminate()
    t.equal(server.wait(60 * PATIENCE), 0, "exit code of the server")
    t.ok(not list((lake / "tmp").glob("state-*")), "the copy is gone")
    done = t.weir("show", "state", "no.such", "--data", lake, code=2)
    t.ok("weir show state" in done.err, done.err)


def test_the_completed_sql_is_the_meaning(t):
    """`show sql` prints what DuckDB can run, and it gives what the lake holds."""
    data, lake = t.stream(months="2018-02", trips=600, correct=.05), t.dir / "lake"
    t.run_once(data / "events.ndjson")
    sql = t.weir("show", "sql", "silver.trips", "--project", PROJECT).out
    db = connect()
    db.execute("CREATE SCHEMA bronze")
    db.register("rows", read(lake, f"bronze.{SOURCE}"))
    db.execute(f"CREATE TABLE bronze.{SOURCE} AS SELECT * FROM rows")
    db.execute(f"CREATE TABLE completed AS {sql.strip().rstrip(';')}")
    db.register("trips", read(lake, "silver.trips"))
    db.execute("CREATE TABLE lake AS SELECT * FROM trips")
    wrong = difference(db, "lake", "completed", ["trip_id"])
    t.ok(not wrong, f"silver.trips against its completed SQL: {wrong}")


def test_show_names_a_changed_text_of_the_catalog(t):
    """Texts in catalog.db carry checksums: none that fails its own is shown, not even in part."""
    data = t.stream(months="2018-02", trips=200)
    t.run_once(data / "events.ndjson")
    lake = t.dir / "lake"
    with sqlite3.connect(lake / "catalog.db") as db:
        db.execute("UPDATE weir_models SET inputs = replace(inputs, 'bronze.', 'Bronze.') WHERE model = 'silver.trips'")
        db.execute("UPDATE weir_ledger SET line = replace(line, '\"accepted\":', '\"accepted\": ')")
        db.execute("UPDATE weir_epochs SET frontier = replace(frontier, '\"next\":', '\"next\": ')")
    for what, name in {"models": "silver.trips", "ledger": SOURCE, "epochs": "the frontier of epoch"}.items():
        done = t.weir("show", what, "--data", lake, code=1)
        t.ok("bad checksum" in done.err and name in done.err and "put back a copy" in done.err, f"show {what} does not say what is wrong: {done.err}{done.out}")


def test_a_project_from_nothing(t):
    t.weir("init", t.dir / "mine")
    t.ok((t.dir / "mine/weir.yml").exists(), "init made no weir.yml")
    t.ok("1 passed, 0 failed" in t.weir("test", "--project", t.dir / "mine").out, "the test that init wrote did not pass")
    t.weir("check", "--project", t.dir / "mine")
    t.ok(t.weir("init", t.dir / "mine", code=None).code != 0, "init over an existing project did not refuse")


def test_a_project_from_each_example(t):
    help = " ".join(t.weir("init", "--help").out.split())
    examples = sorted(file.parent.name for file in (ROOT / "examples").glob("*/weir.yml"))
    t.ok(len(examples) > 3, f"there are only the examples {examples}")
    for example in examples:
        t.ok(example in help, f"init --help does not list {example}: {help}")
        mine = t.dir / f"my_{example}"
        t.ok(f"weir generate {example}" in t.weir("init", mine, "--template", example).out, "init does not say how to go on")
        t.ok(f"name: my_{example}\n" in (mine / "weir.yml").read_text(), "the project has not its own name")
        files = {str(f.relative_to(mine)) for f in mine.rglob("*") if f.is_file()}
        source = ROOT / "examples" / example
        t.equal(files, {str(f.relative_to(source)) for f in source.rglob("*") if f.is_file() and f.relative_to(source).parts[0] not in ("taxi", "data")},
                f"files of {example}")
        t.weir("check", "--project", mine)
    done = t.weir("init", t.dir / "x", "--template", "froud", code=2)
    t.ok("did you mean fraud?" in done.err, f"no hint: {done.err}")
    fraud = t.dir / "my_fraud"
    t.weir("generate", "fraud", "--out", fraud, "--scale", ".01")
    report = t.weir("run", "--once", "--project", fraud, "-o", "json").json
    t.ok(report["received"] > 100, f"the generated input is not where the contracts look: {report}")


def test_a_moved_lake_is_noticed_and_relocated(t):
    data = t.stream(months="2018-02", trips=200)
    t.run_once(data / "events.ndjson")
    moved = t.dir / "moved"
    (t.dir / "lake").rename(moved)
    done = t.run_once(data / "events.ndjson", moved, code=1)
    t.ok("relocate" in done.err + done.out, f"a moved lake is not explained: {done.err}{done.out}")
    for reader in (["query", "SELECT count(*) FROM silver.trips"], ["ls"], ["show", "models"]):
        done = t.weir(*reader, "--data", moved, code=1)
        t.ok(f"weir relocate --data {moved}" in done.err, f"{done} of a moved lake does not say what to do: {done.err}")
    t.weir("relocate", "--data", moved)
    report = t.run_once(data / "events.ndjson", moved)
    t.equal(report["received"], 0, "records after relocation")
    check_all(t, moved, data)


def test_a_mistyped_path_of_a_source_is_told(t):
    done = t.run_once(t.dir / "no-such-folder/events.ndjson", code=1)
    t.ok("no-such-folder/events.ndjson" in done.err, f"the missing file is not named: {done.err}")


def test_the_generator_helps(t):
    t.weir("generate", "rides", "--help")
    t.ok("2019-06" in t.weir("generate", "rides", "--out", t.dir / "x", "--months", "1999-01", code=None).err, "unknown months are not explained")
    done = t.weir("generate", "rids", "--out", t.dir / "x", code=2)
    t.ok("rides" in done.err, f"no suggestion for a mistyped generator: {done.err}")
    done = t.weir("generate", "attribution", "--out", t.dir / "x", "--late", "0.3", code=2)
    t.ok("--late is an option of rides" in done.err, f"an option that says nothing is taken: {done.err}")


def test_tags_of_tables_and_columns_are_properties_that_every_reader_sees(t):
    project = t.dir / "tagged"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("taxi", "data"))
    model = project / "models/gold.riders.sql"

    def say(text):
        model.write_text(f"CREATE MATERIALIZED VIEW gold.riders {text} AS SELECT rider_id, count(*) AS trips FROM silver.trips GROUP BY rider_id")

    say("(rider_id COMMENT 'Who rode' WITH TAG (pii = 'id'), trips TAG (Unit = 'trips')) WITH TAG (owner = 'city team') COMMENT 'Riders'")
    data, lake = t.stream(months="2018-02", trips=100), t.dir / "lake"
    t.run_once(data / "events.ndjson", project=project)
    properties = catalog(lake).load_table(("gold", "riders")).properties
    t.equal({k: v for k, v in properties.items() if "tag" in k},
            {"weir.tag.owner": "city team", "weir.column-tag.rider_id.pii": "id", "weir.column-tag.trips.unit": "trips"}, "tags by PyIceberg")
    table = t.weir("show", "table", "gold.riders", "--data", lake, "-o", "json").json
    t.equal((table["tags"], table["comment"]), ({"owner": "city team"}, "Riders"), "tags of the table")
    t.equal([(c["name"], c["comment"], c["tags"]) for c in table["columns"]],
            [("rider_id", "Who rode", {"pii": "id"}), ("trips", "", {"unit": "trips"})], "tags of its columns")
    text = t.weir("show", "table", "Gold.Riders", "--data", lake).out
    t.ok("owner = 'city team'" in text and "pii = 'id'" in text, f"show table:\n{text}")
    # They follow the model, and the table stays.
    uuid = catalog(lake).load_table(("gold", "riders")).metadata.table_uuid
    say("(trips TAG (unit = 'rides')) WITH TAG (team = 'city')")
    t.run_once(data / "events.ndjson", project=project)
    after = catalog(lake).load_table(("gold", "riders"))
    t.equal({k: v for k, v in after.properties.items() if "tag" in k}, {"weir.tag.team": "city", "weir.column-tag.trips.unit": "rides"}, "changed tags")
    t.equal(after.metadata.table_uuid, uuid, "the table whose tags changed")
    say("(rider TAG (pii = 'id'))")
    t.contains(t.weir("check", "--project", project, code=1).err, "rider is not a column of the query", "a tag of an unknown column")
    for name in ("", "riders", "gold.rider"):
        t.contains(t.weir("show", "table", *[name] * bool(name), "--data", lake, code=2).err, "table", f"show table '{name}'")
