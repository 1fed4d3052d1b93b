"""PyPI's fastavro, which knows nothing of us, reads every object of an export and finds the events that are in the
stream: the same number, in the same order, with the same keys, headers, times and payloads.

Also the file that is kept of the format's first version, which has every state of every field.
"""

import base64
import datetime
import hashlib
import json
import pathlib
import sys

import fastavro

from lib import MIB, Sized, check, scenario

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "formats-v1" / "events.avro"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
ABSENT, NULL = "absent", "null"


def state(value, is_null):
    """A value of three states, from the two fields that the schema has for it."""
    check(not (is_null and value is not None), "bytes that are marked as null")
    if is_null:
        return NULL
    return ABSENT if value is None else value


def printed(record, name):
    """The same, as `sluice read` prints it."""
    if name + "Base64" in record:
        return base64.b64decode(record[name + "Base64"], validate=True)
    if name not in record:
        return ABSENT
    return NULL if record[name] is None else record[name].encode()


def micros(time):
    """Microseconds of an RFC 3339 time in UTC, with as many digits as it has."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00") - EPOCH
    return seconds // datetime.timedelta(microseconds=1) + int((fraction or "0").ljust(6, "0"))


def of_fastavro(event):
    return {
        "sequence": event["sequence"],
        "time": (event["time"] - EPOCH) // datetime.timedelta(microseconds=1),
        "key": state(event["key"], event["key_null"]),
        "headers": [(header["name"], state(header["value"], header["value_null"])) for header in event["headers"]],
        "payload": state(event["payload"], event["payload_null"]),
    }


def of_sluice(event):
    return {
        "sequence": event["sequence"],
        "time": micros(event["time"]),
        "key": printed(event, "key"),
        "headers": [(header["name"], printed(header, "value")) for header in event["headers"]],
        "payload": printed(event, "payload"),
    }


def document(path, kind):
    """A manifest's document, whose checksum covers its body's exact bytes."""
    text = path.read_bytes()
    parsed = json.loads(text)
    check(parsed["sluice"] == kind and parsed["version"] in (1, 2), f"{path}: {parsed['sluice']} {parsed['version']}")
    body = text[text.index(b'"body":') + len(b'"body":') : text.rindex(b"}")]
    check(hashlib.sha256(body).hexdigest() == parsed["sha256"], f"{path}: its checksum is wrong")
    return parsed["body"], hashlib.sha256(text).hexdigest()


def objects(root):
    """Shard and path of every object that a manifest names, in order, found as any reader would."""
    manifest, _ = document(root / "manifest.json", "export-manifest")
    for shard in manifest["shards"]:
        digest, count = "", 0
        for number in range(1, shard["segments"]["count"] + 1):
            segment, sha256 = document(
                root / "manifest" / f"shard={shard['shard']}" / f"{number:06}.json", "export-segment"
            )
            digest = hashlib.sha256((digest + sha256).encode()).hexdigest()
            for entry in segment["entries"]:
                count += 1
                yield shard["shard"], root / entry["key"], entry["counts"]
        check(digest == shard["segments"]["digest"], f"shard {shard['shard']}: other segments than the root names")
        check(count == shard["objects"], f"shard {shard['shard']}: {count} objects, not {shard['objects']}")


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


def run(stage, args):
    """fastavro reads."""
    print(f"  fastavro {fastavro.__version__} on Python {sys.version.split()[0]}", flush=True)
    sized = Sized(args.seed)
    for key in ("north", "south", "", None, "west"):
        words = [] if key is None else ["--key", key]
        stage.append("local:source", sized.lines(sized.bytes + 3 * MIB, 60_000), "--shards", 3, *words)
        stage.append("local:source", [b"\n\n\ntext\n"], *words)
    for compression, codec in (("none", "null"), ("zstd", "zstandard"), ("deflate", "deflate")):
        how = ["--compression", compression, "--object-size", "600KiB", "--part-size", "100KiB"]
        stage.run("export", "local:source", "dir:bucket", *how, "--id", compression, "--slice-events", 3_000)
        reads(stage, compression, codec)
    print(f"  {golden()} events of the kept file are right", flush=True)


def reads(stage, out, codec):
    """All objects of one export are what the stream holds."""
    events, files = 0, 0
    with stage.reading("local:source") as stream:
        for shard, path, counts in objects(stage.folder / "bucket" / out):
            with open(path, "rb") as file:
                reader, here = fastavro.reader(file), 0
                check(reader.metadata["avro.codec"] == codec, "another codec")
                for event in reader:
                    expected = json.loads(stream.readline())
                    check(expected["shard"] == shard, f"{path} goes on after its shard's end")
                    found, wanted = of_fastavro(event), of_sluice(expected)
                    check(found == wanted, f"{path}: fastavro reads {found}, the stream has {wanted}")
                    here += 1
            check(here == counts["events"], f"{path} has {here} events, its entry says {counts['events']}")
            events, files = events + here, files + 1
        check(stream.readline() == b"", "the stream has more events than the objects")
    total = json.loads((stage.folder / "bucket" / out / "manifest.json").read_text())["body"]["counts"]["events"]
    check(events == total and events > 0, f"{events} events, the manifest says {total}")
    print(f"  {codec}: {events} events of {files} objects are the stream's", flush=True)


if __name__ == "__main__":
    scenario(run, "fastavro")
