"""The example systems against the answers of their generators.

`weir generate NAME` writes what each source sends and what each table must hold in the end, computed by other code than the engine. Here
each system runs on it in steps of 1, 1,000 and 100,000 rows, on 1 and 3 shards, and killed ten times on its way; its ledger and all
tables must equal that answer whatever the path, and DuckDB's answer to each model's completed SQL (`weir show sql`) over bronze.
SEED=n takes another seed; what fails names its own.
"""
import collections
import datetime as dt
import decimal
import json
import math
import os
import random
import re
import sqlite3
import subprocess
import time

from answers import catalog, connect, table_names
from harness import PATIENCE, ROOT, long

EXAMPLES = ROOT / "examples"
STEPS = (1, 1_000, 100_000)
SHARDS = (1, 3)
KILLS = 10

# By system: the scale at which each row may be a step of its own, and that of the other runs.
Scale = collections.namedtuple("Scale", "rows small")
SCALES = {
    "attribution": Scale(rows=.01, small=.15),
    "customer360": Scale(rows=.01, small=.1),
    "rides": Scale(rows=.0015, small=.03),
    "clickstream": Scale(rows=.005, small=.08),
    "feed": Scale(rows=.006, small=.08),
    "fraud": Scale(rows=.008, small=.1),
}


class System:
    """One example with generated input, and the options to run it with."""

    def __init__(self, t, name, scale, seed, folder=None):
        self.t, self.name, self.seed = t, name, seed
        self.project = EXAMPLES / name
        self.input = folder or t.dir / f"{name}-{scale}-{seed}"
        if not self.input.exists():
            t.weir("generate", name, "--out", self.input, "--scale", scale, "--seed", seed)
        self.models = {f"{file.parent.name}.{file.stem}" for file in self.project.glob("models/*/*.sql")}
        contracts = {file.name.split(".")[0] for file in self.project.glob("contracts/*.yaml")}
        self.sources = {folder.name: f"{folder}/*" for folder in sorted((self.input / "data").iterdir()) if folder.name in contracts}
        if name == "rides":  # its events have a place of their own, where other tests take them from
            self.sources["ride_events"] = f"{self.input}/events*.ndjson"
        self.ledger = json.loads((self.input / "answer/ledger.json").read_text())
        self.completed = {}  # SQL of models

    def arguments(self, lake, step=100_000, shards=1, sets=()):
        sources = [x for name, path in self.sources.items() for x in ("--source", f"{name}={path}")]
        settings = [x for s in (f"weir.step.rows={step}", f"weir.threads.shards={shards}", *sets) for x in ("--set", s)]
        return ["run", "--once", "--project", self.project, "--data", lake, "-o", "json", *sources, *settings]

    def run(self, lake, timeout=600, **how):
        return self.t.weir(*self.arguments(lake, **how), timeout=timeout).json

    def answer(self):
        """{table: rows} of the generator. It knows all that is in gold."""
        rows = {file.stem: [json.loads(line) for line in file.read_text().splitlines()]
                for file in sorted((self.input / "answer").glob("*.ndjson")) if file.stem in self.models}
        unknown = {model for model in self.models if model.startswith("gold.")} - rows.keys()
        self.t.ok(not unknown, f"{self.name}: the generator gives no answer for {sorted(unknown)}")
        return rows

    # ------------------------------------------------------------------------------- checks

    def check(self, lake, how=""):
        where = f"{self.name}, seed {self.seed}{', ' + how if how else ''}"
        self.check_ledger(lake, where)
        for table, rows in self.answer().items():
            check_rows(self.t, rows_of(lake, table), rows, f"{where}: {table}")

    def check_ledger(self, lake, where):
        lines = {r["source"]: r for r in self.t.weir("show", "ledger", "--project", self.project, "--data", lake, "-o", "json").json}
        for source, want in self.ledger.items():
            self.t.ok(source in lines, f"{where}: the ledger has no line of {source}")
            got = {key: lines[source][key] for key in want}
            self.t.equal(got, want, f"{where}: ledger of {source}")

    def check_duckdb(self, lake):
        """Every model equals DuckDB's answer to its completed SQL over the tables it reads."""
        db = connect()
        mark = watermark_of(lake)
        db.execute("CREATE MACRO watermark() AS " + (f"make_timestamptz({mark})" if mark is not None else "CAST(NULL AS TIMESTAMPTZ)"))
        for name in table_names(lake):
            db.register("rows", table_of(lake, name))
            space, table = name.split(".", 1)
            db.execute(f'CREATE SCHEMA IF NOT EXISTS {space}; CREATE TABLE {space}."{table}" AS SELECT * FROM rows')
        for line in self.t.weir("show", "models", "--project", self.project, "--data", lake, "-o", "json").json:
            model = line["model"]
            sql = self.sql_of(model)
            got, want = rows_of(lake, model), plain(db.execute(sql).fetch_arrow_table())
            names = [n for n, _ in got.columns]
            self.t.equal(sorted(n for n, _ in want.columns), sorted(names), f"{self.name}: columns of {model} by DuckDB")
            check_rows(self.t, got, want.rows, f"{self.name}, seed {self.seed}: {model} against DuckDB")

    def sql_of(self, model):
        """The completed SQL of a model: a matter of the project alone, so it is asked for once."""
        if model not in self.completed:
            self.completed[model] = self.t.weir("show", "sql", model, "--project", self.project).out
        return self.completed[model]

    def ask_readme(self, lake):
        """The questions of the README can be asked."""
        asked = re.findall(r'^weir query --data lake "(.*)"$', (self.project / "README.md").read_text(), re.M)
        self.t.ok(asked, f"examples/{self.name}/README.md asks nothing")
        for sql in asked:
            self.t.weir("query", "--data", lake, sql)


