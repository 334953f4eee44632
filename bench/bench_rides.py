"""Files of ride events to committed tables: rides-bronze, rides, rides-wide, rides-wide-long, hot-key, peer-flink.

All inputs come from `weir generate rides` with 1 % of duplicates and 2 % of events up to 40 hours late, in order of arrival. Broken
lines and events beyond the lateness are left out (--bad 0 --parked 0) so that DuckDB, which loses the line after some broken ones
and knows no lateness, can be held to the same rows.
"""
import json
import shutil
import sqlite3
import time

from common import DATA, PYTHON, ROOT, WEIR, Goal, Sampler, Server, Wrong, benchmark, call, measure, wait_until

EXAMPLE = ROOT / "tests/projects/rides"
HERE = ROOT / "bench"


# ------------------------------------------------------------------------------------------- input


def made(b, name, *generate):
    """The folder of a generated input; made when it is not there yet."""
    folder = DATA / name
    if not folder.exists():
        b.say(f"making build/bench-data/{name}")
        DATA.mkdir(parents=True, exist_ok=True)
        call([WEIR, "generate", "rides", "--bad", "0", "--parked", "0", *generate, "--out", b.work / "made"])
        (b.work / "made").rename(folder)
    return folder


def even(b, scale):
    return made(b, f"even-{scale:g}", "--scale", scale)


def counts(folder):
    return json.loads((folder / "expected_counts.json").read_text())


def bytes_of(folder):
    return sum(p.stat().st_size for p in folder.glob("events*.ndjson"))


# -------------------------------------------------------------------------------------------- weir


def contract_only(b):
    """examples/rides without its models: a project that keeps bronze."""
    project = b.work / "bronze-project"
    if not project.exists():
        project.mkdir()
        shutil.copy(EXAMPLE / "weir.yml", project)
        shutil.copytree(EXAMPLE / "contracts", project / "contracts")
    return project


def run_weir(b, project, folder, *, runs=1, sets=(), check=True, models=False):
    """Runs Weir over the input into an empty lake, `runs` times; every run's ledger must be right, and the last run's tables.
    Returns the fastest run and all."""
    done = []
    for n in range(runs):
        lake = b.work / "lake"
        m = measure([WEIR, "run", "--once", "--project", project, "--data", lake, "--source", f"ride_events={folder}/events.ndjson", "-o", "json",
                     *(x for s in [*sets, *getattr(b.o, "set", [])] for x in ("--set", s))])
        ledger, want = next(r for r in m.json["ledger"] if r["source"] == "ride_events"), counts(folder)
        for key in ("received", "accepted", "duplicate"):
            b.check(ledger[key] == want[key], f"ledger: {key} {ledger[key]}, want {want[key]}")
        if check and n == runs - 1:
            call([PYTHON, HERE / "answer.py", "lake", lake, folder, *(["--models"] if models else [])])
        m.lake_bytes = sum(p.stat().st_size for p in lake.rglob("*.parquet"))
        shutil.rmtree(lake)
        done.append(m)
    return min(done, key=lambda m: m.wall_s), done


def figures_of(m, events, folder):
    return {"events_per_s": events / m.wall_s, "cpu_us_per_event": m.cpu_s / events * 1e6, "mb_per_s": bytes_of(folder) / m.wall_s / 1e6,
            "wall_s": m.wall_s, "cpu_s": m.cpu_s, "peak_rss_mb": m.peak_rss_bytes / 1e6}


def details_of(done):
    return {"wall_s_of_all_runs": [round(m.wall_s, 2) for m in done], "cpu_s_of_all_runs": [round(m.cpu_s, 2) for m in done],
            "parquet_bytes": done[-1].lake_bytes, "report": min(done, key=lambda m: m.wall_s).json}


