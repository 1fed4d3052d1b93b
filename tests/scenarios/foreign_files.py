"""Files that nothing of ours wrote go into a stream: lines, lines of JSON and Avro by fastavro, as they are and in one
gzip or Zstandard stream of Python's, in many slices that each go on in the middle of a file. What arrives is what was
written, in order, and memory follows no file that becomes a thousand times as much.

And what cannot be read is refused, with the reason, before anything is written.
"""

import datetime
import gzip
import json
import os
import random

import fastavro

from events import of_sluice
from lib import MIB, check, scenario

try:
    from compression import zstd
except ImportError:
    from backports import zstd

WRITERS = {"": open, ".gz": gzip.open, ".zst": zstd.open}
EPOCH = datetime.datetime(2026, 11, 25, tzinfo=datetime.timezone.utc)
PEAK = 200 * MIB
SLICES = ["--slice-events", "900"]


def orders(chance, count):
    """Payload, key and time of events, and the record that holds them."""
    for number in range(count):
        body = chance.choice((f"order {number} \u00e4\n", {"order": number, "items": [1, 2.5]}, None, number))
        at = EPOCH + datetime.timedelta(milliseconds=chance.randrange(10**9))
        yield body, f"customer-{number % 7}", at


def as_payload(body):
    """As it must arrive: texts as their bytes, other JSON as it was written."""
    if body is None:
        return "null"
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def events(stage, stream):
    with stage.reading(stream) as out:
        return [of_sluice(json.loads(line)) for line in out]


def same(stage, stream, wanted, what):
    found = [(event["payload"], event["key"], event["time"]) for event in events(stage, stream)]
    for number, (one, other) in enumerate(zip(found, wanted)):
        check(one[:2] == other[:2] and other[2] in (None, one[2]), f"{what}: event {number} is {one}, not {other}")
    check(len(found) == len(wanted), f"{what}: {len(found)} events, not {len(wanted)}")
    print(f"  {what}: {len(found)} events are those that were written", flush=True)


def imported(stage, folder, stream, *words):
    report = stage.run("import", f"dir:{folder}", stream, *words, *SLICES, "--output", "json").json()
    check(report["state"] == "COMPLETED" and report["progress"] == 1, f"{folder}: {report}")
    check(report["slices"] > 5, f"{folder}: only {report['slices']} slices")
    verdict = stage.run("verify", report["id"], "--output", "json").json()["verdict"]
    check(verdict == "PROVED", f"{report['id']} is {verdict}")


def lines(stage, chance, ending):
    """Two files; the second has no newline at its end, so that what is last there is no CR LF."""
    texts = [[b"line %d %s" % (n, chance.randbytes(40).hex().encode()) for n in range(6_000)] + [b"", b"\r"] for _ in "ab"]
    folder = f"lines{ending}"
    os.mkdir(stage.folder / folder)
    for name, text in zip("ab", texts):
        with WRITERS[ending](stage.folder / folder / f"{name}.txt{ending}", "wb") as file:
            file.write(b"\n".join(text) + (b"\n" if name == "a" else b""))
    imported(stage, folder, f"local:{folder}", "--format", "lines")
    texts[0][-1] = b""
    same(stage, f"local:{folder}", [(line, "absent", None) for text in texts for line in text], f"lines{ending}")


def json_lines(stage, chance, ending):
    wanted, folder = [], f"json{ending}"
    os.mkdir(stage.folder / folder)
    for name in "ab":
        with WRITERS[ending](stage.folder / folder / f"{name}.json{ending}", "wt", encoding="utf-8") as file:
            for body, key, at in orders(chance, 6_000):
                when = at.isoformat() if name == "a" else at.timestamp()
                file.write(json.dumps({"other": [key], "body": body, "meta": {"id": key, "at": when}}) + "\n")
                wanted.append((as_payload(body), key.encode(), (at - AGES) // datetime.timedelta(microseconds=1)))
    words = ["--payload-field", "body", "--key-field", "meta.id", "--time-field", "meta.at"]
    imported(stage, folder, f"local:{folder}", "--format", "jsonl", *words)
    same(stage, f"local:{folder}", wanted, f"jsonl{ending}")


AGES = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

SCHEMA = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "tags", "type": {"type": "map", "values": ["null", "long", "string"]}},
        {"name": "body", "type": ["null", "bytes"]},
        {
            "name": "meta",
            "type": {
                "type": "record",
                "name": "Meta",
                "fields": [
                    {"name": "id", "type": "string"},
                    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                ],
            },
        },
    ],
}


