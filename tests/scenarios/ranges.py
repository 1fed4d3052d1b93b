"""An import of a range reads only the parts of objects that hold it: everything else of the export is made unreadable
first, so that the import of all of it is refused.

By sequence numbers and by times, and of raw bytes where parts end with an event.
"""

import json

from lib import MIB, Sized, check, scenario

EVENTS = 24 * MIB
PART = 512 << 10
# In front of an object's first unit stands less than this.
HEADER = 2_000


def position(text):
    """The number of the event that comes behind a position such as after:12; and whether it is an event's end."""
    return (0 if text == "start" else int(text.removeprefix("after:").split("+")[0]) + 1), "+" not in text


def parts(stage, export):
    """Of all objects the parts: file, from byte, to byte, first event, event behind the last."""
    folder = stage.folder / "bucket" / export
    found = []
    for segment in sorted(folder.glob("manifest/shard=0/*.json")):
        for listed in json.loads(segment.read_text())["body"]["entries"]:
            index = folder / "manifest" / "shard=0" / "index" / f"{listed['number']:08}.json"
            check(index.exists() == ("parts" in listed), f"{index.name} is there, or is not")
            listing = json.loads(index.read_text())["body"]["parts"] if index.exists() else [listed]
            byte, begins = 0, listed["from"]
            for part in listing:
                length = int(part["checksum"].split("-")[1])
                found.append((folder / listed["key"], byte, byte + length, begins, part["until"]))
                byte, begins = byte + length, part["until"]
    return found


def spoil(pieces, first, behind):
    """All parts without an event from the first to the one behind the last. Answers the bytes of the others."""
    left = 0
    for path, start, end, begins, until in pieces:
        if position(until)[0] > first and position(begins)[0] < behind:
            left += end - start
            continue
        with open(path, "r+b") as file:
            file.seek(max(start, min(HEADER, end)))
            file.write(b"\xff" * (end - file.tell()))
    return left


def without_numbers(events):
    return [{name: value for name, value in event.items() if name != "sequence"} for event in events]


def taken(stage, name, source, bounds, first, behind):
    """An import of a range of an export of which nothing else can be read."""
    pieces = parts(stage, name)
    check(len(pieces) > 20, f"{name} has only {len(pieces)} parts")
    whole = sum(end - start for _, start, end, _, _ in pieces)
    left = spoil(pieces, first, behind)
    check(left < whole / 4, f"{left} of {whole} bytes of {name} hold the range")
    target = f"local:{name}-back"
    report = stage.json("import", f"dir:bucket/{name}", target, *bounds)
    check(report["state"] == "COMPLETED" and report["progress"] == 1, f"{name}: {report}")
    wanted, found = without_numbers(source[first:behind]), without_numbers(stage.events(target))
    check(found == wanted, f"{name}: {len(found)} events, not the {len(wanted)} of the range")
    done = stage.run("import", f"dir:bucket/{name}", f"local:{name}-all", code=1)
    check("damaged" in done.err, f"{name}: all of it can be imported: {done.err}")
    print(f"  {name}: {behind - first} of {len(source)} events from {left} of {whole} bytes", flush=True)


def by_position(stage, seed, form, name):
    """Units that hold positions: a range may begin and end with any event."""
    stream = f"local:{name}"
    stage.append(stream, Sized(seed).lines(EVENTS, 20_000), "--key", "k")
    source = stage.events(stream)
    first, behind = len(source) * 2 // 5 + 1, len(source) // 2 + 1
    times = [event["time"] for event in source]
    by_time = (times.index(times[first]), times.index(times[behind]))
    for kind, bounds, range_ in (
        ("numbers", ["--from", f"0@{first}", "--until", f"0@{behind}"], (first, behind)),
        ("times", ["--from", times[first], "--until", times[behind]], by_time),
    ):
        export = f"{name}-{kind}"
        small = ["--part-size", PART, "--object-size", 8 * PART]
        stage.run("export", stream, "dir:bucket", "--id", export, *form, *small)
        check(stage.json("verify", export)["verdict"] == "PROVED", export)
        taken(stage, export, source, bounds, *range_)


def of_raw(stage, seed):
    """Raw bytes: only where a part ends with an event, else the nearest such places are named."""
    lines = Sized(seed)
    stage.append("local:raw", (lines.note(lines.cut(1_024)) + b"\n" for _ in range(EVENTS // 1_024)), "--key", "k")
    source = stage.events("local:raw")
    stage.run("export", "local:raw", "dir:bucket", "--id", "raw", "--format", "raw", "--part-size", PART, "--object-size", 8 * PART)
    done = stage.run("import", "dir:bucket/raw", "local:refused", "--from", "0@5000", code=1)
    check("is 0@4608, behind it 0@5120" in done.err, done.err)
    pieces = parts(stage, "raw")
    spoil(pieces, 4_608, 6_144)
    words = ["--from", "0@4608", "--until", "0@6144", "--event-size", 1_024]
    stage.run("import", "dir:bucket/raw", "local:raw-back", *words)
    payload = lambda event: (event.get("payload"), event.get("payloadBase64"))
    found = [payload(event) for event in stage.events("local:raw-back")]
    check(found == [payload(event) for event in source[4_608:6_144]], "other bytes")
    print(f"  raw: {len(found)} of {len(source)} events", flush=True)


def run(stage, args):
    """Ranges of an export."""
    by_position(stage, args.seed, [], "avro-zstd")
    by_position(stage, args.seed, ["--format", "jsonl"], "jsonl")
    of_raw(stage, args.seed)


if __name__ == "__main__":
    scenario(run, "ranges")
