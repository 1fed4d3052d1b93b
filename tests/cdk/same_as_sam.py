"""The construct's stacks against the SAM template, as aws-sam-translator translates it: resource by resource, policies
included, for each set of parameters. A difference is a failure, except those of ACCEPTED.

Both sides are worked out here, by code that the construct does not share: parameters, conditions and functions of
CloudFormation, up to what only a deployment knows. So a policy is compared by what it allows, not by how it is written.
"""

import argparse
import json
import os
import pathlib
import re
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Where the template says nothing else: those of a deployment in this account.
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}
NOTHING = object()

# Differences that are meant: what, and why. Each must be found, so that none outlives its reason.
ACCEPTED = {
    "tag of SAM": "SAM marks what it made with a tag of its own: lambda:createdBy, stateMachine:createdBy",
    "place of code": "the bootstrap bucket of the CDK holds the built functions",
    "place of the workflow": "the workflow's text stands in the template instead of a bucket; it is compared as JSON",
    "name of a version": "its suffix is a hash of the code and all properties",
    "versions are kept": "SAM keeps versions at deletion; the construct also when they are replaced, as cfn-lint asks",
    "empty conditions": "properties that a false condition leaves empty are left out",
    "resources of the CDK": "the check of the bootstrap version",
}
found = set()


def check(holds, said):
    if not holds:
        sys.exit(f"FAILED: {said}")


def accept(name):
    check(name in ACCEPTED, f"{name} has no reason in ACCEPTED")
    found.add(name)


