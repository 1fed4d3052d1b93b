"""Readers that know nothing of us read every object of exports in every format and compression, and find the events
that are in the stream: the same number, in the same order, with the same keys, headers, times and payloads.

Avro by PyPI's fastavro, also the file that is kept of the format's first version, which has every state of every
field. JSON Lines by Python's json, payloads byte for byte, and by DuckDB as a table. Raw bytes as they are. Frames by
Python's gzip, and by Python's own Zstandard or its backport on PyPI.
"""

import gzip
import hashlib
import json
import pathlib
import sys

import duckdb
import fastavro

from events import ABSENT, NULL, micros, of_fastavro, of_sluice
from exported import objects
from lib import MIB, Sized, check, scenario

try:
    from compression import zstd
except ImportError:
    from backports import zstd

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "formats-v1" / "events.avro"


def golden():
    with open(GOLDEN, "rb") as file:
        events = [of_fastavro(event) for event in fastavro.reader(file)]
    every = bytes(range(256))
    check([event["key"] for event in events] == [b"customer-17", b"customer-17", ABSENT, NULL, b""], "other keys")
    check([event["payload"] for event in events] == [b'{"order":1}', NULL, b"", ABSENT, every], "other payloads")
    headers = [("trace", b"\0\1\xff"), ("trace", NULL), ("gr\u00f6\u00dfe", ABSENT), ("", b"")]
    check(events[0]["headers"] == headers, f"other headers: {events[0]['headers']}")
    check(events[0]["time"] == micros("2026-11-22T08:00:00.123456Z") and events[2]["time"] == -1, "other times")
    check(events[3]["time"] == micros("0001-01-01T00:00:00Z"), "other times")
    return len(events)


OPENERS = {"none": open, "zstd": zstd.open, "gzip": gzip.open}
# The name that Avro has for a compression.
CODECS = {"none": "null", "zstd": "zstandard", "deflate": "deflate"}


def avro(path, compression):
    """Events of a file, by fastavro."""
    with open(path, "rb") as file:
        reader = fastavro.reader(file)
        check(reader.metadata["avro.codec"] == CODECS[compression], "another codec")
        for event in reader:
            yield of_fastavro(event)


def jsonl(path, compression):
    """Events of a file's lines, by json; a payload that stands in its line, as the bytes that stand there."""
    with OPENERS[compression](path, "rb") as file:
        for line in file:
            event = json.loads(line)
            if "payload" in event and event["payload"] is not None:
                event["payload"] = line[payload_begins(line) : -2].decode()
            yield of_sluice(event)


def payload_begins(line):
    """Behind the name of a line's last field. The payload may hold the same text, so the first one counts."""
    return line.index(b',"payload":') + len(b',"payload":')


def by_duckdb(files, shards):
    """What a database makes of all lines: how many, and a digest of all that is in them, in order."""
    columns = {"shard": "VARCHAR", "sequence": "VARCHAR", "time": "TIMESTAMPTZ", "key": "VARCHAR", "keyBase64": "VARCHAR"}
    columns.update({"payload": "JSON", "payloadBase64": "VARCHAR"})
    digest, events = hashlib.sha256(), 0
    for path in files:
        how = {"format": "newline_delimited", "columns": columns, "maximum_object_size": 64 * MIB}
        # It would take the shard from the path.
        table = duckdb.read_json(str(path), hive_partitioning=False, **how)
        fields = "shard, sequence, epoch_us(time), key, keyBase64, payload, payloadBase64"
        for row in table.project(fields).fetchall():
            check(row[0] in shards, f"another shard: {row[0]}")
            *rest, payload, payload64 = row
            # The database writes JSON anew: the same value, not the same bytes.
            digest.update(repr((*rest, payload and json.loads(payload), payload64)).encode())
            events += 1
    return events, digest.hexdigest()


