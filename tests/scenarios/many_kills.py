"""Imports into Kinesis that are killed often, many side by side: after a kill each waits half a minute.

Each import has a home, a target and a proxy of its own; all have one export as their source. Meanwhile requests are
lost, land late, and are answered late or never, and shards of the targets are split and merged. In the end each event
is there once, in the order that was asked for, by boto3, and `verify` proves it.
"""

import collections
import concurrent.futures
import hashlib
import itertools
import random
import threading
import time

from lib import Stage, check

from cloud import until
from proxy import Fault, Proxy

# Bytes of an event, and bytes a second that an import may take.
LENGTH, RATE = 1_000, 40_000
# Events for each kill, so that few come too late.
EACH = 40
KEYS = 40
# How many of an import's processes meet a fault, and at which of their puts at most. A fault costs half a minute too.
FAULTY, PUTS = 0.4, 20
# Seconds within which a request lands late. Sluice waits for 30.
LATEST = 24
# Seconds after which something hangs.
PATIENCE = 400
# Shards of a target that take records, at most.
SHARDS = 6


class Unreliable(Proxy):
    """Puts records, and does not always."""

    def __init__(self, upstream, chance):
        super().__init__(upstream)
        self.server.handle_error = lambda *_: None
        self.chance, self.puts, self.due, self.faults = chance, 0, 0, collections.Counter()

    def expect(self):
        """A process begins, which may meet a fault."""
        self.due = self.chance.randint(1, PUTS) if self.chance.random() < FAULTY else 0

    def fault(self, request):
        if self.deadly is not None or not is_put(request):
            return None
        self.due -= 1
        if self.due != 0:
            return None
        name, fault = self.chance.choice((
            ("lost", Fault(cut=True)),
            ("late", Fault(cut=True, lands=self.chance.uniform(0, LATEST))),
            ("unanswered", Fault()),
            ("answered late", Fault(answers=self.chance.uniform(0.1, 8))),
        ))
        self.faults[name] += 1
        return fault

    def passed(self, request):
        if is_put(request):
            self.puts += 1


def is_put(request):
    return request.headers.get("X-Amz-Target", "").endswith(".PutRecords")


class Import:
    """One import, and its deaths."""

    def __init__(self, world, order, name, kills, source, until_then, stop):
        self.world, self.order, self.kills, self.until, self.stop = world, order, kills, until_then, stop
        self.name = name
        self.random = random.Random(f"{world.seed}-{self.name}")
        self.target = world.stream(self.name, 2)
        self.lanes = [ends(shard) for shard in opened(self.target)]
        self.proxy = Unreliable(world.cloud.url, random.Random(f"{world.seed}-{self.name}-proxy"))
        self.stage = Stage(world.stage.sluice, world.stage.folder)
        home = str(self.stage.folder / f"home-{self.name}")
        self.stage.environment = dict(
            world.stage.environment, SLUICE_HOME=home, AWS_ENDPOINT_URL_KINESIS=self.proxy.url
        )
        self.command = ["import", source, self.target.uri, "--rate", RATE, "--id", self.name, "--order", order]
        self.deaths, self.changes = collections.Counter(), collections.Counter()

    def run(self):
        """All of it, in a thread of its own."""
        try:
            alive = True
            while alive and self.killed() < self.kills and time.monotonic() < self.until and not self.stop.is_set():
                alive = self.live()
            if self.stop.is_set():
                return
            self.proxy.expect()
            report = self.stage.json(*self.command)
            check(report["state"] == "COMPLETED", f"{self.name} ends as {report}")
            verdict = self.stage.json("verify", self.name)
            check(verdict["verdict"] == "PROVED", f"{self.name} is {verdict}")
            self.proxy.landed()
        except BaseException:
            self.stop.set()
            raise
        finally:
            self.proxy.close()

    def killed(self):
        return sum(self.deaths.values())

    def live(self):
        """Once from a start to a kill. Answers whether that came in time."""
        # Only what has put something is on record for sure.
        is_known = self.deaths["put"] + self.deaths["moving"] > 0
        again = ["resume", self.name] if is_known and self.random.random() < 0.5 else self.command
        kind = self.random.choices(("moving", "put", "anytime"), (6, 2, 2))[0]
        self.proxy.expect()
        before, child = self.proxy.puts, self.stage.start(*again)
        try:
            self.await_death(kind, child, before)
        finally:
            done = child.kill() if child.process.poll() is None else child.wait()
            self.proxy.deadly = None
        if self.stop.is_set() or done.code == 0:
            return False
        check(done.code == -9, f"{self.name} ended by itself with {done.code}: {done.err}")
        self.deaths[kind] += 1
        print(f"    {self.name}: kill {self.killed()}, {kind}, {self.proxy.puts} puts", flush=True)
        if self.random.random() < 0.3:
            self.change()
        return True

    def await_death(self, kind, child, before):
        """Until it is to be killed, or is no more."""

        def ended():
            return self.stop.is_set() or child.process.poll() is not None

        if kind == "put":
            # It leads a group of its own. No request of a process that was killed before it may be under way.
            nth, seen = self.random.randrange(1, 5), itertools.count(1)
            self.proxy.kill_after(lambda request: is_put(request) and next(seen) >= nth, child.process.pid)
            latest = time.monotonic() + 60
            # On a slow server, or near the end, such a put may never come.
            until(f"{self.name} is killed", lambda: ended() or time.monotonic() > latest, patience=PATIENCE)
            return
        # Mostly it waits at first, for what may still land. Once it moves, it would soon be at its end.
        latest = time.monotonic() + 36 * self.random.random() ** 2 if kind == "anytime" else float("inf")

        def moves():
            return ended() or self.proxy.puts > before or time.monotonic() > latest

        until(f"{self.name} moves on", moves, patience=PATIENCE, pause=0.05)
        if self.random.random() < 0.2:
            self.change()
        time.sleep(self.random.uniform(0, 0.8))

    def change(self):
        """Splits a shard of the target, or merges two."""
        shards = opened(self.target)
        at = self.random.randrange(len(shards))
        kinesis, stream = self.target.kinesis, self.target.name
        if len(shards) >= SHARDS or (len(shards) > 1 and self.random.random() < 0.4):
            at = min(at, len(shards) - 2)
            one, other = (shard["ShardId"] for shard in shards[at : at + 2])
            kinesis.merge_shards(StreamName=stream, ShardToMerge=one, AdjacentShardToMerge=other)
            self.changes["merges"] += 1
        else:
            first, last = ends(shards[at])
            middle = str((first + last) // 2 + 1)
            kinesis.split_shard(StreamName=stream, ShardToSplit=shards[at]["ShardId"], NewStartingHashKey=middle)
            self.changes["splits"] += 1
        until(f"{stream} is active again", self.target.is_active)

    def holds(self, source):
        """Each event once, as it was, and in the order that was asked for. `source` are the records of its shards."""
        arrived = self.target.read()
        there = collections.Counter((one.key, one.data) for one in itertools.chain.from_iterable(source.values()))
        here = collections.Counter((one.key, one.data) for one in itertools.chain.from_iterable(arrived.values()))
        many, lost = (sum(more.values()) for more in (here - there, there - here))
        check(here == there, f"{self.name}: {many} events too many, {lost} lost")
        if self.order != "none":
            # A shard is listed behind those that it continues.
            check(keyed(arrived) == keyed(source), f"{self.name}: a key is not in its order")
        if self.order == "shard":
            self.in_order_of_shards(source, arrived)

    def in_order_of_shards(self, source, arrived):
        """In each shard of the target, of each that was there at the beginning, the order of each of the source's."""
        places = {one.data: (shard, at) for shard, all in source.items() for at, one in enumerate(all)}
        for shard, records in arrived.items():
            found = collections.defaultdict(list)
            for record in records:
                hashed = int.from_bytes(hashlib.md5(record.key.encode()).digest(), "big")
                (lane,) = (lane for lane in self.lanes if lane[0] <= hashed <= lane[1])
                of, at = places[record.data]
                found[of, lane].append(at)
            for (of, _), order in found.items():
                check(order == sorted(order), f"{self.name}: {of} is not in its order in {shard}: {order}")


def keyed(shards):
    found = collections.defaultdict(list)
    for record in itertools.chain.from_iterable(shards.values()):
        found[record.key].append(record.data)
    return found


def ends(shard):
    return tuple(int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))


