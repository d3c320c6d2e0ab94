"""A picture as SVG, and an SVG as PNG.  No network, no browser, no font that has to be there: symbols are drawn."""

from __future__ import annotations

from html import escape

from rich.cells import cell_len

from holdfast.checkpoints.errors import HoldfastError
from holdfast.checkpoints.states import SubtaskState
from holdfast.cli.drawing import COLOURS
from holdfast.cli.layout import Edge, Layout, Node, Picture, arrange, essential
from holdfast.cli.text import cut, words

WIDTH, HEIGHT = 190, 44
BEND = 26  # the room that an edge takes in a layer it crosses
GAP, STEP, MARGIN = 18, 44, 28
TITLE, LEGEND = 30, 30
PLAIN = ("#f6f7f9", "#4b5563")
INK, QUIET, LINE = "#1f2937", "#6b7280", "#9aa3af"
FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
MOST_PIXELS = 25_000_000
Points = dict[str, tuple[float, float]]

# Each drawn round (0, 0) inside a circle of radius 7.
SIGNS = {
    "waiting": '<circle r="1.6" fill="{c}" stroke="none"/>',
    "ready": '<circle r="4.5"/>',
    "running": '<path d="M-3,-4.5 L4.5,0 L-3,4.5 Z" fill="{c}"/>',
    "held": '<path d="M-2.5,-4.5 V4.5 M2.5,-4.5 V4.5"/>',
    "input_required": '<path d="M-2.8,-2.4 A2.9,2.9 0 1 1 0,1 V2.2 M0,5 V5.2"/>',
    "completed": '<path d="M-4.5,0.5 L-1.5,3.8 L4.5,-3.8"/>',
    "failed": '<path d="M-3.8,-3.8 L3.8,3.8 M3.8,-3.8 L-3.8,3.8"/>',
    "skipped": '<path d="M-4.5,3 A4.6,4.6 0 0 1 4,1 M4.6,-2.6 L4.2,1.4 L0.6,0"/>',
    "canceled": '<path d="M-4.5,0 H4.5"/>',
    "rolled_back": '<path d="M3.9,-2.2 A4.5,4.5 0 1 0 4.5,1 M4.6,-5 L4.1,-1.8 L0.9,-2.4"/>',
}


def draw(picture: Picture) -> str:
    """The picture as one SVG document."""
    layout = arrange(essential(picture) if any(node.state for node in picture.nodes) else picture)
    points, width, height = _places(layout)
    states = [state.value for state in SubtaskState if any(node.state == state for node in picture.nodes)]
    drawn, width = width, max(width, 2 * MARGIN + 112 * len(states), 360)
    shift = (width - drawn) / 2
    points = {name: (x + shift, y + TITLE) for name, (x, y) in points.items()}
    total = height + TITLE + (LEGEND if states else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{total:.0f}" '
        f'viewBox="0 0 {width:.0f} {total:.0f}" font-family="{FONT}">',
        f"<title>{escape(picture.title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="28" font-size="15" font-weight="600" fill="{INK}">'
        f"{escape(cut(picture.title, int((width - 2 * MARGIN) / 8)))}</text>",
        *(_edge(edge, route, points, layout.across) for edge, route in layout.routes),
        *(_node(node, *points[node.id]) for node in picture.nodes),
        *(_key(state, MARGIN + 8 + 112 * i, total - 22) for i, state in enumerate(states)),
        "</svg>",
    ]
    return "\n".join(parts)


def to_png(svg: str) -> bytes:
    """The SVG as a PNG, twice its size for sharp screens, less for a very large one; raises HoldfastError."""
    try:
        import vl_convert
    except ImportError:
        raise HoldfastError("PNG needs the report extra; install it with: pip install 'holdfast[report]'") from None
    head = svg[:400].split('viewBox="0 0 ', 1)[1].split('"', 1)[0]
    width, height = map(int, head.split())
    scale = min(2.0, (MOST_PIXELS / (width * height)) ** 0.5)
    if scale < 0.2:
        raise HoldfastError("the plan is too large for a PNG; draw it with --format svg")
    png: bytes = vl_convert.svg_to_png(svg, scale=scale)
    return png


def _places(layout: Layout) -> tuple[Points, float, float]:
    """The middle of every node and bend, and the size of it all; layers run down, or across if they are wide."""
    along, beside = (WIDTH, HEIGHT) if layout.across else (HEIGHT, WIDTH)
    extents = [sum(BEND if n in layout.bends else beside + GAP for n in names) - GAP for names in layout.layers]
    widest = max(extents, default=0)
    points: Points = {}
    for number, names in enumerate(layout.layers):
        at = MARGIN + (widest - extents[number]) / 2
        deep = MARGIN + number * (along + STEP) + along / 2
        for name in names:
            room = BEND if name in layout.bends else beside + GAP
            middle = at + (room if name in layout.bends else beside) / 2
            points[name] = (deep, middle) if layout.across else (middle, deep)
            at += room
    length = 2 * MARGIN + len(layout.layers) * (along + STEP) - STEP
    return points, *((length, widest + 2 * MARGIN) if layout.across else (widest + 2 * MARGIN, length))


