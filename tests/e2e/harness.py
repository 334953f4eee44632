"""The frame of the end-to-end tests: each runs the real binary on a folder of its own.

A test is a function `test_…(t)` in tests/e2e/*.py; `t` is a Test. tests/run.py starts each in its own process:

    python tests/e2e/harness.py FILE CASE

@long tests run only in `./x test all`; @alone ones keep the machine to themselves.
"""
import csv
import gzip
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEIR = Path(os.environ.get("WEIR", ROOT / "build/release/weir"))
PROJECT = ROOT / "tests/projects/rides"
SHARED = ROOT.parent / "shared"  # holds ride_stream.py and two years of trips; not part of the repository
CACHE = ROOT / "build/e2e-cache"
SANITIZER_EXIT = 99  # tests/run.py tells sanitizers to end a process with it
SANITIZED = "WEIR_SANITIZED" in os.environ  # a sanitizer's own memory is several times that of the program: bounds on memory say nothing then
PATIENCE = 5 if SANITIZED else 1  # times what a process may take to end: a sanitizer makes it slow


def long(f):
    f.long = True
    return f


def alone(f):
    f.alone = True
    return f


class Failure(AssertionError):
    """A claim of a test that does not hold; its text is all the reader needs."""


class Done:
    """A finished command."""

    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.out, self.err, self.seconds = args, code, out, err, seconds

    @property
    def json(self):
        try:
            return json.loads(self.out)
        except json.JSONDecodeError as e:
            raise Failure(f"{self} printed no JSON ({e}):\n{self.out[:2000]}") from None

    def __str__(self):
        return "weir " + " ".join(map(str, self.args))


