"""Transfers that nobody disturbs: what arrives is what was there, as boto3 and fastavro see it."""

import datetime
import json

import exported
import fastavro
from events import of_fastavro

from cloud import PREFIX, Stream, by_key, check, until
from world import MIB, SHAPE, WHILE_IT_READS, export, manifest, restore


def completed(report, identity, source):
    """A transfer's output, held against what boto3 read of the source."""
    records = [record for shard in source.read().values() for record in shard]
    check(set(report) == SHAPE, f"other fields: {sorted(set(report) ^ SHAPE)}")
    check((report["id"], report["state"], report["error"]) == (identity, "COMPLETED", None), f"{report}")
    check(report["events"] == len(records), f"{report['events']} events, the stream has {len(records)}")
    size = sum(len(record.data) for record in records)
    check(report["bytes"] == size, f"{report['bytes']} bytes, the stream has {size}")
    check(report["progress"] == 1 and report["gaps"] == 0 and report["etaSeconds"] is None, f"{report}")


def same_as_fastavro(world, bucket, identity, source):
    """Every object of an export, read by fastavro: shard by shard the records that boto3 reads."""
    folder = world.folder / identity
    world.stack.download(bucket, f"{PREFIX}/{identity}/", folder)
    found, objects = {shard: [] for shard in source.read()}, 0
    for shard, path, counts in exported.objects(folder):
        with open(path, "rb") as file:
            reader = fastavro.reader(file)
            # The default, as nobody asked for another.
            check(reader.metadata["avro.codec"] == "zstandard", f"{path} is {reader.metadata['avro.codec']}")
            events = list(reader)
        check(len(events) == counts["events"], f"{path} has {len(events)} events, its entry says {counts['events']}")
        found[shard] += events
        objects += 1
    for shard, records in source.read().items():
        check(len(found[shard]) == len(records), f"{shard}: {len(found[shard])} events, boto3 reads {len(records)}")
        for event, record in zip(found[shard], records):
            check(same_event(event, record), f"{shard}: fastavro and boto3 differ at {event['sequence']}, {record.sequence}")
    return objects


def same_event(event, record):
    read = of_fastavro(event)
    # Both read the same floating point number, and round it to microseconds each in its own way.
    apart = abs(event["time"] - record.time.astimezone(datetime.timezone.utc))
    return (
        int(read["sequence"]) == int(record.sequence)
        and apart <= datetime.timedelta(microseconds=1)
        and read["headers"] == []
        and read["key"] == record.key.encode()
        and read["payload"] == record.data
    )


def nothing_open(world, bucket):
    uploads = world.stack.open_uploads(bucket)
    # A function that is killed while it asks a service of another what it can do leaves that upload.
    left = [upload["Key"] for upload in uploads if not upload["Key"].startswith(".sluice/")]
    check(left == [], f"{bucket} has uploads open: {left}")


def makes_its_target(world):
    """An import that says so makes its stream, with as many shards as the export had."""
    out, back, name = world.identity("out"), world.identity("in"), world.named("made")
    source, bucket = world.filled("source", 2, world.mixed(MIB)), world.bucket()
    world.stack.run(export(source, bucket, id=out))
    world.stack.start(restore(manifest(bucket, out), f"kinesis:{name}", id=back)).refused("NotFound", name)
    report = world.stack.run(restore(manifest(bucket, out), f"kinesis:{name}", id=f"{back}-2", createTarget=True))
    target = Stream.there(world.cloud, name)
    check(report["state"] == "COMPLETED" and report["notes"], f"it does not say that it made a stream: {report}")
    check(len(target.read()) == 2, f"{name} has {len(target.read())} shards")
    check(target.by_key() == source.by_key(), "the copy is not the source")


