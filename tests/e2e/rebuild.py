"""The state is lost, damaged, foreign or old: it is rebuilt from the tables, and everything goes on as if nothing had happened."""
import json
import random
import shutil
import time

import gateway
import pyarrow as pa
from answers import MODELS, SOURCE, check_all, read
from lanes import EXTRA, NAMES, check_models, halves, project_with

TABLES = [f"bronze.{SOURCE}", *(f"bronze.{SOURCE}${kind}" for kind in ("rejected", "late", "duplicate")), *MODELS, *NAMES]
SETS = ["weir.step.rows=1000", "weir.epoch.steps=1"]


def rows_of(lake, table):
    """The rows as a sorted list of texts: equal for equal tables."""
    rows = read(lake, table)
    if not isinstance(rows, pa.Table):
        rows = rows.read_all()
    return sorted(json.dumps(row, default=repr, sort_keys=True) for row in rows.to_pylist())


def contents(t, lake):
    return {table: rows_of(lake, table) for table in TABLES}, t.weir("show", "ledger", "--data", lake, "-o", "json").json


def check_same(t, lake, want, what):
    tables, ledger = contents(t, lake)
    for table in TABLES:
        got, should = tables[table], want[0][table]
        t.ok(got == should, f"{what}: {table} has {len(got)} rows, want {len(should)}; only here {sorted(set(got) - set(should))[:2]}, missing {sorted(set(should) - set(got))[:2]}")
    t.equal(ledger, want[1], f"{what}: the ledger")


def prepared(t):
    """A project, its inputs in two halves, a lake that has the first, a copy of it, and what it holds after the second."""
    project, lake, kept = project_with(t, EXTRA), t.dir / "lake", t.dir / "kept"
    folder, first, second = halves(t)
    (folder / "events-1.ndjson").write_bytes(first)
    t.run_once(folder, lake, project=project, sets=SETS)
    shutil.copytree(lake, kept)
    # Some of the first half comes again: duplicates that only the identity memory knows.
    again = b"".join(first.splitlines(keepends=True)[-400:])
    (folder / "events-2.ndjson").write_bytes(again + second)
    t.run_once(folder, lake, project=project, sets=SETS)
    check_models(t, project, lake, NAMES)
    return project, folder, lake, kept, contents(t, lake)


def put_back(lake, kept):
    shutil.rmtree(lake)
    shutil.copytree(kept, lake)


def files_of(lake, part):
    return sorted(f for f in (lake / "state").rglob("*") if f.is_file() and part in str(f) and f.stat().st_size > 0)


def flip(file, byte):
    bytes_ = bytearray(file.read_bytes())
    bytes_[byte % len(bytes_)] ^= 1 << (byte % 8)
    file.write_bytes(bytes_)


def rebuilt(err):
    return [json.loads(line) for line in err.splitlines() if line.startswith("{") and json.loads(line).get("event") == "state_rebuilt"]


def go_on(t, project, folder, lake, want, what, must_rebuild=True):
    args = ["run", "--once", "--project", project, "--data", lake, "--source", f"ride_events={folder}"]
    done = t.weir(*args, *(x for s in SETS for x in ("--set", s)))
    events = rebuilt(done.err)
    if must_rebuild:
        t.equal(len(events), 1, f"{what}: state_rebuilt events; {done.err[-2000:]}")
        t.ok(events[0]["why"] and events[0]["rows"] > 0 and events[0]["identities"] > 0 and events[0]["models"] > 0, f"{what}: {events[0]}")
        t.ok("model_begins_anew" not in done.err, f"{what}: a model was not what its table holds: {done.err[-2000:]}")
    check_same(t, lake, want, what)
    again = t.weir(*args, *(x for s in SETS for x in ("--set", s)))
    t.equal(rebuilt(again.err), [], f"{what}: the next run has nothing to rebuild")
    return events


def test_lost_state_is_rebuilt(t):
    project, folder, lake, kept, want = prepared(t)
    other = t.dir / "other"
    t.run_once(folder, other, project=project, sets=SETS)

    def newest_owner(place):
        return sorted((place / "state").glob("owner-*"), key=lambda d: int(d.name.split("-")[1]))[-1]

    losses = {
        "state/ is gone": lambda: shutil.rmtree(lake / "state"),
        "the store is gone": lambda: shutil.rmtree(newest_owner(lake) / "rocks"),
        "the manifest is cut": lambda: [f.write_bytes(f.read_bytes()[:20]) for f in files_of(lake, "MANIFEST")],
        "tables of the store are gone": lambda: [f.unlink() for f in files_of(lake, ".sst")],
        "it is another directory's": lambda: (shutil.rmtree(newest_owner(lake)), shutil.copytree(newest_owner(other), lake / "state/owner-1")),
    }
    for what, lose in losses.items():
        put_back(lake, kept)
        lose()
        go_on(t, project, folder, lake, want, what)


def test_flipped_bytes_are_seen_and_mended(t):
    project, folder, lake, kept, want = prepared(t)
    chance, rebuilds = random.Random(11), 0
    for kind in ("MANIFEST", ".sst", ".sst", ".sst", "CURRENT"):
        put_back(lake, kept)
        files = files_of(lake, kind)
        for file in files:
            for _ in range(3):
                flip(file, chance.randrange(file.stat().st_size))
        rebuilds += len(go_on(t, project, folder, lake, want, f"flipped bytes in {kind}", must_rebuild=False))
    t.ok(rebuilds >= 3, f"only {rebuilds} of 5 were seen")


def test_kill_while_rebuilding(t):
    project, folder, lake, kept, want = prepared(t)
    chance, killed = random.Random(5), 0
    put_back(lake, kept)
    shutil.rmtree(lake / "state")
    for _ in range(25):
        p = t.start("run", "--once", "--project", project, "--data", lake, "--source", f"ride_events={folder}", *(x for s in SETS for x in ("--set", s)))
        time.sleep(.05 + chance.random() * .35)
        if p.poll() is not None:
            break
        p.kill()
        p.wait()
        killed += 1
    t.ok(killed > 0, "no run was killed")
    t.weir("run", "--once", "--project", project, "--data", lake, "--source", f"ride_events={folder}", *(x for s in SETS for x in ("--set", s)))
    check_same(t, lake, want, f"{killed} kills")


def test_lost_state_behind_http(t):
    """What was pushed has no file to be read again: tables, log and verdicts must be enough."""
    data = t.stream(seed=21, months="2018-09", trips=3000, returning=.01, conflict=.01, correct=.02)
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    third, verdicts, file = len(lines) // 3, {}, t.dir / "part.ndjson"

    def post(port, part):
        file.write_bytes(b"".join(part))
        for verdict, n in gateway.post_all(t, port, [file]).items():
            verdicts[verdict] = verdicts.get(verdict, 0) + n

    process, port = gateway.serve(t)
    post(port, lines[:third])
    gateway.wait_for_ledger(t, third)
    # The first third is committed; the second one is acknowledged and maybe only in the log.
    post(port, lines[third:2 * third])
    process.kill()
    process.wait()
    shutil.rmtree(t.dir / "lake/state")
    process, port = gateway.serve(t)
    events = rebuilt(process.err_path.read_text())
    t.ok(len(events) == 1 and events[0]["identities"] > 0 and events[0]["rows"] > 0, f"state_rebuilt events: {events}; {process.err_path.read_text()[-2000:]}")
    post(port, lines[2 * third:])
    gateway.stop(t, process)
    gateway.check_verdicts(t, verdicts, data)
    check_all(t, t.dir / "lake", data)
