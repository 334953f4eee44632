"""What an epoch of a model costs while history grows: ivm."""
import json
import subprocess

import svg
from common import ROOT, Goal, Wrong, benchmark

PROGRAM = ROOT / "build/release/ivm_bench"
PICTURES = ROOT / "docs/pictures"
GROWTH_MAX = 2
FIRST_ROWS = 10_000  # what growth is measured against
# Results that are as long as their key, or that change with every row behind the one that changed: no way of keeping them is flat.
MUST_GROW = {("row-number", "middle"): "every row behind the one that changed has another number",
             ("recompute", "end"): "reads all rows of the key again: explain says so",
             ("recompute", "middle"): "reads all rows of the key again: explain says so"}


def options(parser):
    parser.add_argument("--full", action="store_true", help="up to 30 M rows and 30,000 rows a key, whatever it takes (more than half an hour)")
    parser.add_argument("--rows", type=int, default=3_000_000, help="history to grow to (default 3 M)")
    parser.add_argument("--rows-per-key", type=int, default=3_000, help="of each of 1,000 keys (default 3,000)")
    parser.add_argument("--seconds", type=float, default=14, help="of each kind and shape; then it grows no further (default 14)")
    parser.add_argument("--kind", action="append", default=[], help="only this kind (may be repeated)")


def measured(b):
    """The lines of the program as they come."""
    o = b.o
    args = [PROGRAM, "--dir", b.work, "--rows", 30_000_000 if o.full else o.rows, "--rows-per-key", 30_000 if o.full else o.rows_per_key]
    if not o.full:
        args += ["--seconds", o.seconds]
    for kind in o.kind:
        args += ["--kind", kind]
    with subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, text=True) as p:
        for line in p.stdout:
            point = json.loads(line)
            b.say(f"{point['kind']:15} {point['place']:6} {point['rows']:>11,} rows, {point['rows_per_key']:>6,} a key: {point['cpu_ms']:8.2f} ms CPU, {point['background_ms']:8.2f} behind, {point['delta_bytes']:>12,} bytes")
            yield point
    if p.returncode:
        raise Wrong(f"ivm_bench ended with {p.returncode}")


def growth(points, value):
    """The largest over the smallest cost from FIRST_ROWS on."""
    values = [p[value] for p in points if p["rows"] >= FIRST_ROWS]
    return max(values) / max(min(values), 1e-9)


def curves(points, value, axis):
    """[(name, [(x, y)…])…] of one picture."""
    lines = {}
    for p in points:
        lines.setdefault(p["kind"], []).append((p[axis], p[value]))
    return sorted(lines.items())


@benchmark("ivm", work="an epoch of 1,000 changed rows against history, for every way a model is kept; operators, checkpoint and state store, without tables",
           goals=[Goal("kinds_that_grow", "<=", 0)], options=options)
def ivm(b):
    subprocess.run([ROOT / "x", "build", "release", "ivm_bench"], check=True, stdout=subprocess.DEVNULL)
    points = list(measured(b))
    series = {}
    for p in points:
        series.setdefault((p["kind"], p["place"]), []).append(p)
    figures, grows = {}, []
    for (kind, place), of in series.items():
        name = f"{kind}_{place}"
        figures[f"cpu_growth_{name}"], figures[f"bytes_growth_{name}"] = growth(of, "cpu_ms"), growth(of, "delta_bytes") if of[0]["delta_bytes"] > 64 else 1.0
        if max(figures[f"cpu_growth_{name}"], figures[f"bytes_growth_{name}"]) > GROWTH_MAX and (kind, place) not in MUST_GROW:
            grows.append(name)
    figures["kinds_that_grow"] = len(grows)
    if not b.o.kind:
        draw(points)
    return {"figures": figures, "parameters": {"rows": max(p["rows"] for p in points), "rows_per_key": max(p["rows_per_key"] for p in points), "changed_rows": 1000},
            "details": {"points": points, "grow": grows, "must_grow": {f"{k}_{p}": why for (k, p), why in MUST_GROW.items()}}}


def draw(points):
    PICTURES.mkdir(exist_ok=True)
    wide = [p for p in points if p["place"] == "wide"]
    pictures = {"ivm-history": ("1,000 changed rows anywhere, ten rows a key", "rows of history", wide, "rows"),
                "ivm-key-end": ("1,000 changed rows at the ends of 1,000 keys", "rows of each key", [p for p in points if p["place"] == "end"], "rows_per_key"),
                "ivm-key-middle": ("1,000 changed rows in the middle of 1,000 keys", "rows of each key", [p for p in points if p["place"] == "middle"], "rows_per_key")}
    for name, (title, x_name, of, axis) in pictures.items():
        for value, y_name, suffix in (("cpu_ms", "ms of CPU an epoch", "time"), ("delta_bytes", "bytes of state delta an epoch", "bytes")):
            (PICTURES / f"{name}-{suffix}.svg").write_text(svg.chart(title, x_name, y_name, curves(of, value, axis)))
