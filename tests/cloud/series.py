"""Series of exports: each execution makes the next run, and one that was left open comes first."""

import hashlib
import json

from cloud import PREFIX, check, until
from control import SLOW, ended_early
from transfers import nothing_open
from world import MIB, export, restore

NAME = "nightly"


def documents(world, bucket, ending):
    """The documents of all beginnings, or of all ends, in the order of the runs."""
    keys = [key for key in world.stack.keys(bucket, f"{PREFIX}/{NAME}/run-") if key.endswith("-end.json") == ending]
    return [json.loads(world.stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read())["body"] for key in sorted(keys)]


def tiles(world, bucket, runs):
    """Each run begins where the one before ended, and its end names its manifest by its bytes."""
    begun, ended = documents(world, bucket, False), documents(world, bucket, True)
    check(len(begun) == len(ended) == runs, f"{len(begun)} runs have begun, {len(ended)} have ended")
    for before, run in zip(ended, begun[1:]):
        check(run["from"] == before["cut"], f"run {run['number']} begins at {run['from']}, not at {before['cut']}")
    for end in ended:
        root = world.stack.s3.get_object(Bucket=bucket, Key=f"{PREFIX}/{end['manifest']['key']}")["Body"].read()
        check(hashlib.sha256(root).hexdigest() == end["manifest"]["sha256"], f"another manifest: {end}")
    return sum(end["counts"]["events"] for end in ended)


def nightly(world):
    """Five runs with new records before each; the third is paused, and the fourth execution ends it first. One execution
    imports all of them."""
    source, bucket, target = world.stream("source", 2), world.bucket(), world.stream("copy", 2)
    ids = []
    for night in range(5):
        source.put(world.mixed(12 * MIB if night == 2 else 100_000))
        if night == 2:
            slow = world.stack.start(export(source, bucket, series=NAME, **SLOW))
            until("an open upload", lambda: world.stack.open_uploads(bucket, PREFIX) or ended_early(slow))
            (begun,) = documents(world, bucket, False)[2:]
            paused = world.stack.run({"pause": begun["transfer"]})
            check(paused["state"] == slow.output()["state"] == "PAUSED", f"it is not paused: {paused}")
            continue
        report = world.stack.run(export(source, bucket, series=NAME))
        check(report["state"] == "COMPLETED", f"night {night}: {report}")
        check(report["series"]["number"] == night + 1, f"night {night}: {report['series']}")
        ids.append(report["id"])
    check(all(name.startswith(f"{NAME}-") for name in ids) and len(set(ids)) == 4, f"their names: {ids}")
    nothing_open(world, bucket)
    events = tiles(world, bucket, 5)
    there = sum(len(records) for records in source.read().values())
    check(events == there, f"{events} of {there} records are in the series")
    asked = restore(f"s3://{bucket}/{PREFIX}", target, series=NAME, id=world.identity("back"))
    check(world.stack.run(asked) == {"series": NAME, "imported": 5}, "not all runs are imported")
    check(target.by_key() == source.by_key(), "the copy is not the source")
    check(world.stack.run(asked)["imported"] == 5, "the same again is something else")
    return f"5 runs, {events} events, and back"


def taken_by_another_host(world):
    """A run that another host has begun is nobody else's, until its place is taken."""
    source, bucket = world.filled("source", 1, world.mixed(100_000)), world.bucket()
    check(world.stack.run(export(source, bucket, series=NAME))["state"] == "COMPLETED", "the first run is not complete")
    begun = {**documents(world, bucket, False)[0], "number": 2, "transfer": f"{NAME}-elsewhere", "host": {"id": "1", "place": "a laptop"}}
    begun["from"] = documents(world, bucket, True)[0]["cut"]
    begun["previous"] = documents(world, bucket, True)[0]["previous"]
    body = json.dumps(begun, separators=(",", ":"))
    digest = hashlib.sha256(body.encode()).hexdigest()
    document = f'{{"sluice":"series-run","version":1,"sha256":"{digest}","body":{body}}}\n'
    world.stack.s3.put_object(Bucket=bucket, Key=f"{PREFIX}/{NAME}/run-00000002.json", Body=document.encode())
    world.stack.start(export(source, bucket, series=NAME)).refused("SeriesTaken", "a laptop", "takeOver")
    world.stack.s3.create_multipart_upload(Bucket=bucket, Key=f"{PREFIX}/{NAME}-elsewhere/data/shard=0/0.avro")
    report = world.stack.run(export(source, bucket, series=NAME, takeOver=True))
    check(report["state"] == "COMPLETED" and report["series"]["number"] == 3, f"it is not taken over: {report}")
    check(documents(world, bucket, True)[1]["ending"] == "TAKEN_OVER", "its end does not say so")
    nothing_open(world, bucket)