class Evaluator:
    """Works out values of one template, with values for all of its parameters."""

    def __init__(self, template, parameters):
        self.template, self.parameters = template, dict(PSEUDO)
        for name, declared in template.get("Parameters", {}).items():
            value = parameters.get(name, declared.get("Default"))
            is_list = declared["Type"] == "CommaDelimitedList" or declared["Type"].startswith("List<")
            self.parameters[name] = [part.strip() for part in str(value).split(",")] if is_list else str(value)

    def condition(self, name):
        return self.truth(self.template["Conditions"][name])

    def truth(self, stated):
        ((function, value),) = stated.items()
        if function == "Condition":
            return self.condition(value)
        if function == "Fn::Not":
            return not self.truth(value[0])
        if function == "Fn::And":
            return all(self.truth(one) for one in value)
        if function == "Fn::Or":
            return any(self.truth(one) for one in value)
        check(function == "Fn::Equals", f"no condition is called {function}")
        one, other = (self.value(side) for side in value)
        return text(one) == text(other)

    def value(self, value):
        """The value; numbers and booleans are text, and a reference to a resource is <its name>."""
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not NOTHING]
        if not isinstance(value, dict):
            return text(value)
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name == "Ref":
                return NOTHING if inner == "AWS::NoValue" else self.parameters.get(inner, f"<{inner}>")
            if name == "Condition" and isinstance(inner, str):
                return {name: inner}
            if name.startswith("Fn::"):
                check(name in FUNCTIONS, f"no function of CloudFormation is called {name}")
                return FUNCTIONS[name](self, inner)
        made = {key: self.value(item) for key, item in value.items()}
        return {key: item for key, item in made.items() if item is not NOTHING}

    def getatt(self, inner):
        parts = inner.split(".", 1) if isinstance(inner, str) else inner
        return "<" + ".".join(parts) + ">"

    def sub(self, inner):
        template, own = inner if isinstance(inner, list) else (inner, {})

        def piece(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in own:
                return self.value(own[name])
            return self.parameters.get(name, f"<{name}>")

        return re.sub(r"\$\{([^}]*)\}", piece, template)

    def join(self, inner):
        return inner[0].join(self.value(inner[1]))

    def split(self, inner):
        return self.value(inner[1]).split(inner[0])

    def select(self, inner):
        return self.value(inner[1])[int(inner[0])]

    def find_in_map(self, inner):
        level = self.template["Mappings"]
        for key in inner:
            level = level[self.value(key)]
        return self.value(level)

    def either(self, inner):
        return self.value(inner[1] if self.condition(inner[0]) else inner[2])

    def resources(self):
        """All that exist, worked out, without what only describes them."""
        made = {}
        for logical, resource in self.template["Resources"].items():
            if "Condition" in resource and not self.condition(resource["Condition"]):
                continue
            kept = {key: item for key, item in resource.items() if key not in ("Metadata", "Condition")}
            made[logical] = self.value(kept)
        return made

    def outputs(self):
        items = self.template.get("Outputs", {}).items()
        there = {name: item for name, item in items if "Condition" not in item or self.condition(item["Condition"])}
        return {name: self.value(item["Value"]) for name, item in there.items()}


FUNCTIONS = {
    "Fn::GetAtt": Evaluator.getatt,
    "Fn::Sub": Evaluator.sub,
    "Fn::Join": Evaluator.join,
    "Fn::Split": Evaluator.split,
    "Fn::Select": Evaluator.select,
    "Fn::FindInMap": Evaluator.find_in_map,
    "Fn::If": Evaluator.either,
}


def text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def translated(template, parameters):
    """The template without SAM; code and workflow lie where `sam package` would have put them."""
    for logical, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if "CodeUri" in properties:
            properties["CodeUri"] = f"s3://packaged/{logical}"
        if "DefinitionUri" in properties:
            properties["DefinitionUri"] = f"s3://packaged/{properties['DefinitionUri']}"
    return Translator({}, Parser()).translate(template, parameters)


def canonical(resources, folder):
    """The same resources, without what ACCEPTED says."""
    suffix = re.compile(r"\b(\w+FunctionVersion)[0-9a-f]{10}\b")
    whole = json.dumps(resources, sort_keys=True)
    if suffix.search(whole):
        accept("name of a version")
    made = {}
    for logical, resource in json.loads(suffix.sub(r"\1", whole)).items():
        if resource["Type"] == "AWS::CDK::Metadata":
            accept("resources of the CDK")
            continue
        made[logical] = of_resource(resource, folder)
    return made


def of_resource(resource, folder):
    properties = resource.setdefault("Properties", {})
    if resource["Type"] == "AWS::Lambda::Function":
        accept("place of code")
        del properties["Code"]
    if resource["Type"] == "AWS::Lambda::Version" and resource.pop("UpdateReplacePolicy", None) == "Retain":
        accept("versions are kept")
    if resource["Type"] == "AWS::StepFunctions::StateMachine":
        accept("place of the workflow")
        at = properties.pop("DefinitionS3Location", None)
        written = properties.pop("DefinitionString", None)
        properties["Definition"] = json.loads((folder / at["Key"]).read_text() if at else written)
    tags = [tag for tag in properties.get("Tags", []) if not tag["Key"].endswith(":createdBy")]
    if len(tags) != len(properties.get("Tags", [])):
        accept("tag of SAM")
    properties["Tags"] = sorted(tags, key=lambda tag: tag["Key"])
    return ordered(resource)


def ordered(value):
    """Without empty lists and maps; policies of a role, and lists of a policy, in any order mean the same."""
    if isinstance(value, dict):
        made = {key: ordered(item) for key, item in value.items()}
        for key in ("Action", "Resource", "ManagedPolicyArns"):
            if isinstance(made.get(key), list):
                made[key] = sorted(made[key])
        if isinstance(made.get("Policies"), list):
            made["Policies"] = sorted(made["Policies"], key=lambda policy: policy["PolicyName"])
        kept = {key: item for key, item in made.items() if item not in ({}, [], None)}
        if len(kept) != len(made):
            accept("empty conditions")
        return kept
    if isinstance(value, list):
        return [ordered(item) for item in value]
    return value


def differences(one, other, at=""):
    """Where two values differ, as lines."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(set(one) | set(other)):
            inside = f"{at}.{key}" if at else key
            if key not in one:
                yield f"{inside} is in the construct alone: {shown(other[key])}"
            elif key not in other:
                yield f"{inside} is in the SAM template alone: {shown(one[key])}"
            else:
                yield from differences(one[key], other[key], inside)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other)):
            yield from differences(left, right, f"{at}[{index}]")
    elif one != other:
        yield f"{at} is {shown(one)} by SAM, {shown(other)} by the construct"


def shown(value):
    return json.dumps(value, sort_keys=True)[:300]


def sam_side(path, parameters):
    template = yaml_parse(path.read_text())
    unknown = sorted(set(parameters) - set(template["Parameters"]))
    check(not unknown, f"a set has {unknown}, and {path} no such parameter")
    made = translated(template, {name: str(value) for name, value in parameters.items()})
    return Evaluator(made, parameters), template


def compare(name, parameters, path, synthesised):
    """How many differences there are."""
    sam, template = sam_side(path, parameters)
    if name == "all":
        missing = sorted(set(template["Parameters"]) - set(parameters))
        check(not missing, f"the set `all` for {path} lacks {missing}")
    stack = json.loads((synthesised / f"{name}.template.json").read_text())
    if stack.get("Parameters", {}).pop("BootstrapVersion", None):
        accept("resources of the CDK")
    check(not stack.get("Parameters"), f"{name} has parameters: {stack.get('Parameters')}")
    construct = Evaluator(stack, {})
    one, other = canonical(sam.resources(), path.parent), canonical(construct.resources(), path.parent)
    found_here = list(differences(one, other)) + list(differences(sam.outputs(), construct.outputs(), "Outputs"))
    statements = sum(
        len(policy["PolicyDocument"]["Statement"])
        for resource in other.values()
        for policy in [resource.get("Properties", {}), *resource.get("Properties", {}).get("Policies", [])]
        if "PolicyDocument" in policy
    )
    print(f"  {name}: {len(other)} resources with {statements} statements of policies, {len(found_here)} differences")
    for line in found_here:
        print(f"    {line}")
    return len(found_here)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("synthesised", type=pathlib.Path, help="where infra/cdk/test/synth.ts wrote its stacks")
    parser.add_argument("--template", type=pathlib.Path, default=ROOT / "infra" / "template.yaml")
    parser.add_argument("--sets", type=pathlib.Path, default=ROOT / "infra" / "cdk" / "test" / "sets.json")
    args = parser.parse_args()
    # The translator writes ARNs for a region's partition.
    os.environ["AWS_DEFAULT_REGION"] = PSEUDO["AWS::Region"]
    sets = json.loads(args.sets.read_text())
    print(f"the construct and SAM, of {args.template.name}: {len(sets)} sets of parameters")
    failed = sum(compare(name, parameters, args.template, args.synthesised) for name, parameters in sets.items())
    stale = sorted(set(ACCEPTED) - found)
    if stale:
        print(f"  accepted, but not found: {stale}")
    sys.exit(1 if failed or stale else 0)


if __name__ == "__main__":
    main()
