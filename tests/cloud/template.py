"""The template by itself, without a cloud: resolved, measured, and compared with the README.

The lists of a stack are as long as a parameter's own limit allows here, so what is measured is the most that fits.
"""

import functools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TEMPLATE, README = ROOT / "infra" / "template.yaml", ROOT / "infra" / "README.md"
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws-us-gov",
    "AWS::Region": "us-gov-west-1",
    "AWS::StackName": "sluice-of-a-team-with-a-name",
    "AWS::URLSuffix": "amazonaws.com",
}
# IAM user guide, "IAM and AWS STS quotas"; Lambda developer guide, "Lambda quotas"; IAM API, CreatePolicy; Lambda API,
# PublishVersion.
INLINE, MANAGED, ENVIRONMENT, POLICY_TEXT, VERSION_TEXT = 10_240, 6_144, 4_096, 1_000, 256
STREAM = "arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/orders-of-some-shop-{}"
OBJECTS = "arn:aws-us-gov:s3:::archive-of-some-shop-{}/orders/of/some/country/*"
# So many ARNs of this length fit in each list, as the README says.
ENTRIES = 8
LISTS = {
    "ReadStreams": [STREAM.format(n) for n in range(ENTRIES)],
    "WriteStreams": [STREAM.format(n) for n in range(ENTRIES)],
    "ReadObjects": [OBJECTS.format(n) for n in range(ENTRIES)],
    "WriteObjects": [OBJECTS.format(n) for n in range(ENTRIES)],
    "DataKeys": [f"arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/{n:036}" for n in range(ENTRIES)],
}
ABSENT = object()


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short_form(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    return {name: loader.construct_sequence(node, True) if isinstance(node, yaml.SequenceNode) else {}}


Loader.add_multi_constructor("!", short_form)


class Resolved:
    """The template with these parameters; names and ARNs of resources are made up."""

    def __init__(self, **parameters):
        self.template = yaml.load(TEMPLATE.read_text(), Loader)
        defaults = {name: told.get("Default") for name, told in self.template["Parameters"].items()}
        self.parameters = {**defaults, **parameters}

    @functools.cached_property
    def resources(self):
        there = {}
        for name, resource in self.template["Resources"].items():
            if self.condition(resource.get("Condition")):
                there[name] = {"Type": resource["Type"], "Properties": self.value(resource.get("Properties", {}))}
        return there

    def condition(self, name):
        return name is None or self.value(self.template["Conditions"][name])

    def reference(self, name):
        if name == "AWS::NoValue":
            return ABSENT
        if name in PSEUDO:
            return PSEUDO[name]
        if name not in self.parameters:
            return f"{PSEUDO['AWS::StackName']}-{name}-0123456789AB"
        value = self.parameters[name]
        if self.template["Parameters"][name]["Type"] == "CommaDelimitedList":
            return value if isinstance(value, list) else [item.strip() for item in value.split(",")]
        return value

    def text(self, template, values):
        def put(found):
            name = found.group(1)
            if name in values:
                return str(values[name])
            return str(self.attribute(name.split(".", 1)) if "." in name else self.reference(name))

        return re.sub(r"\$\{([^}!]+)\}", put, template)

    @staticmethod
    def attribute(path):
        name, attribute = path
        if attribute == "PolicyId":
            return "ANPA" + "X" * 17
        return f"arn:{PSEUDO['AWS::Partition']}:service:{PSEUDO['AWS::Region']}:123456789012:{name}/0123456789AB"

    def value(self, node):
        """A part of the template without functions; what is absent is left out."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not ABSENT]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, of),) = node.items()
            if name == "Ref":
                return self.reference(of)
            if name == "Condition" and isinstance(of, str):
                return self.condition(of)
            if name.startswith("Fn::"):
                return self.function(name[4:], of)
        values = {name: self.value(of) for name, of in node.items()}
        return {name: value for name, value in values.items() if value is not ABSENT}

    def function(self, name, of):
        if name == "If":
            return self.value(of[1] if self.condition(of[0]) else of[2])
        if name == "Sub":
            template, values = (of, {}) if isinstance(of, str) else of
            return self.text(template, self.value(values))
        of = self.value(of)
        if name == "GetAtt":
            return self.attribute(of)
        if name == "Equals":
            return str(of[0]) == str(of[1])
        if name == "Not":
            return not of[0]
        if name == "And":
            return all(of)
        if name == "Join":
            return of[0].join(map(str, of[1]))
        if name == "Split":
            return of[1].split(of[0])
        if name == "Select":
            return of[1][int(of[0])]
        raise ValueError(f"the function {name} is not known here")

    def of_type(self, kind):
        return {name: found["Properties"] for name, found in self.resources.items() if found["Type"] == kind}

    def statements(self, role):
        """All statements of a role: its own, and those of the policies that it shares."""
        named = {self.reference(name): name for name in self.resources}
        shared = [self.resources[named[arn]]["Properties"] for arn in role.get("ManagedPolicyArns", [])]
        documents = [policy["PolicyDocument"] for policy in role.get("Policies", []) + shared]
        return [statement for document in documents for statement in document["Statement"]]


def listed(value):
    return value if isinstance(value, list) else [value]


def most():
    """With everything that makes policies longer."""
    key = LISTS["DataKeys"][0]
    return Resolved(
        **LISTS,
        CreateTargets="true",
        StackKeyArn=key,
        LogKeyArn=key,
        SubnetIds=["subnet-0123456789abcdef0"] * 3,
        SecurityGroupIds=["sg-0123456789abcdef0"],
        ScheduleExpression="rate(1 hour)",
        RolePath="/teams/data-platform/",
        PermissionsBoundary="arn:aws-us-gov:iam::123456789012:policy/boundary",
    )


def size(document):
    """As IAM counts: without white space."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def limits_hold():
    stack, said = most(), []
    for name, role in stack.of_type("AWS::IAM::Role").items():
        own = sum(size(policy["PolicyDocument"]) for policy in role.get("Policies", []))
        assert own <= INLINE, f"{name}: {own} characters of policies"
        assert len(role.get("ManagedPolicyArns", [])) <= 10, f"{name} shares more than 10 policies"
        said.append(own)
    shared = []
    for name, policy in stack.of_type("AWS::IAM::ManagedPolicy").items():
        shared.append(size(policy["PolicyDocument"]))
        assert shared[-1] <= MANAGED, f"{name}: {shared[-1]} characters"
        text = len(policy["Description"])
        assert text <= POLICY_TEXT, f"{name}: the list has {text} characters"
    environments = []
    common = stack.value(stack.template["Globals"])["Function"]["Environment"]["Variables"]
    for name, function in stack.of_type("AWS::Serverless::Function").items():
        variables = {**common, **function.get("Environment", {}).get("Variables", {})}
        assert "Role" in function and "Policies" not in function, f"{name}: give it a role of its own, as others have"
        assert variables.get("AWS_SDK_UA_APP_ID", "").startswith("sluice-"), f"{name}: its requests do not say whose"
        environments.append(sum(len(key) + len(str(value).encode()) for key, value in variables.items()))
        assert environments[-1] <= ENVIRONMENT, f"{name}: an environment of {environments[-1]} bytes"
        description = function.get("VersionDescription", "")
        assert len(description) <= VERSION_TEXT, f"{name}: a description of {len(description)} characters"
    return (
        f"of {INLINE} characters {max(said)}, of {MANAGED} shared ones {max(shared)}, of {ENVIRONMENT} bytes of"
        f" environment {max(environments)}, with {ENTRIES} ARNs in each list"
    )


def resources_of(stack, role, action):
    statements = stack.statements(stack.resources[role]["Properties"])
    found = [listed(statement["Resource"]) for statement in statements if action in listed(statement["Action"])]
    return {resource for resources in found for resource in resources}


def lists_are_what_policies_hold():
    lists = {
        "ReadStreams": ["arn:aws:kinesis:eu-west-1:1:stream/in"],
        "WriteStreams": ["arn:aws:kinesis:eu-west-1:1:stream/out"],
        "ReadObjects": ["arn:aws:s3:::from/a/b/*", "arn:aws:s3:::other-*/*"],
        "WriteObjects": ["arn:aws:s3:::to/*"],
    }
    stack = Resolved(**lists)
    assert resources_of(stack, "ExportRole", "kinesis:GetRecords") == set(lists["ReadStreams"])
    assert resources_of(stack, "ImportRole", "kinesis:GetRecords") == set(lists["WriteStreams"])
    assert resources_of(stack, "ImportRole", "kinesis:PutRecords") == set(lists["WriteStreams"])
    assert resources_of(stack, "ExportRole", "s3:PutObject") == set(lists["WriteObjects"])
    work = resources_of(stack, "ImportRole", "s3:PutObject")
    assert len(work) == 1 and "WorkBucket" in work.pop(), "an import writes no object but to the work bucket"
    assert set(lists["ReadObjects"]) <= resources_of(stack, "ImportRole", "s3:GetObject")
    buckets = resources_of(stack, "ImportRole", "s3:ListBucket")
    named = {arn for arn in buckets if not arn.startswith("arn:*:s3:::-/") and "WorkBucket" not in arn}
    assert named == {"arn:aws:s3:::from", "arn:aws:s3:::other-*"}, f"buckets to list: {buckets}"
    assert all("/" in arn for arn in buckets - named), "what is no bucket's ARN names an object of none"
    nothing = Resolved(ReadStreams="own", WriteStreams="none", ReadObjects="none", WriteObjects="own")
    assert not resources_of(nothing, "ImportRole", "kinesis:PutRecords")
    assert resources_of(nothing, "ExportRole", "kinesis:GetRecords") == {
        "arn:aws-us-gov:kinesis:*:123456789012:stream/*"
    }
    return "own, none and lists"


def nothing_may_overwrite_or_delete():
    for name, role in most().of_type("AWS::IAM::Role").items():
        for statement in most().statements(role):
            actions = listed(statement["Action"])
            assert not [action for action in actions if "*" in action or "DeleteObject" in action], f"{name}: {actions}"
            if "s3:PutObject" in actions:
                condition = statement.get("Condition", {})
                makes = condition.get("Null", {}).get("s3:if-none-match") == "false"
                sends = condition.get("Bool", {}).get("s3:ObjectCreationOperation") == "false"
                assert actions == ["s3:PutObject"] and makes != sends, f"{name} may overwrite: {statement}"
    return "create-only, in every role"


def no_partition_is_written():
    logic = [TEMPLATE, *sorted((ROOT / "infra" / "workflow").glob("*.json"))]
    for folder in ("shared/host/src", "shared/places-aws/src", "shared/executions-sfn/src", "functions"):
        logic += sorted(path for path in (ROOT / folder).rglob("*.rs") if path.name != "tests.rs")
    found = []
    for path in logic:
        # Tests stand at a file's end.
        text = path.read_text().partition("#[cfg(test)]")[0]
        lines = [line for line in text.splitlines() if not line.strip().startswith(("//", "#"))]
        found += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in lines if "arn:aws:" in line]
    assert not found, f"a partition is written: {found}"
    return f"{len(logic)} files"


