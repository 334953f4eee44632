#!/usr/bin/env python3
"""Runs a benchmark and prints JSON: `./x bench [NAME] [options]`, NAME being a file of this folder (default: rides)."""
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
names = sorted(p.stem for p in HERE.glob("*.py") if p.stem != "run")
name = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "rides"
if name not in names:
    sys.exit(f"bench: no benchmark '{name}'; there are: {', '.join(names)}")
sys.argv = [name, *[a for a in sys.argv[1:] if a != name]]
runpy.run_path(str(HERE / f"{name}.py"), run_name="__main__")
