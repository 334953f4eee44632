"""`weir up` beside a folder: files are taken when they are whole, and the tables follow."""
import threading
import time

from answers import SOURCE, check_all
from gateway import post_file, serve, stop, wait_for_ledger
from harness import PATIENCE, PROJECT, counts_of


def received(t):
    done = t.weir("show", "ledger", "--data", t.dir / "lake", "-o", "json", code=None)
    return sum(r["received"] for r in done.json) if done.code == 0 else 0


def test_files_are_taken_when_they_are_whole(t):
    data = t.stream(seed=18, months="2019-02", trips=1500)
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    folder = t.dir / "in"
    folder.mkdir()
    process, _ = serve(t, "--source", f"ride_events={folder}", "--set", f"weir.file.quiet={2 * PATIENCE}s", "--set", "weir.epoch.interval=200ms")
    third = len(lines) // 3
    # Written under a name that is left alone, and renamed into place.
    (folder / "events-1.ndjson.part").write_bytes(b"".join(lines[:third]))
    time.sleep(3)
    t.equal(received(t), 0, "records taken from a .part file")
    (folder / "events-1.ndjson.part").rename(folder / "events-1.ndjson")
    wait_for_ledger(t, third)
    # Written in place, slowly: nothing of it counts until it has stood still.
    with open(folder / "events-2.ndjson", "wb") as f:
        for i in range(6):
            f.write(b"".join(lines[third + i * third // 6:third + (i + 1) * third // 6]))
            f.flush()
            time.sleep(.5)
            t.equal(received(t), third, "records taken while a file still grows")
    wait_for_ledger(t, 2 * third)
    (folder / "events-3.ndjson").write_bytes(b"".join(lines[2 * third:]))
    wait_for_ledger(t, len(lines))
    stop(t, process)
    check_all(t, t.dir / "lake", data)


def test_commands_work_beside_a_running_server(t):
    data = t.stream(seed=18, months="2019-02", trips=600)
    process, port = serve(t, "--set", "weir.epoch.interval=200ms")
    post_file(t, port, data / "events.ndjson", {}, threading.Lock())
    wait_for_ledger(t, counts_of(data)["received"])
    lake = t.dir / "lake"
    rows = t.weir("query", "--data", lake, "-o", "json", f"SELECT count(*) AS n FROM bronze.{SOURCE}").json
    t.equal(rows[0]["n"], counts_of(data)["accepted"], "rows that a query beside the server sees")
    for verb in (["ls"], ["show", "models"], ["show", "epochs"]):
        t.weir(*verb, "--data", lake)
    t.equal(process.poll(), None, "the server after others read its tables")
    stop(t, process)


def test_a_second_server_on_the_same_lake_is_refused(t):
    process, _ = serve(t)
    done = t.weir("run", "--once", "--project", PROJECT, "--data", t.dir / "lake", code=1)
    t.ok(str(t.dir / "lake") in done.err, f"the refusal does not name the lake: {done.err}")
    t.equal(process.poll(), None, "the first server")
    stop(t, process)
