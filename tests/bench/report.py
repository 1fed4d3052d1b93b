"""Figures of all rounds as tables of medians, and what they are held against."""

import pathlib
import statistics
import sys

# Row, ratio or CPU ratio, and its bound: a ratio must reach it, a CPU ratio must not pass it.
TARGETS = (
    ("export raw none 10 KiB", "of", "write", 0.8),
    ("export avro none 10 KiB", "of", "write", 0.8),
    ("import raw none 10 KiB", "of", "sqlite", 0.7),
    ("import avro none 10 KiB", "of", "sqlite", 0.7),
    ("append 10 KiB", "of", "sqlite", 0.7),
    ("s3 raw none 10 KiB", "cpu_of", "sdk", 1.5),
    ("s3 avro none 10 KiB", "cpu_of", "sdk", 1.5),
    ("s3 raw none 10 KiB", "cpu_of", "sdk_default", 1.5),
    ("s3 avro none 10 KiB", "cpu_of", "sdk_default", 1.5),
)
# What a ratio is called.
BESIDE = {
    "write": "write and fsync", "synced": "write, each part synced", "copy": "memory copy", "codec": "the codec",
    "sqlite": "SQLite", "sdk": "the SDK set as Sluice's", "sdk_default": "the SDK by default"
}
EVENTS = ("100 B", "1 KiB", "10 KiB", "1 MiB")
# Between these lines of a file the tables are written anew.
BEGIN, END = "<!-- bench.py --write: begin -->", "<!-- bench.py --write: end -->"
# How rows begin, what their table is called, and its ratios.
KINDS = (
    ("export", "local -> dir", (("of", "write"), ("of", "synced"), ("of", "copy"), ("of", "codec"))),
    ("import", "dir -> local", (("of", "sqlite"), ("of", "copy"), ("of", "codec"))),
    ("append", "lines -> local", (("of", "sqlite"), ("of", "copy"))),
    ("s3", "local -> S3", (("of", "sdk"), ("cpu_of", "sdk"), ("cpu_of", "sdk_default"), ("of", "copy"))),
)


def median(figures, *path):
    """Of a figure of each round; none if no round has it."""
    found = []
    for figure in figures:
        for name in path:
            figure = figure.get(name, {})
        if figure != {}:
            found.append(figure)
    return statistics.median(found) if found else None


def number(value):
    """With three digits that count, at least."""
    if value is None:
        return ""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, lines):
    ruler = ["---"] * 2 + ["---:"] * (len(head) - 2)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ruler, *lines])


def of_kind(kind, title, ratios, rows):
    """One table; none if it has no rows."""
    lines = []
    for name, figures in rows.items():
        words = name.split(" ")
        if words[0] != kind:
            continue
        encoding = " ".join(words[1:-2]) or "-"
        line = [" ".join(words[-2:]), encoding.replace(" none", "")]
        line += [number(median(figures, what)) for what in ("rate", "events", "cpu", "peak")]
        line += [number(median(figures, "stored"))] if kind == "export" else []
        lines.append(line + [number(median(figures, *ratio)) for ratio in ratios])
    if not lines:
        return None
    head = ["event", "format", "MB/s", "events/s", "CPU s/GB", "peak MiB"] + (["stored"] if kind == "export" else [])
    head += [("of " if how == "of" else "CPU, x ") + BESIDE[what] for how, what in ratios]
    lines.sort(key=lambda line: EVENTS.index(line[0]))
    return f"**{title}**\n\n" + table(head, lines)


def rate(told):
    return told["bytes"] / told["seconds"] / 1e6


