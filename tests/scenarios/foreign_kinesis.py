"""The command against a Kinesis that others wrote (`tests/foreign/servers.py`): there and back through a folder, into
one shard that takes less, out of a stream that was split and merged, and through kill -9, while requests are carried
out and not answered and the target is split.

What arrived is read by boto3.
"""

import itertools
import pathlib
import signal
import sys
import time

from both_hosts import World, at_random, killed, plain, unanswered
from lib import MIB, Sized, check, scenario

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "foreign"))

from cloud import until  # noqa: E402  (both_hosts has set the path to it)
from many_kills import ends, many_kills, opened  # noqa: E402
from servers import Server  # noqa: E402

# Bytes a second: a transfer takes longer than what it is killed in.
RATE = 150_000
# Bytes for each kill, so that none comes too late.
EACH = 150_000


def settled(world, stream):
    """A change of its shards is over."""
    until(f"{stream.name} is active again", stream.is_active)


def split(world, stream, number):
    """Splits an open shard in its middle."""
    shard = opened(stream)[number]
    first, last = ends(shard)
    middle = str((first + last) // 2 + 1)
    stream.kinesis.split_shard(StreamName=stream.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
    settled(world, stream)


def merge(world, stream):
    """Merges the first two open shards that lie next to each other."""
    one, other = opened(stream)[:2]
    names = {"ShardToMerge": one["ShardId"], "AdjacentShardToMerge": other["ShardId"]}
    stream.kinesis.merge_shards(StreamName=stream.name, **names)
    settled(world, stream)


def patient(world, stream, records):
    """Puts records no faster than a shard takes them."""
    for batch in iter(lambda: list(itertools.islice(records, 200)), []):
        stream.put(batch, at_once=MIB // 4)
        time.sleep(0.3)


def there_and_back(world):
    """Keys, data and order per key are equal."""
    source, target = world.stream("source", 3), world.stream("copy", 3)
    patient(world, source, world.mixed(MIB, 20_000))
    out = world.moves("export", source.uri, "dir:there", "--id", "there")
    back = world.moves("import", "dir:there/there", target.uri, "--id", "back")
    there = source.by_key()
    count = sum(map(len, there.values()))
    check(out["events"] == back["events"] == count, f"{out['events']} out, {back['events']} back, {count} there")
    check(target.by_key() == there, "the copy is not the source")
    return f"{count} events"


def limited(world):
    """More than one shard takes in a second, which is enforced where the server can: what it refuses comes again."""
    sized, target = Sized(world.seed), world.stream("limited", 1)
    world.stage.append("local:limited", sized.lines(3 * MIB, 60_000))
    out = world.moves("export", "local:limited", "dir:limited", "--id", "limited")
    world.moves("import", "dir:limited/limited", target.uri, "--id", "limited-back")
    there = sorted(plain(event, "payload") for event in world.stage.events("local:limited"))
    arrived = sorted(data for datas in target.by_key().values() for data in datas)
    check(arrived == there, f"{len(arrived)} events arrived of {len(there)}, or others")
    return f"{out['events']} events of {out['bytes']} bytes"


def resharded(world):
    """Out of a stream that was split and merged between its records, into one of other shards: of a key, what came
    before a split comes first."""
    source, target = world.stream("resharded", 2), world.stream("rejoined", 3)
    for change in (lambda: split(world, source, 0), lambda: split(world, source, 2), lambda: merge(world, source)):
        patient(world, source, world.even(100_000, 500))
        change()
    patient(world, source, world.even(100_000, 500))
    # An export takes what arrived before it, and ferrokinesis lets shards begin a second ahead of time.
    time.sleep(1.5)
    out = world.moves("export", source.uri, "dir:resharded", "--id", "resharded")
    world.moves("import", "dir:resharded/resharded", target.uri, "--id", "rejoined")
    there = source.by_key()
    check(out["events"] == sum(map(len, there.values())), f"{out['events']} events are not what boto3 reads")
    check(target.by_key() == there, "the copy is not the source")
    shards = len(source.kinesis.list_shards(StreamName=source.name)["Shards"])
    check(shards == 7, f"two splits and a merge of two shards make {shards}")
    return f"{out['events']} events of {shards} shards"


def fanned_out(world):
    """By enhanced fan-out, out of a stream that was split: the same, by a consumer that is gone afterwards."""
    source, target = world.stream("fanned", 2), world.stream("fanned-copy", 2)
    patient(world, source, world.even(300_000, 500))
    split(world, source, 0)
    patient(world, source, world.even(300_000, 500))
    time.sleep(1.5)
    out = world.moves("export", source.uri, "dir:fanned", "--id", "fanned", "--read", "fanout")
    world.moves("import", "dir:fanned/fanned", target.uri, "--id", "fanned-back")
    there = source.by_key()
    check(out["events"] == sum(map(len, there.values())), f"{out['events']} events are not what boto3 reads")
    check(target.by_key() == there, "the copy is not the source")
    arn = source.kinesis.describe_stream_summary(StreamName=source.name)["StreamDescriptionSummary"]["StreamARN"]
    left = source.kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]
    check(all(one["ConsumerStatus"] == "DELETING" for one in left), f"consumers are left: {left}")
    return f"{out['events']} events"


def kills(world, count):
    """Killed at random moments, and when a request was carried out and not answered. The target is split between."""
    source, target = world.stream("killed", 2), world.stream("killed-copy", 2)
    patient(world, source, world.even(max(MIB, count * EACH), 700))

    def exported():
        status = world.stage.start("status", "killed-out", "--output", "json").wait()
        return status.json()["bytes"] if status.code == 0 else 0

    def imported():
        return sum(len(records) for records in target.read().values())

    def request(operation, nth):
        seen = itertools.count(1)
        return lambda request: (
            request.headers.get("X-Amz-Target", "").endswith(f".{operation}") and next(seen) >= nth
        )

    def splitting(death, number):
        def then(child):
            done = death(child)
            split(world, target, number)
            return done

        return then

    with world.proxied() as (_, kinesis):
        sizes = ["--object-size", "256KiB", "--part-size", "64KiB", "--rate", RATE]
        export = ["export", source.uri, "dir:killed", *sizes, "--id", "killed-out"]
        deaths = [unanswered(kinesis, request("GetRecords", 3)), at_random(world, "killed-out", exported)]
        killed(world, export, "killed-out", exported, deaths)
        again = ["import", "dir:killed/killed-out", target.uri, "--rate", RATE, "--id", "killed-back"]
        deaths = [
            at_random(world, "killed-back", imported) if number % 2 else unanswered(kinesis, request("PutRecords", 2))
            for number in range(count)
        ]
        if count > 1:
            deaths[0], deaths[1] = splitting(deaths[0], 0), splitting(deaths[1], 1)
        back = killed(world, again, "killed-back", imported, deaths)
    there = source.by_key()
    check(back["events"] == sum(map(len, there.values())), f"{back['events']} events are not what boto3 reads")
    check(target.by_key() == there, "the copy is not the source")
    return f"{back['events']} events, {count + 2} kills"


def run(stage, args):
    """Transfers between a foreign Kinesis and this machine."""
    # So that a `with` ends what it began.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Server(args.server, args.at, stage.folder) as server:
        stage.environment = dict(server.environment(), SLUICE_HOME=stage.environment["SLUICE_HOME"])
        world = World(stage, server, args.seed)
        if args.order:
            found = many_kills(world, args.order, args.kills, args.at_once, args.minutes)
            print(f"  {args.server}, order {args.order}: {found}", flush=True)
            return
        # Only this one pushes.
        pushed = [fanned_out] if args.server == "ferrokinesis" else []
        for part in (there_and_back, limited, resharded, *pushed, lambda world: kills(world, args.kills)):
            since = time.monotonic()
            found = part(world)
            name = getattr(part, "__name__", "").replace("<lambda>", "kills")
            print(f"  {args.server}, {name}: {found}, {time.monotonic() - since:.0f} s", flush=True)


if __name__ == "__main__":
    scenario(
        run,
        "foreign_kinesis",
        server={"required": True, "help": "ferrokinesis or kinesis-local"},
        at={"required": True, "help": "its program, or the folder of its package"},
        kills={"type": int, "default": 5, "help": "of the import; each may take half a minute"},
        order={"choices": ("key", "shard", "none"), "help": "only kills, of many imports in that order"},
        at_once={"type": int, "default": 20, "help": "with --order, imports side by side"},
        minutes={"type": int, "default": 30, "help": "with --order, after which nothing more is killed"},
    )
