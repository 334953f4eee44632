"""What an epoch of the whole process costs while history grows: ivm-epochs.

`weir up` gets 1,000 changes of rows (updates, one of ten a deletion) in one request; AUTO CDC keeps `silver.t`, the newest state
of each row, and a model of one kind reads it. With weir.epoch.steps = 1 a request is an epoch, so nothing waits for an interval:
an epoch's time goes from before the request to the commit that a poll of catalog.db sees. Its CPU and bytes are all that the
process spends from there until it rests, compactions and merges of small files included.
"""
import http.client
import json
import os
import re
import shutil
import sqlite3
import time
from pathlib import Path

import epochs_rows
import svg
from common import DATA, PYTHON, ROOT, WEIR, Goal, Server, Wrong, benchmark, call, percentile, wait_until

PICTURES = ROOT / "docs/pictures"
SIZES = {"wide": (10_000, 1_000_000, 3_000_000), "deep": (10_000, 1_000_000)}
FULL_SIZES = (10_000, 100_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
WARM, ROWS = 2, epochs_rows.ROWS
GROWTH_MAX = 2
MEASURES = ("wall_ms", "cpu_ms", "bytes")
# `row_number` renumbers the rows behind the one that changed: no way of keeping it is flat.
MUST_GROW = {("row-number", "middle"): "every row behind the one that changed has another number"}

# The kinds of bench/ivm.cc: their query, and whether they are measured with rows per key too. The judge's query, where DuckDB lacks
# a word of ours.
KINDS = {
    "append": ("SELECT c, id, n * 2 AS m, lower(s) AS l FROM bronze.t WHERE n % 10 <> 0", False),
    "cdc": (None, False),
    "row-wise": ("SELECT id, n * 2 AS m, lower(s) AS l FROM silver.t WHERE n % 10 <> 0", False),
    "distinct": ("SELECT DISTINCT k, n % 100 AS c FROM silver.t", False),
    "aggregate": ("SELECT k, count(*) AS c, sum(n) AS s, avg(x) AS a, max(n) AS m FROM silver.t GROUP BY k", True),
    "count-distinct": ("SELECT k, count(DISTINCT n) AS c FROM silver.t GROUP BY k", True),
    "tumble": ("SELECT k % 100 AS g, window_start, count(*) AS c FROM TUMBLE(TABLE silver.t, DESCRIPTOR(ts), INTERVAL '1 minute') GROUP BY ALL", False),
    "top": ("SELECT id, k, n FROM silver.t QUALIFY row_number() OVER (PARTITION BY k ORDER BY ts DESC, id) <= 3", True),
    "join": ("SELECT t.id, t.n, d.m FROM silver.t AS t JOIN bronze.d AS d ON t.k = d.k", True),
    "outer-join": ("SELECT t.id, t.n, d.m FROM silver.t AS t LEFT JOIN bronze.d AS d ON t.k = d.k AND t.n > d.m", True),
    "as-of": ("SELECT t.id, d.m FROM silver.t AS t ASOF LEFT JOIN bronze.d AS d ON t.k = d.k AND t.ts >= d.ts", True),
    "temporal": ("SELECT id, k FROM silver.t WHERE ts > watermark() - INTERVAL '400 days'", False),
    "row-number": ("SELECT id, row_number() OVER (PARTITION BY k ORDER BY ts, id) AS r FROM silver.t", True),
    "lag": ("SELECT id, lag(n) OVER (PARTITION BY k ORDER BY ts, id) AS p FROM silver.t", True),
    "moving-frame": ("SELECT id, sum(n) OVER (PARTITION BY k ORDER BY ts, id ROWS BETWEEN 5 PRECEDING AND CURRENT ROW) AS s FROM silver.t", True),
    "session": ("SELECT k, window_start, window_end, count(*) AS c FROM SESSION(TABLE silver.t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '30 minutes') GROUP BY ALL", True),
    "correlated-top": ("SELECT d.k, (SELECT t.id FROM silver.t AS t WHERE t.k = d.k ORDER BY t.ts DESC, t.id LIMIT 1) AS newest FROM bronze.d AS d", True),
}
JUDGE = {
    "cdc": "SELECT * FROM silver.t",
    "tumble": "SELECT k % 100 AS g, time_bucket(INTERVAL '1 minute', ts) AS window_start, count(*) AS c FROM silver.t GROUP BY ALL",
    "temporal": "SELECT id, k FROM silver.t",  # the watermark is years behind
    "session": ("SELECT k, min(ts) AS window_start, max(ts) + INTERVAL '30 minutes' AS window_end, count(*) AS c FROM (SELECT k, ts, sum(begins) OVER (PARTITION BY k ORDER BY "
                "ts) AS n FROM (SELECT k, ts, CAST(coalesce(ts - lag(ts) OVER (PARTITION BY k ORDER BY ts) > INTERVAL '30 minutes', true) AS INTEGER) AS begins FROM silver.t) AS r) AS r "
                "GROUP BY k, n"),
}

CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: 1.0.0
status: active
servers: [{{server: gateway, type: http}}]
customProperties:
  - {{property: weir.eventTime, value: ts}}
  - {{property: weir.lateness, value: P2000D}}
  - {{property: weir.identity, value: [{identity}]}}
schema:
  - name: {name}
    logicalType: object
    properties:
{properties}
"""
TYPES = {"BIGINT": "integer", "INTEGER": "integer, logicalTypeOptions: {format: i32}", "VARCHAR": "string", "TIMESTAMPTZ": "timestamp", "DOUBLE": "number"}
CURRENT = """CREATE STREAMING TABLE silver.t;
CREATE FLOW changes AS AUTO CDC INTO silver.t FROM STREAM bronze.t KEYS (id) SEQUENCE BY c
  APPLY AS DELETE WHEN op = 'delete' COLUMNS * EXCEPT (op) STORED AS SCD TYPE 1;
"""


def write_project(folder, kind):
    sql, _ = KINDS[kind]
    (folder / "contracts").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "weir.yml").write_text("name: epochs\nlibraries:\n  - glob: {include: models/**}\ncatalog: weir\nconfiguration:\n"
                                     f"  weir.step.rows: {epochs_rows.LOAD_ROWS}\n  weir.step.bytes: 64MB\n  weir.epoch.steps: 1\n  weir.epoch.interval: 1 hour\n")
    for name, identity, columns in (("t", "c", epochs_rows.T), ("d", "k", epochs_rows.D)):
        properties = "\n".join(f"      - {{name: {column}, logicalType: {TYPES[type_]}, required: true}}" for column, type_ in columns.items())
        (folder / f"contracts/{name}.odcs.yaml").write_text(CONTRACT.format(name=name, identity=identity, properties=properties))
    if kind != "append":
        (folder / "models/t.sql").write_text(CURRENT)
    if sql:
        (folder / "models/m.sql").write_text(f"CREATE MATERIALIZED VIEW gold.m AS {sql};\n")


def made(shape, sizes):
    """The folder with the input of a shape, kept for the next run."""
    folder = DATA / f"epochs-{shape}-{'-'.join(map(str, sizes))}"
    call([PYTHON, epochs_rows.__file__, "make", folder, shape, *sizes])
    return folder


class Spent:
    """What a process has spent so far: CPU seconds, bytes written, and sizes of the files of its lake."""

    def __init__(self, pid, lake):
        self.cpu = time.clock_gettime((~pid << 3) | 2)  # the kernel's number for a process' CPU clock
        self.written = int(re.search(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1])
        self.files = {}
        for folder, _, names in os.walk(lake):
            for name in names:
                try:
                    self.files[f"{folder}/{name}"] = os.path.getsize(f"{folder}/{name}")
                except OSError:
                    pass  # removed meanwhile
        self.lake = lake

    def grown(self, before):
        """Bytes of files that came, or that files grew by, since `before`: of the tables' data (deletion vectors too), of their
        metadata, and of state."""
        found = {"data_bytes": 0, "metadata_bytes": 0, "state_bytes": 0}
        for path, size in self.files.items():
            parts = path[len(str(self.lake)) + 1:].split("/")
            part = f"{parts[3] if parts[0] == 'warehouse' else parts[0]}_bytes"
            if part in found:
                found[part] += max(0, size - before.files.get(path, 0))
        return found


class Lake:
    """A running `weir up` whose every request is an epoch."""

    def __init__(self, project, data, log):
        self.data = data
        self.server = Server([WEIR, "up", "--port", 0, "--project", project, "--data", data], log)
        self.port = int(re.search(r"http://[\w.]+:(\d+)", self.server.wait_for("send events to"))[1])
        wait_until((data / "catalog.db").exists, 10, "catalog.db", self.server)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self.catalog = sqlite3.connect(f"file:{data}/catalog.db?mode=ro", uri=True, timeout=30)
        self.pushed = {"t": 0, "d": 0}
        self.bodies = {"t": [], "d": []}  # files that were pushed, for the judge

    def push(self, source, body):
        while True:
            self.connection.request("POST", f"/v1/events/{source}", body=body, headers={"Content-Type": "application/x-ndjson"})
            reply = self.connection.getresponse()
            text = reply.read()
            if reply.status != 429:
                break
            time.sleep(0.01)
        if reply.status != 200:
            raise Wrong(f"{source}: {reply.status}: {text[:300]}")
        self.pushed[source] += body.count(b"\n")

    def push_file(self, source, path):
        self.push(source, path.read_bytes())
        self.bodies[source].append(str(path))

    def committed(self):
        """(epoch, records of t, records of d) of the newest commit."""
        return self.catalog.execute("SELECT epoch, coalesce(json_extract(frontier, '$.sources.t[0].next'), 0), coalesce(json_extract(frontier, '$.sources.d[0].next'), 0) "
                                    "FROM weir_lanes WHERE lane = 'live'").fetchone() or (0, 0, 0)

    def wait_for_commit(self, every=0.0005):
        """The number of the epoch that holds all that was pushed. The catalog is only read when its file has changed: a reader's
        lock makes a commit wait."""
        seen = 0

        def all_is_there():
            nonlocal seen
            changed = os.stat(f"{self.data}/catalog.db").st_mtime_ns
            if changed == seen or os.path.exists(f"{self.data}/catalog.db-journal"):
                return None
            seen = changed
            now = self.committed()
            return now[1:] == (self.pushed["t"], self.pushed["d"]) and now[0]
        return wait_until(all_is_there, 300, "the commit of what was pushed", self.server, every)

    def rest(self, at_most=3.0, window=0.015):
        """Waits until the process did nothing for `window` seconds, so that what an epoch leaves to other threads is its own."""
        end, before = time.monotonic() + at_most, None
        while time.monotonic() < end:
            time.sleep(window)
            now = time.clock_gettime((~self.server.pid << 3) | 2)
            if before is not None and now - before < max(0.001, 0.02 * window):
                return
            before = now

    def epoch(self, body):
        """Figures of one epoch."""
        before, epoch, start = Spent(self.server.pid, self.data), self.committed()[0], time.monotonic()
        self.push("t", body)
        last = self.wait_for_commit()
        wall = time.monotonic() - start
        if last != epoch + 1:
            raise Wrong(f"a request became {last - epoch} epochs")
        self.rest()
        after = Spent(self.server.pid, self.data)
        return {"wall_ms": wall * 1e3, "cpu_ms": (after.cpu - before.cpu) * 1e3, "bytes": after.written - before.written,
                **after.grown(before)}


def grow(lake, folder, size):
    for source, files in (("d", "side"), ("t", "load")):
        for path in sorted((folder / str(size)).glob(f"{files}-*.ndjson")):
            lake.push_file(source, path)
    lake.wait_for_commit(0.005)
    lake.rest(60, window=0.5)  # compactions of what was loaded are not the epochs', even where they wait for the disk
    lake.connection.close()  # the next request opens it again: the server may have given it up meanwhile


def measure_point(lake, folder, size, place):
    """Medians of the epochs' figures, and the means, which hold what comes every few epochs."""
    path = folder / str(size) / f"{place}.ndjson"
    lines = path.read_bytes().splitlines(keepends=True)
    lake.bodies["t"].append(str(path))
    costs = [lake.epoch(b"".join(lines[i * ROWS:(i + 1) * ROWS])) for i in range(len(lines) // ROWS)][WARM:]
    point = {name: round(percentile([c[name] for c in costs], .5), 2) for name in costs[0]}
    return point | {f"mean_{name}": round(sum(c[name] for c in costs) / len(costs), 2) for name in MEASURES}


def measure_kind(b, kind, shape, sizes):
    """The points of one kind and shape, as they come."""
    folder = made(shape, sizes)
    home = b.work / f"{kind}-{shape}"
    write_project(home / "project", kind)
    lake = Lake(home / "project", home / "lake", home / "up.log")
    start = time.monotonic()
    try:
        for size in sizes:
            grow(lake, folder, size)
            for place in epochs_rows.PLACES[shape]:
                point = {"kind": kind, "place": place, "rows": size, "rows_per_key": size // epochs_rows.KEYS if shape == "deep" else epochs_rows.ROWS_PER_KEY,
                         **measure_point(lake, folder, size, place)}
                b.say(f"{kind:15} {place:6} {size:>11,} rows, {point['rows_per_key']:>6,} a key: {point['wall_ms']:7.1f} ms, {point['cpu_ms']:7.1f} ms CPU, "
                      f"{point['bytes']:>11,.0f} bytes (data {point['data_bytes']:,.0f}, metadata {point['metadata_bytes']:,.0f}, state {point['state_bytes']:,.0f})")
                yield point
            if not b.o.full and time.monotonic() - start > b.o.seconds:
                break
        b.check(lake.server.stop() == 0, f"weir up failed:\n{lake.server.log()[-3000:]}")
    finally:
        lake.server.stop()
    job = {"sql": JUDGE.get(kind) or KINDS[kind][0], "table": "gold.m" if KINDS[kind][0] else "silver.t", "bodies": lake.bodies}
    rows = int(call([PYTHON, epochs_rows.__file__, "check", folder, shape, home / "lake"], input=json.dumps(job).encode()))
    b.check(rows > 0, f"{kind}: no rows to compare")
    shutil.rmtree(home)


def growth(points, value):
    """The largest over the smallest cost."""
    return max(p[value] for p in points) / min(p[value] for p in points)


def options(parser):
    parser.add_argument("--full", action="store_true", help="up to 30 M rows and 30,000 rows a key, whatever it takes (hours)")
    parser.add_argument("--sizes", type=int, nargs="+", help="rows of history to measure at, multiples of 10,000 (default: 10 k, 1 M and, ten rows a key, 3 M)")
    parser.add_argument("--seconds", type=float, default=40, help="of each kind and shape; then it grows no further (default 40)")
    parser.add_argument("--kind", action="append", default=[], choices=list(KINDS), help="only this kind (may be repeated)")
    parser.add_argument("--shape", choices=list(epochs_rows.PLACES), help="only this shape")


@benchmark("ivm-epochs", work="an epoch of 1,000 changes over HTTP against history, by the whole process: bronze, AUTO CDC, a model of each kind, tables committed",
           goals=[Goal("kinds_that_grow", "<=", 0)], options=options, in_all=False)
def ivm_epochs(b):
    points, seconds = [], {}
    for kind, (_, deep) in KINDS.items():
        for shape in epochs_rows.PLACES:
            if (b.o.kind and kind not in b.o.kind) or (shape == "deep" and not deep) or b.o.shape not in (None, shape):
                continue
            start = time.monotonic()
            points += measure_kind(b, kind, shape, FULL_SIZES if b.o.full else b.o.sizes or SIZES[shape])
            seconds[f"{kind} {shape}"] = round(time.monotonic() - start, 1)
    if not b.o.kind and not b.o.shape:
        draw(points)
    return outcome(points, seconds)


def outcome(points, seconds):
    """What the points say."""
    series = {}
    for p in points:
        series.setdefault((p["kind"], p["place"]), []).append(p)
    grown = {of: {value: growth(line, value) for value in MEASURES} for of, line in series.items()}
    grows = [f"{kind}_{place}" for (kind, place), g in grown.items() if max(g.values()) > GROWTH_MAX and (kind, place) not in MUST_GROW]
    judged = [g for of, g in grown.items() if of not in MUST_GROW]
    figures = {"kinds_that_grow": len(grows), "series": len(series), **{f"{value}_growth_max": max((g[value] for g in judged), default=None) for value in MEASURES}}
    return {"figures": figures, "parameters": {"rows": max(p["rows"] for p in points), "rows_per_key": max(p["rows_per_key"] for p in points), "changed_rows": ROWS},
            "details": {"points": points, "growth": {" ".join(of): {v: round(x, 2) for v, x in g.items()} for of, g in grown.items()}, "grow": grows,
                        "must_grow": {" ".join(of): why for of, why in MUST_GROW.items()}, "seconds": seconds}}


def draw(points):
    for name, place, axis, title, x_name in (("epochs-history", "wide", "rows", "1,000 changes anywhere, ten rows a key", "rows of history"),
                                             ("epochs-key-end", "end", "rows_per_key", "1,000 changes at the ends of 1,000 keys", "rows of each key"),
                                             ("epochs-key-middle", "middle", "rows_per_key", "1,000 changes in the middle of 1,000 keys", "rows of each key")):
        for value, y_name, suffix in (("wall_ms", "ms from request to commit", "time"), ("bytes", "bytes written an epoch", "bytes")):
            lines = {}
            for p in points:
                if p["place"] == place:
                    lines.setdefault(p["kind"], []).append((p[axis], p[value]))
            (PICTURES / f"{name}-{suffix}.svg").write_text(svg.chart(title, x_name, y_name, sorted(lines.items())))
