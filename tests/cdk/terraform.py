"""The Terraform module against the SAM template: each parameter is a variable with its type, default and limits, and
each variable becomes its parameter. Where `terraform` or `tofu` is installed, it works out the variables too; it needs
no provider for that. The provider of AWS comes from no registry that tests use, so the stack itself is not planned.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import hcl2
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODULE = ROOT / "infra" / "terraform"
# Variables that are no parameters.
OWN = {"name", "packaged_template", "bucket", "tags"}
TYPES = {"CommaDelimitedList": "list(string)", "Number": "number"}


def check(holds, said):
    if not holds:
        sys.exit(f"FAILED: {said}")


def plain(value):
    """Of python-hcl2: texts keep their quotes, expressions stand in ${}."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, str) and value.startswith('"'):
        return json.loads(value).replace("$${", "${").replace("%%{", "%{")
    return value[2:-1] if isinstance(value, str) and value.startswith("${") else value


def read():
    """All blocks of the module, by their kinds."""
    blocks = {}
    for path in sorted(MODULE.glob("*.tf")):
        for kind, found in plain(hcl2.loads(path.read_text())).items():
            blocks.setdefault(kind, []).extend(found)
    return blocks


def is_switch(declared):
    return declared["Type"] == "String" and set(declared.get("AllowedValues", [])) == {"true", "false"}


def as_text(declared, value):
    """A variable's value as the parameter's text."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def compare(name, declared, variable):
    kind = "bool" if is_switch(declared) else TYPES.get(declared["Type"], "string")
    kind = "list(string)" if declared["Type"].startswith("List<") else kind
    check(variable.get("type") == kind, f"{name} is a {kind}, its variable a {variable.get('type')}")
    check(("Default" in declared) == ("default" in variable), f"{name} has a default on one side only")
    if "Default" in declared:
        one, other = str(declared["Default"]), as_text(declared, variable["default"])
        check(one == other, f"{name} is {one!r} by default, its variable {other!r}")
    check(variable["description"] == declared["Description"], f"{name} is described otherwise")
    said = " ".join(rule["condition"] for rule in variable.get("validation", []))
    limits = [declared[limit] for limit in ("MinValue", "MaxValue") if limit in declared]
    allowed = [] if is_switch(declared) else declared.get("AllowedValues", [])
    missing = [value for value in [*limits, *allowed] if str(value) not in re.findall(r"[\w.-]+", said)]
    check(not missing, f"{name}: the variable is not checked for {missing}")
    pattern = declared.get("AllowedPattern", "")
    check(json.dumps(pattern)[1:-1] in said, f"{name}: the variable is not checked for {pattern}")


def variables(parameters):
    blocks = read()
    found = {name: variable for block in blocks["variable"] for name, variable in block.items()}
    check(len(found) == len(blocks["variable"]), "a variable is there twice")
    (values,) = [block["parameters"] for block in blocks["locals"]]
    check(set(values) == set(parameters), f"parameters that differ: {sorted(set(values) ^ set(parameters))}")
    used = {}
    for name, declared in parameters.items():
        (variable,) = re.findall(r"var\.(\w+)", values[name])
        check(variable.replace("_", "") == name.lower(), f"{name} is given by {variable}")
        check(variable in found, f"{name}: there is no variable {variable}")
        used[name] = variable
        compare(name, declared, found[variable])
    rest = set(found) - set(used.values())
    check(rest == OWN, f"variables that are neither parameters nor known: {sorted(rest ^ OWN)}")
    stacks = [block["aws_cloudformation_stack"] for block in blocks["resource"] if "aws_cloudformation_stack" in block]
    check(len(stacks) == 1, f"{len(stacks)} stacks")
    (stack,) = stacks[0].values()
    check(stack["parameters"] == "local.parameters", "the stack is not given the parameters")
    return used


def worked_out(command, used, parameters, given):
    """What the stack would be given, as `terraform` itself works it out of the generated file."""
    with tempfile.TemporaryDirectory(prefix="sluice-terraform-") as folder:
        shutil.copy(MODULE / "variables.tf", folder)
        (pathlib.Path(folder) / "out.tf").write_text('output "parameters" {\n  value = local.parameters\n}\n')
        typed = {used[name]: typed_value(parameters[name], value) for name, value in given.items()}
        (pathlib.Path(folder) / "given.auto.tfvars.json").write_text(json.dumps(typed))
        for line in (["init"], ["apply", "-auto-approve"]):
            run(folder, command, *line, "-input=false", "-no-color")
        return json.loads(run(folder, command, "output", "-json"))["parameters"]["value"]


def typed_value(declared, value):
    if declared["Type"] == "CommaDelimitedList":
        return value.split(",")
    if is_switch(declared):
        return value == "true"
    return float(value) if declared["Type"] == "Number" else value


def run(folder, *line):
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    check(done.returncode == 0, f"{' '.join(line)}: {done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parameters = yaml_parse((ROOT / "infra" / "template.yaml").read_text())["Parameters"]
    used = variables(parameters)
    print(f"the Terraform module: {len(used)} parameters are variables")
    command = shutil.which("terraform") or shutil.which("tofu")
    if command is None:
        print("  neither terraform nor tofu is installed: the values were not worked out")
        return
    run(MODULE, command, "fmt", "-check", "-no-color")
    sets = json.loads((ROOT / "infra" / "cdk" / "test" / "sets.json").read_text())
    for name, given in sets.items():
        values = worked_out(command, used, parameters, given)
        wanted = {key: str(given.get(key, declared.get("Default"))) for key, declared in parameters.items()}
        check(values == wanted, f"{name}: {values} instead of {wanted}")
    print(f"  {pathlib.Path(command).name} works out the values of {len(sets)} sets")


if __name__ == "__main__":
    main()
