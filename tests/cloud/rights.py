"""Rights: what the functions asked AWS for in all scenarios, and what the policies of their roles allow, both ways.

The emulator checks no rights. So the proxies note each request: which function sent it (its user agent says so), the
action that IAM would ask for, and the resource. Behind all scenarios each must be allowed by the role's policies as
they were deployed, and each action that a role allows must have been used, or stand below with a reason.
"""

import collections
import json
import re
import urllib.parse

TARGET = "X-Amz-Target"
ACCOUNT, REGION = "000000000000", "us-east-1"
SERVICES = {"Kinesis": "kinesis", "DynamoDB": "dynamodb", "AWSStepFunctions": "states"}
# Actions of a transaction are those of its parts (DynamoDB developer guide, "IAM and transactions").
PARTS = {"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem"}
# The adapter finds out with these keys what a service can do that is not Amazon's; on AWS it does not.
PROBE = ".sluice/"

# What the scenarios cannot provoke, and why a function needs it all the same: by function and action.
LAMBDA_LOGS = "Lambda itself logs, in the name of the role"
FAN_OUT = "ministack has no enhanced fan-out"
PACKED_AGAIN = "the last part of an object is packed again if its slice died between recording and storing it"
LANDED = "looks whether an object is there whose completion had no answer"
ENDED = "transfers are gone through 20 minutes behind their end"
UNPROVOKED = {
    ("*", "logs:CreateLogStream"): LAMBDA_LOGS,
    ("*", "logs:PutLogEvents"): LAMBDA_LOGS,
    ("plan", "kinesis:RegisterStreamConsumer"): FAN_OUT,
    ("plan", "kinesis:DescribeStreamConsumer"): FAN_OUT,
    ("plan", "kinesis:DeregisterStreamConsumer"): FAN_OUT,
    ("export", "kinesis:RegisterStreamConsumer"): FAN_OUT,
    ("export", "kinesis:DescribeStreamConsumer"): FAN_OUT,
    ("export", "kinesis:DeregisterStreamConsumer"): FAN_OUT,
    ("export", "kinesis:SubscribeToShard"): FAN_OUT,
    ("settle", "kinesis:DeregisterStreamConsumer"): FAN_OUT,
    ("finish", "kinesis:DeregisterStreamConsumer"): FAN_OUT,
    ("settle", "kinesis:DescribeStreamSummary"): PACKED_AGAIN,
    ("settle", "kinesis:ListShards"): PACKED_AGAIN,
    ("settle", "kinesis:GetShardIterator"): PACKED_AGAIN,
    ("settle", "kinesis:GetRecords"): PACKED_AGAIN,
    ("settle", "s3:GetObject"): LANDED,
    ("settle", "s3:ListBucket"): LANDED,
    ("plan", "states:StartExecution"): "an execution that has made 50 runs of a rule hands it over",
    ("sweep", "dynamodb:UpdateItem"): ENDED,
    ("sweep", "s3:AbortMultipartUpload"): ENDED,
    ("sweep", "s3:ListMultipartUploadParts"): ENDED,
    ("trigger", "sqs:SendMessage"): "Lambda itself hands over what the function could not handle, in the name of its role",
    ("plan", "dynamodb:DeleteItem"): "gives a target back that somebody has filled while its import was planned",
    ("export", "s3:AbortMultipartUpload"): "abandons an upload whose object ends earlier, since the source lost events",
}

# `resource` is none where the request does not say; `context` holds pairs that conditions ask for.
Asked = collections.namedtuple("Asked", "function action resource context")


def asked(command, path, headers, body):
    """What a request asks for: one right, or several for a transaction; nothing for the probe of a service."""
    found = re.search(r"\bapp/sluice-(\w+)", f"{headers.get('User-Agent')} {headers.get('x-amz-user-agent')}")
    function = found and found.group(1)
    if TARGET in headers:
        service, _, operation = headers[TARGET].rpartition(".")
        service = SERVICES[service.partition("_")[0]]
        return [Asked(function, f"{service}:{action}", at, ()) for action, at in of_json(service, operation, body)]
    bucket, _, key = urllib.parse.unquote(path.partition("?")[0]).lstrip("/").partition("/")
    if key.startswith(PROBE):
        return []
    query = set(urllib.parse.parse_qs(path.partition("?")[2], keep_blank_values=True))
    action, context = of_s3(command, key, query, headers)
    rights = [Asked(function, f"s3:{action}", f"arn:aws:s3:::{bucket}{'/' if key else ''}{key}", tuple(context))]
    if action == "GetObject":
        # Who may not list is told 403 of an object that is not there, and not 404 (Amazon S3 API reference, GetObject).
        rights.append(Asked(function, "s3:ListBucket", f"arn:aws:s3:::{bucket}", ()))
    return rights