def options(scale, runs=2, peers=None):
    def add(p):
        p.add_argument("--scale", type=float, default=scale, help=f"trips per built-in trip; 1 is about 240,000 events (default: {scale:g})")
        p.add_argument("--runs", type=int, default=runs, help=f"the fastest counts (default: {runs})")
        p.add_argument("--set", action="append", default=[], help="a setting of weir.yml: --set weir.step.rows=20000")
        if peers is not None:
            p.add_argument("--peers", default=peers, help=f"peers on the same events: duckdb, flink, or both with a comma; '' for none (default: {peers})")
    return add


# ------------------------------------------------------------------------------------------- peers


def duckdb_peer(b, what, folder, runs):
    """The fastest run of DuckDB over the input; its bronze rows are checked. CPU and wall are without the start of Python."""
    best = None
    for n in range(runs):
        out = b.work / "duckdb"
        out.mkdir()
        m = measure([PYTHON, HERE / "peer_duckdb.py", what, folder, out])
        if n == runs - 1:
            call([PYTHON, HERE / "answer.py", "parquet", out / "bronze.parquet", folder])
        shutil.rmtree(out)
        if best is None or m.json["wall_s"] < best.json["wall_s"]:
            best = m
    return best


def peer_figures(b, what, folder, weir, events, runs):
    figures = {}
    peers = [p for p in b.o.peers.split(",") if p]
    for peer in peers:
        if peer not in ("duckdb", "flink"):
            raise Wrong(f"--peers {peer}: there are duckdb and flink")
    if "duckdb" in peers:
        d = duckdb_peer(b, what, folder, runs)
        figures |= {"duckdb_events_per_s": events / d.json["wall_s"], "duckdb_cpu_us_per_event": d.json["cpu_s"] / events * 1e6,
                    "duckdb_peak_rss_mb": d.peak_rss_bytes / 1e6, "per_cpu_s_vs_duckdb": d.json["cpu_s"] / weir.cpu_s,
                    "per_wall_s_vs_duckdb": d.json["wall_s"] / weir.wall_s}
    if "flink" in peers:
        import peer_flink
        figures |= peer_flink.figures(b, folder, weir, events)
    return figures


# -------------------------------------------------------------------------------------- benchmarks


@benchmark("rides-bronze", work="8 M events in a file -> judged by the contract, deduplicated, committed bronze",
           goals=[Goal("events_per_s", ">=", 1_000_000), Goal("cpu_us_per_event", "<=", 2.0), Goal("per_cpu_s_vs_duckdb", ">=", 2.5)],
           options=options(34, peers="duckdb"))
def rides_bronze(b):
    """Contract only, no models. Peers get the same file and must give the same rows."""
    folder = even(b, b.o.scale)
    events = counts(folder)["received"]
    best, done = run_weir(b, contract_only(b), folder, runs=b.o.runs)
    return {"figures": figures_of(best, events, folder) | peer_figures(b, "bronze", folder, best, events, b.o.runs),
            "parameters": {"events": events, "input_bytes": bytes_of(folder), "runs": b.o.runs}, "details": details_of(done)}


@benchmark("rides", work="the same 8 M events, with silver.trips and all gold kept at every epoch", goals=[Goal("events_per_s", ">=", 400_000)],
           options=options(34, peers="duckdb"))
def rides(b):
    """tests/projects/rides, the events of examples/rides and four of its models: epochs of 5 s, four models. DuckDB computes the same tables once, at the end."""
    folder = even(b, b.o.scale)
    events = counts(folder)["received"]
    best, done = run_weir(b, EXAMPLE, folder, runs=b.o.runs, models=True)
    return {"figures": figures_of(best, events, folder) | peer_figures(b, "rides", folder, best, events, 1),
            "parameters": {"events": events, "input_bytes": bytes_of(folder), "runs": b.o.runs}, "details": details_of(done)}


WIDE_BYTES = 5000


