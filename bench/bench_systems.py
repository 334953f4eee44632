"""The example systems at the largest scale that all of them fit ten minutes with: rate, CPU per record, state per key, freshness.

`./x bench systems` writes the table of docs/systems.md. Each system runs twice: once over generated input that is all there (records
per second, CPU microseconds per record, and bytes of state by `weir show state`), and once with `weir up` watching folders that get a
piece of the input every second (freshness: from the moment a piece is there until its records are in a committed epoch; the slowest of
the pieces, since there are fewer than a hundred).
"""
import json
import shutil
import sqlite3
import time

from common import ROOT, WEIR, Server, benchmark, call, measure, percentile, wait_until

PAGE = ROOT / "docs/systems.md"
BEGIN, END = "<!-- figures: written by ./x bench systems -->", "<!-- end of figures -->"

# name: scale of the run, mission's records per second (mean or peak as the mission says), what state is counted by: the key and a table
# with one row for each.
SYSTEMS = {
    "rides": (2, 5_790, "trip", "silver.trips"),
    "customer360": (15, 55_556, "record", "silver.identities"),
    "fraud": (5, 50_000, "user", "gold.user_profile"),
    "feed": (3, 1_000_000, "post", "gold.content_features"),
    "clickstream": (3, 3_000_000, "session", "gold.sessions"),
    "attribution": (10, 117_169, "conversion", "gold.attributed_conversions_user_level"),
}
FRESH_SCALE = {"rides": .1}
PIECES = 30


def generated(b, name, scale, purpose=""):
    folder = b.work / f"{name}-{scale:g}{purpose}"
    call([WEIR, "generate", name, "--out", folder, "--scale", scale])
    return folder


def files_of(folder, name):
    """{source: its files in the order of their names}, for the contracts that the project has."""
    contracts = {p.name.split(".")[0] for p in (ROOT / "examples" / name / "contracts").glob("*.yaml")}
    found = {d.name: sorted(d.iterdir()) for d in sorted((folder / "data").iterdir()) if d.name in contracts}
    if name == "rides":
        found["ride_events"] = sorted(folder.glob("events*.ndjson"))
    return found


def sources(paths):
    return [x for name, path in paths.items() for x in ("--source", f"{name}={path}")]


def whole(b, name, scale):
    """All input at once."""
    folder, lake = generated(b, name, scale), b.work / f"{name}-lake"
    files = files_of(folder, name)
    done = measure([WEIR, "run", "--once", "--project", ROOT / "examples" / name, "--data", lake, "-o", "json",
                    *sources({source: f"{paths[0].parent}/*.{paths[0].suffix[1:]}" for source, paths in files.items()})])
    want = json.loads((folder / "answer/ledger.json").read_text())
    for line in done.json["ledger"]:
        if line["source"] in want:
            b.check(line["accepted"] == want[line["source"]]["accepted"], f"{name}: {line['source']} accepted {line['accepted']}")
    state = json.loads(call([WEIR, "show", "state", "--project", ROOT / "examples" / name, "--data", lake, "-o", "json"]))
    sides = [s for s in state if s["what"].startswith("identities of")]
    key, table = SYSTEMS[name][2:]
    keys = next(int(t["rows"]) for t in json.loads(call([WEIR, "ls", "--data", lake, "-o", "json"])) if t["table"] == table)
    kept = sum(s["bytes"] for s in state) - sum(s["bytes"] for s in sides)
    records = done.json["received"]
    shutil.rmtree(lake)
    return {"records": records, "records_per_s": records / done.wall_s, "cpu_us": done.cpu_s * 1e6 / records, "key": key,
            "state_bytes_per_key": kept / keys, "identity_bytes_per_record": sum(s["bytes"] for s in sides) / records,
            "peak_rss_mb": done.peak_rss_bytes / 2**20}


