"""Files as sources: CSV events, reference data that change, and what becomes of every record and every file."""
import csv
import gzip
import json
import random
import signal
import time

from answers import count, read
from harness import PATIENCE

EVENTS = """apiVersion: v3.1.0
kind: DataContract
id: trips
name: trips
version: 1.0.0
status: active
servers:
  - server: files
    type: local
    path: data/trips*.csv*
    format: csv
    customProperties: [{property: weir.csv.delimiter, value: ';'}]
customProperties:
  - {property: weir.eventTime, value: at}
  - {property: weir.lateness, value: P3650D}
  - {property: weir.identity, value: [id]}
schema:
  - name: trips
    logicalType: object
    properties:
      - {name: id, logicalType: integer, required: true}
      - {name: zone, logicalType: integer, required: true}
      - {name: at, logicalType: timestamp, required: true}
      - {name: fare, logicalType: number, physicalType: "decimal(10,2)"}
      - {name: note, logicalType: string}
"""
ZONES = """apiVersion: v3.1.0
kind: DataContract
id: zones
name: zones
version: 1.0.0
status: active
servers:
  - {server: files, type: local, path: data/zones.csv, format: csv}
customProperties:
  - {property: weir.kind, value: reference}
  - {property: weir.identity, value: [zone]}
schema:
  - name: zones
    logicalType: object
    properties:
      - {name: zone, logicalType: integer, required: true}
      - {name: city, logicalType: string, required: true}
"""
CITY = """CREATE MATERIALIZED VIEW gold.city AS
SELECT z.city, count(*) AS trips, sum(t.fare) AS fares
  FROM bronze.trips t LEFT JOIN bronze.zones z ON z.zone = t.zone
 GROUP BY z.city
"""


def make_project(t, **files):
    """A project folder; `files` are contracts and models by name, replacing those above or beside them."""
    project = t.dir / "project"
    texts = {"contracts/trips.odcs.yaml": EVENTS, "contracts/zones.odcs.yaml": ZONES, "models/gold/city.sql": CITY, "weir.yml": "name: files\n", **files}
    (project / "data").mkdir(parents=True)
    for name, text in texts.items():
        if text is None:
            continue
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def run(t, project, *sets, code=0, verb=("run", "--once")):
    args = [*verb, "--project", project, "--data", t.dir / "lake", "-o", "json"]
    return t.weir(*args, *[x for s in sets for x in ("--set", s)], code=code)


def trip(rnd, i):
    return {"id": i, "zone": rnd.randrange(40), "at": f"2024-01-{1 + i % 28:02d}T{i % 24:02d}:00:00Z", "fare": f"{rnd.randrange(10000) / 100:.2f}",
            "note": rnd.choice(["", "a;b", 'say "hi"', "two\nlines", "plain", "  blanks  ", "ümlaut"])}


def write_trips(path, rows, newline="\n", bom=False):
    opened = gzip.open(path, "wt", encoding="utf-8", newline="") if path.suffix == ".gz" else open(path, "w", encoding="utf-8", newline="")
    with opened as f:
        if bom:
            f.write("\ufeff")
        w = csv.DictWriter(f, ["id", "zone", "at", "fare", "note"], delimiter=";", lineterminator=newline)
        w.writeheader()
        w.writerows(rows)


def write_zones(project, zones):
    path = project / "data/zones.csv"
    part = path.with_suffix(".part")
    with open(part, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["zone", "city"])
        w.writerows(sorted(zones.items()))
    part.rename(path)


def expected_city(trips, zones):
    out = {}
    for row in trips:
        n, cents = out.get(zones.get(row["zone"]), (0, 0))
        out[zones.get(row["zone"])] = (n + 1, cents + round(float(row["fare"]) * 100))
    return out


def gold_city(lake):
    return {r["city"]: (r["trips"], round(float(r["fares"]) * 100)) for r in read(lake, "gold.city").to_pylist()}


def ledger(t, source):
    rows = t.weir("show", "ledger", "--data", t.dir / "lake", "-o", "json").json
    return next(r for r in rows if r["source"] == source)


