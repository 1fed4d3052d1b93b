"""The account that the steps run in: its clients, the stack deployed there, and what has to be gone in the end."""

import concurrent.futures
import hashlib
import os
import pathlib
import subprocess
import sys
import time

import boto3
import botocore.config
import botocore.exceptions

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "cloud"))

from cloud import Execution, Stack, Stream, check, until  # noqa: E402  (the path to it has just been set)
from watching import outputs_of  # noqa: E402

# Nothing takes longer: a gigabyte through eight shards takes some minutes.
PATIENCE = 3600
PUT_AT_ONCE = 4 << 20


class Account:
    """An account and a region, or an emulator of them where AWS_ENDPOINT_URL is set."""

    def __init__(self, region, prefix):
        self.region, self.prefix = region, prefix
        self.emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))
        self.session = boto3.Session(region_name=region)
        self.identity = self.client("sts").get_caller_identity()
        self.number = self.identity["Account"]
        self.partition = self.identity["Arn"].split(":")[1]

    def client(self, service, session=None):
        style = {"addressing_style": "path"} if self.emulated else {}
        config = botocore.config.Config(retries={"mode": "standard", "max_attempts": 8}, read_timeout=120, s3=style)
        return (session or self.session).client(service, region_name=self.region, config=config)

    def named(self, what):
        return f"{self.prefix}-{what}"

    def stream_arn(self, name):
        return f"arn:{self.partition}:kinesis:{self.region}:{self.number}:stream/{name}"

    def object_arn(self, keys):
        return f"arn:{self.partition}:s3:::{keys}"


class Patient(Execution):
    """An execution that may take its time."""

    def end(self):
        return until(f"an end of {self.arn}", self.ended, patience=PATIENCE, pause=0.5 if self.stack.emulated else 3)

    def ended(self):
        described = self.describe()
        return described if described["status"] != "RUNNING" else None


class Deployed(Stack):
    """The stack, as the scenarios of tests/cloud know it, deployed into the account."""

    def __init__(self, account, built, parameters):
        self.account, self.emulated = account, account.emulated
        self.states, self.s3 = account.client("stepfunctions"), account.client("s3")
        self.functions, self.dynamodb = account.client("lambda"), account.client("dynamodb")
        self.formation, self.artifacts = account.client("cloudformation"), account.named("artifacts")
        self.bucket(self.artifacts)
        self.deploy(built, parameters)
        self.outputs = outputs_of(self.formation, account.prefix)
        self.machine, self.table = self.outputs["StateMachineArn"], self.outputs["TableName"]

    def deploy(self, built, parameters):
        prefix = self.account.prefix
        given = {
            # Short, so that what is stopped has slices before and behind.
            "SliceSeconds": 10 if self.emulated else 20,
            "DeletionProtection": "false",
            "LogRetentionDays": 1,
            "ReadStreams": self.account.stream_arn(f"{prefix}-*"),
            "WriteStreams": self.account.stream_arn(f"{prefix}-*"),
            "ReadObjects": self.account.object_arn(f"{prefix}-*/*"),
            "WriteObjects": self.account.object_arn(f"{prefix}-*/exports/*"),
            **parameters,
        }
        line = [
            *("sam", "deploy", "--config-file", str(ROOT / "samconfig.toml"), "--no-progressbar"),
            *("--template-file", str(pathlib.Path(built).resolve() / "template.yaml"), "--stack-name", prefix),
            *("--no-resolve-s3", "--s3-bucket", self.artifacts, "--region", self.account.region),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in given.items())),
        ]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)
        check(done.returncode == 0, f"sam deploy: {done.stdout[-3000:]}{done.stderr[-3000:]}")

    def function(self, logical):
        found = self.formation.describe_stack_resource(StackName=self.account.prefix, LogicalResourceId=logical)
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def start(self, asked, name=None):
        return Patient(self, super().start(asked, name).arn)

    def bucket(self, name):
        where = self.account.region
        place = {} if where == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": where}}
        self.s3.create_bucket(Bucket=name, **place)
        return name