def _node(node: Node, x: float, y: float) -> str:
    fill, stroke = COLOURS[node.state] if node.state else PLAIN
    left, top = x - WIDTH / 2, y - HEIGHT / 2
    text = left + (30 if node.state else 12)
    lines = [
        f"<g><title>{escape(f'{node.label}: {node.note}' if node.note else node.label)}</title>",
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="7" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="1.4"{_dashes(node.state)}/>',
        _sign(node.state, left + 17, y) if node.state else "",
        f'<text x="{text:.1f}" y="{y - 3 if node.note else y + 4:.1f}" font-size="12.5" font-weight="600" '
        f'fill="{INK}">{escape(_fit(node.label, 12.5, left + WIDTH - 8 - text))}</text>',
    ]
    if node.note:
        note = escape(_fit(node.note, 11, left + WIDTH - 8 - text))
        lines.append(f'<text x="{text:.1f}" y="{y + 13:.1f}" font-size="11" fill="{QUIET}">{note}</text>')
    return "".join(lines) + "</g>"


def _fit(text: str, size: float, room: float) -> str:
    """As much of a text as fits, by the usual widths of letters in the fonts that may be there."""
    for cells in range(cell_len(text), 0, -1):
        short = cut(text, cells)
        if sum(map(_em, short)) * size <= room:
            return short
    return ""


def _em(letter: str) -> float:
    if letter in "ijl.,:;'|!ft()[] ":
        return 0.36
    if letter in "mwMW@%—…":
        return 0.95
    return 1.05 if cell_len(letter) == 2 else 0.72 if letter.isupper() else 0.6


def _dashes(state: str | None) -> str:
    return ' stroke-dasharray="4 3"' if state == "waiting" else ""


def _sign(state: str, x: float, y: float) -> str:
    colour = COLOURS[state][1]
    return (
        f'<g transform="translate({x:.1f},{y:.1f})" fill="none" stroke="{colour}" stroke-width="1.8" '
        f'stroke-linecap="round" stroke-linejoin="round">{SIGNS[state].format(c=colour)}</g>'
    )


def _key(state: str, x: float, y: float) -> str:
    name = f'<text x="{x + 13:.1f}" y="{y + 4:.1f}" font-size="11" fill="{QUIET}">{words(state)}</text>'
    return _sign(state, x, y) + name


def _edge(edge: Edge, route: list[str], points: Points, across: bool) -> str:
    """A smooth line through the bends, with a head where it leads."""
    leaves = [_border(points[name], across, 1) for name in route[:-1]]
    enters = [_border(points[name], across, -1) for name in route[1:]]
    first, last = leaves[0], enters[-1]
    path = ""
    for (x1, y1), (x2, y2) in zip(leaves, enters, strict=True):
        path += f"{'L' if path else 'M'}{x1:.1f},{y1:.1f}"  # through the layer of a bend it runs straight
        half = (x2 - x1) / 2 if across else (y2 - y1) / 2
        a, b = ((x1 + half, y1), (x2 - half, y2)) if across else ((x1, y1 + half), (x2, y2 - half))
        path += f" C{a[0]:.1f},{a[1]:.1f} {b[0]:.1f},{b[1]:.1f} {x2:.1f},{y2:.1f}"
    backward = edge.source == route[-1]
    heads = [_head(*first, across, -1)] if backward or edge.both else []
    heads += [_head(*last, across, 1)] if not backward or edge.both else []
    dashes = ' stroke-dasharray="5 4"' if edge.dashed else ""
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.3"{dashes}/>{"".join(heads)}'


def _head(x: float, y: float, across: bool, way: int) -> str:
    """An arrow head whose tip is at (x, y)."""
    back = -7 * way
    a, b = ((x + back, y - 4), (x + back, y + 4)) if across else ((x - 4, y + back), (x + 4, y + back))
    return f'<path d="M{a[0]:.1f},{a[1]:.1f} L{x:.1f},{y:.1f} L{b[0]:.1f},{b[1]:.1f} Z" fill="{LINE}"/>'


def _border(middle: tuple[float, float], across: bool, side: int) -> tuple[float, float]:
    x, y = middle
    return (x + side * WIDTH / 2, y) if across else (x, y + side * HEIGHT / 2)