def avro(stage, chance, codec):
    wanted, folder = [], f"avro-{codec}"
    os.mkdir(stage.folder / folder)
    for name in "ab":
        records = []
        for body, key, at in orders(chance, 6_000):
            payload = None if body is None else as_payload(body)
            records.append({"tags": {"a": 1, "b": None, "c": "d"}, "body": payload, "meta": {"id": key, "at": at}})
            wanted.append((as_payload(body), key.encode(), (at - AGES) // datetime.timedelta(microseconds=1)))
        with open(stage.folder / folder / f"{name}.avro", "wb") as file:
            fastavro.writer(file, SCHEMA, records, codec=codec)
    words = ["--payload-field", "body", "--key-field", "meta.id", "--time-field", "meta.at"]
    imported(stage, folder, f"local:{folder}", "--format", "avro", *words)
    same(stage, f"local:{folder}", wanted, folder)


def bombs(stage):
    """Files that become a thousand times as much: long lines, and lines of nothing. Memory follows neither."""
    os.mkdir(stage.folder / "bombs")
    for name, line, count in (("long", b"x" * MIB + b"\n", 300), ("empty", b"\n" * MIB, 6)):
        for ending in (".gz", ".zst"):
            path = stage.folder / "bombs" / (name + ending)
            with WRITERS[ending](path, "wb") as file:
                for _ in range(count):
                    file.write(line)
            stream = f"local:{name}{ending}"
            words = ["import", f"dir:bombs/{path.name}", stream, "--format", "lines", "--output", "json"]
            done, peak = stage.measured(*words)
            events = count if name == "long" else count * MIB
            check(done.json()["events"] == events, f"{path.name}: {done.json()}")
            check(peak < PEAK, f"{path.name}, {path.stat().st_size} bytes, takes {peak // MIB} MiB of memory")
            print(f"  {path.name}: {path.stat().st_size} bytes, {events} events, peak {peak // MIB} MiB", flush=True)


def refusals(stage):
    os.mkdir(stage.folder / "bad")
    for name, content, words, code, why in (
        ("a.json", b'{"body": 1}\n[2]\n', ["--format", "jsonl", "--payload-field", "body"], 1, "no event"),
        ("b.gz", gzip.compress(b"line\n" * 9_000)[:-9], ["--format", "lines"], 1, "cut off"),
        ("c.avro", b"Obj\x01", ["--format", "avro", "--payload-field", "body"], 1, "inside its header"),
        ("d.avro", b"Obj\x01", ["--format", "avro", "--key-field", "key"], 1, "which field of the records is the payload"),
        ("e.txt", b"x\n", ["--format", "lines", "--key-field", "key"], 1, "say format jsonl or avro"),
        ("f.txt", b"x\n", ["--format", "lines", "--event-size", "7"], 1, "hold events of their own"),
    ):
        path = stage.folder / "bad" / name
        path.write_bytes(content)
        done = stage.start("import", f"dir:bad/{name}", f"local:{name}", *words).wait()
        check(done.code == code and why in done.err, f"{name}: {done.code}, {done.err}")
    print("  what cannot be read is refused, and says why", flush=True)


def run(stage, args):
    """Foreign files."""
    chance = random.Random(args.seed)
    for ending in WRITERS:
        lines(stage, chance, ending)
        json_lines(stage, chance, ending)
    for codec in ("null", "deflate", "zstandard"):
        avro(stage, chance, codec)
    bombs(stage)
    refusals(stage)


if __name__ == "__main__":
    scenario(run, "files")
