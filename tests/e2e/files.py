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
        process.wait(60 * PATIENCE)
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


GATED = """apiVersion: v3.1.0
kind: DataContract
id: conversions
name: conversions
version: 1.0.0
status: active
servers:
  - {server: files, type: local, path: 'data/conv-*.csv*', format: csv}
customProperties:
  - {property: weir.eventTime, value: at}
  - {property: weir.identity, value: [id]}
  - {property: weir.lateness, value: P30D}
  - {property: weir.expects, value: {every: PT1H, pattern: 'conv-{yyyyMMddHH}.csv'}}
schema:
  - name: conversions
    logicalType: object
    quality:
      - metric: rowCount
        mustBeBetween: [1, 1000]
        customProperties: [{property: weir.gate, value: file}]
    properties:
      - {name: id, logicalType: integer, required: true}
      - {name: at, logicalType: timestamp, required: true}
      - name: user_id
        logicalType: string
        quality:
          - metric: nullValues
            unit: percent
            mustBeLessThan: 2
            customProperties: [{property: weir.gate, value: file}]
          - metric: invalidValues
            arguments: {pattern: 'u[0-9]+'}
            mustBe: 0
            customProperties: [{property: weir.gate, value: file}]
"""
HOURS = """CREATE MATERIALIZED VIEW gold.complete_hours AS
SELECT a.interval_start, count(c.id) AS conversions
  FROM bronze."conversions$arrivals" a
  LEFT JOIN bronze.conversions c ON date_trunc('hour', c.at) = a.interval_start
 WHERE a.state = 'read' GROUP BY a.interval_start
"""
DAYS = """CREATE MATERIALIZED VIEW gold.days AS
SELECT date_trunc('day', interval_start) AS day, count(DISTINCT interval_start) AS hours,
       count(DISTINCT interval_start) = 24 AS complete
  FROM bronze."conversions$arrivals"
 WHERE state = 'read' GROUP BY ALL
"""


def gated_project(t):
    return make_project(t, **{"contracts/trips.odcs.yaml": None, "contracts/zones.odcs.yaml": None, "models/gold/city.sql": None,
                              "contracts/conversions.odcs.yaml": GATED, "models/gold/complete_hours.sql": HOURS, "models/gold/days.sql": DAYS})


def conversions(hour, users):
    return "id,at,user_id\n" + "".join(f"{hour * 1000 + i},2024-01-01T{hour:02d}:30:00Z,{user}\n" for i, user in enumerate(users))


