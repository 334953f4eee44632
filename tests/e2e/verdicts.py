"""The edges of the verdict rule, each case a source of its own: one file a record, whose modification time is the arrival."""
import datetime as dt
import json
import os

from answers import read, table_names
from harness import SHARED

START = dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)

CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: edges
name: edges
version: 1.0.0
status: active
servers:
  - {{server: files, type: local, path: in, format: ndjson}}
customProperties:
  - {{property: weir.eventTime, value: at}}
  - {{property: weir.lateness, value: PT48H}}
  - {{property: weir.identity, value: [id]}}
{allowance}schema:
  - name: edges
    logicalType: object
    properties:
      - {{name: id, logicalType: string, required: true}}
      - {{name: at, logicalType: timestamp, required: true}}
      - {{name: n, logicalType: integer}}
"""

# Used where the shared cases are not at hand; the same form, times in minutes.
OWN = [
    {"name": "on the watermark is not late, below it is", "W": 7120,
     "records": [["a", 10000, "accepted"], ["b", 7120, "accepted"], ["c", 7119, "late"], ["c", 7119, "duplicate"]]},
    {"name": "memory ends when the watermark has advanced by 72 hours", "W": 11440,
     "records": [["a", 10000, "accepted"], ["b", 14319, "accepted"], ["a", 10000, "duplicate"], ["c", 14320, "accepted"], ["a", 10000, "late"]]},
    {"name": "the future moves no watermark", "allowance": 5, "W": 7120,
     "records": [["a", 10000, 10000, "accepted"], ["f", 30000, 10001, "accepted"], ["b", 7120, 10002, "accepted"], ["c", 7119, 10003, "late"]]},
]


def stamp(minutes):
    return (START + dt.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_case(folder, case):
    (folder / "contracts").mkdir(parents=True)
    (folder / "in").mkdir()
    (folder / "weir.yml").write_text("name: edges\n")
    allowance = f"  - {{property: weir.futureAllowance, value: PT{case['allowance']}M}}\n" if "allowance" in case else ""
    (folder / "contracts/edges.odcs.yaml").write_text(CONTRACT.format(allowance=allowance))
    for i, (id, at, *arrival, _) in enumerate(case["records"]):
        path = folder / f"in/{i:03d}.ndjson"
        path.write_text(json.dumps({"id": id, "at": None if at is None else stamp(at), "n": i}) + "\n")
        if arrival:
            when = (START + dt.timedelta(minutes=arrival[0])).timestamp()
            os.utime(path, (when, when))


def verdicts_of(lake, records):
    """The verdict of each record, by the table its offset stands in."""
    found, names = {}, table_names(lake)
    for table, verdict in (("edges", "accepted"), ("edges$rejected", "rejected"), ("edges$late", "late")):
        if f"bronze.{table}" in names:
            for offset in read(lake, f"bronze.{table}").column("_offset").to_pylist():
                found[offset] = verdict
    return [found.get(i, "duplicate") for i in range(records)]


def check_case(t, case, n, sets):
    project, lake = t.dir / f"project{n}", t.dir / f"lake{n}"
    write_case(project, case)
    args = ["run", "--once", "--project", project, "--data", lake, "-o", "json"]
    t.weir(*args, *[x for s in sets for x in ("--set", s)])
    want = [r[-1] for r in case["records"]]
    t.equal(verdicts_of(lake, len(want)), want, f"verdicts of the case '{case['name']}' with {sets}")


def test_every_edge_of_the_verdict_rule(t):
    shared = SHARED / "data/verdicts.json"
    cases = json.loads(shared.read_text())["cases"] if shared.exists() else OWN
    for n, case in enumerate(cases):
        check_case(t, case, n, ["weir.step.rows=1"] if n % 2 else [])


def test_verdicts_do_not_depend_on_where_a_run_ends(t):
    """The same cases with a run, a restart and a restored memory after every record."""
    shared = SHARED / "data/verdicts.json"
    cases = json.loads(shared.read_text())["cases"] if shared.exists() else OWN
    for n, case in enumerate(cases[3:12] if len(cases) > 12 else cases):
        project, lake = t.dir / f"project{n}", t.dir / f"lake{n}"
        write_case(project, case)
        files = sorted((project / "in").iterdir())
        for f in files:
            f.rename(f.with_suffix(".tmp"))
        for f in files:
            f.with_suffix(".tmp").rename(f)
            t.weir("run", "--once", "--project", project, "--data", lake)
        want = [r[-1] for r in case["records"]]
        t.equal(verdicts_of(lake, len(want)), want, f"verdicts of the case '{case['name']}' with a restart after every record")


def test_partitions_that_begin_or_wake_later_start_at_the_watermark(t):
    """In minutes: W is the newest accepted event time less 2880 (48 hours), of the whole source the least of the active partitions."""
    project, lake = t.dir / "project", t.dir / "lake"
    write_case(project, {"records": []})
    contract = project / "contracts/edges.odcs.yaml"
    contract.write_text(contract.read_text().replace("path: in,", "path: 'in/p{partition}-*.ndjson',"))

    def deliver(name, *times):
        (project / "in" / name).write_text("".join(json.dumps({"id": f"{name}/{i}", "at": stamp(at), "n": i}) + "\n" for i, at in enumerate(times)))

    def late():
        if "bronze.edges$late" not in table_names(lake):
            return []
        return sorted(row["id"] for row in read(lake, "bronze.edges$late").select(["id"]).to_pylist())

    def run():
        t.weir("run", "--once", "--project", project, "--data", lake)

    # Two partitions that begin together each have a watermark of their own.
    deliver("p0-a.ndjson", 10000, 7120), deliver("p1-a.ndjson", 50, 20000)
    run()
    t.equal(late(), [], "late records of partitions that begin together")
    # A third begins when both are read to their end: at the watermark they leave, 17120.
    deliver("p2-a.ndjson", 17119, 17120)
    run()
    t.equal(late(), ["p2-a.ndjson/0"], "late records once a new partition began")
    # The first wakes: it is no longer judged by its own 7120.
    deliver("p0-b.ndjson", 17119, 17120)
    run()
    t.equal(late(), ["p0-b.ndjson/0", "p2-a.ndjson/0"], "late records once a partition woke")
    # Waking again changes nothing, and a second run of everything neither.
    run()
    t.equal(late(), ["p0-b.ndjson/0", "p2-a.ndjson/0"], "late records of a run in which nothing arrived")
