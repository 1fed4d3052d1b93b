"""150 times kill -9: half in exports and half in imports, of every format and compression, at random moments while
bytes move.

With `--order` as many kills of imports alone as `--kills` says. After each the same command again, or `resume`. In
the end everything is equal, no object was ever replaced, no upload is open, and `verify` proves it.
"""

import random
import time

from lib import MIB, Sized, check, scenario, sha256_of

MUCH, LITTLE = ("local:much", 14 * MIB, 15), ("local:little", 5 * MIB, 5)  # what is moved, and kills each way
MOVING = 0.6  # of all
RATE = 1_000_000  # bytes a second, so that a transfer lasts longer than all of its kills together
LONGEST_LIFE = 0.8  # seconds


class Objects:
    """Every object as it was when first seen."""

    def __init__(self, stage, bucket, transfer):
        self.stage, self.bucket, self.transfer = stage, bucket, transfer
        self.seen = {}

    def look(self, thorough=False):
        paths = self.stage.data(self.bucket, self.transfer)
        for path in paths:
            stat = path.stat()
            now = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if path not in self.seen:
                self.seen[path] = (now, sha256_of(path))
            before, digest = self.seen[path]
            check(now == before, f"{path} was replaced: {before}, now {now}")
            check(not thorough or sha256_of(path) == digest, f"{path} was changed")
        check(set(paths) == set(self.seen), f"objects are gone: {set(self.seen) - set(paths)}")
        return len(paths)


def killed(stage, chance, kills, name, command, objects):
    """Runs a transfer to its end through its kills. Answers in how many of them bytes had moved."""
    moving, before, known = 0, 0, None
    for kill in range(1, kills + 1):
        # The same command, or the transfer by its name.
        by_name = known is not None and chance.random() < 0.4
        again = ["resume", name, *command[1]] if by_name else [*command[0], *command[1]]
        child = stage.start(*again)
        life = chance.uniform(0.05, LONGEST_LIFE)
        time.sleep(life)
        done = child.kill()
        check(done.code == -9, f"{again} ended by itself after {life:.2f} s with {done.code}: {done.err}")
        status = stage.start("status", name, "--output", "json").wait()
        if status.code != 0:
            # Killed before it was on record: there is nothing to resume, but the command can be given again.
            check(known is None, f"{name} was on record and is no more: {status.err}")
            print(f"  {name} kill {kill:2} after {life:.2f} s: not on record yet", flush=True)
            continue
        report = known = status.json()
        check(report["state"] in ("PREPARING", "TRANSFERRING"), f"{name} is {report['state']}: {report}")
        check(report["bytes"] >= before, f"{name} went back from {before} to {report['bytes']} bytes")
        moved = report["bytes"] - before
        moving += moved > 0
        print(
            f"  {name} kill {kill:2} after {life:.2f} s: {report['state']}, {report['events']} events, "
            f"{report['bytes']} bytes (+{moved}), {objects.look()} objects, "
            f"{stage.open_uploads(objects.bucket)} uploads open",
            flush=True,
        )
        before = report["bytes"]
    report = stage.run(*command[0], *command[1], "--output", "json").json()
    check(report["state"] == "COMPLETED", f"{name} ends as {report}")
    check(report["bytes"] >= before, f"{name} went back from {before} to {report['bytes']} bytes")
    print(f"  {name}: {report['state']}, {report['events']} events, {report['bytes']} bytes, {moving} of {kills} moving")
    return moving


def imports(stage, chance, kills, order):
    """So many kills of imports in that order, of one export, which a local stream keeps event by event in any order."""
    stream, length, each = MUCH
    sized = Sized(chance.getrandbits(32))
    for turn in range(4):
        until = length * (turn + 1) // 4
        stage.append(stream, sized.lines(until, 2_000), "--key", f"key-{turn}", "--shards", 3)
    stage.run("export", stream, "dir:bucket", "--object-size", "256KiB", "--part-size", "32KiB", "--id", "out")
    objects, moving = Objects(stage, "bucket", "out"), 0
    for number, first in enumerate(range(0, kills, each)):
        name, target = f"{order}-{number}", f"local:{order}-{number}"
        command = ["import", "dir:bucket/out", target, "--rate", RATE, "--id", name, "--order", order]
        share, slices = min(each, kills - first), ["--slice-bytes", "300KiB"]
        moving += killed(stage, chance, share, name, (command, slices), objects)
        stage.same_events(stream, target)
        verdict = stage.run("verify", name, "--output", "json").json()["verdict"]
        check(verdict == "PROVED", f"{name} is {verdict}")
    objects.look(thorough=True)
    print(f"{kills} kills of imports, order {order}, {moving} of them while bytes moved", flush=True)
    check(moving >= MOVING * kills, f"only {moving} of {kills} kills came while bytes moved")


