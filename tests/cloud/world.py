"""What every scenario is given: the stack, and streams and buckets of its own."""

import pathlib
import random

from cloud import ALLOWED, PREFIX, Stream, stream_arn

MIB = 1 << 20
# Fields of a transfer, in every output.
SHAPE = {
    *("id", "kind", "state", "events", "bytes", "objects", "slices", "progress", "etaSeconds", "lagSeconds", "cut"),
    *("manifest", "error", "from", "to", "bytesPerSecond", "gaps", "createdAt"),
    *("gapRanges", "endedAt", "durationSeconds", "averageBytesPerSecond", "bytesWritten", "rate"),
}
# Of an export whose stream drops events by itself, until all is read.
WHILE_IT_READS = {"retention"}


class World:
    """One scenario's part of the cloud."""

    def __init__(self, name, cloud, stack, seed, folder):
        self.name, self.cloud, self.stack = name.replace("_", "-"), cloud, stack
        # By the scenario's name, so that one that is run alone draws what it drew among the others.
        self.random = random.Random(f"{seed} {name}")
        self.folder = pathlib.Path(folder) / self.name
        self.folder.mkdir()

    def named(self, what):
        return f"{ALLOWED}{self.name}-{what}"

    def identity(self, what):
        """A transfer's id."""
        return f"{self.name}-{what}"

    def stream(self, what, shards=1):
        return Stream(self.cloud, self.named(what), shards)

    def bucket(self, what="bucket"):
        return self.stack.bucket(self.named(what))

    def filled(self, what, shards, records, **how):
        stream = self.stream(what, shards)
        stream.put(records, **how)
        return stream

    def mixed(self, total, longest=200_000):
        """Keys and data of log-uniform length, empty ones among them, until so many bytes are drawn."""
        keys = [f"key-{number}" for number in range(40)] + ["\u00fcml\u00e4ut", " ", "x" * 256]
        drawn = 0
        while drawn < total:
            length = int(longest ** self.random.random()) - 1
            drawn += length
            yield self.random.choice(keys), self.random.randbytes(length)

    def even(self, count, length):
        """So many of one length, each with a key of its own."""
        for number in range(count):
            yield f"key-{number}", self.random.randbytes(length)


def export(stream, bucket, **more):
    """The input of an export; `stream` by its object or as any text."""
    uri = stream.uri if isinstance(stream, Stream) else stream
    return {"export": {"stream": uri, "to": f"s3://{bucket}/{PREFIX}", **more}}


def restore(source, stream, **more):
    """The input of an import."""
    uri = stream.uri if isinstance(stream, Stream) else stream
    return {"import": {"source": source, "stream": uri, **more}}


def manifest(bucket, identity):
    return f"s3://{bucket}/{PREFIX}/{identity}/manifest.json"


def arn(stream):
    """The same stream, spelt as an ARN."""
    return stream_arn(stream.name)
