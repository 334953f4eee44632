"""A run may end at any moment, politely or not; what was committed is right and the next run goes on from there."""
import os
import random
import signal
import subprocess
import time

from answers import SOURCE, check_all, count
from harness import PATIENCE, PROJECT, alone, counts_of

SMALL_STEPS = ["--set", "weir.step.rows=200", "--set", "weir.epoch.steps=2", "--set", "weir.lease=1s"]


def arguments(source, lake):
    return ["run", "--once", "--project", PROJECT, "--data", lake, "--source", f"ride_events={source}", "-o", "json", *SMALL_STEPS]


def wait_for_commit(t, process, lake, seconds=60):
    """Returns once the running process has committed bronze rows, or has ended."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            if (lake / "catalog.db").exists() and count(lake, f"bronze.{SOURCE}"):
                return
        except Exception:  # the catalog is being made
            pass
        time.sleep(.05)


def test_resumes_inside_a_file(t):
    data, lake = t.stream(seed=4, months="2018-08", trips=6000), t.dir / "lake"
    for how, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -9)):
        process = t.start(*arguments(data / "events.ndjson", lake))
        before = count(lake, f"bronze.{SOURCE}") if lake.exists() and (lake / "catalog.db").exists() else 0
        wait_for_commit(t, process, lake)
        time.sleep(.3)
        process.send_signal(how)
        t.equal(process.wait(60 * PATIENCE), code, f"exit code after {how.name}; stderr:\n{process.err_path.read_text()[-2000:]}")
        after = count(lake, f"bronze.{SOURCE}")
        t.ok(before <= after < counts_of(data)["accepted"], f"bronze has {after} rows after {how.name}, {before} before: not inside the file")
    report = t.weir(*arguments(data / "events.ndjson", lake)).json
    t.ok(0 < report["received"] < counts_of(data)["received"], f"the last run took {report['received']} records, not just the rest")
    check_all(t, lake, data)


def stop_at_random_moments(t, data, source, stops, seed):
    rnd = random.Random(seed)
    start = time.monotonic()
    t.weir(*arguments(source, t.dir / "measure"))
    whole = time.monotonic() - start
    start = time.monotonic()
    t.weir(*arguments(source, t.dir / "measure"))
    idle = time.monotonic() - start
    lake, kills, hits = t.dir / "lake", 0, 0
    for i in range(stops):
        process = t.start(*arguments(source, lake))
        how = signal.SIGKILL if rnd.random() < .5 else signal.SIGTERM
        kills += how == signal.SIGKILL
        try:
            process.wait(rnd.uniform(0, idle) + rnd.uniform(0, 1.5 * whole / stops))
        except subprocess.TimeoutExpired:
            process.send_signal(how)
            hits += 1
        code = process.wait(60 * PATIENCE)
        t.ok(code in (0, -how), f"seed {seed}, stop {i} by {how.name}: exit code {code}\n{process.err_path.read_text()[-3000:]}")
    t.ok(hits * 2 >= stops, f"seed {seed}: only {hits} of {stops} stops met a running process")
    t.weir(*arguments(source, lake))
    try:
        check_all(t, lake, data)
    except AssertionError as e:
        raise type(e)(f"seed {seed}, {stops} stops of which {kills} kills: {e}") from None


@alone
def test_stops_at_random_moments(t):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    data = t.stream(seed=4, months="2018-08", trips=4000, returning=.01, conflict=.01, correct=.02)
    stop_at_random_moments(t, data, data / "events.ndjson", 25, seed)


@alone
def test_stops_at_random_moments_with_four_partitions(t):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    data = t.stream(seed=4, months="2018-09", trips=2000, partitions=4, returning=.01, conflict=.01, correct=.02)
    stop_at_random_moments(t, data, data / "events-{partition}.ndjson", 10, seed)
