"""Curves on two logarithmic axes, as an SVG picture. Standard library only."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 78, 190, 40, 52
COLORS = ["#1b6ca8", "#c1440e", "#2e7d32", "#6a1b9a", "#b8860b", "#00838f", "#ad1457", "#455a64", "#5d4037", "#9e9d24", "#283593", "#d84315", "#00695c", "#7b1fa2",
          "#ef6c00", "#37474f"]


def short(value):
    """1500000 -> 1.5M"""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def decades(low, high):
    """Powers of ten from below `low` to above `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0 ** e for e in range(first, max(last, first + 1) + 1)]


def chart(title, x_name, y_name, lines):
    """`lines`: [(name, [(x, y), …]), …]; values of 0 or less are drawn at the bottom."""
    xs = [x for _, points in lines for x, _ in points]
    ys = [y for _, points in lines for _, y in points if y > 0]
    if not xs or not ys:
        xs, ys = xs or [1], ys or [1]
    x_marks, y_marks = decades(min(xs), max(xs)), decades(min(ys), max(ys))

    def at_x(x):
        span = math.log10(x_marks[-1]) - math.log10(x_marks[0])
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(x) - math.log10(x_marks[0])) / span

    def at_y(y):
        span = math.log10(y_marks[-1]) - math.log10(y_marks[0])
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(max(y, y_marks[0])) - math.log10(y_marks[0])) / span

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>']
    for x in x_marks:
        out += [f'<line x1="{at_x(x):.1f}" y1="{TOP}" x2="{at_x(x):.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>',
                f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(x)}</text>']
    for y in y_marks:
        out += [f'<line x1="{LEFT}" y1="{at_y(y):.1f}" x2="{WIDTH - RIGHT}" y2="{at_y(y):.1f}" stroke="#e4e4e4"/>',
                f'<text x="{LEFT - 8}" y="{at_y(y) + 4:.1f}" text-anchor="end">{short(y)}</text>']
    out += [f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_name)}</text>',
            f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>']
    # Names stand beside the ends of their lines, as far apart as text is high.
    ends = sorted((at_y(points[-1][1]), i) for i, (_, points) in enumerate(lines))
    places, last = {}, TOP - 14
    for y, i in ends:
        last = max(y, last + 14)
        places[i] = last
    over = last - (HEIGHT - BOTTOM)
    for i, (name, points) in enumerate(lines):
        color = COLORS[i % len(COLORS)]
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        out += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="2.6" fill="{color}"/>' for x, y in points]
        y = places[i] - max(0, over)
        out += [f'<line x1="{at_x(points[-1][0]) + 4:.1f}" y1="{at_y(points[-1][1]):.1f}" x2="{WIDTH - RIGHT + 14}" y2="{y:.1f}" stroke="{color}" stroke-width="0.6"/>',
                f'<text x="{WIDTH - RIGHT + 18}" y="{y + 4:.1f}" fill="{color}">{escape(name)}</text>']
    return "\n".join([*out, "</svg>", ""])