def table(text, heading):
    """The cells of the first table behind a heading of the README."""
    _, found, behind = text.partition(f"\n{heading}\n")
    assert found, f"the README has no heading {heading}"
    lines = behind[behind.index("\n|") + 1 :].splitlines()
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows[2:]


def the_readme_has_all():
    text, template = README.read_text(), Resolved().template
    names = [row[0].strip("`") for row in table(text, "### Parameters")]
    assert names == list(template["Parameters"]), f"parameters in the README, and their order: {names}"
    for name, default, *_ in table(text, "### Parameters"):
        wanted = template["Parameters"][name.strip("`")].get("Default", "must be given")
        wanted = "empty" if wanted == "" else str(wanted)
        assert default.strip("`") == wanted, f"{name}: the README's default is {default}, the template's {wanted}"
    names = [row[0].strip("`") for row in table(text, "### Outputs")]
    assert names == list(template["Outputs"]), f"outputs in the README, and their order: {names}"
    host = ROOT / "shared" / "host" / "src"
    source = (host / "command.rs").read_text() + (host / "rule_input.rs").read_text()
    found = re.findall(r"const ([A-Z]+): \[&str; \d+\] =\s*\[(.*?)\];", source, re.DOTALL)
    lists = {name: re.findall(r'"(\w+)"', body) for name, body in found}
    inputs = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in table(text, "### Inputs")}
    assert list(inputs) == lists["COMMANDS"], f"inputs in the README, and their order: {list(inputs)}"
    for name, fields in inputs.items():
        wanted = lists.get(name.upper(), [])
        assert sorted(fields) == sorted(wanted), f"{name}: the README has {fields}, the function takes {wanted}"
    stack, roles = most(), {}
    for name, role in stack.of_type("AWS::IAM::Role").items():
        for statement in stack.statements(role):
            for action in listed(statement["Action"]):
                roles.setdefault(action, set()).add(name.removesuffix("Role"))
    documented = {}
    for who, actions, *_ in table(text, "### Every right, and why"):
        for action in re.findall(r"`([a-z0-9]+:\w+)`", actions):
            documented.setdefault(action, set()).update(re.findall(r"`(\w+)`", who))
    wrong = [
        f"{action}: the README says {sorted(documented.get(action, []))}, the template {sorted(roles.get(action, []))}"
        for action in sorted(roles.keys() | documented.keys())
        if documented.get(action) != roles.get(action)
    ]
    assert not wrong, "; ".join(wrong)
    counts = [("parameters", template["Parameters"]), ("inputs", inputs), ("outputs", template["Outputs"])]
    return ", ".join(f"{len(of)} {what}" for what, of in [*counts, ("actions", roles)])


