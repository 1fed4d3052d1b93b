"""The seam to monitoring: infra/monitoring.yaml, deployed from the stack's outputs alone, and a reporter with the role
that only reads."""

import json
import re

import reporter
import yaml  # ministack's own

from cloud import ACCOUNT, REGION, ROOT, STACK, Broken, check, until

WATCH = f"{STACK}-watch"
TEMPLATE = ROOT / "infra" / "monitoring.yaml"
# ministack has neither saved queries nor alarms on a query of metrics; cfn-lint looks at these.
LEFT_OUT = "AWS::Logs::QueryDefinition"
DIMENSIONS = {"Stack", "Kind"}


class Loader(yaml.SafeLoader):
    """Reads a template; `!Ref x` becomes {"Ref": "x"}, and so on."""


def intrinsic(loader, name, node):
    kinds = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    deep = {} if isinstance(node, yaml.ScalarNode) else {"deep": True}
    value = kinds.get(type(node), loader.construct_mapping)(node, **deep)
    if name == "GetAtt":
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


Loader.add_multi_constructor("!", intrinsic)


def outputs_of(formation, stack):
    described = formation.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def is_there(formation):
    try:
        return outputs_of(formation, WATCH)
    except formation.exceptions.ClientError:
        return None


def watched(world):
    """Deploys it once; answers its outputs."""
    formation = world.stack.formation
    there = is_there(formation)
    if there:
        return there
    template = yaml.load(TEMPLATE.read_text(), Loader)
    resources = template["Resources"]
    left = [name for name, what in resources.items() if what["Type"] == LEFT_OUT or "Metrics" in what["Properties"]]
    check(len(left) == 9, f"ministack is to be spared 6 queries and 3 alarms, not {left}")
    template["Resources"] = {name: what for name, what in resources.items() if name not in left}
    board = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for name in left:
        board[0] = re.sub(rf',\s*"\$\{{{name}\.Arn\}}"', "", board[0])
    said = outputs_of(formation, STACK)
    given = {name: said[name] for name in template["Parameters"] if name in said}
    given |= {"NotifyTopic": "own", "Email": "ops@example.com", "FreshnessHours": "26"}
    given["Readers"] = f"arn:aws:iam::{ACCOUNT}:root"
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    formation.create_stack(
        StackName=WATCH, TemplateBody=json.dumps(template), Parameters=parameters, Capabilities=["CAPABILITY_IAM"]
    )
    until("the monitoring stack", lambda: is_made(formation), patience=60)
    return outputs_of(formation, WATCH)


def is_made(formation):
    stack = formation.describe_stacks(StackName=WATCH)["Stacks"][0]
    check("ROLLBACK" not in stack["StackStatus"] and "FAILED" not in stack["StackStatus"], f"it is not made: {stack}")
    return stack["StackStatus"] == "CREATE_COMPLETE"


def metrics_and_alarms(world):
    """Alarms and dashboard are those of this stack, and name only metrics that the README lists."""
    outputs = watched(world)
    watch = world.cloud.client("cloudwatch")
    alarms = watch.describe_alarms(AlarmNamePrefix=f"{STACK}-")["MetricAlarms"]
    ours = [alarm for alarm in alarms if alarm["Namespace"] == "Sluice"]
    check(len(ours) == 10, f"alarms: {sorted(alarm['AlarmName'] for alarm in alarms)}")
    check(all(alarm["AlarmActions"] == [outputs["TopicArn"]] for alarm in alarms), f"nobody is notified: {alarms}")
    used = {(alarm["MetricName"], *sorted(d["Name"] for d in alarm["Dimensions"])) for alarm in ours}
    for alarm in ours:
        stacks = [d["Value"] for d in alarm["Dimensions"] if d["Name"] == "Stack"]
        check(stacks == [STACK], f"{alarm['AlarmName']} watches {stacks}")
    board = json.loads(watch.get_dashboard(DashboardName=f"{STACK}-transfers")["DashboardBody"])
    used |= drawn(board)
    listed = documented()
    check(used <= listed, f"not in infra/README.md: {sorted(used - listed)}")
    not_drawn = {("SliceMillis", "Kind", "Stack"), ("Progress", "Kind", "Stack")}
    check(listed <= used | not_drawn, f"shown nowhere: {sorted(listed - used - not_drawn)}")
    emitted = lines_with_metrics(world)
    check(emitted <= listed, f"emitted, and not in infra/README.md: {sorted(emitted - listed)}")
    return f"{len(alarms)} alarms, {len(board['widgets'])} widgets, {len(emitted)} metrics seen"


def drawn(board):
    """The metrics of ours on a dashboard, whose widgets lie in its grid and not on each other."""
    used, taken = set(), set()
    for widget in board["widgets"]:
        check(widget["type"] in ("alarm", "log", "metric"), f"{widget}")
        check(widget["x"] + widget["width"] <= 24, f"beside the grid: {widget}")
        cells = {(widget["x"] + x, widget["y"] + y) for x in range(widget["width"]) for y in range(widget["height"])}
        check(not cells & taken, f"on another widget: {widget}")
        taken |= cells
        for line in widget["properties"].get("metrics", []):
            if line[0] == "Sluice":
                names = [part for part in line[2:] if isinstance(part, str)]
                check(names[1] == STACK, f"it shows {names}")
                used.add((line[1], *sorted(names[::2])))
    return used


