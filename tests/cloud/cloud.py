"""The cloud that scenarios run in: ministack on 127.0.0.1, our proxies in front of it, and the stack, deployed.

ministack is one process that plays CloudFormation, Lambda (the built functions run natively, as its children), Step
Functions, Kinesis, S3, DynamoDB and EventBridge. Nothing leaves the machine, and nothing stays: its state is in memory
and in a temporary folder, and what it started ends with it.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

import boto3
import botocore.config
import botocore.exceptions

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "scenarios"))

from lib import Broken, check  # noqa: E402  (the path to it has just been set)
from proxy import OwnerProxy, Proxy  # noqa: E402
from rights import ACCOUNT, REGION  # noqa: E402

STACK = "sluice-test"
# What the stack may touch; scenarios name theirs so, and what must be refused otherwise.
ALLOWED = "allowed-"
READABLE, WRITABLE = "readable-", "writable-"
PREFIX = "exports"
SLICE_SECONDS = 10
# Nothing that a scenario waits for takes longer.
PATIENCE = 240


def until(what, there, patience=PATIENCE, pause=0.2):
    """Asks again and again until the answer is something, and answers it. What is asked here changes nothing, so a question
    that the emulator has swallowed, as it does now and then under load, is asked again."""
    end = time.monotonic() + patience
    while True:
        try:
            answer = there()
        except (botocore.exceptions.ReadTimeoutError, botocore.exceptions.ConnectionClosedError) as swallowed:
            print(f"  the emulator did not answer while {what} was waited for: {swallowed}", flush=True)
            answer = None
        if answer:
            return answer
        check(time.monotonic() < end, f"after {patience} seconds there is still not: {what}")
        time.sleep(pause)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Cloud:
    """ministack, from `with` to its end."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __enter__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.s3, self.kinesis, self.others = OwnerProxy(self.url, ACCOUNT), Proxy(self.url), Proxy(self.url)
        (self.folder / "ministack").mkdir()
        self.log = open(self.folder / "ministack.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            cwd=self.folder,
            env=self.own_environment(port),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            # A group of its own, which the functions that it starts belong to.
            start_new_session=True,
        )
        try:
            until("an answer of ministack", self.answers, patience=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            # It keeps nothing, so there is nothing to end gently; and its functions would outlive it.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        self.s3.close()
        self.kinesis.close()
        self.others.close()

    def own_environment(self, port):
        """ministack's own, which the functions inherit: they reach it through the proxies."""
        temporary = str(self.folder / "ministack")
        return dict(
            without_aws(os.environ),
            **credentials(),
            AWS_ENDPOINT_URL=self.url,
            AWS_ENDPOINT_URL_S3=self.s3.url,
            AWS_ENDPOINT_URL_KINESIS=self.kinesis.url,
            AWS_ENDPOINT_URL_DYNAMODB=self.others.url,
            AWS_ENDPOINT_URL_SFN=self.others.url,
            GATEWAY_PORT=str(port),
            BIND_HOST="127.0.0.1",
            MINISTACK_HOST="127.0.0.1",
            MINISTACK_REGION=REGION,
            MINISTACK_ACCOUNT_ID=ACCOUNT,
            LAMBDA_EXECUTOR="local",
            TMPDIR=temporary,
            STATE_DIR=temporary,
            S3_DATA_DIR=temporary,
            # Listeners that nobody asked for.
            IOT_MTLS_ENABLED="0",
            SFTP_ENABLED="0",
        )

    def environment(self):
        """For commands that are run against it."""
        return dict(without_aws(os.environ), **credentials(), AWS_ENDPOINT_URL=self.url, SAM_CLI_TELEMETRY="0")

    def answers(self):
        check(self.process.poll() is None, f"ministack ended: {self.tail()}")
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5) as response:
                return response.status == 200
        except OSError:
            return False

    def tail(self):
        return (self.folder / "ministack.log").read_text(errors="replace")[-2000:]

    def client(self, service):
        config = botocore.config.Config(
            # A second try of what may have happened would make a second record or a second execution.
            retries={"total_max_attempts": 1},
            # Longer than a function of these scenarios takes, shorter than anybody waits.
            read_timeout=90,
            s3={"addressing_style": "path"},
        )
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, config=config, **keys)


