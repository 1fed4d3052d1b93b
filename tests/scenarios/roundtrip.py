"""One shard of events from 1 byte to 8 MiB goes to a bucket and comes back, in every format and compression: an eighth
of the bytes in those that differ from another one by their codec alone.

Avro and JSON Lines: every event equal in shard, order, key, time and payload. Raw: the bytes equal. Every export and
import stays under 216 MiB of memory at parts of 8 MiB, and takes no more for 10,000 parts in an object than for 100, nor for
thousands of objects than for tens.
"""

from lib import MIB, Sized, check, scenario, size

PEAK = 216 * MIB
# What two runs of the same kind may differ by: the allocator's whims, and SQLite's cache that fills.
FLAT = 24 * MIB


def moved(stage, what, volume, *words):
    """An export or an import, and what it took."""
    done, peak = stage.measured(*words, "--output", "json", timeout=3_600)
    report = done.json()
    check(report["state"] == "COMPLETED", f"{what}: {report}")
    check(peak < PEAK, f"{what} takes {peak // MIB} MiB of memory; at most {PEAK // MIB}")
    print(
        f"  {what}: {report['events']} events, {report['objects']} objects, {done.seconds:.1f} s, "
        f"{volume / done.seconds / 1e6:.0f} MB/s, peak {peak / MIB:.0f} MiB",
        flush=True,
    )
    return peak, report


def fill(stage, seed, stream, volume):
    """One shard. A quarter of the bytes are small events, three quarters are of 1 byte to 8 MiB."""
    sized = Sized(seed)
    # Each call has one key for all of its events, or none.
    for quarter, (key, longest) in enumerate((("small", 4_096), ("large", 8 * MIB), ("", 8 * MIB), (None, 8 * MIB)), 1):
        words = [] if key is None else ["--key", key]
        stage.append(stream, sized.lines(volume * quarter // 4, longest), *words)
    # What lines cannot have: newlines, and no bytes at all.
    stage.append(stream, [sized.note(bytes(range(256)) * 64)], "--by", "bytes", "--event-bytes", 1_000)
    stage.append(stream, [b"\n\n\n"], "--key", "empty")
    digest = sized.digest.hexdigest(), sized.bytes
    check(stage.payload_sha256(stream) == digest, "the stream has not what was appended")
    return digest


def round_trips(stage, seed, volume):
    much, little = ("local:much", volume), ("local:little", volume // 8)
    digests = {stream: fill(stage, seed, stream, length) for stream, length in (much, little)}
    for (stream, length), form, compression in (
        (much, "avro", "none"),
        (much, "avro", "zstd"),
        (little, "avro", "deflate"),
        (much, "raw", "none"),
        (little, "raw", "zstd"),
        (little, "raw", "gzip"),
        (much, "jsonl", "none"),
        (little, "jsonl", "zstd"),
        (little, "jsonl", "gzip"),
    ):
        name = f"{form}-{compression}"
        out, back, target = f"out-{name}", f"back-{name}", f"local:{name}"
        how = ["--format", form, "--compression", compression, "--part-size", "8MiB"]
        moved(stage, f"export {name}", length, "export", stream, "dir:b", *how, "--id", out)
        moved(stage, f"import {name}", length, "import", f"dir:b/{out}", target, "--id", back)
        if form != "raw":
            text = stage.same_events(stream, target)
            print(f"  every event is equal: {text} bytes of text", flush=True)
        check(stage.payload_sha256(target) == digests[stream], f"{target} has other bytes")
        print(f"  {name}: {digests[stream][1]} bytes are equal", flush=True)
        for transfer in (out, back):
            stage.run("verify", transfer, timeout=3_600)


def counted(stage, seed, what, few, lots, object_of):
    """Exports and imports the same bytes in few and in lots of something; the memory must be about the same."""
    volume, peaks = lots * 4_096, []
    sized = Sized(seed, newlines=True)
    source = f"local:{what}"
    stage.append(source, (sized.cut(4_096) for _ in range(lots)), "--by", "bytes", "--event-bytes", 10_000)
    digest = stage.payload_sha256(source)
    for count in (few, lots):
        part = volume // count
        out, target = f"{what}-{count}", f"local:back-{what}-{count}"
        raw = ["--format", "raw", "--object-size", object_of(part), "--part-size", part, "--id", out]
        exported, report = moved(stage, f"export, {count} {what}", volume, "export", source, "dir:b", *raw)
        objects = volume // object_of(part)
        check(report["objects"] == objects, f"{report['objects']} objects, not {objects}")
        imported, _ = moved(stage, f"import, {count} {what}", volume, "import", f"dir:b/{out}", target)
        check(stage.payload_sha256(target) == digest, f"{target} has other bytes")
        peaks.append((exported, imported))
    for before, after, way in zip(peaks[0], peaks[1], ("export", "import")):
        check(after < before + FLAT, f"{way}: {lots} {what} take {after // MIB} MiB, {few} {before // MIB} MiB")


def run(stage, args):
    """Round trips."""
    volume = size(args.size)
    print(f"  {args.size} in one shard", flush=True)
    round_trips(stage, args.seed, volume)
    counted(stage, args.seed, "parts", 100, 10_000, lambda _: 40_960_000)
    counted(stage, args.seed, "objects", 20, 2_000, lambda part: part)


if __name__ == "__main__":
    scenario(run, "roundtrip", size={"default": "256MiB", "help": "bytes of payload, such as 4GiB"})