def round_trip_avro(world):
    """Three shards to objects of several parts and back: keys, data and order per key are equal."""
    source, bucket, target = world.filled("source", 3, world.mixed(24 * MIB)), world.bucket(), world.stream("copy", 3)
    out = world.identity("out")
    sizes = {"objectSize": "6MiB", "partSize": 5 * MIB}
    report = world.stack.run(export(source, bucket, id=out, **sizes))
    completed(report, out, source)
    check(report["manifest"] == manifest(bucket, out), f"the manifest is {report['manifest']}")
    nothing_open(world, bucket)
    objects = same_as_fastavro(world, bucket, out, source)
    check(objects == report["objects"] >= 3, f"{objects} objects, the output says {report['objects']}")
    back = world.stack.run(restore(report["manifest"], target, id=world.identity("in")))
    completed(back, world.identity("in"), target)
    check(target.by_key() == source.by_key(), "the copy is not the source")
    return f"{report['events']} events, {objects} objects"


def round_trip_raw(world):
    """Bytes alone: payloads of one length come back as they were, in their order."""
    length = 40_000
    source = world.filled("source", 1, world.even(180, length))
    bucket, target = world.bucket(), world.stream("copy")
    out = world.identity("out")
    report = world.stack.run(export(source, bucket, id=out, format="raw", objectSize="3MiB"))
    completed(report, out, source)
    (there,) = source.read().values()
    keys = world.stack.keys(bucket, f"{PREFIX}/{out}/data/")
    stored = b"".join(world.stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    check(stored == b"".join(record.data for record in there), "the objects are not the payloads, joined")
    back = world.stack.run(restore(report["manifest"], target, id=world.identity("in"), eventSize=length))
    completed(back, world.identity("in"), target)
    (here,) = target.read().values()
    check([record.data for record in here] == [record.data for record in there], "the copy is not the source")
    return f"{len(keys)} objects"


def range_by_numbers(world):
    """An import of the events between two numbers, of Avro."""

    def bounds(shard, records):
        first, behind = len(records) * 2 // 5, len(records) // 2
        span = {"from": f"{shard}@{records[first].sequence}", "until": f"{shard}@{records[behind].sequence}"}
        return span, records[first:behind]

    return a_range(world, bounds, compression="none")


def range_by_times(world):
    """The same between two times, of lines in frames of Zstandard."""

    def bounds(_, records):
        first, behind = step(records, len(records) * 2 // 5), step(records, len(records) // 2)
        check(first < behind, f"{len(records)} records came at once")
        span = {"from": between(records, first), "until": between(records, behind)}
        return span, records[first:behind]

    return a_range(world, bounds, format="jsonl", compression="zstd")


def step(records, index):
    """The first record from there on that came at least three milliseconds after the one before."""
    apart = datetime.timedelta(milliseconds=3)
    steps = (at for at in range(index, len(records)) if records[at].time - records[at - 1].time >= apart)
    found = next(steps, None)
    check(found is not None, f"all {len(records) - index} records from {index} on came at once")
    return found


def between(records, index):
    """A time between a record and the one before it, far enough from both for any rounding."""
    before, after = records[index - 1].time, records[index].time
    return (before + (after - before) / 2).astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds")


def a_range(world, bounds, **options):
    """An export, and an import of a range of it: what arrives is that, and of the object only the parts that hold it are
    read."""
    # A tenth of the records is then several times.
    source = world.filled("source", 1, world.mixed(32 * MIB), at_once=MIB)
    bucket, target = world.bucket(), world.stream("copy")
    out = world.identity("out")
    report = world.stack.run(export(source, bucket, id=out, partSize="5MiB", objectSize="64MiB", **options))
    check(report["objects"] == 1, f"{report['objects']} objects")
    ((shard, records),) = source.read().items()
    span, wanted = bounds(shard, records)
    already = len(world.cloud.s3.read)
    back = world.stack.run(restore(report["manifest"], target, id=world.identity("in"), **span))
    check((back["state"], back["events"]) == ("COMPLETED", len(wanted)), f"{back}")
    check(target.by_key() == by_key(wanted), f"what arrived are not the {len(wanted)} of the range")
    (key,) = world.stack.keys(bucket, f"{PREFIX}/{out}/data/")
    stretches = [stretch[1:] for stretch in world.cloud.s3.read[already:] if stretch[0] == f"/{bucket}/{key}"]
    (index,) = world.stack.keys(bucket, f"{PREFIX}/{out}/manifest/shard={shard}/index/")
    parts = json.loads(world.stack.s3.get_object(Bucket=bucket, Key=index)["Body"].read())["body"]["parts"]
    start, end = extent(parts, int(wanted[0].sequence), int(wanted[-1].sequence))
    check((None, None) not in stretches and stretches, f"{key} was read as one: {stretches}")
    # The schema of Avro stands at the beginning of the object, somewhere in 64 KiB. Lines have none.
    read = [(start, end)] + ([] if options.get("format") == "jsonl" else [(0, 1 << 16)])
    outside = [(a, b) for a, b in stretches if not any(start <= a <= b < end for start, end in read)]
    check(not outside, f"{outside} was read, which is not of the parts from {start} to {end}")
    size = sum(length(part) for part in parts)
    # A tenth, or what lies between times near to it; and up to a part at both its ends, of seven.
    check(end - start < size * 3 / 5, f"{end - start} of {size} bytes were read for {len(wanted)} of {len(records)} events")
    return f"{len(wanted)} of {len(records)} events from {end - start} of {size} bytes"


def length(part):
    return int(part["checksum"].split("-")[1])


def extent(parts, first, last):
    """Of the parts that hold the events from the first to the last: from which byte, to which."""
    byte, start, end = 0, None, None
    for part in parts:
        # after:SEQUENCE; and +OFFSET where a block that holds what comes then goes on in the next part.
        until, _, within = part["until"].removeprefix("after:").partition("+")
        if int(until) < first:
            start = byte if within else None
        elif start is None:
            start = byte
        byte += length(part)
        if end is None and int(until) >= last:
            end = byte
    return start, end


def several_lanes(world):
    """Ten shards are two lanes, each an execution of its own."""
    source, bucket = world.filled("source", 10, world.mixed(4 * MIB)), world.bucket()
    execution = world.stack.start(export(source, bucket), world.identity("run"))
    # Who names none gets the execution's name as the transfer's.
    completed(execution.output(), world.identity("run"), source)
    same_as_fastavro(world, bucket, world.identity("run"), source)
    inputs = [json.loads(lane.describe()["input"]) for lane in execution.lanes()]
    lanes = sorted((lane["lane"], lane["of"]) for lane in inputs)
    check(lanes == [(0, 2), (1, 2)], f"lanes {lanes}")


def tells_the_bus(world):
    """Every state reaches whoever listens on the stack's bus."""
    source, bucket = world.filled("source", 1, world.mixed(MIB)), world.bucket()
    queues, rules = world.cloud.client("sqs"), world.cloud.client("events")
    queue = queues.create_queue(QueueName=world.named("heard"))["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    pattern = json.dumps({"source": ["sluice"], "detail-type": ["Transfer State Change"]})
    rules.put_rule(Name=world.named("rule"), EventBusName=world.stack.bus, EventPattern=pattern)
    target = {"Id": "heard", "Arn": attributes["QueueArn"]}
    rules.put_targets(Rule=world.named("rule"), EventBusName=world.stack.bus, Targets=[target])
    report = world.stack.run(export(source, bucket, id=world.identity("out")))
    heard = []

    def told():
        for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            heard.append(json.loads(message["Body"])["detail"])
        return any(detail["transfer"]["state"] == "COMPLETED" for detail in heard)

    until("word of the transfer's end", told, patience=30)
    for detail in heard:
        check(detail["version"] == 2 and set(detail["transfer"]) - WHILE_IT_READS == SHAPE, f"{detail}")
        check(detail["transfer"]["id"] == report["id"], f"{detail}")
    states = {detail["transfer"]["state"] for detail in heard}
    check({"TRANSFERRING", "COMPLETED"} <= states, f"heard of {states} only")
    (last,) = [detail["transfer"] for detail in heard if detail["transfer"]["state"] == "COMPLETED"]
    check(last == report, f"the bus was told {last}, the execution ends with {report}")
    rules.remove_targets(Rule=world.named("rule"), EventBusName=world.stack.bus, Ids=["heard"])
    return ", ".join(sorted(states))
