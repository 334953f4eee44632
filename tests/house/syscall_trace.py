#!/usr/bin/env python3
"""Shows that every byte under the data directory goes through src/io, where simulated power cuts can reach it.

    syscall_trace.py                       runs build/release/weir on a small stream of ride events
    syscall_trace.py DATA COMMAND ARG…     runs another program, whose data directory is DATA

The program runs under strace and writes, told so by WEIR_IO_TRACE, a line for every change that PosixIo makes. Both lists of
changes must be equal. Exempt are DATA/tmp, which nobody expects to survive, and DATA/LOCK.
"""
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WATCHED = ("write,pwrite64,writev,pwritev,pwritev2,copy_file_range,sendfile,splice,fallocate,ftruncate,truncate,fsync,fdatasync,"
           "sync_file_range,msync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,open,openat,creat,mmap")
CALL = re.compile(r"^(\w+)\((.*)\)\s*=\s*(-?\d+|0x[0-9a-f]+)(.*)$")
FD = re.compile(r"^(?:\d+|AT_FDCWD)<(.*)>$")
PLAIN_WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2"}
FOREIGN = {"copy_file_range", "sendfile", "splice", "fallocate", "truncate", "sync_file_range", "msync", "link", "linkat", "symlink",
           "symlinkat", "creat"}  # src/io makes none of these


def arguments(text):
    """Splits at the commas outside of quotes, <> and brackets."""
    parts, depth, quoted, part = [], 0, False, ""
    previous = ""
    for c in text:
        if c == '"' and previous != "\\":
            quoted = not quoted
        elif not quoted:
            depth += c in "<[{(" and previous != "-"
            depth -= c in ">]})" and not (c == ">" and previous in "-=")
        if c == "," and depth == 0 and not quoted:
            parts.append(part.strip())
            part = ""
        else:
            part += c
        previous = c
    return parts + [part.strip()]


def path_of(argument, folder=""):
    """The path in `"…"`, `5<…>` or `AT_FDCWD<…>`; relative ones are taken from `folder`."""
    if fd := FD.match(argument):
        return fd[1].removesuffix(" (deleted)").removesuffix(">(deleted)")
    return os.path.normpath(os.path.join(folder, argument.strip('"')))


def change_of(line, cwd):
    """The change that a line of strace shows, as (verb, paths…, size), or None."""
    call = CALL.match(line)
    if not call or call[3].startswith("-"):
        return None
    name, args, result = call[1], arguments(call[2]), int(call[3], 0)
    if name in PLAIN_WRITES:
        return ("write", path_of(args[0]), result) if result > 0 else None
    if name in ("fsync", "fdatasync"):
        return ("syncdir" if name == "fsync" else "sync", path_of(args[0]))
    if name == "ftruncate":
        return ("truncate", path_of(args[0]), int(args[1]))
    if name == "mmap":
        shared = "MAP_SHARED" in args[3] and "PROT_WRITE" in args[2]
        return ("mmap for writing", path_of(args[4])) if shared and "<" in args[4] else None
    if name == "open" and "O_TRUNC" in args[1]:
        return ("open with O_TRUNC", path_of(args[0], cwd))
    if name == "openat" and "O_TRUNC" in args[2]:
        return ("open with O_TRUNC", path_of(args[1], path_of(args[0])))
    if name in ("open", "openat"):
        return None
    verb = {"unlink": "remove", "unlinkat": "remove", "rmdir": "remove", "mkdirat": "mkdir", "renameat": "rename", "renameat2": "rename"}.get(name, name)
    folder, paths = cwd, []
    for argument in args:
        if argument.startswith('"'):
            paths.append(path_of(argument, folder))
        elif "<" in argument:
            folder = path_of(argument)
            if name in FOREIGN and not argument.startswith("AT_FDCWD"):
                paths.append(folder)
    return (verb, *paths)


def changes_of_trace(text, cwd):
    changes = []
    for line in text.splitlines():
        verb, *fields = line.split("\t")
        numbers = 1 if verb in ("write", "truncate") else 0
        paths = fields[: len(fields) - numbers]
        changes.append((verb, *(os.path.normpath(os.path.join(cwd, p)) for p in paths), *(int(n) for n in fields[len(paths):])))
    return changes


def concerns(change, data):
    exempt = (f"{data}/tmp", f"{data}/LOCK")
    paths = [p for p in change[1:] if isinstance(p, str)]
    inside = [p for p in paths if p == data or p.startswith(data + "/")]
    return any(not (p in exempt or p.startswith(exempt[0] + "/")) for p in inside)


def compare(data, command, work):
    """Faults found in one run of `command`, and how many changes it made."""
    env = {**os.environ, "WEIR_IO_TRACE": str(work / "io.trace")}
    # One file per thread: no line is broken in two by another thread's call.
    ran = subprocess.run(["strace", "-ff", "-qq", "-y", "-s", "0", "-o", str(work / "strace"), "-e", f"trace={WATCHED}", *command],
                         env=env, capture_output=True, text=True)
    if ran.returncode != 0:
        return [f"{' '.join(map(str, command))} exits with {ran.returncode}: {ran.stderr[-2000:]}"], 0
    if not (work / "io.trace").exists():
        return ["The program wrote no trace although WEIR_IO_TRACE was set."], 0
    cwd = os.getcwd()
    seen = Counter()
    for file in work.glob("strace.*"):
        seen.update(c for line in file.read_text(errors="replace").splitlines() if (c := change_of(line, cwd)) and concerns(c, data))
    told = Counter(c for c in changes_of_trace((work / "io.trace").read_text(), cwd) if concerns(c, data))
    faults = [f"{n} x not by src/io: {' '.join(map(str, c))}" for c, n in sorted((seen - told).items(), key=str)]
    faults += [f"{n} x in the trace but not seen by strace: {' '.join(map(str, c))}" for c, n in sorted((told - seen).items(), key=str)]
    if not seen:
        faults.append(f"strace saw no change at all under {data}.")
    return faults, sum(seen.values())


def weir_run(work):
    """(data directory, command) of a small run of the example."""
    weir = ROOT / "build/release/weir"
    if not weir.exists():
        sys.exit(f"{weir} is missing: build it first.")
    events = work / "events"
    subprocess.run([weir, "generate", "rides", "--out", events, "--months", "2019-05", "--scale", "0.02", "--seed", "3"], check=True,
                   stdout=subprocess.DEVNULL)
    data = work / "lake"
    return data, [weir, "run", "--once", "--project", ROOT / "tests/projects/rides", "--data", data, "--source", f"ride_events={events}/*.ndjson",
                  "--set", "weir.epoch.steps=2", "--set", "weir.step.rows=1000"]


def main():
    with tempfile.TemporaryDirectory(prefix="weir-syscalls-") as tmp:
        work = Path(tmp).resolve()
        if len(sys.argv) > 2:
            data, command = Path(sys.argv[1]).resolve(), sys.argv[2:]
        else:
            data, command = weir_run(work)
        faults, changes = compare(str(data), command, work)
    for fault in faults[:50]:
        print(fault)
    if faults:
        print(f"{len(faults)} kinds of changes under the data directory did not go through src/io (or the trace is wrong).")
        return 1
    print(f"{changes} writes, syncs and renames under the data directory, all of them by src/io.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
