"""Writes the table of figures in docs/performance.md from bench/results, so that the page says what was measured."""
import json
import sys
from pathlib import Path

import common

PAGE = common.ROOT / "docs/performance.md"
BEGIN, END = "<!-- figures: written by ./x bench report -->", "<!-- end of figures -->"


def results():
    found = {}
    for path in sorted(common.RESULTS.glob("*.json")):
        found[path.stem] = json.loads(path.read_text())
    return found


def goal_cell(g, figures):
    state = {True: "reached", False: "**missed**", None: "not measured"}[g["reached"]]
    return f"`{g['figure']}` {common.number(figures.get(g['figure']))} (goal {g['relation']} {common.number(g['bound'])}: {state})"


def table(found):
    lines = ["| benchmark | work | figures with a goal | others | measured at |", "|---|---|---|---|---|"]
    for name in [n for n in common.REGISTRY if n in found] + [n for n in found if n not in common.REGISTRY]:
        r = found[name]
        with_goal = {g["figure"] for g in r["goals"]}
        others = ", ".join(f"`{k}` {common.number(v)}" for k, v in r["figures"].items() if k not in with_goal)
        lines.append(f"| `{name}` | {r['work']} | {'<br>'.join(goal_cell(g, r['figures']) for g in r['goals'])} | {others} | {r['commit']}, {r['date'][:10]} |")
    missing = [n for n in common.REGISTRY if n not in found]
    if missing:
        lines.append(f"\nNot measured yet: {', '.join(missing)}.")
    return lines


def machines(found):
    lines = []
    for r in found.values():
        m = r["machine"]
        text = f"{m['cores']} x {m['cpu']}, {m['memory_bytes'] / 2**30:.0f} GiB, Linux {m['kernel']}"
        if text not in lines:
            lines.append(text)
    return lines


def text():
    found = results()
    where = machines(found)
    head = [f"Measured on {'; '.join(where)}. Other loads on the machine before each run: `load_before` in `bench/results`.", ""] if where else []
    return "\n".join([BEGIN, "", *head, *table(found), "", END])


def write():
    page = PAGE.read_text()
    try:
        before, rest = page.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
    except (ValueError, IndexError):
        sys.exit(f"bench: {PAGE} has lost its marks: it needs the lines\n{BEGIN}\n{END}")
    PAGE.write_text(before + text() + after)