def wide_project(b, folder):
    """examples/rides with a contract that declares every field of the wide events, all of them strings."""
    project = b.work / "declared-project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("taxi"))
    contract = project / "contracts/ride_events.odcs.yaml"
    text = contract.read_text()
    with open(folder / "events.ndjson", "rb") as f:
        first = json.loads(f.readline())
    names = [n for n in list(first)[list(first).index("app_version"):] if f"name: {n}\n" not in text]
    before, after = text.split("\nslaProperties:", 1)
    contract.write_text(before + "".join(f"\n      - name: {n}\n        logicalType: string" for n in names) + "\n\nslaProperties:" + after)
    return project


def wide(b, scale):
    return made(b, f"wide-{scale:g}", "--scale", scale, "--wide", WIDE_BYTES)


@benchmark("rides-wide", work="events of 5 KB, silver.trips and all gold kept; what is wide is not declared and goes to _extra", options=options(1.7),
           goals=[Goal("events_per_s", ">=", 25_000), Goal("mb_per_s", ">=", 125)])
def rides_wide(b):
    """400,000 events of 5 KB (24 members that a real app sends along: device, session, flags, GPS trace). The main figure is with
    the contract of rides, which knows none of them: the whole width goes to `_extra` as text. `declared_…` is the same
    input under a contract that declares each as a string, so that it becomes 24 columns."""
    folder = wide(b, b.o.scale)
    events = counts(folder)["received"]
    best, done = run_weir(b, EXAMPLE, folder, runs=b.o.runs, models=True)
    declared, more = run_weir(b, wide_project(b, folder), folder, runs=b.o.runs, models=True)
    return {"figures": figures_of(best, events, folder) | {"declared_" + k: v for k, v in figures_of(declared, events, folder).items() if k != "wall_s"},
            "parameters": {"events": events, "input_bytes": bytes_of(folder), "runs": b.o.runs},
            "details": details_of(done) | {"declared": details_of(more)}}


def minutes(p):
    p.add_argument("--minutes", type=float, default=10)
    p.add_argument("--scale", type=float, default=0.425, help="of one file; 0.425 is about 100,000 events = 500 MB")
    p.add_argument("--set", action="append", default=[], help="a setting of weir.yml: --set weir.step.rows=20000")


@benchmark("rides-wide-long", work="5 KB events for ten minutes into a running `weir up`, silver and gold kept: rate and memory over time",
           goals=[Goal("events_per_s", ">=", 25_000), Goal("peak_rss_mb", "<=", 2048), Goal("rss_growth", "<=", 1.1)], options=minutes, in_all=False)