def pieces_of(paths, count):
    """The text of the files of a source in `count` pieces: whole files when there are many, else lines of the one there is."""
    if len(paths) > 1:
        groups = [paths[i * len(paths) // count:(i + 1) * len(paths) // count] for i in range(count)]
        return [[(p.name, p.read_bytes()) for p in group] for group in groups]
    lines = paths[0].read_bytes().splitlines(keepends=True)
    cuts = [lines[i * len(lines) // count:(i + 1) * len(lines) // count] for i in range(count)]
    return [[(f"piece-{i:04}{paths[0].suffix}", b"".join(cut))] for i, cut in enumerate(cuts)]


def received(lake):
    with sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'weir_ledger'").fetchone():
            return {}  # the server has made the file, and is about to make its tables
        return {json.loads(line)["source"]: json.loads(line)["received"] for (line,) in db.execute("SELECT line FROM weir_ledger")}


def fresh(b, name):
    """A piece a second; seconds until each is committed."""
    folder, lake, inbox = generated(b, name, FRESH_SCALE.get(name, .5), "-pieces"), b.work / f"{name}-fresh", b.work / f"{name}-inbox"
    files = files_of(folder, name)
    for source in files:
        (inbox / source).mkdir(parents=True)
    pieces = {source: pieces_of(paths, PIECES) for source, paths in files.items()}
    waits, start = [], 0.0
    with Server([WEIR, "up", "--project", ROOT / "examples" / name, "--data", lake, "--port", "0", "--set", "weir.file.quiet=100ms",
                 *sources({source: f"{inbox / source}/*{paths[0].suffix}" for source, paths in files.items()})], b.work / f"{name}.log") as server:
        wait_until(lambda: (lake / "catalog.db").exists(), 30, "the catalog", server)
        want = dict.fromkeys(files, 0)
        waiting = []  # (when a piece came, what is received once it is committed)
        while len(waits) < PIECES:
            put = len(waits) + len(waiting)
            if put < PIECES and (put == 0 or time.monotonic() >= start + put):
                start = start if put else time.monotonic()
                for source, parts in pieces.items():
                    for file, content in parts[put]:
                        part = inbox / source / f"{file}.part"
                        part.write_bytes(content)
                        part.rename(inbox / source / file)
                        want[source] += content.count(b"\n") - file.endswith(".csv")
                waiting.append((time.monotonic(), dict(want)))
            got = received(lake)
            while waiting and all(got.get(s, 0) >= n for s, n in waiting[0][1].items() if s != "zones"):
                waits.append(time.monotonic() - waiting.pop(0)[0])
            b.check(not waiting or time.monotonic() - waiting[0][0] < 120, f"{name}: a piece was not committed within two minutes: {waiting[:1]}, {got}")
            time.sleep(.02)
    return percentile(waits, .99)


def options(parser):
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which (default: all)")
    parser.add_argument("--scale", type=float, default=1, help="times the usual scale (default: 1)")


@benchmark("systems", work="the six example systems on generated input", options=options, in_all=False)
def systems(b):
    rows, figures = {}, {}
    for name in b.o.systems.split(","):
        if not (ROOT / "examples" / name / "weir.yml").exists():
            b.say(f"examples/{name} is not there")
            continue
        b.say(name)
        row = whole(b, name, SYSTEMS[name][0] * b.o.scale)
        row["fresh_s"] = fresh(b, name)
        rows[name] = row
        figures.update({f"{name}_records_per_s": row["records_per_s"], f"{name}_cpu_us": row["cpu_us"], f"{name}_fresh_s": row["fresh_s"]})
    if not b.o.no_keep:
        write(rows)
    return {"figures": figures, "parameters": {"scale": b.o.scale}, "details": rows}


def cell(value, text="{:,.0f}"):
    return "" if value is None else text.format(value)


def write(rows):
    """The table of the page; systems that were not run keep the line they have."""
    text = PAGE.read_text()
    head, tail = text[:text.index(BEGIN)], text[text.index(END):]
    lines = {line.split("|")[1].strip(): line for line in text[len(head):len(text) - len(tail)].splitlines() if line.startswith("| ")}
    for name, r in rows.items():
        mission = SYSTEMS[name][1]
        lines[name] = (f"| {name} | {cell(r['records'])} | {cell(r['records_per_s'])} | {mission:,} | {cell(r['cpu_us'], '{:,.1f}')} | "
                       f"{cell(mission * r['cpu_us'] / 1e6, '{:,.1f}')} | {cell(r['state_bytes_per_key'])} a {r['key']} | "
                       f"{cell(r['identity_bytes_per_record'])} | {cell(r['fresh_s'], '{:.1f} s')} |")
    titles = ["| system | records | records/s here | mission's | CPU µs a record | cores for the mission's rate | state, bytes a key | known identities, bytes a record | freshness, slowest of 30 |",
              "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    PAGE.write_text(head + "\n".join([BEGIN, *titles, *(lines[n] for n in SYSTEMS if n in lines)]) + "\n" + tail)