def test_csv_events_and_reference_data_give_the_known_answer(t):
    rnd = random.Random(1)
    project, lake = make_project(t), t.dir / "lake"
    trips = [trip(rnd, i) for i in range(3000)]
    zones = {z: f"city {z % 7}" for z in range(36)}  # four zones have no city
    write_trips(project / "data/trips-1.csv", trips[:1000], newline="\r\n", bom=True)
    write_trips(project / "data/trips-2.csv.gz", trips[900:2000])  # a hundred come again
    write_zones(project, zones)
    run(t, project, "weir.step.rows=100", "weir.epoch.steps=3")
    bronze = {r["id"]: r for r in read(lake, "bronze.trips").to_pylist()}
    t.equal(len(bronze), 2000, "trips in bronze")
    for row in trips[:2000]:
        got = bronze[row["id"]]
        t.equal((got["zone"], f"{got['fare']:.2f}", got["note"]), (row["zone"], row["fare"], row["note"] or None), f"trip {row['id']}")
    t.equal(ledger(t, "trips")["duplicate"], 100, "duplicates")
    t.equal(gold_city(lake), expected_city(trips[:2000], zones), "gold.city")
    # Zones move: gold of trips that came long ago moves with them, and zones that are gone leave.
    for z in range(0, 36, 3):
        zones[z] = f"city {(z + 1) % 7}"
    del zones[5]
    zones[38] = "a new city"
    write_zones(project, zones)
    write_trips(project / "data/trips-3.csv", trips[2000:])
    run(t, project)
    t.equal({r["zone"]: r["city"] for r in read(lake, "bronze.zones").to_pylist()}, zones, "bronze.zones")
    t.equal(gold_city(lake), expected_city(trips, zones), "gold.city after zones moved")
    t.equal(run(t, project).json["received"], 0, "records of a run in which nothing changed")
    counted = ledger(t, "zones")
    t.equal((counted["received"], counted["accepted"], counted["rows"]), (72, 72, 36), "the ledger of zones")


def test_broken_csv_is_counted_and_kept(t):
    project, lake = make_project(t), t.dir / "lake"
    write_zones(project, {})
    header, good = "id;zone;at;fare;note", "2024-01-01T00:00:00Z;1.50;x"
    data = project / "data"
    (data / "trips-a.csv").write_bytes(f"{header}\n1;1;{good}\n2;1\n3;1;{good};more\nx;1;{good}\n4;1;{good}\"\n\n5;1;{good[:-1]}\"y\"z\n".encode() + b"6;1;\xff\n")
    (data / "trips-b.csv").write_text(f"{header};id\n7;1;{good};7\n")  # a name twice
    (data / "trips-c.csv").write_text("id;at;extra\n8;2024-01-01T00:00:00Z;e\n")  # a required column is missing
    (data / "trips-d.csv").write_text("")
    (data / "trips-e.csv").write_text(header + "\n")
    (data / "trips-f.csv").write_text(f"{header}\n9;1;{good}\n10;1;2024-01-01T00:00:00Z;1;\"never\n11;1;{good}\n")
    report = run(t, project).json
    line = next(s for s in report["ledger"] if s["source"] == "trips")
    t.equal((line["received"], line["accepted"]), (11, 3), "records received and accepted")
    t.equal(line["rejected_by_reason"], {"not_csv": 6, "wrong_type": 1, "missing_field": 1}, "reasons")
    t.equal(sorted(r["id"] for r in read(lake, "bronze.trips").to_pylist()), [1, 4, 9], "accepted trips")
    rejected = {r["_offset"]: r for r in read(lake, "bronze.trips$rejected").to_pylist()}
    t.equal(rejected[1]["_raw"], b"2;1", "bytes of a record with too few fields")
    t.ok("2 fields; there are 5 columns" in rejected[1]["actual"], f"why it was refused: {rejected[1]['actual']}")
    t.ok("names 'id' twice" in rejected[7]["actual"], f"why a record of trips-b was refused: {rejected[7]['actual']}")
    t.equal((rejected[8]["reason"], rejected[8]["field"], rejected[8]["actual"]), ("missing_field", "zone", "absent"), "a file without a required column")
    t.equal(rejected[10]["_raw"], f"10;1;2024-01-01T00:00:00Z;1;\"never\n11;1;{good}\n".encode(), "what follows a quote that is never closed")


def test_an_unreadable_header_breaks_the_file_alone(t):
    project = make_project(t)
    write_zones(project, {})
    (project / "data/trips-a.csv").write_text('id;"zone\n1;1\n')
    write_trips(project / "data/trips-b.csv", [trip(random.Random(2), 1)])
    done = run(t, project, code=1)
    t.ok("trips-a.csv: the header is not CSV: the quote at byte 3 is not closed" in done.err + done.out, f"the fault: {done.err}{done.out}")
    t.equal(count(t.dir / "lake", "bronze.trips"), 1, "trips of the other file")