def documented():
    """The table of metrics in infra/README.md: name and dimensions."""
    text = (ROOT / "infra" / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (Stack(?:, Kind)?) \|", text, re.MULTILINE)
    check(len(rows) > 15, f"infra/README.md has {len(rows)} rows of metrics")
    return {(name, *sorted(dimensions.split(", "))) for name, dimensions in rows}


def lines_with_metrics(world):
    """What the functions emitted so far."""
    logs, found = world.cloud.client("logs"), set()
    page = logs.filter_log_events(logGroupName=f"/sluice/{STACK}/functions", filterPattern="CloudWatchMetrics")
    for event in page["events"]:
        line = json.loads(event["message"])
        check((line["level"], "timestamp" in line) == ("FATAL", True), f"a log level above INFO drops {line}")
        (told,) = line["_aws"]["CloudWatchMetrics"]
        check(set(told["Dimensions"][0]) <= DIMENSIONS and told["Namespace"] == "Sluice", f"{line}")
        found |= {(metric["Name"], *sorted(told["Dimensions"][0])) for metric in told["Metrics"]}
    check(found, "no function emitted a metric")
    return found


def logs_hold_all_totals(world):
    """A reporter with the role that only reads rebuilds the totals of all manifests of all scenarios before."""
    outputs, calls = watched(world), set()
    role = outputs["ReaderRoleArn"]
    session = reporter.assume(world.cloud.client("sts"), role, region_name=REGION)
    logs = session.client("logs", endpoint_url=world.cloud.url)
    logs.meta.events.register("before-call.*", lambda model, **_: calls.add(f"logs:{model.name}"))
    group = outputs_of(world.stack.formation, STACK)["FunctionsLogGroupName"]
    transfers = reporter.rebuild(reporter.lines_of(logs, group))
    compared = 0
    for key, body in manifests(world):
        moved = transfers.get(body["transfer"])
        check(moved is not None, f"{key}: no line tells of {body['transfer']}")
        told, there = [moved.events, moved.bytes], [body["counts"]["events"], body["counts"]["bytes"]]
        if moved.kind == "export":
            told, there, sealed = [*told, moved.objects], [*there, body["objects"]], list(moved.sum_of_sealed())
            check(sealed == there, f"{key}: {there}, the sealed objects come to {sealed}")
        told, there = [*told, moved.state], [*there, body["state"]]
        check(told == there, f"{key}: {there}, the logs say {told}")
        compared += 1
    check(compared > 0, "there is no manifest to compare with")
    only_reads(world, role, group, calls)
    return f"{compared} manifests, {len(transfers)} transfers"


def manifests(world):
    """Key and body of the manifest of each transfer that ended, wherever it lies."""
    s3 = world.stack.s3
    for bucket in s3.list_buckets()["Buckets"]:
        for key in world.stack.keys(bucket["Name"]):
            if key.rpartition("/")[2] != "manifest.json":
                continue
            parsed = json.loads(s3.get_object(Bucket=bucket["Name"], Key=key)["Body"].read())
            if parsed.get("sluice") in ("export-manifest", "import-manifest"):
                yield f"s3://{bucket['Name']}/{key}", parsed["body"]


def only_reads(world, role, group, calls):
    """By IAM's rules: what the reporter called is allowed, and what would change or show an event is not."""
    check(calls == {"logs:FilterLogEvents"}, f"the reporter called {calls}")
    base = f"{REGION}:{ACCOUNT}"
    table = f"arn:aws:dynamodb:{base}:table/{world.stack.table}"
    execution = world.stack.machine.replace(":stateMachine:", ":execution:") + ":x"
    allowed = [
        (f"arn:aws:logs:{base}:log-group:{group}:*", ["logs:FilterLogEvents", "logs:GetLogEvents", "logs:StartQuery"]),
        (table, ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem"]),
        (f"{table}/index/byState", ["dynamodb:Query"]),
        (execution, ["states:DescribeExecution", "states:GetExecutionHistory"]),
        (world.stack.machine, ["states:ListExecutions"]),
        ("*", ["cloudwatch:GetMetricData", "logs:GetQueryResults"]),
    ]
    denied = [
        (f"arn:aws:logs:{base}:log-group:/aws/lambda/other:*", ["logs:FilterLogEvents", "logs:GetLogEvents"]),
        (f"arn:aws:logs:{base}:log-group:{group}:*", ["logs:PutLogEvents", "logs:DeleteLogStream"]),
        (table, ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Scan", "dynamodb:UpdateItem"]),
        (execution, ["states:StopExecution"]),
        (world.stack.machine, ["states:StartExecution"]),
        ("*", ["s3:GetObject", "s3:ListBucket", "kinesis:GetRecords", "lambda:InvokeFunction", "sts:AssumeRole"]),
    ]
    for cases, wanted in ((allowed, "allowed"), (denied, "implicitDeny")):
        for resource, actions in cases:
            answer = world.cloud.client("iam").simulate_principal_policy(
                PolicySourceArn=role, ActionNames=actions, ResourceArns=[resource]
            )
            for result in answer["EvaluationResults"]:
                if result["EvalDecision"] != wanted:
                    raise Broken(f"{result['EvalActionName']} of {resource} is {result['EvalDecision']}")