class Shards(Stream):
    """A stream that takes only so much, and is read by its shards side by side."""

    def __init__(self, account, what, shards):
        self.account, self.count = account, shards
        super().__init__(account, account.named(what), shards)

    def put_batch(self, batch):
        """All of them, again and again while some are throttled."""
        end = time.monotonic() + PATIENCE
        while batch:
            answer = self.kinesis.put_records(StreamName=self.name, Records=batch)
            batch = [record for record, result in zip(batch, answer["Records"]) if result.get("ErrorCode")]
            check(time.monotonic() < end, f"{self.name} takes no more records")
            if batch:
                time.sleep(0.5)

    def put_side_by_side(self, records):
        """Those of one batch after the other, as fast as the shards take them."""
        batch, size = [], 0
        with concurrent.futures.ThreadPoolExecutor(self.count) as pool:
            waiting = set()
            for key, data in records:
                batch.append({"PartitionKey": key, "Data": data})
                size += len(data)
                if len(batch) == 500 or size > PUT_AT_ONCE:
                    if len(waiting) >= 2 * self.count:
                        done, waiting = concurrent.futures.wait(waiting, return_when="FIRST_COMPLETED")
                        for put in done:
                            put.result()
                    waiting.add(pool.submit(self.put_batch, batch))
                    batch, size = [], 0
            for put in [*waiting, pool.submit(self.put_batch, batch)]:
                put.result()

    def digests(self):
        """Of each key the digest of its records in their order, and how many records and bytes there are in all."""
        shards = [shard["ShardId"] for shard in self.kinesis.list_shards(StreamName=self.name)["Shards"]]
        found, counts = {}, [0, 0]
        with concurrent.futures.ThreadPoolExecutor(len(shards)) as pool:
            for records in pool.map(self.read_shard, shards):
                for record in records:
                    digest = found.setdefault(record.key, hashlib.sha256())
                    digest.update(len(record.data).to_bytes(8, "big") + record.data)
                    counts[0] += 1
                    counts[1] += len(record.data)
        return {key: digest.hexdigest() for key, digest in found.items()}, counts

    def read_shard(self, shard):
        """Slower than Kinesis allows, so that it does not throttle."""
        first = {"StreamName": self.name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator, records, silent = self.kinesis.get_shard_iterator(**first)["ShardIterator"], [], 0
        while iterator and silent < 3:
            answer = self.kinesis.get_records(ShardIterator=iterator)
            records += answer["Records"]
            at_tip = not answer["Records"] and answer["MillisBehindLatest"] == 0
            silent = silent + 1 if at_tip else 0
            iterator = answer.get("NextShardIterator")
            if not self.account.emulated:
                time.sleep(0.25)
        return [Read(record["PartitionKey"], record["Data"]) for record in records]


class Read:
    """A record, as far as it is compared."""

    def __init__(self, key, data):
        self.key, self.data = key, data


class Teardown:
    """Deletes whatever has the prefix, and tells what is left."""

    def __init__(self, account):
        self.account, self.trouble = account, []

    def all(self):
        account = self.account
        # Before their stack: its policies are not theirs.
        for stack in (account.named("watch"), account.prefix):
            self.attempt(f"the stack {stack}", lambda stack=stack: self.stack(stack))
        for name in self.streams():
            self.attempt(f"the stream {name}", lambda name=name: self.stream(name))
        for name in self.buckets():
            self.attempt(f"the bucket {name}", lambda name=name: self.bucket(name))
        for name in self.tables():
            self.attempt(f"the table {name}", lambda name=name: self.table(name))
        return self.left()

    def attempt(self, what, delete):
        try:
            delete()
        except (botocore.exceptions.ClientError, botocore.exceptions.WaiterError) as error:
            if "does not exist" not in str(error):
                self.trouble.append(f"{what}: {error}")

    def stack(self, name):
        formation = self.account.client("cloudformation")
        formation.describe_stacks(StackName=name)
        formation.delete_stack(StackName=name)
        patience = {"Delay": 5, "MaxAttempts": 240}
        formation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=patience)

    def stream(self, name):
        kinesis = self.account.client("kinesis")
        kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
        kinesis.get_waiter("stream_not_exists").wait(StreamName=name)

    def bucket(self, name):
        s3 = self.account.client("s3")
        for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if keys:
                s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
        s3.delete_bucket(Bucket=name)

    def table(self, name):
        dynamodb = self.account.client("dynamodb")
        # The stack's parameter says no, and an emulator may not listen.
        if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=name)

    def ours(self, names):
        return [name for name in names if name.startswith(f"{self.account.prefix}-")]

    def streams(self):
        pages = self.account.client("kinesis").get_paginator("list_streams").paginate()
        return self.ours(name for page in pages for name in page["StreamNames"])

    def buckets(self):
        return self.ours(bucket["Name"] for bucket in self.account.client("s3").list_buckets()["Buckets"])

    def tables(self):
        pages = self.account.client("dynamodb").get_paginator("list_tables").paginate()
        return self.ours(name for page in pages for name in page["TableNames"])

    def left(self):
        """What there still is, and what could not be deleted."""
        end = time.monotonic() + (10 if self.account.emulated else 300)
        while self.tables() and time.monotonic() < end:
            time.sleep(1)
        logs = self.account.client("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix=f"/sluice/{self.account.prefix}/")["logGroups"]
        there = [*self.streams(), *self.buckets(), *self.tables(), *(group["logGroupName"] for group in groups)]
        return [*there, *self.trouble]