def of_baselines(baselines):
    """Baselines once for each event size; what depends on no event size, over all of them."""
    lines = []
    for (name, label), figures in baselines.items():
        cpu = [told["cpu"] / (told["bytes"] / 1e9) for told in figures if told["cpu"]]
        line = [name, label, number(statistics.median(map(rate, figures)))]
        line.append(number(statistics.median(cpu)) if cpu else "")
        backs = [dict(told["back"], bytes=told["bytes"]) for told in figures if "back" in told]
        line.append(number(statistics.median(map(rate, backs))) if backs else "")
        cpu = [told["cpu"] / (told["bytes"] / 1e9) for told in backs if told["cpu"]]
        lines.append(line + [number(statistics.median(cpu)) if cpu else ""])
    lines.sort(key=lambda line: line[0])
    return "**Baselines**\n\n" + table(["job", "event", "MB/s", "CPU s/GB", "MB/s back", "CPU s/GB back"], lines)


def tables(rows, baselines):
    parts = [of_kind(kind, title, ratios, rows) for kind, title, ratios in KINDS]
    return "\n\n".join([*filter(None, parts), of_baselines(baselines)]) + "\n"


def parts(name):
    """Kind, encoding and event size of a row: `export raw none 10 KiB`."""
    words = name.split(" ")
    return words[0], " ".join(words[1:-2]).replace(" none", ""), " ".join(words[-2:])


def held(rows):
    """Each target that has a row: its median, the range of its rounds, and whether it is reached."""
    for name, how, what, bound in TARGETS:
        value = median(rows.get(name, []), how, what)
        if value is None:
            continue
        reached = value >= bound if how == "of" else value <= bound
        each = [figure[how][what] for figure in rows[name] if what in figure[how]]
        # A median of few rounds on a busy machine says little: the reader is to see how far they lie apart.
        yield name, how, what, bound, f"{value:.2f} ({min(each):.2f} to {max(each):.2f})", reached


def check(rows):
    """A line for each target that has a row, and whether it is reached."""
    lines = []
    for name, how, what, bound, value, reached in held(rows):
        told = f"{value} of {BESIDE[what]}, wanted {bound} at least"
        if how == "cpu_of":
            told = told.replace(" of ", " times the CPU of ").replace("at least", "at most")
        lines.append((f"{'reached' if reached else 'MISSED '}  {name}: {told}", reached))
    return lines


def grid(kind, title, rows):
    """One table of a kind, a row an encoding and a column an event size; none if it has no rows."""
    cells = {}
    for name, figures in rows.items():
        of, encoding, event = parts(name)
        if of == kind:
            told = (number(median(figures, what)) for what in ("rate", "cpu", "peak"))
            cells.setdefault(encoding or "all", {})[event] = "; ".join(told)
    if not cells:
        return None
    head = [f"{kind}, {title}", *EVENTS]
    lines = [[encoding, *(of.get(event, "") for event in EVENTS)] for encoding, of in cells.items()]
    ruler = ["---"] + ["---:"] * len(EVENTS)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ruler, *lines])


def targets(rows):
    """What rows are held against; none if no row has a target."""
    lines = []
    for name, how, what, bound, value, reached in held(rows):
        kind, encoding, _ = parts(name)
        row = f"{kind} {encoding}".strip() + (", CPU beside " if how == "cpu_of" else ", of ") + BESIDE[what]
        wanted = f"{bound} at most" if how == "cpu_of" else f"{bound} at least"
        lines.append(f"| {row} | {value} | {wanted} | {'reached' if reached else 'missed'} |")
    return "\n".join(["| | measured | wanted | |", "|---|---|---|---|", *lines]) if lines else None


def written(rows, version, how):
    """All tables as a document has them."""
    grids = [grid(kind, title, rows) for kind, title, _ in KINDS]
    begin = f"Measured at `{version}`: {how} Each cell: MB/s; CPU seconds a GB; peak MiB."
    return "\n\n".join(filter(None, [begin, *grids, targets(rows)]))


def write(path, text):
    """Replaces what stands between the marks of a file."""
    path = pathlib.Path(path)
    before, begin, rest = path.read_text().partition(BEGIN + "\n")
    _, end, behind = rest.partition(END + "\n")
    if not begin or not end:
        sys.exit(f"{path} has no lines '{BEGIN}' and '{END}' in this order: nothing was written")
    path.write_text(f"{before}{begin}\n{text}\n\n{end}{behind}")
