"""The benchmarks at a size that says nothing about speed: they run, their answers are checked, and a wrong one is found."""
import json
import os
import shutil
import subprocess
import sys

import duckdb

from harness import PROJECT, ROOT, WEIR

PYTHON = ROOT / ".deps/venv/bin/python"
sys.path.insert(0, str(ROOT / "bench"))


def bench(t, *args, code=0):
    p = subprocess.run([PYTHON, ROOT / "bench/run.py", *map(str, args)], capture_output=True, text=True, timeout=600,
                       env={**os.environ, "WEIR": str(WEIR), "WEIR_BENCH_DIR": str(t.dir)})
    t.equal(p.returncode, code, f"exit code of bench {args}; it said:\n{p.stdout[-2000:]}\n{p.stderr[-3000:]}")
    return p


def figures(t, name, *args):
    result = json.loads(bench(t, name, "-o", "json", *args).stdout)
    t.equal(result["benchmark"], name, "name in the result")
    for key in ("cores", "cpu", "memory_bytes", "kernel", "load_before"):
        t.ok(result["machine"][key] is not None, f"{name}: the machine's {key}")
    for goal in result["goals"]:
        t.ok(goal["figure"] in result["figures"], f"{name}: no figure for its goal {goal['figure']}")
        t.equal(goal["reached"], result["figures"][goal["figure"]] >= goal["bound"] if goal["relation"] == ">=" else
                result["figures"][goal["figure"]] <= goal["bound"], f"{name}: whether {goal['figure']} was reached")
    return result


def test_files_to_tables_with_duckdb_beside(t):
    kept = sorted((ROOT / "bench/results").glob("*"))
    for name in ("rides-bronze", "rides"):
        f = figures(t, name, "--scale", ".1", "--runs", "1")["figures"]
        for key in ("events_per_s", "cpu_us_per_event", "peak_rss_mb", "per_cpu_s_vs_duckdb", "duckdb_events_per_s"):
            t.ok(f[key] > 0, f"{name}: {key} is {f[key]}")
    t.ok(figures(t, "hot-key", "--scale", ".1", "--runs", "1")["figures"]["share_of_even_rate"] > 0, "hot-key: share of the even rate")
    wide = figures(t, "rides-wide", "--scale", ".05", "--runs", "1")
    t.ok(4900 < wide["parameters"]["input_bytes"] / wide["parameters"]["events"] < 5100, f"bytes of a wide event: {wide['parameters']}")
    t.equal(sorted((ROOT / "bench/results").glob("*")), kept, "kept results after runs of another size")
    t.equal(list((t.dir / "bench-work").iterdir()), [], "what is left of the runs")


def test_freshness_of_gold(t):
    # A body of so small an input covers more than a day: one that another connection's overtakes may be late, and never be in gold.
    r = figures(t, "freshness", "--scale", ".3", "--seconds", "1", "--highest", "20000", "--connections", "1")
    for share in (20, 50, 80):
        t.ok(r["details"][f"at_{share}"]["bodies"] > 0 and r["figures"][f"p99_s_at_{share}"] > 0, f"level {share}: {r['details']}")


def test_memory_of_identities(t):
    f = figures(t, "memory", "--sizes", "1k,20k")["figures"]
    t.ok(f["peak_rss_20k_mb"] > 10 and f["restart_rss_20k_mb"] > 10, f"figures: {f}")


# A kind's judge that asks for something else than the model: the rows must be found wrong.
OTHER_QUERY = """
import sys
sys.path.insert(0, sys.argv[1])
import run
run.load()
import bench_epochs
bench_epochs.JUDGE["append"] = bench_epochs.KINDS["append"][0].replace("n * 2", "n * 2 + CASE WHEN c = 77 THEN 1 ELSE 0 END")
sys.argv = ["run.py", "ivm-epochs", "--kind", "append", "--sizes", "10000"]
sys.exit(run.main())
"""


def test_epochs_against_history(t):
    r = figures(t, "ivm-epochs", "--kind", "append", "--kind", "aggregate", "--sizes", "10000", "20000")
    points = [(p["kind"], p["place"], p["rows"], p["rows_per_key"]) for p in r["details"]["points"]]
    t.equal(points, [("append", "wide", 10000, 10), ("append", "wide", 20000, 10), ("aggregate", "wide", 10000, 10), ("aggregate", "wide", 20000, 10),
                     ("aggregate", "end", 10000, 10), ("aggregate", "middle", 10000, 10), ("aggregate", "end", 20000, 20), ("aggregate", "middle", 20000, 20)], "what was measured")
    for p in r["details"]["points"]:
        # Bronze alone takes some ten bytes for each of the thousand changes.
        t.ok(p["wall_ms"] > 0 and p["cpu_ms"] > 0 and p["data_bytes"] > 10_000 and p["state_bytes"] > 10_000 and p["metadata_bytes"] > 1000, f"a point: {p}")
        t.ok(p["bytes"] > p["data_bytes"] + p["metadata_bytes"], f"bytes of a point: {p}")
    p = subprocess.run([PYTHON, "-c", OTHER_QUERY, ROOT / "bench"], capture_output=True, text=True, timeout=600,
                       env={**os.environ, "WEIR": str(WEIR), "WEIR_BENCH_DIR": str(t.dir)})
    t.ok(p.returncode == 1 and "gold.m" in p.stderr, f"another query's rows, and the benchmark ends with {p.returncode}:\n{p.stderr[-2000:]}")