Rows = collections.namedtuple("Rows", "columns rows")  # [(name, whether it is compared as a float)], [{name: value}]


def table_of(lake, table):
    return catalog(lake).load_table(tuple(table.split(".", 1))).scan().to_arrow()


def rows_of(lake, table):
    """A table by PyIceberg, its values as JSON has them."""
    return plain(table_of(lake, table))


def plain(arrow):
    import pyarrow as pa
    floats = [(f.name, pa.types.is_floating(f.type) or pa.types.is_decimal(f.type)) for f in arrow.schema]
    return Rows(floats, [{k: value_of(v) for k, v in row.items()} for row in arrow.to_pylist()])


def value_of(v):
    if isinstance(v, dt.datetime):
        micros = f"{v.microsecond:06d}"
        return v.strftime("%Y-%m-%dT%H:%M:%S.") + (micros[:3] if micros.endswith("000") else micros) + "Z"
    if isinstance(v, (dt.date, dt.time)):
        return v.isoformat()
    if isinstance(v, decimal.Decimal):
        return float(v)
    if isinstance(v, (list, tuple)):
        return [value_of(x) for x in v]
    if isinstance(v, dict):
        return {k: value_of(x) for k, x in v.items()}
    return v


def rounded(v):
    """Of what stands inside lists and structs, where no column says that it is a float."""
    if isinstance(v, float):
        return float(f"{v:.9g}")
    if isinstance(v, list):
        return [rounded(x) for x in v]
    if isinstance(v, dict):
        return {k: rounded(x) for k, x in v.items()}
    return v


def close(a, b):
    return a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9))


def check_rows(t, got, want, what):
    """The same rows as a multiset; floats may differ in the last digits, where sums depend on the order."""
    if not want and not got.rows:
        return
    exact = sorted(n for n, is_float in got.columns if not is_float)
    floats = sorted(n for n, is_float in got.columns if is_float)
    if want:
        t.equal(sorted(want[0]), sorted(exact + floats), f"{what}: columns")

    def grouped(rows):
        groups = collections.defaultdict(list)
        for row in rows:
            groups[json.dumps([rounded(row[c]) for c in exact])].append([row[c] for c in floats])
        return {k: sorted(v, key=lambda x: [(y is None, y or 0) for y in x]) for k, v in groups.items()}

    mine, theirs = grouped(got.rows), grouped(want)
    missing = {k: v for k, v in theirs.items() if len(mine.get(k, [])) < len(v)}
    extra = {k: v for k, v in mine.items() if len(theirs.get(k, [])) < len(v)}
    t.ok(not missing and not extra, f"{what}: {len(got.rows)} rows, {len(want)} wanted; {exact}, then {floats}\n"
         f"  {len(missing)} are missing: {list(missing.items())[:4]}\n  {len(extra)} too many: {list(extra.items())[:4]}")
    wrong = [(k, a, b) for k in mine for a, b in zip(mine[k], theirs[k]) if not all(map(close, a, b))]
    t.ok(not wrong, f"{what}: {len(wrong)} rows have other values; {exact}, then {floats}: got, want\n  {wrong[:4]}")


