#!/usr/bin/env python3
"""Unpacks the package in another place and shows that it runs there on its own libraries and glibc alone.

    package_runs_elsewhere.py [ARCHIVE]      default: packs build/release/weir first

As root it runs once more in a root directory that holds nothing but the package and glibc.
"""
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GLIBC = re.compile(r"^(linux-vdso\.so\.1|ld-linux-x86-64\.so\.2|lib(c|m|dl|rt|pthread|resolv|util)\.so\.\d)$")
LOADED = re.compile(r"calling init: (\S+)")
EXPECTED = ["libarrow.so.2600", "libduckdb.so", "libstdc++.so.6", "libgcc_s.so.1"]


def pack(folder):
    packed = subprocess.run([ROOT / "cmake/package.sh", folder], capture_output=True, text=True)
    if packed.returncode != 0:
        sys.exit(f"cmake/package.sh fails: {packed.stderr}")
    return next(Path(folder).glob("*.tar.gz"))


def unpack(archive, folder):
    with tarfile.open(archive) as tar:
        outside = [m.name for m in tar.getmembers() if m.name.startswith("/") or ".." in Path(m.name).parts]
        if outside:
            sys.exit(f"{archive} reaches outside of its folder: {outside}")
        tar.extractall(folder)
    tops = list(Path(folder).iterdir())
    if len(tops) != 1 or tops[0].name != archive.name.removesuffix(".tar.gz"):
        sys.exit(f"{archive} should hold one folder of its own name, and holds {[t.name for t in tops]}.")
    return tops[0]


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/", **more)


def version_fault(tree, ran, where):
    version = tree.name.split("-")[1]
    if ran.returncode != 0:
        return [f"bin/weir --version {where} exits with {ran.returncode}: {ran.stderr[-1000:]}"]
    if version not in ran.stdout:
        return [f"bin/weir --version {where} prints {ran.stdout!r}, which does not name version {version}."]
    return []


def library_faults(tree):
    """Libraries that a real run, or any of the package's libraries on its own, takes from the machine."""
    faults = []
    with tempfile.TemporaryDirectory() as tmp:
        run([tree / "bin/weir", "--version"], env={"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": f"{tmp}/libs"})
        loaded = {m[1] for p in Path(tmp).iterdir() for m in LOADED.finditer(p.read_text(errors="replace"))}
    if not loaded:
        faults.append("The dynamic linker told of no library.")
    for path in sorted(loaded):
        if not GLIBC.match(Path(path).name) and not Path(path).resolve().is_relative_to(tree):
            faults.append(f"bin/weir loads {path}, which is not in the package.")
    for file in [tree / "bin/weir", *sorted((tree / "lib").iterdir())]:
        for line in run(["ldd", file], env={"PATH": os.environ["PATH"]}).stdout.splitlines():
            name, _, path = line.strip().partition(" => ")
            if path and not GLIBC.match(name) and not path.startswith(str(tree)):
                faults.append(f"{file.relative_to(tree)} takes {name} from {path}.")
    return faults


def content_faults(tree):
    names = {f.name for f in (tree / "lib").iterdir()}
    faults = [f"lib/{n} belongs to glibc and must come from the machine." for n in sorted(names) if GLIBC.match(n)]
    faults += [f"lib/{n} is missing." for n in EXPECTED if n not in names]
    faults += [f"{n} is missing." for n in ("LICENSE", "README.md") if not (tree / n).is_file()]
    for file in [tree / "bin/weir", *(tree / "lib").iterdir()]:
        if ".debug_info" in run(["readelf", "-S", "--wide", file]).stdout:
            faults.append(f"{file.relative_to(tree)} still carries its debug information.")
    return faults


def runs_in_an_empty_root(tree, folder):
    """Faults of a run in a root directory that holds the package and glibc."""
    root = Path(folder)
    for line in run(["ldd", tree / "bin/weir"]).stdout.splitlines():
        path = line.strip().split(" => ")[-1].split(" ")[0]
        if path.startswith("/") and GLIBC.match(Path(path).name):
            target = root / ("lib64" if "ld-linux" in path else "lib") / Path(path).name
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    tree.rename(root / tree.name)
    # There is no /proc in this root, from which the dynamic linker learns where the binary lies.
    env = {"LD_ORIGIN_PATH": f"/{tree.name}/bin"}
    ran = subprocess.run([f"/{tree.name}/bin/weir", "--version"], capture_output=True, text=True, timeout=120, env=env,
                         preexec_fn=lambda: (os.chroot(root), os.chdir("/")))
    return version_fault(tree, ran, "in an empty root")


def main():
    with tempfile.TemporaryDirectory(prefix="weir-package-") as tmp:
        tmp = Path(tmp).resolve()
        for folder in ("packed", "unpacked", "root"):
            (tmp / folder).mkdir()
        archive = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else pack(tmp / "packed")
        tree = unpack(archive, tmp / "unpacked")
        faults = content_faults(tree) + version_fault(tree, run([tree / "bin/weir", "--version"], env={}), "with an empty environment")
        faults += library_faults(tree)
        if os.geteuid() == 0:
            faults += runs_in_an_empty_root(tree, tmp / "root")
        else:
            print("Not root, so it was not run in an empty root directory.")
    for fault in faults:
        print(fault)
    if faults:
        print(f"{len(faults)} faults in {archive.name}.")
        return 1
    print(f"{archive.name} runs on its own libraries and glibc.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
