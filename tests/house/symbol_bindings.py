#!/usr/bin/env python3
"""Shows that no library calls into the copies of other libraries that Arrow carries.

    symbol_bindings.py [BINARY]      default: build/release/weir

libparquet exports its own OpenSSL and simdjson, libarrow_compute its own re2 and absl. A call from the system's libssl that
binds there runs half in one version and half in the other, and crashes some day. The dynamic linker tells every binding.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ARROW = re.compile(r"lib(arrow|parquet)[^/]*\.so")
OTHERS = re.compile(r"lib(ssl|crypto|re2|simdjson|absl|z|zstd|lz4|snappy|rocksdb|sqlite3|yaml-cpp|duckdb|roaring|fmt)(_[a-z0-9_]+)?[-.0-9]*\.so")
BINDING = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol `([^']+)'")
ARROWS_OWN = re.compile(r"\b(arrow|parquet)::")


def bindings_of(binary):
    """[(from, to, symbol)] of a run of `binary --version`, functions that were not called included."""
    with tempfile.TemporaryDirectory() as tmp:
        env = {**os.environ, "LD_DEBUG": "bindings", "LD_BIND_NOW": "1", "LD_DEBUG_OUTPUT": f"{tmp}/bindings"}
        ran = subprocess.run([binary, "--version"], env=env, capture_output=True, text=True, timeout=120)
        if ran.returncode != 0:
            sys.exit(f"{binary} --version exits with {ran.returncode}: {ran.stderr[-2000:]}")
        text = "".join(p.read_text(errors="replace") for p in Path(tmp).iterdir())
    return [m.groups() for m in BINDING.finditer(text)]


def demangled(symbols):
    names = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return names.stdout.splitlines()


def faults_of(binary):
    bindings = bindings_of(binary)
    if not bindings:
        return ["The dynamic linker told no binding at all; is the binary linked statically?"], 0
    if not any(ARROW.search(Path(to).name) for _, to, _ in bindings):
        return [f"{binary} binds nothing of Arrow: either it is the wrong binary, or this test looks for the wrong names."], 0
    faults = []
    into_arrow = [(Path(a), Path(b).name, s) for a, b, s in set(bindings) if ARROW.search(Path(b).name)]
    names = demangled([s for _, _, s in into_arrow])
    for (by, to, symbol), name in zip(into_arrow, names):
        if OTHERS.match(by.name):
            faults.append(f"{by.name} binds {name} in {to}.")
        elif by.resolve() == binary and not ARROWS_OWN.search(name):
            faults.append(f"{by.name} itself binds {name} in {to}, which is not Arrow's own.")
    return sorted(faults), len(into_arrow)


def main():
    binary = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "build/release/weir").resolve()
    if not binary.exists():
        sys.exit(f"{binary} is missing: build it first.")
    faults, checked = faults_of(binary)
    for fault in faults[:50]:
        print(fault)
    if faults:
        print(f"{len(faults)} bindings go into Arrow's private copies; put system libraries before Arrow's in the link line.")
        return 1
    print(f"{checked} bindings into Arrow, all of them Arrow's own symbols.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
