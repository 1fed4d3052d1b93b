"""The command on the laptop, its streams and buckets on AWS: Kinesis and S3 of a ministack, mixed with local ones.

Round trips in every mixture, objects of several parts, kill -9 in the middle of an export to S3 and of an import into
Kinesis (also when a part or records have arrived, and the answer has not), a pause, and buckets that belong to somebody
else. What arrived is read by boto3, which nobody here wrote; the
command's own reading is held against it.
"""

import base64
import collections
import contextlib
import datetime
import itertools
import pathlib
import random
import re
import signal
import sys
import time

from lib import MIB, Sized, check, scenario

# The emulator's starter and boto3's view of streams and buckets are those of the cloud's scenarios.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cloud"))

from cloud import ACCOUNT, Cloud, Stream, stream_arn, until  # noqa: E402  (the path has just been set)
from proxy import OwnerProxy, Proxy  # noqa: E402

# Bytes a second: a transfer takes longer than its kills together.
RATE = 4 * MIB


class There(Cloud):
    """A ministack that somebody else began, and ends."""

    def __init__(self, url):
        self.url = url


class World:
    """Streams and buckets with names of their own, and the command that moves between them."""

    def __init__(self, stage, cloud, seed):
        self.stage, self.cloud, self.seed = stage, cloud, seed
        self.random = random.Random(seed)
        self.s3 = cloud.client("s3")

    def named(self, what):
        return f"both-{self.seed}-{what}"

    def stream(self, what, shards, records=()):
        stream = Stream(self.cloud, self.named(what), shards)
        stream.put(records)
        return stream

    def bucket(self, what):
        self.s3.create_bucket(Bucket=self.named(what))
        return self.named(what)

    def mixed(self, total, longest):
        """Keys and data of log-uniform length, empty ones among them, until so many bytes are drawn."""
        keys = [f"key-{number}" for number in range(30)] + ["\u00fcml\u00e4ut", " ", "x" * 256]
        drawn = 0
        while drawn < total:
            length = int(longest ** self.random.random()) - 1
            drawn += length
            yield self.random.choice(keys), self.random.randbytes(length)

    def even(self, total, length):
        """Data of one length."""
        for number in range(total // length):
            yield f"key-{number % 50}", self.random.randbytes(length)

    def moves(self, *words):
        """A transfer that ends completely, and is proved."""
        report = self.stage.json(*words)
        check(report["state"] == "COMPLETED", f"{words} ends as {report}")
        self.proved(report)
        return report

    def proved(self, report):
        verdict = self.stage.json("verify", report["id"])
        check(verdict["verdict"] == "PROVED", f"{report['id']} is {verdict}")

    @contextlib.contextmanager
    def running(self, *words):
        """A command at work, which does not outlive its block."""
        child = self.stage.start(*words)
        try:
            yield child
        finally:
            if child.process.poll() is None:
                child.kill()

    @contextlib.contextmanager
    def proxied(self):
        """Meanwhile commands reach S3 and Kinesis through proxies."""
        before = self.stage.environment
        s3, kinesis = OwnerProxy(self.cloud.url, ACCOUNT), Proxy(self.cloud.url)
        for proxy in (s3, kinesis):
            # Who is killed does not wait for answers; whoever else misses one fails.
            proxy.server.handle_error = lambda *_: None
        self.stage.environment = dict(before, AWS_ENDPOINT_URL_S3=s3.url, AWS_ENDPOINT_URL_KINESIS=kinesis.url)
        try:
            yield s3, kinesis
        finally:
            self.stage.environment = before
            s3.close()
            kinesis.close()

    def nothing_open(self, bucket):
        uploads = self.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        # Who is killed while it asks what the bucket promises leaves an upload without parts. It is no transfer's.
        uploads = [upload for upload in uploads if upload["Key"] != ".sluice/probe"]
        check(not uploads, f"{bucket} has uploads open: {uploads}")

    def parts(self, bucket, prefix):
        """How many parts each data object was uploaded in."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/data/")
        etags = [item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])]
        return [int(etag.partition("-")[2] or 1) for etag in etags]


def plain(event, name):
    """Bytes of a value, as `sluice read` prints it."""
    return base64.b64decode(event[f"{name}Base64"]) if f"{name}Base64" in event else event[name].encode()


def by_key(events):
    """Data of each key in its order, as `Stream.by_key` has it."""
    found = collections.defaultdict(list)
    for event in events:
        found[plain(event, "key").decode()].append(plain(event, "payload"))
    return dict(found)


def reading(world):
    """`sluice read` shows what boto3 reads: shard, number, key, data, and the time to the millisecond."""
    source = world.stream("read", 3, world.mixed(MIB, 20_000))
    printed = [
        (event["shard"], int(event["sequence"]), plain(event, "key").decode(), plain(event, "payload"), event["time"])
        for event in world.stage.events(source.uri)
    ]
    there = [(shard, record) for shard, records in sorted(source.read().items()) for record in records]
    check(len(printed) == len(there) > 0, f"{len(printed)} events are printed, boto3 reads {len(there)}")
    for event, (shard, record) in zip(printed, there):
        check(event[:4] == (shard, int(record.sequence), record.key, record.data), f"{event} is not {shard} {record}")
        whole, _, fraction = event[4].rstrip("Z").partition(".")
        printed_at = datetime.datetime.fromisoformat(f"{whole}.{fraction:0<6}+00:00")
        off = abs(printed_at - record.time)
        check(off <= datetime.timedelta(milliseconds=1), f"{event[4]} is not {record.time}")
    few = world.stage.run("read", stream_arn(source.name), "--limit", 5).out.splitlines()
    check(len(few) == 5, f"{len(few)} of 5 events by the ARN")
    return f"{len(printed)} events"


def kinesis_s3_kinesis(world):
    """Keys, data and order per key are equal, and an ARN is as good as a name."""
    source, target = world.stream("source", 3, world.mixed(3 * MIB, 60_000)), world.stream("copy", 3)
    bucket = world.bucket("archive")
    out = world.moves("export", source.uri, f"s3://{bucket}/orders/", "--id", "there")
    manifest = f"s3://{bucket}/orders/there/manifest.json"
    check(out["manifest"] == manifest, f"the manifest is {out['manifest']}, not {manifest}")
    back = world.moves("import", manifest, stream_arn(target.name), "--id", "back")
    check(back["events"] == out["events"], f"{back['events']} events of {out['events']}")
    there = source.by_key()
    check(sum(map(len, there.values())) == out["events"], f"boto3 reads other than {out['events']} events")
    check(target.by_key() == there, "the copy is not the source")
    world.nothing_open(bucket)
    return f"{out['events']} events"


def kinesis_dir_local(world):
    """From Kinesis into a folder, and from there into a stream of the home."""
    source = world.stream("to-dir", 2, world.mixed(2 * MIB, 60_000))
    out = world.moves("export", source.uri, "dir:backup", "--id", "to-dir")
    world.moves("import", "dir:backup/to-dir", "local:from-kinesis")
    check(by_key(world.stage.events("local:from-kinesis")) == source.by_key(), "the local copy is not the source")
    return f"{out['events']} events"


def local_s3_local(world):
    """Each event as it was: shard, number, time, key, payload; also back from the local stream into Kinesis."""
    sized, bucket = Sized(world.seed), world.bucket("local")
    for number in range(4):
        size = sized.bytes + MIB // 2
        world.stage.append("local:here", sized.lines(size, 30_000), "--key", f"key {number}", "--shards", 3)
    out = world.moves("export", "local:here", f"s3://{bucket}", "--id", "up")
    world.moves("import", f"s3://{bucket}/up", "local:again")
    text = world.stage.same_events("local:here", "local:again")
    check(text > out["bytes"], f"{text} characters of events for {out['bytes']} bytes")
    target = world.stream("from-local", 3)
    world.moves("import", f"s3://{bucket}/up", target.uri)
    check(target.by_key() == by_key(world.stage.events("local:here")), "Kinesis holds other than the local stream")
    # Who has no key gets one; a key that Kinesis cannot hold is refused before anything is sent.
    for name, key in (("keyless", None), ("long", "x" * 257)):
        world.stage.append(f"local:{name}", [b"data\n"], *(("--key", key) if key else ()))
        world.moves("export", f"local:{name}", f"s3://{bucket}", "--id", name)
    keyless, empty = world.stream("keyless", 1), world.stream("empty", 1)
    world.moves("import", f"s3://{bucket}/keyless", keyless.uri)
    ((given, data),) = keyless.by_key().items()
    check(given and data == [b"data"], f"the event without a key is {keyless.by_key()}")
    refused = world.stage.run("import", f"s3://{bucket}/long", empty.uri, code=1)
    check("a key of 257 characters" in refused.err, f"the key is not named: {refused.err}")
    check(empty.by_key() == {}, "something arrived of what cannot be held")
    return f"{out['events']} events"


def at_random(world, name, progress):
    """Kills it at a random moment after something moved."""

    def death(child):
        before = progress()

        def moved():
            check(child.process.poll() is None, f"{name} ended before it was killed")
            return progress() > before

        until(f"{name} moves on", moved, patience=150, pause=0.05)
        time.sleep(world.random.uniform(0, 0.4))
        return child.kill()

    return death


def unanswered(proxy, matches):
    """Kills it when a request was carried out, and before it is answered."""

    def death(child):
        # It leads a group of its own. No request of a process that was killed before it may be under way.
        proxy.kill_after(matches, child.process.pid)
        done = child.wait(timeout=150)
        check(proxy.deadly is None, f"nothing was killed; it ended with {done.code}: {done.err}")
        return done

    return death


def killed(world, command, name, progress, deaths):
    """Runs a transfer through its deaths to its end, by the same command or by its name, and proves it."""
    for number, death in enumerate(deaths):
        before = progress()
        with world.running(*(("resume", name) if number % 2 else command)) as child:
            done = death(child)
        check(done.code == -9, f"{name} ended by itself with {done.code}: {done.err}")
        print(f"    {name} is killed, {before} before, {progress()} after", flush=True)
    report = world.stage.json(*command)
    check(report["state"] == "COMPLETED", f"{name} ends as {report}")
    world.proved(report)
    return report


def kills(world):
    """kill -9 while bytes move to S3 and into Kinesis: nothing is lost, nothing is there twice. Objects have several
    parts of 5 MiB."""
    source, target = world.stream("big", 2, world.even(40 * MIB, 100_000)), world.stream("big-copy", 2)
    bucket = world.bucket("big")

    def exported():
        status = world.stage.start("status", "big-out", "--output", "json").wait()
        return status.json()["bytes"] if status.code == 0 else 0

    def imported():
        return sum(len(records) for records in target.read().values())

    def second_part(request):
        return f"/{bucket}/" in request.path and "partNumber=2" in request.path

    def third_put(request):
        return request.headers.get("X-Amz-Target", "").endswith(".PutRecords") and next(puts) >= 2

    puts = itertools.count()
    with world.proxied() as (s3, kinesis):
        sizes = ["--object-size", "15MiB", "--part-size", "5MiB", "--rate", RATE]
        export = ["export", source.uri, f"s3://{bucket}/big", *sizes, "--id", "big-out"]
        sometime = at_random(world, "big-out", exported)
        out = killed(world, export, "big-out", exported, [unanswered(s3, second_part), sometime, sometime])
        parts = world.parts(bucket, "big/big-out")
        check(parts.count(3) >= 2, f"objects of {parts} parts, where two of three parts were to be")
        world.nothing_open(bucket)
        there = source.by_key()
        check(out["events"] == sum(map(len, there.values())), f"{out['events']} events are not what boto3 reads")
        again = ["import", f"s3://{bucket}/big/big-out", target.uri, "--rate", RATE, "--id", "big-back"]
        sometime = at_random(world, "big-back", imported)
        killed(world, again, "big-back", imported, [unanswered(kinesis, third_put), sometime, sometime])
    check(target.by_key() == there, "the copy is not the source")
    return f"{out['events']} events, parts {parts}"


def pausing(world):
    """A pause from another process, and on from there."""
    source, bucket = world.stream("paused", 2, world.even(40 * MIB, 100_000)), world.bucket("paused")
    line = ["export", source.uri, f"s3://{bucket}", "--part-size", "5MiB", "--rate", RATE, "--id", "paused"]

    def moves():
        status = world.stage.start("status", "paused", "--output", "json").wait()
        return status.code == 0 and status.json()["bytes"] > 0

    with world.running(*line) as child:
        until("the transfer moves", moves)
        paused = world.stage.json("pause", "paused")
        check(paused["state"] == "PAUSED", f"the pause ends as {paused}")
        done = child.wait(timeout=60)
    check(done.code == 3, f"who ran it exits with {done.code}: {done.err}")
    report = world.stage.json("resume", "paused")
    there = sum(map(len, source.by_key().values()))
    check((report["state"], report["events"]) == ("COMPLETED", there), f"{report} of {there} events")
    check(paused["bytes"] < report["bytes"], "it was paused at its end")
    world.proved(report)
    world.nothing_open(bucket)
    return f"at {paused['bytes']} of {report['bytes']} bytes"


def owners(world):
    """With `--bucket-owner` every request to S3 names the owner, and the bucket of somebody else is refused."""
    source = world.stream("owned", 1, world.even(MIB, 10_000))
    bucket, stranger = world.bucket("own"), world.bucket("other")
    with world.proxied() as (proxy, _):
        proxy.strangers[stranger] = "999999999999"
        mine = ["--bucket-owner", ACCOUNT]
        world.stage.json("export", source.uri, f"s3://{bucket}", "--id", "own", *mine)
        world.stage.json("verify", "own", *mine)
        world.stage.json("import", f"s3://{bucket}/own", "local:owned", *mine)
        check(proxy.requests > 0 and not proxy.unguarded, f"requests without an owner: {proxy.unguarded[:3]}")
        denied = world.stage.start("export", source.uri, f"s3://{stranger}", *mine, "--output", "json").wait()
        check(denied.code == 1 and denied.json()["error"]["code"] == "Denied", f"{denied.code}: {denied.err}")
        check(stranger in denied.err and ACCOUNT in denied.err, f"neither bucket nor account is named: {denied.err}")
        check(not world.s3.list_objects_v2(Bucket=stranger).get("Contents"), f"something lies in {stranger}")
    return f"{proxy.requests} requests"


def names(world):
    """What is not there is named, and how to get it is said."""
    bucket, source = world.bucket("names"), world.stream("names", 1, [("key", b"data")])
    nobody = world.named("nobody")
    for words, said in (
        (["read", f"kinesis:{nobody}"], f"{nobody} .*region and account"),
        (["export", f"kinesis:{nobody}", f"s3://{bucket}"], nobody),
        (["export", source.uri, f"s3://{nobody}"], f"{nobody} .*no such bucket"),
        (["import", f"s3://{bucket}/nothing", "local:none"], f"s3://{bucket}/nothing"),
        (["import", f"s3://{nobody}", "local:none"], f"{nobody} .*no such bucket"),
    ):
        done = world.stage.run(*words, code=1)
        check(re.search(said, done.err), f"{words} does not say '{said}': {done.err}")
    world.stage.append("local:names", [b"a\n"])
    world.moves("export", source.uri, f"s3://{bucket}", "--id", "names")
    missing = world.stage.run("import", f"s3://{bucket}/names", f"kinesis:{nobody}", code=1)
    check("aws kinesis create-stream" in missing.err, f"how to make the stream is not said: {missing.err}")
    return "6 refusals"


PARTS = (reading, kinesis_s3_kinesis, kinesis_dir_local, local_s3_local, names, owners, pausing, kills)


def run(stage, args):
    """The command's transfers between AWS, which is a ministack, and this machine."""
    # So that a `with` ends what it began.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = contextlib.nullcontext(There(args.endpoint)) if args.endpoint else Cloud(stage.folder)
    with began as cloud:
        stage.environment = dict(cloud.environment(), SLUICE_HOME=stage.environment["SLUICE_HOME"])
        world = World(stage, cloud, args.seed)
        for part in PARTS:
            since = time.monotonic()
            found = part(world)
            print(f"  {part.__name__}: {found}, {time.monotonic() - since:.0f} s", flush=True)


if __name__ == "__main__":
    scenario(run, "both_hosts", endpoint={"help": "of a ministack that runs already; without it one is started"})
