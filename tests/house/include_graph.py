#!/usr/bin/env python3
"""Holds the includes of src/ to the module table of ARCHITECTURE.md.

    include_graph.py [ROOT]

The table has the columns `layer | module | one line`. A file may include its own module and modules of lower layers: none
above, none beside. Headers of one module must not include each other in a circle. Headers that cost seconds to compile, or
that belong to one module alone, stay where HEAVY and OWNED say.
"""
import re
import sys
from pathlib import Path

ROW = re.compile(r"^\|\s*(\d+)\s*\|\s*`?(\w+)`?\s*\|")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
HEAVY = re.compile(r"^(arrow/api|arrow/compute|parquet/|rocksdb/|boost/|simdjson|yaml-cpp/|nlohmann/json\.hpp|CLI/)")
OWNED = {"duckdb.h": {"duck"}, "rocksdb/": {"state"}, "boost/": {"net"}}


def layers_of(table):
    """{module: layer} from the first table that has such rows."""
    layers, faults = {}, []
    for line in table.splitlines():
        if row := ROW.match(line):
            layer, module = int(row[1]), row[2]
            if module in layers:
                faults.append(f"ARCHITECTURE.md lists the module {module} twice.")
            layers[module] = layer
    return layers, faults


def includes_of(src):
    """[(file, line, quoted, target)], files relative to src."""
    found = []
    for file in sorted([*src.rglob("*.h"), *src.rglob("*.cc")]):
        text = file.read_text()
        for m in INCLUDE.finditer(text):
            line = text.count("\n", 0, m.start(1)) + 1
            found.append((file.relative_to(src), line, m[1] == '"', m[2]))
    return found


def cycle_in(edges):
    """The files of one circle, in order, or None."""
    done = set()
    for start in sorted(edges):
        path, stack = [], [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                done.add(node)
            elif node in path:
                return path[path.index(node):] + [node]
            elif node not in done:
                path.append(node)
                stack.append((node, True))
                stack += [(n, False) for n in sorted(edges.get(node, ()))]
    return None


def faults_of(root):
    src = root / "src"
    architecture = root / "ARCHITECTURE.md"
    if not architecture.exists():
        return ["ARCHITECTURE.md, whose module table the includes are held to, is missing."]
    layers, faults = layers_of(architecture.read_text())
    if not layers:
        return ["ARCHITECTURE.md has no table with the columns layer | module | one line."]
    modules = {d.name for d in src.iterdir() if d.is_dir() and any(d.glob("*.[hc]*"))}
    faults += [f"The module src/{m} is missing in the table of ARCHITECTURE.md." for m in sorted(modules - layers.keys())]
    edges = {}
    for file, line, quoted, target in includes_of(src):
        where, module = f"src/{file}:{line}", file.parts[0]
        for prefix, owners in OWNED.items():
            if target.startswith(prefix) and module not in owners:
                faults.append(f"{where} includes {target}, which only {', '.join(sorted(owners))} may.")
        if file.suffix == ".h" and not file.stem.endswith("_internal") and HEAVY.match(target):
            faults.append(f"{where}: a header includes {target}, which is heavy; include it in a .cc or an _internal.h file.")
        other = target.split("/")[0]
        if not quoted:
            if other in modules and "/" in target and (src / target).exists():
                faults.append(f"{where} includes our own {target} in angle brackets.")
            continue
        if not (src / target).exists():
            faults.append(f'{where} includes "{target}", which is not in src/.')
            continue
        edges.setdefault(str(file), set()).add(target)
        if other == module or module not in layers or other not in layers:
            continue
        if layers[other] > layers[module]:
            faults.append(f"{where} includes {target}: {module} (layer {layers[module]}) must not know {other} (layer {layers[other]}) above it.")
        elif layers[other] == layers[module]:
            faults.append(f"{where} includes {target}: {module} and {other} stand side by side in layer {layers[module]}.")
    if circle := cycle_in(edges):
        faults.append("These files include each other in a circle: " + " -> ".join(circle))
    return faults


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    faults = faults_of(root)
    for fault in faults:
        print(fault)
    if faults:
        print(f"{len(faults)} faults in the include graph.")
        return 1
    print("Every include points down.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