def test_the_http_door(t):
    f = figures(t, "http-single", "--seconds", "1", "--connections", "16")["figures"]
    for key in ("requests_per_s", "p99_ms", "server_cpu_us", "client_cpu_us", "with_models_per_s"):
        t.ok(f[key] > 0, f"http-single: {key} is {f[key]}")
    t.ok(figures(t, "http-batch", "--seconds", "1")["figures"]["events_per_s"] > 0, "http-batch: events_per_s")
    f = figures(t, "start", "--mib", "2", "--runs", "1")["figures"]
    t.ok(0 < f["tail_cpu_s"] and 0 < f["history_s"], f"start: {f}")
    t.ok(figures(t, "idle", "--seconds", "1")["figures"]["rss_bytes"] > 0, "idle: rss_bytes")


def test_wrong_calls(t):
    t.ok("rides-bronze" in bench(t).stdout, "the list of benchmarks")
    t.ok("rides-bronze" in bench(t, "nothing", code=2).stderr, "what there is instead of a wrong name")
    t.ok("duckdb and flink" in bench(t, "rides-bronze", "--scale", ".02", "--runs", "1", "--peers", "nobody", code=1).stderr, "what peers there are")


def answer(t, lake, folder, *more):
    p = subprocess.run([PYTHON, ROOT / "bench/answer.py", "lake", lake, folder, *more], capture_output=True, text=True)
    return p.returncode, p.stderr


def test_the_third_reader_finds_wrong_rows(t):
    folder, lake = t.dir / "in", t.dir / "lake"
    t.weir("generate", "rides", "--scale", ".02", "--bad", "0", "--parked", "0", "--out", folder)
    t.run_once(folder / "events.ndjson", lake)
    t.equal(answer(t, lake, folder, "--models"), (0, ""), "the right answer")

    def other(name, change):
        copy = t.dir / name
        shutil.copytree(folder, copy)
        change(copy)
        return answer(t, lake, copy, "--models")

    def one_cell(copy):
        (copy / "answer.json").unlink()
        text = (copy / "events.ndjson").read_text()
        at = text.index('"fare_amount":') + len('"fare_amount":')
        (copy / "events.ndjson").write_text(text[:at] + "1" + text[at:])

    def one_row(copy):
        (copy / "answer.json").unlink(), (copy / "expected_counts.json").unlink()
        lines = (copy / "events.ndjson").read_text().splitlines(keepends=True)
        (copy / "events.ndjson").write_text("".join(lines[:-1]))

    def silver(copy):
        want = json.loads((copy / "answer.json").read_text())
        want["silver.trips"][1] = str(int(want["silver.trips"][1]) + 1)
        (copy / "answer.json").write_text(json.dumps(want))

    def gold(copy):
        path = copy / "answer.gold.driver_daily.parquet"
        duckdb.execute(f"CREATE OR REPLACE TABLE g AS SELECT * REPLACE (revenue + CASE WHEN rowid = 7 THEN 0.01 ELSE 0 END AS revenue) FROM (SELECT row_number() OVER () AS rowid, * FROM '{path}')")
        duckdb.execute(f"COPY (SELECT * EXCLUDE (rowid) FROM g) TO '{path}'")

    for name, change, word in (("a cell", one_cell, "bronze"), ("a row", one_row, "bronze"), ("silver", silver, "silver.trips"),
                               ("gold", gold, "gold.driver_daily")):
        code, said = other(name.replace(" ", "-"), change)
        t.ok(code == 1 and word in said, f"{name} differs, and the reader says {code}: {said[-500:]}")


def test_results_keep_their_history_and_fill_the_page(t):
    import common
    import report
    common.RESULTS, report.PAGE = t.dir / "results", t.dir / "performance.md"
    result = {"benchmark": "x", "work": "nothing", "date": "2026-01-01T00:00:00Z", "commit": "c0", "machine": common.machine(),
              "figures": {"rate": 5, "other": 1.5}, "goals": [{"figure": "rate", "relation": ">=", "bound": 6, "reached": False}]}
    for n in range(common.HISTORY_MAX + 3):
        common.keep({**result, "commit": f"c{n}"})
    kept = json.loads((common.RESULTS / "x.json").read_text())
    t.equal(kept["commit"], f"c{common.HISTORY_MAX + 2}", "the newest commit")
    t.equal([h["commit"] for h in kept["history"]], [f"c{n}" for n in range(common.HISTORY_MAX + 1, 1, -1)], "the commits before")
    common.keep({**result, "benchmark": "profile", "goals": [], "details": {
        "rides": {"ingest": {"JSON": .5, "zstd": .004}, "encoder": {"zstd": .25}}, "rides_run": {"events": 1000, "samples": 10}}})
    points = [{"kind": "top", "place": "end", "rows": rows, "wall_ms": ms, "cpu_ms": 2 * ms, "bytes": 3000} for rows, ms in ((10_000, 40.2), (1_000_000, 90))]
    common.keep({**result, "benchmark": "ivm-epochs", "goals": [], "details": {"points": points, "growth": {"top end": {"wall_ms": 2.24, "cpu_ms": 2.24, "bytes": 1.0}}}})
    report.PAGE.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\n{report.EPOCHS_BEGIN}\n{report.EPOCHS_END}\nbetween\n{report.PROFILE_BEGIN}{report.PROFILE_END}\nafter\n")
    for _ in range(2):
        report.write()
    page = report.PAGE.read_text()
    t.ok(page.startswith("before\n") and page.endswith("\nafter\n") and "\nold\n" not in page, f"the page around the table:\n{page}")
    t.ok("| zstd | 0.25 |  | 0.25 |" in page and "| **sum** | **0.75** | **0.50** | **0.25** |" in page, f"the profile:\n{page}")
    t.ok("| top | end | 40 / 90 | **2.24** | 80 / 180 | **2.24** | 3 / 3 | 1.0 |" in page, f"the epochs:\n{page}")
    t.ok("`rate` 5 (goal >= 6: **missed**)" in page and "`other` 1.5" in page, f"the table:\n{page}")
