#!/usr/bin/env python3
"""Runs the tests; `./x test` calls it.

    ./x test         builds, then the C++ tests, the kept inputs of the fuzz drivers, random SQL against DuckDB, the end-to-end tests, the checker's own tests, a
                     soak of 200 cycles, the house rules and the planted bugs
    ./x test unit    the C++ tests alone
    ./x test all     the long ones too, asan and tsan, and five minutes of fuzzing for each decoder
    ./x test asan    the C++ and end-to-end tests in a build with AddressSanitizer and UndefinedBehaviorSanitizer
    ./x test tsan    those of the modules with threads in a build with ThreadSanitizer
    ./x test NAME    what NAME names: a test program (log or log_test), a GoogleTest filter (LogTest.*), an end-to-end file or
                     case (crash, test_stops_at_random_moments), a house rule (include_graph)

A line per test with its time, the output of failures only, and one closing line. Uses the standard library alone.
KEEP=1 keeps the folders of failed end-to-end tests.
"""
import ast
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/release"
PYTHON = ROOT / ".deps/venv/bin/python"
SECONDS_MAX = {"unit": 900, "e2e": 900, "long": 5400, "house": 600, "planted": 5400, "sanitized": 6 * 3600}
OUTPUT_MAX = 12000  # characters of a failure that are shown
SANITIZER_SAID = "--- a sanitizer said:"


class Result:
    def __init__(self, passed, failed, output=""):
        self.passed, self.failed, self.output = passed, failed, output


def run(args, seconds_max, env=None):
    """(exit code, output); a process that takes too long is stopped with all it started. What a sanitizer said in any of them is a failure of it."""
    with tempfile.TemporaryDirectory(prefix="weir-reports-") as reports:
        p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=ROOT,
                             start_new_session=True, env={**(env or os.environ), **sanitizer_options(reports)})
        try:
            output, _ = p.communicate(timeout=seconds_max)
            code = p.returncode
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            code, output = 1, p.communicate()[0] + f"\nstopped: took longer than {seconds_max} s"
        said = [f"{SANITIZER_SAID}\n{file.read_text(errors='replace')}" for file in sorted(Path(reports).iterdir())]
        return (code or 1, output + "\n" + "\n".join(said)) if said else (code, output)


class Unit:
    kind, alone = "unit", False

    def __init__(self, binary, gtest_filter=""):
        self.binary, self.filter = binary, gtest_filter
        self.name = binary.name + (f" {gtest_filter}" if gtest_filter else "")

    def run(self):
        with tempfile.TemporaryDirectory(prefix="weir-unit-") as tmp:
            report = Path(tmp) / "report.json"
            args = [self.binary, f"--gtest_output=json:{report}", "--gtest_color=no"]
            if self.filter:
                args.append(f"--gtest_filter={self.filter}")
            code, output = run(args, SECONDS_MAX["unit"], env={**os.environ, "TMPDIR": tmp, "TEST_TMPDIR": tmp})
            try:
                counts = json.loads(report.read_text())
            except (OSError, json.JSONDecodeError):
                return Result(0, 1, f"exit code {code}\n{output[-OUTPUT_MAX:]}")
            failed = counts["failures"] + counts["errors"]
            if code != 0 and failed == 0:
                failed = 1
            return Result(counts["tests"] - counts.get("disabled", 0) - failed, failed, self.failures(output) if failed else "")

    @staticmethod
    def failures(output):
        """The parts of a test program's output that belong to failed tests, or what a sanitizer said."""
        if SANITIZER_SAID in output:
            return output[output.index(SANITIZER_SAID):][:OUTPUT_MAX]
        parts, part = [], []
        for line in output.splitlines():
            if line.startswith("[ RUN "):
                part = []
            part.append(line)
            if line.startswith("[  FAILED  ]") and "listed below" not in line and part[0].startswith("[ RUN "):
                parts += part
                part = [""]
        return "\n".join(parts or output.splitlines())[-OUTPUT_MAX:]


class EndToEnd:
    kind = "e2e"

    def __init__(self, file, case, marks):
        self.file, self.case = file, case
        self.long, self.alone = "long" in marks, "alone" in marks
        self.name = f"{file.stem}: {case.removeprefix('test_').replace('_', ' ')}"

    def run(self):
        code, output = run([PYTHON, ROOT / "tests/e2e/harness.py", self.file, self.case], SECONDS_MAX["long" if self.long else "e2e"])
        return Result(code == 0, code != 0, output[-OUTPUT_MAX:] if code else "")