def opened(stream):
    """Shards that take records, by their hashes."""
    shards = stream.kinesis.list_shards(StreamName=stream.name)["Shards"]
    return sorted((one for one in shards if "EndingSequenceNumber" not in one["SequenceNumberRange"]), key=ends)


def many_kills(world, order, kills, at_once, minutes):
    """This many kills of imports in that order, some side by side; none after the end of the time given."""
    at_once = min(at_once, kills)
    shares = [kills // at_once + (number < kills % at_once) for number in range(at_once)]
    source = world.stream(f"{order}-source", 3)
    for _ in range(-(-EACH * (max(shares) + 1) // 100)):
        source.put([(f"key-{world.random.randrange(KEYS)}", world.random.randbytes(LENGTH)) for _ in range(100)])
        # A shard takes 1 MiB a second.
        time.sleep(0.2)
    sizes = ["--object-size", "256KiB", "--part-size", "64KiB"]
    world.moves("export", source.uri, "dir:killed", "--id", f"{order}-out", *sizes)
    stop, until_then = threading.Event(), time.monotonic() + 60 * minutes
    imports = []

    def share(lane, kills):
        """So many kills, of one import, or of another one too where the first came to its end before."""
        for number in itertools.count():
            name, source = f"{order}-{lane}-{number}", f"dir:killed/{order}-out"
            one = Import(world, order, name, kills, source, until_then, stop)
            imports.append(one)
            one.run()
            kills -= one.killed()
            if kills <= 0 or stop.is_set() or time.monotonic() > until_then:
                return

    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        try:
            # The first that failed, and not what it stopped.
            for done in [threads.submit(share, lane, kills) for lane, kills in enumerate(shares)]:
                done.result()
        finally:
            stop.set()
    records = source.read()
    for one in imports:
        one.holds(records)
    total = collections.Counter()
    for one in imports:
        total.update({f"kills, {kind}": count for kind, count in one.deaths.items()})
        total.update({f"puts {fault}": count for fault, count in one.proxy.faults.items()})
        total.update(one.changes)
    told = ", ".join(f"{count} {what}" for what, count in sorted(total.items()))
    killed = sum(one.killed() for one in imports)
    print(f"    {told}", flush=True)
    check(killed == kills, f"all is well, but after {minutes} minutes there were {killed} kills, not {kills}")
    return f"{killed} kills of {len(imports)} imports of {sum(map(len, records.values()))} events each: {told}"
