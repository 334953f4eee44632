"""Memory while the identities that must be remembered grow: memory, memory-100m."""
import shutil

from common import DATA, PYTHON, WEIR, Goal, benchmark, call, measure

CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: 0d5bb0f4-5a41-4f0b-8d8b-6c2f8f1d3a77
name: slim
version: 1.0.0
status: active
customProperties:
  - {property: weir.eventTime, value: at}
  - {property: weir.lateness, value: PT48H}
  - {property: weir.identity, value: [id]}
  - {property: weir.order, value: [id]}
schema:
  - name: slim
    logicalType: object
    physicalType: topic
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: at, logicalType: timestamp, required: true}
"""

# Ids in no order (the number itself keeps them distinct); times within 60 hours, so that none is ever forgotten.
INPUT = """
import duckdb, sys
rows, out = int(sys.argv[1]), sys.argv[2]
db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute(f'''COPY (SELECT printf('%08x%08x', i * 2654435761 % 4294967296, i) AS id,
  strftime(make_timestamp(1704067200000000 + i * 216000000 // {rows} * 1000), '%Y-%m-%dT%H:%M:%S.%gZ') AS at
  FROM range({rows}) t(i)) TO '{out}' (FORMAT json)''')
"""
CHECK = """
import sys, duckdb
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from answer import Reader, connect, register
rows, lake = int(sys.argv[1]), sys.argv[2]
db = connect()
register(db, "got", Reader(lake).table("bronze.slim"))
got = db.execute("SELECT count(*), sum(CAST(hash(id) AS HUGEINT)) FROM got").fetchone()
want = db.execute(f"SELECT count(*), sum(CAST(hash(printf('%08x%08x', i * 2654435761 % 4294967296, i)) AS HUGEINT)) FROM range({rows}) t(i)").fetchone()
sys.exit(0 if got == want else f"answer: bronze.slim: {got}, want {want}")
"""


def run(b, rows):
    """One run into an empty lake, its rows checked, then a restart that finds nothing new; (first, restart)."""
    from bench_rides import HERE
    project = b.work / "slim"
    if not project.exists():
        (project / "contracts").mkdir(parents=True)
        (project / "weir.yml").write_text("name: slim\nconfiguration:\n  weir.epoch.interval: 5 seconds\n")
        (project / "contracts/slim.odcs.yaml").write_text(CONTRACT)
    events = DATA / f"slim-{rows}.ndjson"
    if not events.exists():
        b.say(f"making {events.name}")
        DATA.mkdir(parents=True, exist_ok=True)
        call([PYTHON, "-c", INPUT, rows, f"{events}.part.json"])
        events.with_name(events.name + ".part.json").rename(events)
    lake = b.work / "lake"
    command = [WEIR, "run", "--once", "--project", project, "--data", lake, "--source", f"slim={events}", "-o", "json",
               "--set", f"weir.memory.max={b.o.memory_max}"]
    first = measure(command)
    ledger = first.json["ledger"][0]
    b.check(ledger["received"] == ledger["accepted"] == rows, f"ledger: {ledger}, want {rows} accepted")
    call([PYTHON, "-c", CHECK, rows, lake, HERE])
    again = measure(command)
    b.check(again.json["received"] == 0, f"a second run took in {again.json['received']} records")
    shutil.rmtree(lake)
    if rows > 10_000_000:
        events.unlink()
    return first, again


def figures(b, sizes):
    found = {}
    for name, rows in sizes:
        first, again = run(b, rows)
        b.say(f"{name}: {rows / first.wall_s:,.0f} events/s, peak RSS {first.peak_rss_bytes / 1e6:.0f} MB, after a restart {again.peak_rss_bytes / 1e6:.0f} MB in {again.wall_s:.2f} s")
        found |= {f"peak_rss_{name}_mb": first.peak_rss_bytes / 1e6, f"restart_rss_{name}_mb": again.peak_rss_bytes / 1e6, f"restart_{name}_s": again.wall_s,
                  f"events_per_s_{name}": rows / first.wall_s, f"cpu_us_per_event_{name}": first.cpu_s / rows * 1e6}
    return found


def rows_of(name):
    """"20k" -> 20000"""
    return int(name[:-1]) * {"k": 1_000, "m": 1_000_000}[name[-1]]


def options(sizes):
    def add(p):
        p.add_argument("--memory-max", default="1GB", help="weir.memory.max (default: 1GB)")
        p.add_argument("--sizes", default=sizes, help=f"numbers of identities: 20k, 5m (default: {sizes})")
    return add


@benchmark("memory", work="peak RSS while 1 M and 10 M identities are remembered (events of an id and a time), weir.memory.max 1 GB",
           goals=[Goal("peak_rss_mb", "<=", 1000), Goal("restart_rss_mb", "<=", 1000)], options=options("1m,10m"))
def memory(b):
    """No identity is ever old enough to be forgotten. `growth` is the last size's peak over the first's: 1 when memory is flat.
    The goals are for the largest size; `restart_…` is a second run on the same data directory that finds nothing new."""
    sizes = b.o.sizes.split(",")
    found = figures(b, [(name, rows_of(name)) for name in sizes])
    largest = {key: max(found[f"{key.removesuffix('_mb')}_{name}_mb"] for name in sizes) for key in ("peak_rss_mb", "restart_rss_mb")}
    growth = {"growth": found[f"peak_rss_{sizes[-1]}_mb"] / found[f"peak_rss_{sizes[0]}_mb"]} if len(sizes) > 1 else {}
    return {"figures": largest | growth | found,
            "parameters": {"weir.memory.max": b.o.memory_max, "sizes": b.o.sizes}}


benchmark("memory-100m", work="the same with 100 M identities", in_all=False, options=options("100m"),
          goals=[Goal("peak_rss_mb", "<=", 1000), Goal("restart_rss_mb", "<=", 1000)])(memory)
