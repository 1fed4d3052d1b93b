"""Functions that die, and functions that should have: what was half done is done once, whoever does it."""

import concurrent.futures

from cloud import PREFIX, SLICE_SECONDS, check, until
from control import SLOW, by_the_rule, slow_export
from transfers import completed, nothing_open, same_as_fastavro
from world import MIB, export, manifest, restore


def goes_on_at_once(execution):
    """A lane's function was killed, and the next slice did not wait for the lease to end."""
    lane = min(execution.lanes(), key=lambda lane: lane.describe()["startDate"])
    died, after = lane.calls()[:2]
    check((died.error or "").startswith("Runtime."), f"the first slice ends with {died}")
    check(after.answer and after.answer["outcome"] in ("more", "done"), f"the slice after it ends with {after}")
    waited = (after.began - died.ended).total_seconds()
    check(waited < 3, f"the lane waited for {waited} s; a lease lasts for {2 * SLICE_SECONDS} s")
    return f"{died.error}, {waited:.1f} s later the next slice"


def export_dies(world):
    """kill -9 of the function when S3 has a part, and the function does not know yet."""
    source, bucket, out = world.filled("source", 1, world.mixed(16 * MIB)), world.bucket(), world.identity("out")

    def second_part(request):
        return f"/{bucket}/" in request.path and "partNumber=2" in request.path

    world.cloud.s3.kill_after(second_part, world.cloud.process.pid)
    execution = world.stack.start(export(source, bucket, id=out, partSize="5MiB", objectSize="64MiB"))
    completed(execution.output(), out, source)
    check(world.cloud.s3.deadly is None, "nothing was killed")
    nothing_open(world, bucket)
    same_as_fastavro(world, bucket, out, source)
    return goes_on_at_once(execution)


def dies_with_its_execution(world):
    """StopExecution, and kill -9 of the slice that was at work: settling alone ends the object that it left open."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out)
    world.stack.states.stop_execution(executionArn=first.arn)

    def put(request):
        return f"/{bucket}/" in request.path and request.command == "PUT"

    world.cloud.s3.kill_after(put, world.cloud.process.pid)
    follower = until("an execution of the rule", lambda: by_the_rule(world, first))
    rested = follower.output()
    check(world.cloud.s3.deadly is None, "nothing was killed")
    check(rested["state"] == "PAUSED", f"at rest: {rested}")
    nothing_open(world, bucket)
    completed(world.stack.run({"resume": out}), out, source)
    same_as_fastavro(world, bucket, out, source)


def import_dies(world):
    """kill -9 of the function when Kinesis has records, and the function does not know yet: none is put twice."""
    out, back = world.identity("out"), world.identity("in")
    source, bucket, target = world.filled("source", 1, world.mixed(8 * MIB)), world.bucket(), world.stream("copy")
    world.stack.run(export(source, bucket, id=out))

    def put(request):
        return request.headers.get("X-Amz-Target", "").endswith(".PutRecords") and bool(target.by_key())

    world.cloud.kinesis.kill_after(put, world.cloud.process.pid)
    execution = world.stack.start(restore(manifest(bucket, out), target, id=back))
    completed(execution.output(), back, target)
    check(world.cloud.kinesis.deadly is None, "nothing was killed")
    check(target.by_key() == source.by_key(), "the copy is not the source")
    return goes_on_at_once(execution)


def planned(world, identity, total):
    """A transfer that is on record and that nobody runs; answers stream and bucket."""
    source, bucket = world.filled("source", 1, world.mixed(total)), world.bucket()
    asked = export(source, bucket, id=identity, **SLOW)
    turn = world.stack.invoke("PlanFunction", {"input": asked, "name": identity, "execution": "by-hand"})
    check(turn["next"] == "move" and turn["lanes"] == [{"lane": 0, "of": 1, "slices": 3}], f"planning answers {turn}")
    return source, bucket


def slice_of(world, identity, name, died=None):
    handed = {"id": identity, "kind": "export", "lane": 0, "of": 1, "slice": name, "died": died}
    return world.stack.invoke("ExportFunction", handed)


def two_slices_at_once(world):
    """A slice beside another is busy; with proof that the other died it takes over, and that one ends fenced."""
    out = world.identity("out")
    source, bucket = planned(world, out, 40 * MIB)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(slice_of, world, out, "run#0")
        until("an open upload", lambda: world.stack.open_uploads(bucket, PREFIX) or first.done())
        busy = slice_of(world, out, "run#1")
        check(busy["outcome"] == "busy" and busy["next"] == "wait" and busy["waitSeconds"] > 0, f"beside it: {busy}")
        hearsay = slice_of(world, out, "run#2", {"slice": "run#0", "error": "States.Timeout"})
        check(hearsay["outcome"] == "busy", f"without proof: {hearsay}")
        check(not first.done(), "the first slice ended too early to be fenced")
        second = slice_of(world, out, "run#3", {"slice": "run#0", "error": "Runtime.ExitError"})
        fenced = first.result(timeout=4 * SLICE_SECONDS)
    check(second["outcome"] == "more" and second["next"] == "again", f"with proof: {second}")
    check(fenced["outcome"] == "fenced" and fenced["next"] == "done" and fenced["failure"] is None, f"first: {fenced}")
    completed(world.stack.run({"resume": out}), out, source)
    nothing_open(world, bucket)
    same_as_fastavro(world, bucket, out, source)
    return f"busy for {busy['waitSeconds']} s"


def slice_of_an_older_generation(world):
    """A slice that was asked for before a pause, and comes after the resume, does nothing."""
    out = world.identity("out")
    source, bucket = planned(world, out, 30 * MIB)
    (shard,) = world.stack.transfer(out)["shards"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(slice_of, world, out, "run#0")
        # As early as it can be, so that the slice, which looks every few seconds, has time to find out.
        until("a slice at work", lambda: world.stack.shard(out, shard)["epoch"] or late.done())
        # Everything about the transfer moves on while that slice works.
        world.stack.invoke("PlanFunction", {"input": {"pause": out}, "name": "x", "execution": "pause"})
        turn = world.stack.invoke("PlanFunction", {"input": {"resume": out}, "name": "x", "execution": "resume"})
        check(turn["state"] == "TRANSFERRING", f"resuming answers {turn}")
        answer = late.result(timeout=4 * SLICE_SECONDS)
    check(answer["outcome"] == "fenced", f"the late slice answers {answer}")
    completed(world.stack.run({"resume": out}), out, source)
    nothing_open(world, bucket)
    same_as_fastavro(world, bucket, out, source)
