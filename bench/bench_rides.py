"""Files of ride events to committed tables: rides-bronze, rides, rides-wide, hot-key, peer-flink.

All inputs come from `weir generate rides` with 1 % of duplicates and 2 % of events up to 40 hours late, in order of arrival. Broken
lines and events beyond the lateness are left out (--bad 0 --parked 0) so that DuckDB, which loses the line after some broken ones
and knows no lateness, can be held to the same rows.
"""
import json
import shutil

from common import DATA, PYTHON, ROOT, WEIR, Goal, Wrong, benchmark, call, measure

EXAMPLE = ROOT / "examples/rides"
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
    """examples/rides as it is: epochs of 5 s, four models. DuckDB computes the same tables once, at the end."""
    folder = even(b, b.o.scale)
    events = counts(folder)["received"]
    best, done = run_weir(b, EXAMPLE, folder, runs=b.o.runs, models=True)
    return {"figures": figures_of(best, events, folder) | peer_figures(b, "rides", folder, best, events, 1),
            "parameters": {"events": events, "input_bytes": bytes_of(folder), "runs": b.o.runs}, "details": details_of(done)}


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
