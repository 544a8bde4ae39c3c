"""Draws what scaling.py measured: four small panels as SVG, tokens per second against F, L0, D and threads.

Both scales are logarithmic. Points and line: measured. Dashed: the step if it were nothing but the encoder's product, in f32
at the peak that was measured in the same run. No package is needed, so that the plot can be made wherever the bench runs.
"""

from math import ceil, floor, log10

TITLES = {"width": "features F", "l0": "active features L0", "d-model": "width of the rows D", "threads": "threads"}
PANEL, GAP, LEFT, TOP, BOTTOM = 300, 86, 80, 46, 40
HEIGHT = 220
INK, PALE, BLUE = "#24292f", "#d0d7de", "#0969da"


def plot(swept):
    """The picture of (axis, x, summary) triples."""
    axes = {axis: [(x, p) for a, x, p in swept if a == axis] for axis in TITLES}
    axes = {axis: sorted(points, key=lambda point: point[0]) for axis, points in axes.items() if points}
    rates = [rate for _, _, p in swept for rate in (p["tokens_per_s"], p["bound"])]
    low, high = floor(log10(min(rates))), ceil(log10(max(rates)))
    columns = min(2, len(axes))
    rows = ceil(len(axes) / columns)
    width = LEFT + columns * PANEL + (columns - 1) * GAP + 20
    height = rows * (TOP + HEIGHT + BOTTOM) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for i, (axis, points) in enumerate(axes.items()):
        left = LEFT + (i % columns) * (PANEL + GAP)
        top = TOP + (i // columns) * (TOP + HEIGHT + BOTTOM)
        parts += panel(TITLES[axis], points, left, top, low, high)
    parts.append(text(LEFT, height - 10, "line: measured; dashed: the dense f32 product alone, at this machine's measured peak"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel(title, points, left, top, low, high):
    """One axis: its frame, its ticks and its two lines."""
    xs = [x for x, _ in points]
    first, last = log10(min(xs)), log10(max(xs))

    def across(x):
        return left + PANEL * ((log10(x) - first) / (last - first) * 0.92 + 0.04 if last > first else 0.5)

    def up(rate):
        return top + HEIGHT * (1 - (log10(rate) - low) / (high - low))

    yield text(left, top - 14, f"tokens/s against {title}", weight="bold")
    for decade in range(low, high + 1):
        y = up(10**decade)
        yield f'<line x1="{left}" x2="{left + PANEL}" y1="{y:.1f}" y2="{y:.1f}" stroke="{PALE}"/>'
        yield text(left - 6, y + 4, f"{10**decade:,}", anchor="end")
    for x in xs:
        yield f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{top + HEIGHT}" y2="{top + HEIGHT + 4}" stroke="{INK}"/>'
        yield text(across(x), top + HEIGHT + 18, f"{x:,g}" if x < 10_000 else f"{x / 1024:g}k", anchor="middle")
    bound = " ".join(f"{across(x):.1f},{up(p['bound']):.1f}" for x, p in points)
    measured = [(across(x), up(p["tokens_per_s"])) for x, p in points]
    yield f'<polyline points="{bound}" fill="none" stroke="{INK}" stroke-dasharray="4 4"/>'
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in measured)
    yield f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    for (x, y), (_, p) in zip(measured, points):
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{BLUE}"><title>{p["tokens_per_s"]:,.0f}</title></circle>'


def text(x, y, words, anchor="start", weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}" font-weight="{weight}">{words}</text>'
