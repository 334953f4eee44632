"""examples/rides from event files to committed tables."""
import json
import shutil

from common import DATA, ROOT, WEIR, Goal, benchmark, call, measure


def options(p):
    p.add_argument("--scale", type=float, default=4.3, help="trips per built-in trip; 1 is about 240,000 events")
    p.add_argument("--runs", type=int, default=3, help="the fastest counts")
    p.add_argument("--shards", type=int, default=1)
    p.add_argument("--set", action="append", default=[], help="a setting of weir.yml: --set weir.step.rows=20000")


@benchmark("rides", work="event file -> bronze, silver.trips and all gold kept at every epoch",
           goals=[Goal("events_per_s", ">=", 400_000)], options=options)
def rides(b):
    folder = DATA / f"rides-{b.o.scale:g}"
    if not folder.exists():
        call([WEIR, "generate", "rides", "--scale", b.o.scale, "--out", b.work / "in"])
        DATA.mkdir(parents=True, exist_ok=True)
        (b.work / "in").rename(folder)
    events = folder / "events.ndjson"
    expected = json.loads((folder / "expected_counts.json").read_text())
    runs = []
    for n in range(b.o.runs):
        lake = b.work / f"lake{n}"
        sets = [x for s in [f"weir.threads.shards={b.o.shards}", *b.o.set] for x in ("--set", s)]
        m = measure([WEIR, "run", "--once", "--project", ROOT / "examples/rides", "--data", lake, "--source", f"ride_events={events}", "-o", "json", *sets])
        ledger = json.loads(call([WEIR, "show", "ledger", "--project", ROOT / "examples/rides", "--data", lake, "-o", "json"]))[0]
        b.check(ledger["received"] == expected["received"] and ledger["accepted"] == expected["accepted"], f"wrong answer: {ledger}, want {expected}")
        runs.append(m)
        shutil.rmtree(lake)
    best, rows = min(runs, key=lambda r: r.wall_s), expected["received"]
    return {"figures": {"events_per_s": rows / best.wall_s, "cpu_us_per_event": best.cpu_s / rows * 1e6, "wall_s": best.wall_s, "cpu_s": best.cpu_s,
                        "peak_rss_mb": best.peak_rss_bytes / 1e6},
            "parameters": {"events": rows, "input_bytes": events.stat().st_size, "shards": b.o.shards, "runs": b.o.runs},
            "details": {"all_wall_s": [round(r.wall_s, 3) for r in runs], "report": best.json}}