class House:
    """A script that fails when a rule does not hold."""

    def __init__(self, file, kind="house", args=()):
        self.file, self.name, self.kind, self.args = file, file.stem.replace("_", " "), kind, args
        self.alone = file.stem == "planted_bugs"  # builds and runs tests on all cores

    def run(self):
        code, output = run([PYTHON, self.file, *self.args], SECONDS_MAX["planted" if self.alone else "house"])
        return Result(code == 0, code != 0, output[-OUTPUT_MAX:] if code else "")


class Soak:
    """Kills and restarts under load, judged by the independent checker."""
    kind, alone, cycles = "soak", True, 200

    name = f"{cycles} cycles"

    def run(self):
        code, output = run([PYTHON, ROOT / "tests/soak/soak.py", "--cycles", str(self.cycles)], SECONDS_MAX["long"])
        return Result(code == 0, code != 0, output[-OUTPUT_MAX:] if code else "")


class Replay:
    """Inputs of the fuzz drivers that were kept: those that once ended the process among them."""
    kind, alone, name = "fuzz", False, "kept inputs"

    def run(self):
        code, output = run([BUILD / "fuzz/fuzz_replay", ROOT / "fuzz/corpus"], SECONDS_MAX["unit"])
        return Result(code == 0, code != 0, output[-OUTPUT_MAX:] if code else "")


class SqlFuzz:
    """Random queries and histories, judged by DuckDB after every step. The seed is fixed: what another one finds is not of the change at hand."""
    kind, alone, name = "fuzz", False, "sql histories"

    def __init__(self, histories=5000, seed=100000):
        self.histories, self.seed = histories, seed

    def run(self):
        code, output = run([BUILD / "sql_fuzz", "--histories", str(self.histories), "--jobs", "2", "--seed", str(self.seed)], SECONDS_MAX["long"])
        return Result(code == 0, code != 0, output[-OUTPUT_MAX:] if code else "")


class Script:
    """A long one that builds for itself."""
    alone = True

    def __init__(self, kind, name, args):
        self.kind, self.name, self.args = kind, name, args

    def run(self):
        code, output = run(self.args, SECONDS_MAX["sanitized"])
        return Result(code == 0, code != 0, output[-OUTPUT_MAX:] if code else "")


SANITIZERS = ("asan", "tsan")


def all_scripts():
    return [Script("fuzz", "five minutes each", [sys.executable, ROOT / "fuzz/run.py", "all", "300"])] + [
        Script("sanitized", preset, [sys.executable, ROOT / "tests/run.py", preset]) for preset in SANITIZERS]


# What runs with ThreadSanitizer: the modules that start threads or are called by several, and the cases in which they meet.
TSAN_UNITS = {"base", "io", "net", "log", "state", "duck", "ingest", "flow", "publish", "commit", "serve"}
TSAN_CASES = {"lanes", "gateway", "stops", "watch", "pressure", "fencing", "readers"}