def test_a_file_that_fails_its_gate_is_quarantined_whole(t):
    project, lake = gated_project(t), t.dir / "lake"
    data = project / "data"
    (data / "conv-2024010100.csv").write_text(conversions(0, [f"u{i}" for i in range(100)]))
    (data / "conv-2024010101.csv").write_text(conversions(1, [f"u{i}" if i % 25 < 12 else "" for i in range(100)]))
    (data / "conv-2024010102.csv").write_text(conversions(2, ["u1", "x2", "u3"]))
    (data / "conv-2024010103.csv").write_text(conversions(3, []))
    (data / "conv-2024010105.csv").write_text(conversions(5, ["u1"]))
    done = run(t, project, code=1)
    event = next(json.loads(line) for line in done.err.splitlines() if "file_quarantined" in line and "2024010101" in line)
    t.ok(event["path"].endswith("conv-2024010101.csv"), f"the event's path: {event}")
    t.ok("nullValues of user_id: 52 % null, expected < 2 %" in event["error"], f"the event's error: {event}")
    t.equal(sorted({r["id"] // 1000 for r in read(lake, "bronze.conversions").to_pylist()}), [0, 5], "hours whose records entered")
    t.equal(count(lake, "bronze.conversions$rejected"), 0, "rejected records of quarantined files")
    t.equal(ledger(t, "conversions")["received"], 101, "records received")

    def states():
        return sorted((r["interval_start"].hour, r["state"], r["rows"], r["accepted"]) for r in read(lake, "bronze.conversions$arrivals").to_pylist())

    want = [(0, "read", 100, 100), (1, "quarantined", 100, 0), (2, "quarantined", 3, 0), (3, "quarantined", 0, 0), (5, "read", 1, 1)]
    t.equal(states(), want, "arrivals")
    first = next(r for r in read(lake, "bronze.conversions$arrivals").to_pylist() if r["interval_start"].hour == 0)
    t.equal((first["size"], first["ordinal"], first["first_event_time"].isoformat(), first["interval_end"].hour),
            ((data / "conv-2024010100.csv").stat().st_size, 0, "2024-01-01T00:30:00+00:00", 1), "the first arrival")
    t.ok(first["discovered_at"] is not None and len(first["checksum"]) == 16, f"the first arrival: {first}")
    # Nothing new: nothing happens, and nothing is told again.
    again = run(t, project)
    t.ok("quarantined" not in again.err, f"told again: {again.err}")
    shown = t.weir("show", "arrivals", "conversions", "--data", lake, "-o", "json").json
    missing = [r["interval_start"] for r in shown if r["state"] == "incomplete"]
    t.equal([m[11:13] for m in missing], ["01", "02", "03", "04"], "intervals without a file that was read")
    hours = {r["interval_start"].hour: r["conversions"] for r in read(lake, "gold.complete_hours").to_pylist()}
    t.equal(hours, {0: 100, 5: 1}, "a model over arrivals")
    # Corrected: one under the same path, one under another name; an hour that was missing comes.
    (data / "conv-2024010101.csv").write_text(conversions(1, [f"u{i}" for i in range(100)]))
    (data / "conv-2024010102.csv.gz").write_bytes(gzip.compress(conversions(2, ["u1", "u2", "u3"]).encode()))
    (data / "conv-2024010104.csv").write_text(conversions(4, ["u4"]))
    run(t, project)
    hours = {r["interval_start"].hour: r["conversions"] for r in read(lake, "gold.complete_hours").to_pylist()}
    t.equal(hours, {0: 100, 1: 100, 2: 3, 4: 1, 5: 1}, "after the corrected files")
    shown = t.weir("show", "arrivals", "conversions", "--data", lake, "-o", "json").json
    t.equal([r["interval_start"][11:13] for r in shown if r["state"] == "incomplete"], ["03"], "intervals that are still incomplete")
    t.equal([(r["hours"], r["complete"]) for r in read(lake, "gold.days").to_pylist()], [(5, False)], "a day of which hours are missing")
    for hour in [3, *range(6, 24)]:
        (data / f"conv-20240101{hour:02d}.csv.gz").write_bytes(gzip.compress(conversions(hour, ["u9"]).encode()))
    run(t, project)
    t.equal([(r["hours"], r["complete"]) for r in read(lake, "gold.days").to_pylist()], [(24, True)], "a day of which all hours came")


def test_arrivals_count_what_a_file_gave_over_restarts_and_kills(t):
    rnd = random.Random(5)
    project, lake = make_project(t, **{"models/gold/city.sql": None, "contracts/zones.odcs.yaml": None}), t.dir / "lake"
    trips = [trip(rnd, i) for i in range(4000)]
    for i in range(4):
        write_trips(project / f"data/trips-{i}.csv", trips[i * 1000:(i + 1) * 1000] + trips[:10 * i])
    args = ["run", "--once", "--project", project, "--data", lake, "--set", "weir.step.rows=30", "--set", "weir.epoch.steps=2", "--set", "weir.lease=1s"]
    for _ in range(6):
        process = t.start(*args)
        time.sleep(rnd.uniform(0.2, 1.2 * PATIENCE))
        process.send_signal(signal.SIGKILL if rnd.random() < .5 else signal.SIGTERM)
        process.wait(60 * PATIENCE)
    run(t, project, "weir.lease=1s")
    arrivals = sorted((r["ordinal"], r["rows"], r["accepted"], r["duplicate"], r["state"]) for r in read(lake, "bronze.trips$arrivals").to_pylist())
    t.equal(arrivals, [(i, 1000 + 10 * i, 1000, 10 * i, "read") for i in range(4)], "arrivals")
    for row in read(lake, "bronze.trips$arrivals").to_pylist():
        own = sorted(r["at"] for r in trips[row["ordinal"] * 1000:(row["ordinal"] + 1) * 1000])
        t.equal([row[k].strftime("%Y-%m-%dT%H:%M:%SZ") for k in ("first_event_time", "last_event_time")], [own[0], own[-1]], f"event times of file {row['ordinal']}")


def test_a_broken_file_has_its_row_of_arrivals(t):
    project, lake = make_project(t, **{"models/gold/city.sql": None, "contracts/zones.odcs.yaml": None}), t.dir / "lake"
    path = project / "data/trips-1.csv.gz"
    rnd = random.Random(6)
    write_trips(path, [trip(rnd, i) for i in range(3000)])
    path.write_bytes(path.read_bytes()[:-2000])
    run(t, project, code=1)
    row = read(lake, "bronze.trips$arrivals").to_pylist()[0]
    t.equal((row["state"], row["rows"]), ("broken", count(lake, "bronze.trips")), "the arrival of a cut file")
    t.ok("the file is cut" in row["reason"], f"its reason: {row['reason']}")


def test_gates_hold_reference_data(t):
    gate = """        quality: [{metric: nullValues, mustBe: 0, customProperties: [{property: weir.gate, value: file}]}]
"""
    zones = ZONES.replace("      - {name: city, logicalType: string, required: true}\n", "      - name: city\n        logicalType: string\n" + gate)
    project, lake = make_project(t, **{"contracts/zones.odcs.yaml": zones}), t.dir / "lake"
    write_zones(project, {1: "Rome", 2: "Oslo"})
    run(t, project)
    write_zones(project, {1: "Bonn", 2: ""})
    for _ in range(2):
        done = run(t, project, code=1)
        t.ok("is quarantined: nullValues of city: 1 null, expected 0" in done.err, f"the alarm: {done.err}")
    t.equal({r["zone"]: r["city"] for r in read(lake, "bronze.zones").to_pylist()}, {1: "Rome", 2: "Oslo"}, "zones behind a gate")
    write_zones(project, {1: "Bonn", 2: "Riga"})
    run(t, project)
    t.equal({r["zone"]: r["city"] for r in read(lake, "bronze.zones").to_pylist()}, {1: "Bonn", 2: "Riga"}, "zones once the file is right")
    states = [(r["state"], r["rows"]) for r in read(lake, "bronze.zones$arrivals").to_pylist()]
    t.equal(sorted(states), [("quarantined", 2), ("read", 2), ("read", 2)], "arrivals of zones")


def test_drift_is_told_once(t):
    project, lake = make_project(t, **{"models/gold/city.sql": None, "contracts/zones.odcs.yaml": None}), t.dir / "lake"

    def drifts(done):
        return sorted((e["field"], e["what"].split(",")[0], e["records"], e["offset"]) for e in map(json.loads, done.err.splitlines()) if e.get("event") == "schema_drift")

    def put(n, header, rows):
        (project / f"data/trips-{n}.csv").write_text(header + "\n" + "".join(rows))

    at = "2024-01-01T00:00:00Z"
    put(1, "id;zone;at;fare;note", [f"{i};1;{at};1;x\n" for i in range(10)])
    t.equal(drifts(run(t, project)), [], "drifts of files as declared")
    put(2, "id;zone;at;fare;tip", [f"{i};1;{at};1;2\n" for i in range(10, 1510)])
    t.equal(drifts(run(t, project, "weir.step.rows=100")), [("note", "declared", 1000, 10), ("tip", "carried", 100, 10)], "drifts of a file with another column")
    put(3, "id;zone;at;fare;tip;app", [f"{i};1;{at};1;2;a\n" for i in range(2000, 3200)])
    t.equal(drifts(run(t, project)), [("app", "carried", 1200, 1510)], "drifts after a restart")
    contract = project / "contracts/trips.odcs.yaml"
    contract.write_text(contract.read_text().replace("version: 1.0.0", "version: 1.1.0"))
    put(4, "id;zone;at;fare;note;app", [f"4000;1;{at};1;x;a\n"])
    t.equal(drifts(run(t, project)), [("app", "carried", 1, 2710)], "drifts under another version of the contract")


def test_two_servers_of_a_contract_keep_their_files_apart(t):
    """After a restart neither knows, reads or counts the files of the other."""
    local = "  - server: files\n    type: local\n    path: data/trips*.csv*\n    format: csv\n    customProperties: [{property: weir.csv.delimiter, value: ';'}]\n"
    t.ok(local in EVENTS, "the contract has another server")
    both = EVENTS.replace(local, local + local.replace("server: files", "server: more").replace("data/trips", "more/trips"))
    project, lake = make_project(t, **{"contracts/trips.odcs.yaml": both, "models/gold/city.sql": None, "contracts/zones.odcs.yaml": None}), t.dir / "lake"
    (project / "more").mkdir()
    sent = 0

    def put(folder, n, rows):
        nonlocal sent
        (project / f"{folder}/trips-{n}.csv").write_text("id;zone;at;fare;note\n" + "".join(f"{sent + i};1;2024-01-01T00:00:00Z;1;x\n" for i in range(rows)))
        sent += rows

    for n in range(4):
        put("data", n, 10)
        put("more", n, 20)
        if n % 2:
            put("more", f"{n}-again", 5)
        t.equal(run(t, project).json["received"], 35 if n % 2 else 30, f"records of run {n}")
        line = ledger(t, "trips")
        t.equal((line["received"], line["accepted"], line["duplicate"]), (sent, sent, 0), f"the ledger after run {n}")
    t.equal(run(t, project).json["received"], 0, "records of a run without new files")
    rows = read(lake, "bronze.trips").to_pylist()
    t.equal(sorted(r["id"] for r in rows), list(range(sent)), "trips in bronze")
    for partition in {r["_partition"] for r in rows}:
        offsets = sorted(r["_offset"] for r in rows if r["_partition"] == partition)
        t.equal(offsets, list(range(len(offsets))), f"offsets of partition {partition}")


def test_parquet_files_are_events_and_reference_data(t):
    import datetime as dt
    from decimal import Decimal

    import pyarrow as pa
    import pyarrow.parquet as pq
    events = EVENTS.replace("data/trips*.csv*", "data/trips*.parquet").replace("format: csv", "format: parquet").replace("    customProperties: [{property: weir.csv.delimiter, value: ';'}]\n", "") \
        + "      - {name: tags, logicalType: array, items: {logicalType: string}}\n"
    zones = ZONES.replace("data/zones.csv, format: csv", "data/zones.parquet, format: parquet")
    project, lake = make_project(t, **{"contracts/trips.odcs.yaml": events, "contracts/zones.odcs.yaml": zones}), t.dir / "lake"
    rnd = random.Random(7)
    trips = [trip(rnd, i) for i in range(3000)]
    cities = {z: f"city {z % 7}" for z in range(40)}

    def table(rows):
        return pa.table({
            "id": pa.array([r["id"] for r in rows], pa.int32()), "zone": pa.array([r["zone"] for r in rows]),
            "at": pa.array([dt.datetime.fromisoformat(r["at"].replace("Z", "+00:00")) for r in rows], pa.timestamp("ns", "UTC")),
            "fare": pa.array([Decimal(r["fare"]) for r in rows], pa.decimal128(12, 2)), "note": [r["note"] or None for r in rows],
            "tags": pa.array([["a", r["note"], None] for r in rows], pa.list_(pa.string())), "more": pa.array([{"x": float("nan"), "b": b"\x00\xff"} for _ in rows])})

    def put_zones():
        pq.write_table(pa.table({"zone": list(cities), "city": list(cities.values())}), project / "data/zones.parquet")

    pq.write_table(table(trips[:2000]), project / "data/trips-1.parquet", row_group_size=300)
    pq.write_table(table([{**trips[0], "id": None}] + trips[2000:]), project / "data/trips-2.parquet", compression="zstd")
    whole = (project / "data/trips-1.parquet").read_bytes()
    (project / "data/trips-3.parquet").write_bytes(whole[: len(whole) // 2])
    put_zones()
    args = ["run", "--once", "--project", project, "--data", lake, "--set", "weir.step.rows=70", "--set", "weir.epoch.steps=2", "--set", "weir.lease=1s"]
    for _ in range(4):
        process = t.start(*args)
        time.sleep(rnd.uniform(0.3, 1.5 * PATIENCE))
        process.send_signal(signal.SIGKILL)
        process.wait(60 * PATIENCE)
    run(t, project, "weir.lease=1s", code=None)
    bronze = {r["id"]: r for r in read(lake, "bronze.trips").to_pylist()}
    t.equal(len(bronze), 3000, "trips in bronze")
    for row in trips:
        got = bronze[row["id"]]
        t.equal((got["zone"], f"{got['fare']:.2f}", got["note"], got["at"].strftime("%Y-%m-%dT%H:%M:%SZ"), got["tags"]), (row["zone"], row["fare"], row["note"] or None, row["at"], ["a", row["note"], None]), f"trip {row['id']}")
    t.equal(json.loads(bronze[0]["_extra"]), {"more": {"b": "AP8=", "x": "NaN"}}, "what the contract does not declare")
    rejected = read(lake, "bronze.trips$rejected").to_pylist()
    t.equal([(r["reason"], r["field"], r["_offset"], json.loads(r["_raw"])["zone"]) for r in rejected], [("missing_field", "id", 2000, trips[0]["zone"])], "rejected rows")
    states = {r["path"].rsplit("/", 1)[1]: r["state"] for r in read(lake, "bronze.trips$arrivals").to_pylist()}
    t.equal(states, {"trips-1.parquet": "read", "trips-2.parquet": "read", "trips-3.parquet": "broken"}, "arrivals")
    t.equal(gold_city(lake), expected_city(trips, cities), "gold.city")
    cities.update({z: "Oslo" for z in range(0, 40, 3)})
    put_zones()
    run(t, project)
    t.equal(gold_city(lake), expected_city(trips, cities), "gold.city after zones moved")
