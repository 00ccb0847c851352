"""A line chart with logarithmic axes, as SVG."""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 60, 560, 50, 370
COLOURS = ("#2f5d8a", "#c4622d", "#4b8b3b", "#8a4f9e", "#7a7a7a", "#b03060", "#2a9d8f")


def ticks(low, high):
    """1, 2 and 5 times the powers of ten, in range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]


def scale(low, high, begin, end):
    """Maps low..high to begin..end by logarithms."""
    span = math.log(high / low) or 1.0
    return lambda value: begin + (end - begin) * math.log(value / low) / span


def spread_labels(places, gap=15):
    """The wanted heights of labels, moved down where they would overlap. `places`: (height, name)."""
    moved, last = {}, -math.inf
    for height, name in sorted(places):
        last = moved[name] = max(height, last + gap)
    return moved


def log_log(series, title):
    """`series`: name -> points (x, y). Every x that occurs is a tick."""
    series = {name: points for name, points in series.items() if points}
    points = [point for line in series.values() for point in line]
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{LEFT}" y="28">{title}</text>']
    if points:
        xs, ys = sorted({x for x, _ in points}), [y for _, y in points]
        to_x, to_y = scale(xs[0], xs[-1], LEFT, RIGHT), scale(min(ys) / 1.1, max(ys) * 1.1, BOTTOM, TOP)
        lines += grid(xs, ticks(min(ys) / 1.1, max(ys) * 1.1), to_x, to_y)
        lines += curves(series, to_x, to_y)
    return "\n".join([*lines, "</svg>", ""])


def grid(xs, ys, to_x, to_y):
    for x in xs:
        yield f'<path d="M{to_x(x):.1f} {TOP}V{BOTTOM}" stroke="#ddd"/>'
        yield f'<text x="{to_x(x):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{x:,}</text>'
    for y in ys:
        yield f'<path d="M{LEFT} {to_y(y):.1f}H{RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{to_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'


def curves(series, to_x, to_y):
    heights = spread_labels([(to_y(line[-1][1]), name) for name, line in series.items()])
    for i, (name, line) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in line)
        yield f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>'
        yield from (f'<circle cx="{to_x(x):.1f}" cy="{to_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in line)
        yield f'<text x="{to_x(line[-1][0]) + 10:.1f}" y="{heights[name] + 4:.1f}" fill="{colour}">{name}</text>'
