#!/usr/bin/env python3
"""Fuzzes decoders; `./x fuzz` calls it.

    ./x fuzz                   every driver for 60 seconds
    ./x fuzz NAME [SECONDS]    one driver (NAME may be `all`)
    ./x fuzz keep [NAME]       minimises what was found into fuzz/corpus

Begins with fuzz/corpus/NAME, fuzz/make_seeds.py and what earlier runs found; new inputs go to build/fuzz/inputs/NAME. An
input that a driver fails on stands in build/fuzz/faults, with the command that runs it again. Needs clang; the kept inputs
run without it in `./x test` (fuzz_replay).
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/fuzz"
CORPUS, INPUTS, FAULTS, SEEDS = ROOT / "fuzz/corpus", BUILD / "inputs", BUILD / "faults", BUILD / "seeds"
PYTHON = ROOT / ".deps/venv/bin/python"
MEGABYTES_MAX = 2048      # of a run; one allocation may take half of it
SECONDS_MAX = 25          # for one input
INPUT_BYTES_MAX = 4096    # of what the fuzzer makes up; kept inputs may be longer
KEPT_BYTES_MAX = 24 << 10  # of a kept input; longer ones are made by make_seeds.py when they are needed
ENV = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


def drivers():
    text = (ROOT / "fuzz/CMakeLists.txt").read_text()
    return re.findall(r"^weir_fuzz\((\w+)", text, re.MULTILINE)


def binary(name):
    return BUILD / "fuzz" / f"fuzz_{name}"


def build(names):
    targets = [f"fuzz_{n}" for n in names]
    if subprocess.run([ROOT / "x", "build", "fuzz", *targets], cwd=ROOT).returncode != 0:
        sys.exit("the fuzz build failed")
    shutil.rmtree(SEEDS, ignore_errors=True)
    subprocess.run([PYTHON, ROOT / "fuzz/make_seeds.py", SEEDS], check=True, stdout=subprocess.DEVNULL)


def folders(name):
    """Where new inputs go, then those that are only read."""
    for folder in (INPUTS / name, CORPUS / name, SEEDS / name, FAULTS):
        folder.mkdir(parents=True, exist_ok=True)
    return [INPUTS / name, CORPUS / name, SEEDS / name]


def fuzz(name, seconds):
    """(whether all is well, a line of figures, the output of a failure)"""
    args = [binary(name), f"-max_total_time={seconds}", f"-rss_limit_mb={MEGABYTES_MAX}", f"-malloc_limit_mb={MEGABYTES_MAX // 2}", f"-timeout={SECONDS_MAX}",
            f"-max_len={INPUT_BYTES_MAX}", "-print_final_stats=1", "-reload=0", f"-artifact_prefix={FAULTS}/{name}-"]
    words = ROOT / "fuzz/dict" / f"{name}.dict"
    if words.exists():
        args.append(f"-dict={words}")
    run = subprocess.run([*args, *folders(name)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", env=ENV, cwd=BUILD)
    out = run.stderr
    stat = dict(re.findall(r"^stat::(\w+):\s+(\d+)", out, re.MULTILINE))
    cover = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", out)
    cov, ft, corp = cover[-1] if cover else ("?", "?", "?")
    figures = (f"{name:14} {int(stat.get('number_of_executed_units', 0)):>10,} runs  {int(stat.get('average_exec_per_sec', 0)):>7,}/s  {cov:>6} edges  {ft:>6} features  {corp:>5} inputs"
               f"  {stat.get('peak_rss_mb', '?'):>5} MB")
    if run.returncode == 0:
        return True, figures, ""
    written = re.findall(r"Test unit written to (\S+)", out)
    again = f"\nagain: {binary(name).relative_to(ROOT)} {Path(written[-1]).relative_to(ROOT)}" if written else ""
    start = max(0, out.find("ERROR:"), out.find("runtime error"))
    return False, figures, out[max(0, start - 1500):][:8000] + again


def keep(name):
    """Minimises everything known into the corpus; the names are hashes of the contents."""
    inputs, corpus, seeds = folders(name)
    with tempfile.TemporaryDirectory(dir=BUILD) as tmp:
        made = Path(tmp) / "made"
        made.mkdir()
        small = Path(tmp) / "small"
        small.mkdir()
        for folder in (corpus, seeds, inputs):
            for file in folder.iterdir():
                if file.stat().st_size <= KEPT_BYTES_MAX:
                    shutil.copy(file, small / f"{folder.parent.name}-{file.name}")
        subprocess.run([binary(name), "-merge=1", f"-rss_limit_mb={MEGABYTES_MAX}", f"-timeout={SECONDS_MAX}", made, small], check=True, stderr=subprocess.DEVNULL, env=ENV)
        shutil.rmtree(corpus)
        shutil.copytree(made, corpus)
    size = sum(f.stat().st_size for f in corpus.iterdir())
    print(f"{name:14} {len(list(corpus.iterdir())):>5} inputs {size >> 10:>6} KB kept")


def main():
    args = sys.argv[1:]
    if args and args[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    keeping = args[:1] == ["keep"]
    if keeping:
        args = args[1:]
    names = drivers()
    if args and args[0] != "all":
        if args[0] not in names:
            print(f"no driver is named '{args[0]}'; there are: {' '.join(names)}")
            return 2
        names = [args[0]]
    if len(args) > 1 and not args[1].isdigit():
        print(f"not a number of seconds: '{args[1]}'")
        return 2
    build(names)
    if keeping:
        for name in names:
            keep(name)
        return 0
    seconds = int(args[1]) if len(args) > 1 else 60
    failed = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for name, (ok, figures, output) in zip(names, pool.map(lambda n: fuzz(n, seconds), names)):
            print(f"{'ok' if ok else 'FAULT':5} {figures}", flush=True)
            if not ok:
                failed.append(name)
                print("\n".join("      | " + line for line in output.splitlines()), flush=True)
    print(f"{len(names) - len(failed)} drivers without a fault, {len(failed)} with one")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