def sanitizer_options(reports):
    """Environment that makes sanitizers fail and not only tell; it changes nothing in a build without them. They write to the folder `reports`,
    because a test may expect a process to fail or may kill it. GCC's UndefinedBehaviorSanitizer cannot; tests/e2e/harness.py knows its exit code."""
    common = f"log_path={reports}/report:exitcode=99"
    return {"ASAN_OPTIONS": common,
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99", "TSAN_OPTIONS": f"{common}:halt_on_error=1:suppressions={ROOT / 'tests/tsan.supp'}"}


def sanitized(preset):
    """The tests of a sanitizer's build, which takes the place of the release build."""
    global BUILD
    BUILD = ROOT / "build" / preset
    # Arrow's own pools hide from a sanitizer what they hand out.
    os.environ.update(WEIR=str(BUILD / "weir"), WEIR_SANITIZED=preset, WEIR_CRASH_STRIDE="7", ARROW_DEFAULT_MEMORY_POOL="system")
    SECONDS_MAX.update(unit=3600, e2e=2700)
    print("note: flow_test cuts the power after each 7th operation only (WEIR_CRASH_STRIDE): all cuts take half an hour with a sanitizer")
    if preset == "asan":
        return all_units() + [Replay(), SqlFuzz(300)] + [c for c in all_end_to_end() if not c.long]
    return [u for u in all_units() if u.binary.name.removesuffix("_test") in TSAN_UNITS] + [c for c in all_end_to_end() if c.file.stem in TSAN_CASES and not c.long]


def all_units():
    return [Unit(b) for b in sorted(BUILD.glob("*_test")) if os.access(b, os.X_OK) and b.is_file()]


def all_end_to_end():
    found = []
    for file in sorted((ROOT / "tests/e2e").glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append(EndToEnd(file, node.name, {getattr(d, "id", "") for d in node.decorator_list}))
    return found


def all_house(everything=False):
    """The checker's own tests and the house rules; `everything`: the planted bugs that are slow to find, too."""
    checks = [House(f, "check") for f in sorted((ROOT / "tests/checker").glob("*_test.py"))]
    return checks + [House(f, args=["--all"] if everything and f.stem == "planted_bugs" else []) for f in sorted((ROOT / "tests/house").glob("*.py"))]


def named(name):
    """What a single NAME means, the most exact meaning first."""
    units = [u for u in all_units() if u.binary.name in (name, name + "_test")]
    cases = [c for c in all_end_to_end() if name in (c.file.stem, c.case, c.case.removeprefix("test_"), c.name)]
    rules = [h for h in all_house() if name in (h.file.stem, h.name)] + ([Soak()] if name == "soak" else []) + ([Replay()] if name in ("fuzz", "replay") else []) + ([SqlFuzz()] if name in ("fuzz", "sql_fuzz") else [])
    if units or cases or rules:
        return units + cases + rules
    found = []
    for unit in all_units():
        pattern = name if "." in name or "*" in name else f"{name}.*:*.{name}"
        _, listed = run([unit.binary, "--gtest_list_tests", f"--gtest_filter={pattern}"], 60)
        if any(line.startswith("  ") for line in listed.splitlines()):
            found.append(Unit(unit.binary, pattern))
    return found or [c for c in all_end_to_end() if name in c.case]


class Report:
    def __init__(self):
        self.passed = self.failed = 0
        self.failures = []

    def take(self, test, result, seconds):
        self.passed += result.passed
        self.failed += result.failed
        state = "FAILED" if result.failed else "ok"
        cases = f" ({result.passed + result.failed})" if test.kind == "unit" else ""
        print(f"{state:>6} {seconds:7.1f} s  {test.kind:5} {test.name}{cases}", flush=True)
        if result.failed:
            self.failures.append(test.name)
            print("\n".join("       | " + line for line in result.output.rstrip().splitlines()), flush=True)


def timed(test):
    start = time.monotonic()
    result = test.run()
    return test, result, time.monotonic() - start


def run_all(tests, report):
    """Each kind in order; those that share the machine two at a time, then those that want it alone."""
    for kind in ("unit", "fuzz", "e2e", "check", "soak", "house", "sanitized"):
        group = [t for t in tests if t.kind == kind]
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            for done in concurrent.futures.as_completed([pool.submit(timed, t) for t in group if not t.alone]):
                report.take(*done.result())
        for test in (t for t in group if t.alone):
            report.take(*timed(test))


def build(preset="release"):
    start = time.monotonic()
    print("building …", flush=True)
    if subprocess.run([ROOT / "x", "build", preset], cwd=ROOT).returncode != 0:
        print("the build failed\n0 passed, 1 failed")
        sys.exit(1)
    print(f"    ok {time.monotonic() - start:7.1f} s  build", flush=True)


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what in ("-h", "--help"):
        print(__doc__)
        return 0
    start = time.monotonic()
    build(what if what in SANITIZERS else "release")
    if what in SANITIZERS:
        tests = sanitized(what)
    elif what == "unit":
        tests = all_units()
    elif what in ("", "all"):
        tests = (all_units() + [c for c in all_end_to_end() if what == "all" or not c.long] + [Replay(), SqlFuzz(), Soak()]
                 + all_house(everything=what == "all") + (all_scripts() if what == "all" else []))
    else:
        tests = named(what)
        if not tests:
            print(f"nothing is named '{what}'; the end-to-end tests are:")
            for case in all_end_to_end():
                print(f"  {case.file.stem:12} {case.case}")
            print("0 passed, 1 failed")
            return 1
    if not (ROOT.parent / "shared/tools/ride_stream.py").exists():
        print("note: ride_stream.py is not beside the repository, so `weir generate rides` makes the data of the end-to-end tests")
    report = Report()
    run_all(tests, report)
    print(f"\n{len(tests)} tests in {(time.monotonic() - start) / 60:.1f} minutes")
    for name in report.failures:
        print(f"failed: {name}")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