class Test:
    def __init__(self, folder):
        self.dir = Path(folder)
        self.running = []

    # ---------------------------------------------------------------------------------- claims

    def ok(self, claim, message):
        if not claim:
            raise Failure(message)

    def equal(self, got, want, what):
        if got != want:
            raise Failure(f"{what}: got {got!r}, want {want!r}")

    def contains(self, text, part, what):
        if part not in text:
            raise Failure(f"{what}: {part!r} is missing in {text!r}")

    # -------------------------------------------------------------------------------- commands

    def weir(self, *args, code=0, timeout=600, cwd=None, env=None):
        """Runs weir to its end. `code` is the exit code it must have; None takes any."""
        args = [str(a) for a in args]
        start = time.monotonic()
        p = subprocess.run([WEIR, *args], capture_output=True, text=True, timeout=timeout, cwd=cwd or self.dir,
                           env={**os.environ, **(env or {})})
        done = Done(args, p.returncode, p.stdout, p.stderr, time.monotonic() - start)
        if p.returncode == SANITIZER_EXIT:
            raise Failure(f"{done}: ended by a sanitizer\n{p.stderr[-8000:]}")
        if code is not None and p.returncode != code:
            raise Failure(f"{done}: exit code {p.returncode}, want {code}\n{p.stdout[-2000:]}\n{p.stderr[-4000:]}")
        return done

    def start(self, *args, cwd=None):
        """Starts weir; it is killed when the test ends. Output goes to files, so that no pipe fills up."""
        n = len(self.running)
        out, err = open(self.dir / f"run{n}.out", "w+"), open(self.dir / f"run{n}.err", "w+")
        p = subprocess.Popen([WEIR, *map(str, args)], stdout=out, stderr=err, text=True, cwd=cwd or self.dir)
        p.out_path, p.err_path = Path(out.name), Path(err.name)
        out.close(), err.close()
        self.running.append(p)
        return p

    def run_once(self, source, lake=None, sets=(), project=None, code=0, **more):
        """`weir run --once` of the example on `source`; returns its JSON report."""
        args = ["run", "--once", "--project", project or PROJECT, "--data", lake or self.dir / "lake", "-o", "json"]
        if source is not None:
            args += ["--source", f"ride_events={source}"]
        for s in sets:
            args += ["--set", s]
        done = self.weir(*args, code=code, **more)
        return done.json if code == 0 else done

    def close(self):
        for p in self.running:
            if p.poll() is None:
                p.kill()
                p.wait()

    def ended_by_sanitizer(self):
        """What the processes said that a sanitizer ended; a test that kills them or takes any exit code does not see it."""
        return "\n".join(p.err_path.read_text()[-8000:] for p in self.running if p.poll() == SANITIZER_EXIT)

    # ------------------------------------------------------------------------------------ data

    def stream(self, seed=7, months="2018-01", trips=0, partitions=1, **shares):
        """A folder with events*.ndjson, expected_trips.csv and expected_counts.json. `trips` cuts each month short.

        Made by the independent ride_stream.py where it is at hand, else by Weir's own generator, which a test of its own
        holds to an independent fold. Kept for the next test that wants the same.
        """
        wish = {"seed": seed, "months": months, "trips": trips, "partitions": partitions, **shares}
        tool = SHARED / "tools/ride_stream.py"
        name = "-".join(f"{k}={v}" for k, v in wish.items()).replace("/", "_") + ("" if tool.exists() else "-own")
        folder = CACHE / name
        if folder.exists():
            return folder
        CACHE.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=CACHE, prefix=".making-"))
        options = [x for k, v in shares.items() for x in (f"--{k}", str(v))] + ["--seed", str(seed), "--partitions", str(partitions)]
        if tool.exists():
            taxi = self._taxi(work / "taxi", months, trips) if trips else SHARED / "data/taxi"
            subprocess.run([sys.executable, tool, "--taxi", taxi, "--out", work / "out", "--months", months, *options],
                           check=True, stdout=subprocess.DEVNULL)
        else:
            print("note: ride_stream.py is not beside the repository; using `weir generate rides`", file=sys.stderr)
            built_in = ["2019-05", "2019-06", "2019-07", "2019-08"]
            chosen = built_in[: max(1, len([m for m in months.split(",") if m]))] if months else built_in
            scale = trips / 10000 if trips else 1
            subprocess.run([WEIR, "generate", "rides", "--out", work / "out", "--months", ",".join(chosen), "--scale", str(scale), *options],
                           check=True, stdout=subprocess.DEVNULL)
        try:
            (work / "out").rename(folder)
        except OSError:  # another test was faster
            pass
        shutil.rmtree(work, ignore_errors=True)
        return folder

    @staticmethod
    def _taxi(folder, months, trips):
        folder.mkdir()
        for month in months.split(","):
            name = f"yellow_tripdata_sample_{month}.csv"
            with gzip.open(SHARED / f"data/taxi/{name}.gz", "rt") as f, open(folder / name, "w") as out:
                for i, line in enumerate(f):
                    if i > trips:
                        break
                    out.write(line)
        return folder


def counts_of(folder):
    return json.loads((Path(folder) / "expected_counts.json").read_text())


def trips_of(folder):
    """expected_trips.csv as {trip_id: row}."""
    with open(Path(folder) / "expected_trips.csv", newline="") as f:
        return {row["trip_id"]: row for row in csv.DictReader(f)}


def main():
    file, case = sys.argv[1], sys.argv[2]
    sys.path.insert(0, str(Path(__file__).parent))
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix=f"weir-{case}-")
    t = Test(folder)
    try:
        getattr(module, case)(t)
        t.ok(not t.ended_by_sanitizer(), f"a process was ended by a sanitizer:\n{t.ended_by_sanitizer()}")
    except Exception as e:
        # By name: run as a script, this file is __main__, and the tests import it as harness.
        if type(e).__name__ == "Failure":
            where = [f for f in traceback.extract_tb(e.__traceback__) if f.filename == str(Path(file).resolve()) or f.filename == file]
            print(f"{Path(file).name}:{where[-1].lineno if where else 0}: {e}")
        else:
            traceback.print_exc(file=sys.stdout)
        for p in t.running:
            text = p.err_path.read_text()[-3000:]
            if text:
                print(f"--- {p.args}: exit {p.poll()}, stderr:\n{text}")
        t.close()
        if os.environ.get("KEEP"):
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        sys.exit(1)
    t.close()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