def arn(service, rest):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def of_json(service, operation, body):
    if operation == "TransactWriteItems":
        items = json.loads(body)["TransactItems"]
        parts = [part for item in items for part in item.items()]
        return [(PARTS[kind], arn(service, f"table/{part['TableName']}")) for kind, part in parts]
    if operation == "TransactGetItems":
        items = json.loads(body)["TransactItems"]
        return [("GetItem", arn(service, f"table/{item['Get']['TableName']}")) for item in items]
    if service == "dynamodb":
        tables = re.findall(rb'"TableName":\s*"([^"]+)"', body) or re.findall(rb'"RequestItems":\s*{\s*"([^"]+)"', body)
        index = re.search(rb'"IndexName":\s*"([^"]+)"', body)
        end = f"/index/{index.group(1).decode()}" if index else ""
        return [(operation, arn(service, f"table/{table.decode()}{end}")) for table in set(tables)]
    # Quotes within a text stand behind a backslash, so these are fields.
    named = dict(re.findall(rb'"(ConsumerARN|StreamARN|StreamName|stateMachineArn|executionArn)":\s*"([^"]+)"', body))
    if b"StreamName" in named:
        return [(operation, arn(service, f"stream/{named[b'StreamName'].decode()}"))]
    return [(operation, next((name.decode() for name in named.values()), None))]


def of_s3(command, key, query, headers):
    if command == "PUT" or command == "POST":
        makes = not query & {"partNumber", "uploads"}
        context = [("s3:ObjectCreationOperation", "true" if makes else "false")]
        if "If-None-Match" in headers:
            context.append(("s3:if-none-match", headers["If-None-Match"]))
        return "PutObject", context
    if command == "DELETE":
        return ("AbortMultipartUpload" if "uploadId" in query else "DeleteObject"), ()
    if "uploadId" in query:
        return "ListMultipartUploadParts", ()
    if "uploads" in query:
        return "ListBucketMultipartUploads", ()
    return ("GetObject" if key else "ListBucket"), ()


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(pattern, name):
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(char, re.escape(char)) for char in pattern), name, re.DOTALL) is not None


def meets(conditions, context):
    context = dict(context)
    for operator, wanted in conditions.items():
        for key, value in wanted.items():
            if (operator, key) == ("StringEquals", "aws:ResourceAccount"):
                continue  # `every_request_names_the_owner` sees to the account.
            if operator == "Null":
                if (key in context) == (value == "true"):
                    return False
            elif operator == "Bool":
                if context.get(key) != value:
                    return False
            else:
                raise ValueError(f"no such condition is known here: {operator} {key}")
    return True


def allows(statements, right):
    return any(
        right.action in listed(statement["Action"])
        and (right.resource is None or any(matches(of, right.resource) for of in listed(statement["Resource"])))
        and meets(statement.get("Condition", {}), right.context)
        for statement in statements
    )


def statements_of(iam, role):
    """All statements of a role: its own policies, and those that are attached to it."""
    documents = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        policy = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]
        version = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=policy["DefaultVersionId"])
        documents.append(version["PolicyVersion"]["Document"])
    documents = [json.loads(document) if isinstance(document, str) else document for document in documents]
    return [statement for document in documents for statement in document["Statement"]]


def as_they_are_used(world):
    """Every request was allowed, and every right was used or is one that no scenario can provoke."""
    proxies = (world.cloud.s3, world.cloud.kinesis, world.cloud.others)
    used = collections.defaultdict(set)
    for right in set().union(*(proxy.asked for proxy in proxies)):
        used[right.function].add(right)
    nobody = sorted({right.action for right in used.pop(None, ())})
    wrong = [f"requests that name no function: {nobody}"] if nobody else []
    iam, count = world.cloud.client("iam"), 0
    for function, logical in world.stack.functions_by_name().items():
        role = world.stack.role(logical)
        statements = statements_of(iam, role)
        denied = {f"{right.action} on {right.resource}" for right in used[function] if not allows(statements, right)}
        wrong += [f"{function} lacks {one}" for one in sorted(denied)]
        actions = {action for statement in statements for action in listed(statement["Action"])}
        asked_for = {right.action for right in used[function]}
        for action in sorted(actions - asked_for):
            if (function, action) not in UNPROVOKED and ("*", action) not in UNPROVOKED:
                wrong.append(f"{function} may {action}, and never did")
        count += len(actions)
    if wrong:
        raise AssertionError("; ".join(wrong))
    return f"{count} rights, {sum(map(len, used.values()))} kinds of requests"