def by_json(files, compression):
    """The same, by json."""
    digest, events = hashlib.sha256(), 0
    for path in files:
        with OPENERS[compression](path, "rb") as file:
            for line in file:
                event = json.loads(line)
                row = (event["shard"], event["sequence"], micros(event["time"]), event.get("key"), event.get("keyBase64"))
                digest.update(repr((*row, event.get("payload"), event.get("payloadBase64"))).encode())
                events += 1
    return events, digest.hexdigest()


def run(stage, args):
    """Foreign readers read."""
    print(f"  fastavro {fastavro.__version__}, DuckDB {duckdb.__version__}, Python {sys.version.split()[0]}", flush=True)
    sized = Sized(args.seed)
    for key in ("eu", None, ""):
        words = [] if key is None else ["--key", key]
        stage.append("local:source", sized.lines(sized.bytes + 3 * MIB, 60_000), "--shards", 3, *words)
        stage.append("local:source", [b"\n\n\ntext\nnull\n"], *words)
        orders = (b'{"order": %d, "payload":"\\u00e4\xc3\xa4", "total":1.50}\n' % number for number in range(9_000))
        stage.append("local:source", orders, *words)
    for form, compressions in (
        ("avro", ("none", "zstd", "deflate")),
        ("jsonl", ("none", "zstd", "gzip")),
        ("raw", ("none", "zstd", "gzip")),
    ):
        for compression in compressions:
            out = f"{form}-{compression}"
            how = ["--format", form, "--compression", compression, "--object-size", "600KiB", "--part-size", "100KiB"]
            stage.run("export", "local:source", "dir:bucket", *how, "--id", out, "--slice-events", 9_000)
            if form == "raw":
                bytes_are_the_same(stage, out, compression)
            else:
                events_are_the_same(stage, out, {"avro": avro, "jsonl": jsonl}[form], compression)
            if form == "jsonl":
                found = [(shard, path) for shard, path, _ in objects(stage.folder / "bucket" / out)]
                files, shards = [path for _, path in found], {shard for shard, _ in found}
                table, wanted = by_duckdb(files, shards), by_json(files, compression)
                check(table == wanted, f"DuckDB reads {table}, json {wanted}")
                print(f"  {out}: DuckDB has the same {table[0]} rows", flush=True)
    print(f"  {golden()} events of the kept file are right", flush=True)


def events_are_the_same(stage, out, read, compression):
    """All objects of one export are what the stream holds."""
    events, files = 0, 0
    with stage.reading("local:source") as stream:
        for shard, path, counts in objects(stage.folder / "bucket" / out):
            here = 0
            for found in read(path, compression):
                expected = json.loads(stream.readline())
                check(expected["shard"] == shard, f"{path} goes on after its shard's end")
                wanted = of_sluice(expected)
                check(found == wanted, f"{path}: there is {found}, the stream has {wanted}")
                here += 1
            check(here == counts["events"], f"{path} has {here} events, its entry says {counts['events']}")
            events, files = events + here, files + 1
        check(stream.readline() == b"", "the stream has more events than the objects")
    total = json.loads((stage.folder / "bucket" / out / "manifest.json").read_text())["body"]["counts"]["events"]
    check(events == total and events > 0, f"{events} events, the manifest says {total}")
    print(f"  {out}: {events} events of {files} objects are the stream's", flush=True)


def bytes_are_the_same(stage, out, compression):
    """All objects of one export, joined, are the payloads of the stream, joined."""
    digest, length, files = hashlib.sha256(), 0, 0
    for _, path, counts in objects(stage.folder / "bucket" / out):
        with OPENERS[compression](path, "rb") as file:
            content = file.read()
        check(len(content) == counts["bytes"], f"{path} has {len(content)} bytes, its entry says {counts['bytes']}")
        digest.update(content)
        length, files = length + len(content), files + 1
    wanted = stage.payload_sha256("local:source")
    check((digest.hexdigest(), length) == wanted, f"{out} has {length} other bytes than the stream's {wanted[1]}")
    print(f"  {out}: {length} bytes of {files} objects are the stream's", flush=True)


if __name__ == "__main__":
    scenario(run, "foreign")