def rides_wide_long(b):
    """Files of 500 MB are made while the run goes on, at most three ahead of what is committed, and deleted once they are. File k
    is the first with another year in its ids and times. Keeps 2.7 KB an event: 40 GB at the goal's rate. `rss_growth` is the mean RSS of the
    last quarter of the time over that of the second quarter."""
    folder = wide(b, b.o.scale)
    text, per_file = (folder / "events.ndjson").read_bytes(), counts(folder)
    source = b.work / "in"
    source.mkdir()
    lake, written, deleted, waited = b.work / "lake", 0, 0, 0.0

    def taken():
        """(files read to their end, epochs) by the newest commit."""
        try:
            with sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True, timeout=10) as c:
                row = c.execute("SELECT frontier FROM weir_lanes WHERE frontier LIKE '%ride_events%' ORDER BY length(frontier) DESC").fetchone()
        except sqlite3.OperationalError:
            return 0
        parts = json.loads(row[0])["sources"].get("ride_events", []) if row else []
        return max([p["file"] for p in parts], default=0)

    with Server([WEIR, "up", "--port", 0, "--project", EXAMPLE, "--data", lake, "--source", f"ride_events={source}/events-*.ndjson",
                 "--set", "weir.file.quiet=100ms", *(x for s in b.o.set for x in ("--set", s))], b.work / "up.log") as server:
        server.wait_for("send events to")
        start = time.monotonic()
        with Sampler(server.pid, 0.5) as sampler:
            while time.monotonic() - start < b.o.minutes * 60 or written < 2:
                for k in range(deleted, min(taken(), written)):
                    (source / f"events-{k:05}.ndjson").unlink()
                    deleted = k + 1
                if written - deleted >= 3:
                    time.sleep(0.1)
                    waited += 0.1
                    continue
                part = source / f"events-{written:05}.ndjson.part"
                year = b"%04d-" % (2019 + written)  # not in the numbers of trips, of which one ends in 2019
                part.write_bytes(text.replace(b'"2019-', b'"' + year).replace(b'"t-2019-', b'"t-' + year))
                part.rename(part.with_suffix(""))
                written += 1
            wait_until(lambda: taken() >= written, 600, "the last file's commit", server, every=0.05)
            wall = time.monotonic() - start
        cpu, peak = server.cpu_s(), server.peak_rss_bytes()
        b.check(server.stop(120) == 0, f"weir up failed:\n{server.log()[-3000:]}")
    ledger = json.loads(call([WEIR, "show", "ledger", "--project", EXAMPLE, "--data", lake, "-o", "json"]))[0]
    for key in ("received", "accepted", "duplicate", "rejected", "late"):
        b.check(ledger[key] == per_file[key] * written, f"ledger: {key} {ledger[key]}, want {written} times {per_file[key]}: {ledger}")
    events, rss = ledger["received"], [r for _, r, _ in sampler.samples]
    quarter = len(rss) // 4
    growth = (sum(rss[-quarter:]) / quarter) / (sum(rss[quarter:2 * quarter]) / quarter)
    return {"figures": {"events_per_s": events / wall, "mb_per_s": len(text) * written / wall / 1e6, "cpu_us_per_event": cpu / events * 1e6,
                        "peak_rss_mb": peak / 1e6, "rss_growth": growth, "input_ready_share": waited / wall},
            "parameters": {"events": events, "minutes": b.o.minutes, "input_bytes": len(text) * written},
            "details": {"rss_mb_over_time": [round(r / 1e6) for r in rss[::max(1, len(rss) // 60)]]}}


@benchmark("hot-key", work="half of all events on one trip and half of all trips by one driver, against the even stream; silver and gold kept",
           goals=[Goal("share_of_even_rate", ">=", 0.5)], options=options(8.5))
def hot_key(b):
    """The same events with and without --hot-trip 0.5 --hot-driver 0.5."""
    plain = even(b, b.o.scale)
    hot = made(b, f"hot-{b.o.scale:g}", "--scale", b.o.scale, "--hot-trip", "0.5", "--hot-driver", "0.5")
    events = counts(hot)["received"]
    best_even, _ = run_weir(b, EXAMPLE, plain, runs=b.o.runs, check=False)
    best, done = run_weir(b, EXAMPLE, hot, runs=b.o.runs, models=True)
    return {"figures": {"share_of_even_rate": best_even.wall_s / best.wall_s, "even_events_per_s": events / best_even.wall_s} | figures_of(best, events, hot),
            "parameters": {"events": events, "runs": b.o.runs}, "details": details_of(done)}


@benchmark("peer-flink", work="the events of rides-bronze through Weir and through Flink with Iceberg's sink, commits every 5 s",
           goals=[Goal("per_cpu_s_vs_flink", ">=", 10)], options=options(34, peers="flink"), in_all=False)
def peer_flink(b):
    """Not part of `all`: it fetches Flink (300 MB) and runs minutes. Ratios with and without the start of the JVM."""
    folder = even(b, b.o.scale)
    events = counts(folder)["received"]
    best, done = run_weir(b, contract_only(b), folder, runs=b.o.runs)
    return {"figures": {"events_per_s": events / best.wall_s, "cpu_us_per_event": best.cpu_s / events * 1e6} | peer_figures(b, "bronze", folder, best, events, 1),
            "parameters": {"events": events, "runs": b.o.runs}, "details": details_of(done)}