def watermark_of(lake):
    with sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True) as db:
        marks = [json.loads(text)["watermark"] for (text,) in db.execute("SELECT frontier FROM weir_lanes WHERE lane = 'live'")]
    return marks[0] if marks else None


# ------------------------------------------------------------------------------------- paths

def seed_of(t, default):
    return int(os.environ.get("SEED", default))


def run_killed(system, lake, kills, seed, **how):
    """Kills run after run at random moments with SIGKILL, and lets the last one end."""
    t, rnd = system.t, random.Random(seed)
    how = {"sets": ["weir.epoch.steps=2", "weir.lease=1s"], **how}
    measured = lake.with_name(lake.name + "-measure")
    start = time.monotonic()
    system.run(measured, **how)
    whole = time.monotonic() - start
    start = time.monotonic()
    system.run(measured, **how)
    idle = time.monotonic() - start
    hits = 0
    for _ in range(kills):
        process = t.start(*system.arguments(lake, **how))
        try:
            process.wait(rnd.uniform(0, idle) + rnd.uniform(0, 1.5 * max(whole - idle, .05) / kills))
        except subprocess.TimeoutExpired:
            process.kill()
            hits += 1
        code = process.wait(60 * PATIENCE)
        t.ok(code in (0, -9), f"seed {seed}: exit code {code}\n{process.err_path.read_text()[-3000:]}")
    t.ok(hits * 2 >= kills, f"seed {seed}: only {hits} of {kills} kills met a running process")
    system.run(lake, **how)


def check_small(t, name):
    """What each change runs: all steps, all shards, the kills and DuckDB, each once."""
    if any((EXAMPLES / name / "tests").glob("*.yml")):
        t.weir("test", "--project", EXAMPLES / name)
    seed = seed_of(t, 3)
    rows = System(t, name, SCALES[name].rows, seed)
    rows.run(t.dir / "rows", step=1, shards=3)
    rows.check(t.dir / "rows", "steps of 1 row, 3 shards")
    small = System(t, name, SCALES[name].small, seed + 1)
    small.run(t.dir / "one", step=100_000, shards=1)
    small.check(t.dir / "one", "steps of 100,000 rows, 1 shard")
    small.check_duckdb(t.dir / "one")
    small.ask_readme(t.dir / "one")
    small.run(t.dir / "three", step=1_000, shards=3)
    small.check(t.dir / "three", "steps of 1,000 rows, 3 shards")
    run_killed(small, t.dir / "killed", KILLS, seed, step=500, shards=1)
    small.check(t.dir / "killed", f"{KILLS} kills")


def check_grid(t, name):
    for seed in range(11, 16):
        for step in STEPS:
            system = System(t, name, SCALES[name].rows if step == 1 else SCALES[name].small, seed)
            for shards in SHARDS:
                lake = t.dir / f"lake-{seed}-{step}-{shards}"
                system.run(lake, step=step, shards=shards)
                system.check(lake, f"steps of {step} rows, {shards} shards")
                if step == 1_000:
                    system.check_duckdb(lake)
                    killed = t.dir / f"killed-{seed}-{shards}"
                    run_killed(system, killed, KILLS, seed, step=300, shards=shards)
                    system.check(killed, f"{KILLS} kills, {shards} shards")


def check_incremental(t, name):
    """No model is refreshed whole."""
    text = t.weir("explain", "--project", EXAMPLES / name).out
    t.ok("full refresh" not in text, f"a model of {name} is refreshed whole:\n{text}")


def test_rides(t):
    check_incremental(t, "rides")
    check_small(t, "rides")


@long
def test_rides_at_all_sizes(t):
    check_grid(t, "rides")


def test_fraud(t):
    check_incremental(t, "fraud")
    check_small(t, "fraud")


@long
def test_fraud_at_all_sizes(t):
    check_grid(t, "fraud")


def test_feed(t):
    check_incremental(t, "feed")
    check_small(t, "feed")


@long
def test_feed_at_all_sizes(t):
    check_grid(t, "feed")


def test_clickstream(t):
    check_incremental(t, "clickstream")
    check_small(t, "clickstream")


@long
def test_clickstream_at_all_sizes(t):
    check_grid(t, "clickstream")


def test_attribution(t):
    check_incremental(t, "attribution")
    check_small(t, "attribution")


@long
def test_attribution_at_all_sizes(t):
    check_grid(t, "attribution")


def test_customer360(t):
    check_incremental(t, "customer360")
    check_small(t, "customer360")


@long
def test_customer360_at_all_sizes(t):
    check_grid(t, "customer360")
