"""Writes the tables of docs/performance.md from bench/results, so that the page says what was measured."""
import json
import sys

import common
from svg import short

PAGE = common.ROOT / "docs/performance.md"
BEGIN, END = "<!-- figures: written by ./x bench report -->", "<!-- end of figures -->"
PROFILE_BEGIN, PROFILE_END = "<!-- profile: written by ./x bench report -->", "<!-- end of profile -->"
EPOCHS_BEGIN, EPOCHS_END = "<!-- epochs: written by ./x bench report -->", "<!-- end of epochs -->"


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


def profile_table(threads):
    """CPU microseconds per event by stage (rows) and thread (columns); stages below a hundredth are left to the sum."""
    roles = sorted(threads, key=lambda r: -sum(threads[r].values()))
    stages = sorted({s for t in threads.values() for s in t}, key=lambda s: -sum(t.get(s, 0) for t in threads.values()))
    lines = ["| stage | all | " + " | ".join(roles) + " |", "|---|--:|" + "--:|" * len(roles)]
    for s in stages:
        row = [threads[r].get(s, 0) for r in roles]
        if sum(row) >= 0.01:
            lines.append(f"| {s} | {sum(row):.2f} | " + " | ".join(f"{v:.2f}" if v >= 0.005 else "" for v in row) + " |")
    sums = [sum(threads[r].values()) for r in roles]
    return lines + [f"| **sum** | **{sum(sums):.2f}** | " + " | ".join(f"**{v:.2f}**" for v in sums) + " |"]


def profile_text(found):
    r = found.get("profile")
    lines = [PROFILE_BEGIN, ""]
    if not r or not r["details"]:
        lines.append("Not measured yet: `./x bench profile` needs perf (Debian: linux-perf).")
    else:
        for name, threads in r["details"].items():
            if not name.endswith("_run"):
                run = r["details"][name + "_run"]
                lines += [f"`{name}`: {run['events']:,} events, {run['samples']:,} samples; CPU microseconds per event; {r['commit']}, {r['date'][:10]}.", "",
                          *profile_table(threads), ""]
    return "\n".join([*lines, PROFILE_END])


def epochs_table(points, growth):
    """A row for each kind and place: its figures at each size, and how often the smallest goes into the largest."""
    sizes = sorted({p["rows"] for p in points})
    at = {(p["kind"], p["place"], p["rows"]): p for p in points}
    measures = (("wall_ms", "ms", 1), ("cpu_ms", "ms CPU", 1), ("bytes", "kB", 1000))
    lines = ["| kind | changes | " + " | ".join(f"{unit} at {' / '.join(short(s) for s in sizes)} | grows" for _, unit, _ in measures) + " |",
             "|---|---|" + "---|--:|" * len(measures)]
    for kind, place in dict.fromkeys((p["kind"], p["place"]) for p in points):
        cells = []
        for value, _, scale in measures:
            figures = [f"{at[kind, place, s][value] / scale:.0f}" if (kind, place, s) in at else "-" for s in sizes]
            times = growth[f"{kind} {place}"][value]
            cells.append(f"{' / '.join(figures)} | {f'**{times}**' if times > 2 else times}")
        lines.append(f"| {kind} | {'anywhere' if place == 'wide' else place} | {' | '.join(cells)} |")
    return lines


def epochs_text(found):
    r = found.get("ivm-epochs")
    lines = [EPOCHS_BEGIN, ""]
    if r:
        lines += [f"{r['commit']}, {r['date'][:10]}, load before {r['machine']['load_before']}:", "", *epochs_table(r["details"]["points"], r["details"]["growth"]), ""]
    return "\n".join([*lines, EPOCHS_END])


def text(found):
    where = machines(found)
    head = [f"Measured on {'; '.join(where)}. Other loads on the machine before each run: `load_before` in `bench/results`.", ""] if where else []
    return "\n".join([BEGIN, "", *head, *table(found), "", END])


def between(page, begin, end, new):
    """The page with what stands from `begin` to `end` replaced by `new`, which brings the marks again."""
    before, found, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        sys.exit(f"bench: {PAGE} has lost its marks: it needs the lines\n{begin}\n{end}")
    return before + new + after


def write():
    found = results()
    page = between(PAGE.read_text(), BEGIN, END, text(found))
    page = between(page, EPOCHS_BEGIN, EPOCHS_END, epochs_text(found))
    PAGE.write_text(between(page, PROFILE_BEGIN, PROFILE_END, profile_text(found)))