def without_aws(environment):
    """No region, profile or credential of whoever runs this, and no proxy for what is on this machine."""
    kept = {name: value for name, value in environment.items() if not name.startswith(("AWS_", "SLUICE_"))}
    return dict(kept, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")


def credentials():
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Stack:
    """The stack, deployed from what `sam build` built: by `sam deploy`, or one of the ways of deployments.py."""

    def __init__(self, cloud, sam, built, way=None):
        self.cloud, self.way = cloud, way
        self.states = cloud.client("stepfunctions")
        self.s3 = cloud.client("s3")
        self.functions = cloud.client("lambda")
        self.dynamodb = cloud.client("dynamodb")
        self.formation = cloud.client("cloudformation")
        self.sam, self.built = sam, built
        self.deploy(sam, built)
        described = self.formation.describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        self.machine, self.table, self.bus = (
            outputs["StateMachineArn"],
            outputs["TableName"],
            outputs["EventBusName"],
        )

    def update(self, **changed):
        """Deploys it again, with other parameters."""
        self.deploy(self.sam, self.built, **changed)

    def deploy(self, sam, built, **changed):
        parameters = {
            "SliceSeconds": SLICE_SECONDS,
            "DeletionProtection": "false",
            "LogRetentionDays": 1,
            "ReadStreams": ",".join(stream_arn(name + "*") for name in (ALLOWED, READABLE)),
            "WriteStreams": ",".join(stream_arn(name + "*") for name in (ALLOWED, WRITABLE)),
            "ReadObjects": ",".join(bucket_arn(name + "*/*") for name in (ALLOWED, READABLE)),
            "WriteObjects": ",".join(bucket_arn(f"{name}*/{PREFIX}/*") for name in (ALLOWED, WRITABLE)),
            "CreateTargets": "true",
            **changed,
        }
        if self.way is not None:
            self.way(self.cloud, built, STACK, parameters)
            return
        line = [
            *(sam, "deploy", "--config-file", str(ROOT / "samconfig.toml")),
            *("--template-file", str(pathlib.Path(built).resolve() / "template.yaml")),
            *("--stack-name", STACK, "--region", REGION, "--no-progressbar"),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
        ]
        done = subprocess.run(
            line,
            cwd=self.cloud.folder,
            env=self.cloud.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        check(done.returncode == 0, f"sam deploy: {done.stdout[-3000:]}{done.stderr[-3000:]}")

    def function(self, logical):
        """A function's name, by its name in the template."""
        found = self.formation.describe_stack_resource(StackName=STACK, LogicalResourceId=logical)
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def functions_by_name(self):
        """The names of all functions in the template, by what they are called."""
        pages = self.formation.get_paginator("list_stack_resources").paginate(StackName=STACK)
        found = [item for page in pages for item in page["StackResourceSummaries"]]
        logical = [item["LogicalResourceId"] for item in found if item["ResourceType"] == "AWS::Lambda::Function"]
        return {name.removesuffix("Function").lower(): name for name in sorted(logical)}

    def role(self, logical):
        """The name of a function's role."""
        described = self.functions.get_function_configuration(FunctionName=self.function(logical))
        return described["Role"].rpartition("/")[2]

    def invoke(self, logical, payload):
        """Calls a function as the workflow does, by its alias; answers what it answers."""
        name = self.function(logical)
        answer = self.functions.invoke(FunctionName=name, Qualifier="live", Payload=json.dumps(payload))
        told = json.loads(answer["Payload"].read())
        check("FunctionError" not in answer, f"{logical} with {payload} fails: {told}")
        return told

    def start(self, asked, name=None):
        """Starts an execution with what a person types at the console."""
        name = name or str(uuid.uuid4())
        text = asked if isinstance(asked, str) else json.dumps(asked)
        try:
            started = self.states.start_execution(stateMachineArn=self.machine, input=text, name=name)
        except botocore.exceptions.ReadTimeoutError as swallowed:
            # It may have begun: then it is there under its name.
            print(f"  the emulator did not answer to a start: {swallowed}", flush=True)
            execution = Execution(self, f"{self.machine.replace(':stateMachine:', ':execution:')}:{name}")
            execution.describe()
            return execution
        return Execution(self, started["executionArn"])

    def run(self, asked, name=None):
        """The same, to its end; answers its output."""
        return self.start(asked, name).output()

    def executions(self):
        pages = self.states.get_paginator("list_executions").paginate(stateMachineArn=self.machine)
        return [Execution(self, item["executionArn"]) for page in pages for item in page["executions"]]

    def transfer(self, identity):
        """A transfer's record, as others may read it."""
        return self.item(f"transfer#{identity}", "META")

    def shard(self, identity, shard):
        return self.item(f"transfer#{identity}#shard#{shard}", "SHARD")

    def item(self, partition, sort):
        key = {"pk": {"S": partition}, "sk": {"S": sort}}
        item = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item")
        return item and {name: plain(value) for name, value in item.items()}

    def bucket(self, name):
        self.s3.create_bucket(Bucket=name)
        return name

    def open_uploads(self, bucket, prefix=""):
        return self.s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])

    def keys(self, bucket, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def download(self, bucket, prefix, folder):
        """All objects below a prefix, as files below a folder."""
        for key in self.keys(bucket, prefix):
            path = pathlib.Path(folder) / key[len(prefix) :].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.s3.download_file(bucket, key, str(path))


def plain(value):
    """A value of DynamoDB as one of Python."""
    ((kind, inner),) = value.items()
    if kind == "M":
        return {name: plain(item) for name, item in inner.items()}
    if kind == "L":
        return [plain(item) for item in inner]
    if kind == "N":
        return float(inner) if "." in inner else int(inner)
    return None if kind == "NULL" else inner


def stream_arn(name):
    return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"


def bucket_arn(name):
    return f"arn:aws:s3:::{name}"


Call = collections.namedtuple("Call", "began ended answer error")


class Execution:
    """One execution of the state machine."""

    def __init__(self, stack, arn):
        self.stack, self.arn = stack, arn

    def describe(self):
        return self.stack.states.describe_execution(executionArn=self.arn)

    def end(self):
        """Waits for its end, however it ends."""

        def ended():
            described = self.describe()
            return described if described["status"] != "RUNNING" else None

        return until(f"an end of {self.arn}", ended)

    def output(self):
        """Of an execution that is to succeed."""
        ended = self.end()
        told = f"{ended.get('error')}: {ended.get('cause')}"
        check(ended["status"] == "SUCCEEDED", f"{self.arn} of {ended['input']} ends as {ended['status']}, {told}")
        return json.loads(ended["output"])

    def refused(self, error, *words):
        """Of one that is to fail: with that error, and a cause that has these words."""
        ended = self.end()
        told = f"{ended['status']} {ended.get('error')}: {ended.get('cause')}"
        check(ended["status"] == "FAILED" and ended.get("error") == error, f"not {error}, but {told}")
        missing = [word for word in words if word not in ended["cause"]]
        check(not missing, f"the cause does not say {missing}: {told}")

    def history(self):
        pages = self.stack.states.get_paginator("get_execution_history").paginate(executionArn=self.arn)
        return [event for page in pages for event in page["events"]]

    def calls(self):
        """Its calls of functions, one after the other: when each began and ended, and what it answered, or the error
        that it ended with."""
        calls, began = [], None
        for event in self.history():
            if event["type"] == "TaskScheduled":
                began = event["timestamp"]
            elif event["type"] == "TaskSucceeded":
                answer = json.loads(event["taskSucceededEventDetails"]["output"])["Payload"]
                calls.append(Call(began, event["timestamp"], answer, None))
            elif event["type"] == "TaskFailed":
                calls.append(Call(began, event["timestamp"], None, event["taskFailedEventDetails"]["error"]))
        return calls

    def lanes(self):
        """The executions of its lanes, of all waves."""
        runs = self.stack.states.list_map_runs(executionArn=self.arn)["mapRuns"]
        lanes = []
        for run in runs:
            pages = self.stack.states.get_paginator("list_executions").paginate(mapRunArn=run["mapRunArn"])
            lanes += [Execution(self.stack, item["executionArn"]) for page in pages for item in page["executions"]]
        return lanes


Record = collections.namedtuple("Record", "sequence time key data")


def by_key(records):
    """Data of each key in its order: equal for two streams that hold the same records with keys in order."""
    found = collections.defaultdict(list)
    for record in records:
        found[record.key].append(record.data)
    return dict(found)


class Stream:
    """A stream of Kinesis, written and read by boto3 alone."""

    def __init__(self, cloud, name, shards):
        self.kinesis, self.name = cloud.client("kinesis"), name
        if shards:
            self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        until(f"the stream {name}", self.is_active)

    @classmethod
    def there(cls, cloud, name):
        """One that somebody else has made."""
        return cls(cloud, name, None)

    def is_active(self):
        described = self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
        return described["StreamStatus"] == "ACTIVE"

    @property
    def uri(self):
        return f"kinesis:{self.name}"

    def put(self, records, at_once=4 << 20):
        """Puts pairs of key and data, in their order, so many bytes at once: these have about one time."""
        batch, size = [], 0
        for key, data in records:
            if batch and (len(batch) == 500 or size + len(data) + len(key) > at_once):
                self.put_batch(batch)
                batch, size = [], 0
            batch.append({"PartitionKey": key, "Data": data})
            size += len(data) + len(key)
        if batch:
            self.put_batch(batch)

    def put_batch(self, batch):
        answer = self.kinesis.put_records(StreamName=self.name, Records=batch)
        check(answer["FailedRecordCount"] == 0, f"{self.name} refused {answer['FailedRecordCount']} records")

    def read(self):
        """All records by shard, each shard from its beginning to where nothing follows."""
        shards = self.kinesis.list_shards(StreamName=self.name)["Shards"]
        return {shard["ShardId"]: self.read_shard(shard["ShardId"]) for shard in shards}

    def read_shard(self, shard):
        first = {"StreamName": self.name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator, records = self.kinesis.get_shard_iterator(**first)["ShardIterator"], []
        while iterator:
            answer = self.kinesis.get_records(ShardIterator=iterator)
            for record in answer["Records"]:
                fields = ("SequenceNumber", "ApproximateArrivalTimestamp", "PartitionKey", "Data")
                records.append(Record(*(record[field] for field in fields)))
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                return records
            iterator = answer.get("NextShardIterator")
        return records

    def by_key(self):
        return by_key(itertools.chain.from_iterable(self.read().values()))


def working_in(prefix, given, work):
    """Works in a folder of its own, which goes when all was well."""
    folder = tempfile.mkdtemp(prefix=prefix, dir=given)
    # So that a `with` ends what it began.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = work(folder)
    except Broken as broken:
        print(f"FAILED: {broken}\nWhat it left is in {folder}", flush=True)
        return 1
    if code == 0:
        shutil.rmtree(folder)
    return code


def main():
    """Runs a command with a ministack that lives as long as the command."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, with its arguments")
    command = [word for word in parser.parse_args().command if word != "--"]

    def work(folder):
        with Cloud(folder) as cloud:
            services = ("S3", "KINESIS", "DYNAMODB")
            environment = dict(cloud.environment(), **{f"SLUICE_TEST_{service}": cloud.url for service in services})
            environment["SLUICE_TEST_KINESIS_SERVER"] = "ministack"
            return subprocess.run(command, env=environment, check=False).returncode

    sys.exit(working_in("sluice-cloud-", None, work))


if __name__ == "__main__":
    main()