def built_for_one_processor_only():
    header = b"\x7fELF\x02\x01" + bytes(12) + (183).to_bytes(2, "little")
    with tempfile.TemporaryDirectory() as folder:
        built = pathlib.Path(folder)
        for name in ("PlanFunction", "ExportFunction"):
            (built / name).mkdir()
            (built / name / "bootstrap").write_bytes(header)
        (built / "template.yaml").write_text(TEMPLATE.read_text())
        tie = [sys.executable, str(ROOT / "infra" / "built.py"), folder]
        subprocess.run(tie, check=True, capture_output=True)
        told = yaml.load((built / "template.yaml").read_text(), Loader)["Parameters"]["Architecture"]
        assert (told["Default"], told["AllowedValues"]) == ("arm64", ["arm64"]), f"the template allows {told}"
        # Of another build.
        (built / "PlanFunction" / "bootstrap").write_bytes(header[:-2] + (62).to_bytes(2, "little"))
        mixed = subprocess.run(tie, capture_output=True, text=True)
        assert mixed.returncode != 0 and "several processors" in mixed.stderr, f"a mixed build: {mixed}"
    return "arm64, and a mixed build is refused"


def lanes_have_room():
    workflow = json.loads((ROOT / "infra" / "workflow" / "transfer.asl.json").read_text())
    most = Resolved().template["Parameters"]["LanesAtOnce"]["MaxValue"]
    at_once = workflow["States"]["Wave"]["MaxConcurrency"]
    assert most == at_once, f"LanesAtOnce may be {most}, and the workflow runs {at_once} at once"
    return f"{most} at once"


CHECKS = [
    lanes_have_room,
    built_for_one_processor_only,
    limits_hold,
    lists_are_what_policies_hold,
    nothing_may_overwrite_or_delete,
    no_partition_is_written,
    the_readme_has_all,
]


def main():
    failed = []
    for check in CHECKS:
        try:
            print(f"  {check.__name__}: {check()}", flush=True)
        except AssertionError as error:
            failed.append(check.__name__)
            print(f"  {check.__name__} FAILED: {error}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