def run(stage, args):
    """Kills."""
    chance = random.Random(args.seed)
    if args.order:
        imports(stage, chance, args.kills, args.order)
        return
    sources = {}
    for stream, length, _ in (MUCH, LITTLE):
        sized = Sized(args.seed)
        # Keys, no key, empty payloads; most are small, so that a batch is small too.
        for turn, words in enumerate((["--key", "eu"], [], ["--key", ""])):
            until = sized.bytes + length // 3
            stage.append(stream, sized.lines(until, 2_000), *words)
            stage.append(stream, [b"\n\n", b'{"order": %d}\n' % turn], *words)
            sized.note(b'{"order": %d}' % turn)
        sources[stream] = (sized.digest.hexdigest(), sized.bytes)
    moving, kills = 0, 0
    for source, form, compression, slices in (
        (MUCH, "avro", "none", ["--slice-bytes", "300KiB"]),
        (MUCH, "avro", "zstd", ["--slice-bytes", "600KiB"]),
        (MUCH, "raw", "none", ["--slice-seconds", "60"]),
        (LITTLE, "avro", "deflate", ["--slice-bytes", "600KiB"]),
        (LITTLE, "raw", "zstd", ["--slice-bytes", "600KiB"]),
        (LITTLE, "raw", "gzip", ["--slice-seconds", "60"]),
        (LITTLE, "jsonl", "none", ["--slice-bytes", "300KiB"]),
        (LITTLE, "jsonl", "zstd", ["--slice-bytes", "600KiB"]),
        (LITTLE, "jsonl", "gzip", ["--slice-seconds", "60"]),
    ):
        stream, _, each = source
        moving += there_and_back(stage, chance, stream, each, form, compression, slices, sources[stream])
        kills += 2 * each
    print(f"{kills} kills, {moving} of them while bytes moved", flush=True)
    check(moving >= MOVING * kills, f"only {moving} of {kills} kills came while bytes moved")


def there_and_back(stage, chance, stream, kills, form, compression, slices, digest):
    """An export and its import through their kills. Answers in how many of them bytes had moved."""
    name = f"{form}-{compression}"
    out, back, target = f"out-{name}", f"back-{name}", f"local:{name}"
    objects = Objects(stage, "bucket", out)
    how = ["--format", form, "--compression", compression, "--object-size", "256KiB", "--part-size", "32KiB"]
    export = ["export", stream, "dir:bucket", *how, "--rate", RATE, "--id", out]
    moving = killed(stage, chance, kills, out, (export, slices), objects)
    shape = ["--event-size", "41"] if form == "raw" else []
    imported = ["import", f"dir:bucket/{out}", target, *shape, "--rate", RATE, "--id", back]
    moving += killed(stage, chance, kills, back, (imported, slices), objects)
    objects.look(thorough=True)
    if form == "raw":
        check(stage.payload_sha256(target) == digest, f"{target} has other bytes than {stream}")
    else:
        stage.same_events(stream, target)
    for transfer in (out, back):
        verdict = stage.run("verify", transfer, "--output", "json").json()["verdict"]
        check(verdict == "PROVED", f"{transfer} is {verdict}")
    open_uploads = stage.open_uploads("bucket")
    check(open_uploads == 0, f"{open_uploads} uploads are open")
    print(f"  {name}: {digest[1]} bytes are equal, {len(objects.seen)} objects as first seen, verify 0", flush=True)
    return moving


if __name__ == "__main__":
    scenario(
        run,
        "kills",
        order={"choices": ("key", "shard", "none"), "help": "only kills of imports in that order"},
        kills={"type": int, "default": 200, "help": "with --order, how many"},
    )