def test_reference_data_hold_the_last_good_content(t):
    project, lake = make_project(t), t.dir / "lake"
    path = project / "data/zones.csv"

    def zones():
        return {r["zone"]: r["city"] for r in read(lake, "bronze.zones").to_pylist()}

    done = run(t, project, code=1)
    t.ok(f"there is no {path}" in done.out and "stays empty" in done.out, f"no file at all: {done.out}")
    write_zones(project, {1: "Rome", 2: "Oslo"})
    run(t, project)
    path.unlink()
    done = run(t, project, code=1)
    t.ok("keeps the rows of the last good content" in done.out, f"the file is gone: {done.out}")
    t.equal(zones(), {1: "Rome", 2: "Oslo"}, "zones without their file")
    path.write_text('zone,"city\n1,Bonn\n')
    t.ok("the header is not CSV" in run(t, project, code=1).out, "the file is broken")
    t.equal(zones(), {1: "Rome", 2: "Oslo"}, "zones with a broken file")
    path.write_text("zone,city\n1,Bonn\n1,Riga\nx,Wien\n3,Nice\n")
    run(t, project)
    t.equal(zones(), {1: "Bonn", 3: "Nice"}, "zones of a file with bad records")
    reasons = [(r["reason"], r["expected"], r["actual"]) for r in read(lake, "bronze.zones$rejected").to_pylist()]
    t.equal(reasons[0], ("duplicate_key", "each key once; this one stands in record 1 of zones.csv", "record 2 of zones.csv"), "a key that stands twice")
    t.equal([r[0] for r in reasons], ["duplicate_key", "wrong_type"], "reasons")


def test_kills_leave_reference_data_and_models_exact(t):
    rnd = random.Random(3)
    project, lake = make_project(t), t.dir / "lake"
    trips = [trip(rnd, i) for i in range(6000)]
    zones = {z: f"city {z % 7}" for z in range(40)}
    sets = ["--set", "weir.step.rows=50", "--set", "weir.epoch.steps=2", "--set", "weir.lease=1s"]
    args = ["run", "--once", "--project", project, "--data", lake, *sets]
    kills = 0
    for i in range(12):
        for z in rnd.sample(sorted(zones), 10):
            zones[z] = f"city {rnd.randrange(9)}"
        write_zones(project, zones)
        write_trips(project / f"data/trips-{i:02d}.csv", trips[i * 500:(i + 1) * 500])
        process = t.start(*args)
        time.sleep(rnd.uniform(0.05, 1.5 * PATIENCE))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    t.ok(kills > 0, "no run was killed before its end")
    run(t, project, "weir.lease=1s")
    t.equal({r["zone"]: r["city"] for r in read(lake, "bronze.zones").to_pylist()}, zones, f"bronze.zones after {kills} kills")
    t.equal(gold_city(lake), expected_city(trips, zones), f"gold.city after {kills} kills")


def test_a_running_server_follows_the_files(t):
    rnd = random.Random(4)
    project, lake = make_project(t), t.dir / "lake"
    trips = [trip(rnd, i) for i in range(100)]
    zones = {z: "Rome" for z in range(40)}
    write_zones(project, zones)
    write_trips(project / "data/trips-1.csv", trips)
    process = t.start("up", "--port", "0", "--project", project, "--data", lake, "--set", "weir.file.quiet=500ms", "--set", "weir.epoch.interval=200ms")

    def wait_for(want, what):
        end, got = time.monotonic() + 30 * PATIENCE, None
        while time.monotonic() < end:
            time.sleep(.2)
            t.equal(process.poll(), None, "the server")
            try:
                got = gold_city(lake)
            except Exception:  # the lake is being made
                continue
            if got == want:
                return
        t.equal(got, want, what)

    wait_for(expected_city(trips, zones), "gold.city of the first content")
    zones.update({z: "Oslo" for z in range(0, 40, 2)})
    write_zones(project, zones)
    wait_for(expected_city(trips, zones), "gold.city after the zones changed")
    process.send_signal(signal.SIGTERM)
    t.equal(process.wait(60 * PATIENCE), 0, "exit code of the server")


def test_contracts_of_files_are_checked(t):
    faults = {
        "format: xml": ("format: csv", "the format 'xml' is not read"),
        "weir.csv.delimiter, value: ';;'": ("weir.csv.delimiter, value: ';'", "weir.csv.delimiter is ';;'"),
        "weir.csv.separator": ("weir.csv.delimiter", "weir.csv.separator is not known on a server"),
        "value: '\"'": ("value: ';'", "the delimiter is the quote, too"),
    }
    for wrong, (right, message) in faults.items():
        t.ok(right in EVENTS, f"the contract has no {right}")
        done = check(t, {"contracts/trips.odcs.yaml": EVENTS.replace(right, wrong)})
        t.ok(message in done.err, f"{wrong}: {done.err}")
    done = check(t, {"contracts/zones.odcs.yaml": ZONES.replace("  - {property: weir.identity, value: [zone]}\n", "")})
    t.ok("reference data without weir.identity" in done.err, f"no key: {done.err}")
    done = check(t, {"contracts/zones.odcs.yaml": ZONES.replace("weir.kind, value: reference}", "weir.kind, value: reference}\n  - {property: weir.lateness, value: PT1H}")})
    t.ok("weir.lateness of reference data" in done.err, f"a lateness: {done.err}")


def check(t, files):
    project = make_project(t, **files)
    done = t.weir("check", "--project", project, code=1)
    project.rename(t.dir / f"checked{len(list(t.dir.iterdir()))}")
    return done
