#!/usr/bin/env python3
"""The figures of `compare.py --json FILE` as a picture: plot.py FILE > docs/benchmarks.svg

A panel for each workload, a bar for each contender, as long as it is fast; the line is the reference
of the panel. Readable on light and on dark ground.
"""

import json
import sys
from xml.sax.saxutils import escape

PANELS = [
    ("echo", "Echo: 2,000,000 records, two cat"),
    ("python", "Two Python workers, 200,000 records"),
    ("single", "One at a time, on one CPU"),
    ("uneven", "Uneven sleeps, 8 workers"),
    ("start", "Workers that take 0.5 s to start"),
    ("slow-fellow", "One of three workers is 25 times slower"),
]
# What no product is: pipes, probes and computed schedules.
LIMITS = "relay", "cat", "ping-pong", "all workers", "best schedule"
ROW, HEAD, GAP = 17, 24, 16
NAME, BAR, VALUE = 218, 190, 40
COLUMN = NAME + BAR + VALUE + 24
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600; font-size: 13px }
.mtask { fill: #d9480f } .limit { fill: #9fb3c8 } .peer { fill: #57606a }
.name { text-anchor: end } .bold { font-weight: 600 }
.reference { stroke: #1f2328; stroke-dasharray: 2 3; opacity: .6 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .reference { stroke: #e6edf3 }
  .mtask { fill: #ff8a3d } .limit { fill: #50657c } .peer { fill: #9198a1 }
}
"""


def kind(name):
    if name.startswith("mtask") and not name.startswith("mtasklite"):
        return "mtask"
    return "limit" if name.startswith(LIMITS) else "peer"


def shorten(name):
    name = name.replace("*", "").replace("`", "").replace("\\", "")
    name = name.replace("a line at a time, two in flight", "line by line, 2 in flight")
    name = name.replace("a line at a time", "line by line").replace("multiprocessing", "mp.Pool")
    return (
        name.replace("concurrent.futures", "futures")
        .replace(" (computed)", "")
        .replace("--pipe --", "--")
    )


def panel(title, rows, x, y):
    longest = max(row["ratio"] for row in rows)
    yield f'<text class="head" x="{x}" y="{y + 13}">{escape(title)}</text>'
    for number, row in enumerate(sorted(rows, key=lambda row: -row["ratio"])):
        top = y + HEAD + number * ROW
        name = shorten(row["name"])
        of = kind(name)
        bold = " bold" if of == "mtask" else ""
        width = max(1, BAR * row["ratio"] / longest)
        start = x + NAME + 8
        yield f'<text class="name{bold}" x="{x + NAME}" y="{top + 11}">{escape(name)}</text>'
        yield f'<rect class="{of}" x="{start}" y="{top + 1}" width="{width:.1f}" height="{ROW - 5}" rx="2"/>'
        yield f'<text class="value{bold}" x="{start + width + 5:.1f}" y="{top + 11}">{row["ratio"]:.2f}</text>'
    at = x + NAME + 8 + BAR / longest
    bottom = y + HEAD + len(rows) * ROW - 3
    yield f'<line class="reference" x1="{at:.1f}" x2="{at:.1f}" y1="{y + HEAD - 3}" y2="{bottom}"/>'


def main(path):
    with open(path) as file:
        figures = json.load(file)
    heights = [38, 38]
    parts = []
    for name, title in PANELS:
        if name not in figures:
            continue
        rows = figures[name]["rows"]
        column = heights.index(min(heights))
        parts.extend(panel(title, rows, 8 + column * COLUMN, heights[column]))
        heights[column] += HEAD + len(rows) * ROW + GAP
    legend = [
        ("mtask", "mtask"),
        ("limit", "limits: pipes, probes in C, computed schedules"),
        ("peer", "others"),
    ]
    x = 8
    for of, text in legend:
        parts.append(f'<rect class="{of}" x="{x}" y="8" width="14" height="12" rx="2"/>')
        parts.append(f'<text x="{x + 20}" y="18">{text}</text>')
        x += 44 + 7 * len(text)
    parts.append(f'<text x="{x}" y="18">longer is faster; dashed: the reference, 1.00</text>')
    width, height = 2 * COLUMN + 8, max(heights)
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="Speed of mtask and of others">'
    )
    print(f"<style>{STYLE}</style>", *parts, "</svg>", sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
