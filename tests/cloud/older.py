"""What the version before left behind, under the functions of now: records, a segment of a manifest, an open upload.

The files in tests/golden say which attributes the records of that version have. A transfer is broken off in the middle,
its records are cut down to just these, and it is resumed. That version looked for a shard's end when it planned, so its
records have a number there.
"""

import json

import botocore.exceptions

from cloud import PREFIX, ROOT, Broken, check
from transfers import completed, nothing_open
from world import MIB, export

GOLDEN = ROOT / "tests" / "golden" / "records-v1"


def cut_down(there, golden, left):
    """An attribute with nothing in it that the golden one has not; notes in `left` what was taken away."""
    ((kind, inner),) = there.items()
    ((golden_kind, known),) = golden.items()
    # Another variant than the golden one's has nothing to be compared with.
    if kind == "M" and golden_kind == "M" and set(inner) & set(known):
        left += sorted(set(inner) - set(known))
        same = {name: value for name, value in inner.items() if name in known}
        return {"M": {name: cut_down(value, known[name], left) for name, value in same.items()}}
    if kind == "L" and golden_kind == "L" and known:
        return {"L": [cut_down(value, known[0], left) for value in inner]}
    return there


def as_before(world, partition, sort, golden, until=None):
    """Writes an item anew as the version before would have written it, with its range up to the number `until`; answers
    what that one did not have."""
    golden = json.loads((GOLDEN / golden).read_text())
    stack, left = world.stack, []
    key = {"pk": {"S": partition}, "sk": {"S": sort}}
    item = stack.dynamodb.get_item(TableName=stack.table, Key=key, ConsistentRead=True)["Item"]
    item["version"] = golden["version"]
    if until is not None:
        item["range"]["M"]["until"] = {"S": f"after:{until}"}
    # A request has what its user gave.
    golden["request"] = item.get("request")
    before = cut_down({"M": item}, {"M": golden}, left)["M"]
    stack.dynamodb.put_item(TableName=stack.table, Item=before)
    return left


def killed_in_the_middle(world, bucket, source, identity):
    """An export whose function dies with an upload open, behind six complete objects and a segment that lists them."""
    sizes = {"partSize": "5MiB", "objectSize": "10MiB"}
    asked = export(source, bucket, id=identity, format="raw", **sizes)
    world.stack.invoke("PlanFunction", {"input": asked, "name": identity, "execution": "before"})

    def second_part_of_the_eighth(request):
        return f"/{bucket}/" in request.path and "/00000007-" in request.path and "partNumber=2" in request.path

    world.cloud.s3.kill_after(second_part_of_the_eighth, world.cloud.process.pid)
    # As many slices as it takes.
    for number in range(20):
        handed = {"id": identity, "kind": "export", "lane": 0, "of": 1, "slice": f"before#{number}", "died": None}
        try:
            world.stack.invoke("ExportFunction", handed)
        except (Broken, botocore.exceptions.ClientError):
            break
    check(world.cloud.s3.deadly is None, "nothing was killed")


def resumes_what_the_version_before_left(world):
    """Everything of it is taken over: the upload goes on, the segment stays the first of the manifest."""
    source = world.filled("source", 1, world.even(90, MIB - 1000))
    bucket, out = world.bucket(), world.identity("out")
    killed_in_the_middle(world, bucket, source, out)
    (upload,) = world.stack.open_uploads(bucket, PREFIX)
    # That version wrote no indexes; those of objects whose records lose what names them are left where they are.
    manifest = [key for key in world.stack.keys(bucket, PREFIX) if "/manifest/" in key]
    (segment,) = [key for key in manifest if "/index/" not in key]
    ((shard, records),) = source.read().items()
    left = as_before(world, f"transfer#{out}", "META", "meta.json")
    left += as_before(world, f"transfer#{out}#shard#{shard}", "SHARD", "shard-export.json", records[-1].sequence)
    before = world.stack.s3.head_object(Bucket=bucket, Key=segment)["ETag"]

    completed(world.stack.run({"resume": out}), out, source)
    nothing_open(world, bucket)
    check(world.stack.s3.head_object(Bucket=bucket, Key=segment)["ETag"] == before, "the segment was written anew")
    joined = b"".join(
        world.stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in sorted(world.stack.keys(bucket, PREFIX))
        if "/data/" in key
    )
    check(joined == b"".join(record.data for record in records), "other bytes than the stream's")
    proved = world.stack.run({"verify": out})
    check(proved["verification"]["verdict"] == "PROVED", f"{proved}")
    return f"upload of {upload['Key'].rsplit('/', 1)[1]}; without {', '.join(left) or 'nothing'}"
