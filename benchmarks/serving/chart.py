"""A plot of throughput: for each work one bar a server, beside ours."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.serving.measurements import THROUGHPUT, WorkResult
from benchmarks.serving.works import LOOP, OURS

_WIDTH, _COLUMNS = 880, 2
_LABEL, _VALUE = 116, 100
_BAR, _GAP, _HEAD, _MARGIN = 15, 5, 34, 16
_OURS, _PEER, _LIMIT = "#1f6feb", "#9aa4b2", "#d9dee5"
_FAR = 4
_LIMITS = (LOOP, "http-hello")


def draw(results: Sequence[WorkResult]) -> str:
    """The plot as SVG, works in two columns, bars as long as their share of the work's fastest server."""
    width = _WIDTH // _COLUMNS
    heights = [_MARGIN] * _COLUMNS
    parts: list[str] = []
    for result in results:
        column = heights.index(min(heights))
        parts.append(
            f'<g transform="translate({column * width + _MARGIN},{heights[column]})">{_panel(result, width)}</g>'
        )
        heights[column] += _height(result)
    height = max(heights) + _HEAD
    legend = "".join(
        f'<rect x="{place}" y="{height - 22}" width="11" height="11" fill="{fill}"/>'
        f'<text x="{place + 16}" y="{height - 12}">{text}</text>'
        for place, fill, text in (
            (_MARGIN, _OURS, "this server"),
            (_MARGIN + 110, _PEER, "peers"),
            (_MARGIN + 180, _LIMIT, "limits: no server, or no model"),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#24292f">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + f"\n{legend}\n</svg>\n"
    )


def _panel(result: WorkResult, width: int) -> str:
    unit = "requests/s" if result.work.rows == 1 else "rows/s"
    bars = _bars(result)
    room = width - 2 * _MARGIN - _LABEL - _VALUE
    longest = _scale(bars)
    lines = [
        f'<text y="12" font-weight="600">{escape(result.work.name)} <tspan font-weight="400">{unit}</tspan></text>'
    ]
    for number, (name, value) in enumerate(bars):
        top = _HEAD - 12 + number * (_BAR + _GAP)
        fill = _OURS if name == OURS else _LIMIT if name in _LIMITS else _PEER
        length = min(room, max(1, value / longest * room))
        beyond = " (cut)" if value > longest else ""
        lines += [
            f'<text x="{_LABEL - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LABEL}" y="{top}" width="{length:.1f}" height="{_BAR}" rx="2" fill="{fill}"/>',
            f'<text x="{_LABEL + length + 5:.1f}" y="{top + 12}">{_rounded(value)}{beyond}</text>',
        ]
    return "".join(lines)


def _scale(bars: Sequence[tuple[str, float]]) -> float:
    """What the longest bar stands for: the bare loop may be so far ahead that nothing else would be seen."""
    servers = max((value for name, value in bars if name != LOOP), default=1.0)
    loop = dict(bars).get(LOOP, servers)
    return max(servers, loop) if loop <= _FAR * servers else servers


def _height(result: WorkResult) -> int:
    return _HEAD + len(_bars(result)) * (_BAR + _GAP) + _MARGIN


def _bars(result: WorkResult) -> list[tuple[str, float]]:
    bars = [(name, result.medians(name)[THROUGHPUT]) for name in result.rounds]
    return sorted(bars, key=lambda bar: -bar[1])


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
