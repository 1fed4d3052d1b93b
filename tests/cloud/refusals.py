"""What is not done, and how an execution says so: the error is a name, the cause a sentence."""

from cloud import ACCOUNT, PREFIX, READABLE, WRITABLE, check, stream_arn, until
from control import ended_early
from transfers import completed
from world import MIB, export, manifest, restore


def second_import_into_a_stream(world):
    """A stream belongs to one import at a time."""
    out, first, second = (world.identity(what) for what in ("out", "first", "second"))
    source, bucket, target = world.filled("source", 1, world.mixed(8 * MIB)), world.bucket(), world.stream("copy")
    world.stack.run(export(source, bucket, id=out))
    asked = restore(manifest(bucket, out), target, id=first, rate="600KB/s")
    running = world.stack.start(asked)
    until("a record in the copy", lambda: target.by_key() or ended_early(running))
    beside = restore(manifest(bucket, out), target, id=second, append=True)
    world.stack.start(beside).refused("StreamReserved", target.uri, first)
    record = world.stack.transfer(second)
    check((record["state"], record["failure"]["code"]) == ("PREPARING", "StreamReserved"), f"on record: {record}")
    completed(running.output(), first, target)
    check(target.by_key() == source.by_key(), "the copy is not the source")
    # What was refused then can go on now: behind what is there, as it asked.
    resumed = world.stack.run({"resume": second})
    check(resumed["state"] == "COMPLETED" and resumed["error"] is None, f"resumed: {resumed}")
    twice = {key: data + data for key, data in source.by_key().items()}
    check(target.by_key() == twice, "the second copy does not stand behind the first")
    # It is free again, but not empty any more.
    full = restore(manifest(bucket, out), target, id=world.identity("third"))
    world.stack.start(full).refused("StreamNotEmpty", target.uri)


def inputs_that_say_nothing(world):
    """What cannot be understood is named, with what may have been meant."""
    good, bucket = "kinesis:" + world.named("none"), world.named("none")
    cases = [
        ({"exprot": {}}, "Invalid", ["'exprot'", "did you mean 'export'?"]),
        ({}, "Invalid", ["one command", "describe"]),
        ([1], "Invalid", ["no JSON object"]),
        ({"Comment": "Insert your JSON here"}, "Invalid", ["it takes export, import"]),
        ({"resume": {}}, "Invalid", ['{"resume": "nightly"}']),
        ({"resume": world.identity("none")}, "TransferNotFound", [world.identity("none")]),
        (export(good, bucket, objectsize=1), "Invalid", ["'objectsize'", "did you mean 'objectSize'?"]),
        (export(good, bucket, objectSize="many"), "Invalid", ["export.objectSize", "'many'"]),
        (export(good, bucket, **{"from": "yesterday"}), "Invalid", ["export.from", "'yesterday'"]),
        ({"export": {"to": f"s3://{bucket}"}}, "Invalid", ["'stream' is missing"]),
        (export("local:orders", bucket), "Invalid", ["local:orders", "kinesis:NAME"]),
        ({"export": {"stream": good, "to": "dir:/tmp/x"}}, "Invalid", ["dir:/tmp/x", "s3://BUCKET"]),
        (restore("dir:/tmp/x", good), "Invalid", ["dir:/tmp/x", "s3://BUCKET"]),
    ]
    started = [(world.stack.start(asked), error, words) for asked, error, words in cases]
    for execution, error, words in started:
        execution.refused(error, *words)
    return f"{len(cases)} inputs"


def outside_of_the_lists(world):
    """Streams, buckets and keys that the stack may not touch, and those that are not there."""
    stream, bucket = world.filled("source", 1, world.mixed(1_000)), world.bucket()
    elsewhere = {"export": {"stream": stream.uri, "to": f"s3://{bucket}/elsewhere"}}
    cases = [
        (export("kinesis:secret", bucket), "Denied", [stream_arn("secret"), "ReadStreams"]),
        (export(stream_arn("secret"), bucket), "Denied", [stream_arn("secret"), "ReadStreams"]),
        (export(f"kinesis:{WRITABLE}a", bucket), "Denied", [stream_arn(f"{WRITABLE}a"), "ReadStreams"]),
        (restore(f"s3://{bucket}/x", "kinesis:secret"), "Denied", [stream_arn("secret"), "WriteStreams"]),
        (restore(f"s3://{bucket}/x", f"kinesis:{READABLE}a"), "Denied", [stream_arn(f"{READABLE}a"), "WriteStreams"]),
        (export(stream, "secret-bucket"), "Denied", ["secret-bucket", "WriteObjects"]),
        (export(stream, f"{READABLE}bucket"), "Denied", [f"{READABLE}bucket/{PREFIX}/", "WriteObjects"]),
        (restore("s3://secret-bucket/x", stream), "Denied", ["secret-bucket/x", "ReadObjects"]),
        (restore(f"s3://{WRITABLE}bucket/{PREFIX}/x", stream), "Denied", [f"{WRITABLE}bucket", "ReadObjects"]),
        (elsewhere, "Denied", [f"{bucket}/elsewhere", "WriteObjects"]),
        (export("kinesis:" + world.named("none"), bucket), "NotFound", [world.named("none")]),
        (export(stream, world.named("none")), "NotFound", [world.named("none")]),
    ]
    started = [(world.stack.start(asked), error, words) for asked, error, words in cases]
    for execution, error, words in started:
        execution.refused(error, *words)
    return f"{len(cases)} inputs"


def another_request_under_the_id(world):
    """An id means one request; a size written otherwise is the same one."""
    stream, bucket, out = world.filled("source", 1, world.mixed(MIB)), world.bucket(), world.identity("out")
    asked = export(stream, bucket, id=out, objectSize="8MiB")
    report = world.stack.run(asked)
    completed(report, out, stream)
    check(world.stack.run(export(stream, bucket, id=out, objectSize=8 * MIB)) == report, "8MiB is not 8388608")
    world.stack.start(export(stream, bucket, id=out)).refused("RequestDiffers", out)


def somebody_elses_bucket(world):
    """A bucket of the right name that belongs to another account is not written to and not read."""
    stream, bucket = world.filled("source", 1, world.mixed(MIB)), world.bucket()
    # A bucket that was deleted and made again by a stranger, between two transfers.
    completed(world.stack.run(export(stream, bucket, id=world.identity("own"))), world.identity("own"), stream)
    world.cloud.s3.strangers[bucket] = "111122223333"
    before = world.stack.keys(bucket)
    world.stack.start(export(stream, bucket)).refused("Denied", bucket, ACCOUNT)
    source = manifest(bucket, world.identity("own"))
    world.stack.start(restore(source, world.stream("copy"))).refused("Denied", bucket, ACCOUNT)
    check(world.stack.keys(bucket) == before, "something was written there")
    check(world.cloud.s3.denied, "the proxy denied nothing")
