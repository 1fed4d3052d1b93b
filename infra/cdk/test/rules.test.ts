// Rules of a template: what values of several parameters, or of a list, must be together.

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";

import { Lazy } from "aws-cdk-lib";

import { checkRules } from "../src/rules";
import { type Fields, parseTemplate, propertyName, readTemplate, TEMPLATE } from "../src/template";
import { valuesOf } from "../src/values";

const organisation = resolve(__dirname, "../../test/organisation.yaml");

function check(path: string, given: { [parameter: string]: unknown }): void {
    const template = readTemplate(path);
    const properties = Object.entries(given).map(([name, value]) => [propertyName(name), value]);
    checkRules(template, valuesOf(template, Object.fromEntries(properties)));
}

test("each assertion of the template refuses what it is there for", () => {
    const lists = ["ReadStreams", "WriteStreams", "ReadObjects", "WriteObjects"];
    const arn = (name: string): string => {
        return name.endsWith("Streams") ? "arn:aws:kinesis:eu-west-1:000000000000:stream/a" : "arn:aws:s3:::a/*";
    };
    const least = Object.fromEntries(lists.map((name) => [name, ["own"]]));
    for (const word of ["own", "none"]) {
        check(TEMPLATE, { ...least, ...Object.fromEntries(lists.map((name) => [name, [word]])) });
    }
    check(TEMPLATE, Object.fromEntries(lists.map((name) => [name, [arn(name), arn(name)]])));
    check(TEMPLATE, { ...least, SubnetIds: ["subnet-0", "subnet-1"], SecurityGroupIds: ["sg-0"] });

    const cases: [object, string, string][] = [
        [{ SubnetIds: ["subnet-0"] }, "Vpc", "SubnetIds and SecurityGroupIds belong together"],
        [{ SecurityGroupIds: ["sg-0"] }, "Vpc", "SubnetIds and SecurityGroupIds belong together"],
    ];
    for (const name of lists) {
        for (const word of ["own", "none"]) {
            cases.push([{ [name]: [word, arn(name)] }, "Words", `${name}: ${word} stands alone`]);
            cases.push([{ [name]: `${arn(name)}, ${word}` }, "Words", `${name}: ${word} stands alone`]);
        }
    }
    for (const [given, rule, said] of cases) {
        const named = propertyName(Object.keys(given)[0] ?? "");
        const message = new RegExp(`${named} is \\["[^\\]]*\\].* and rule ${rule} says: ${said}$`);
        assert.throws(() => check(TEMPLATE, { ...least, ...given }), message);
    }
    const rules = Object.entries(readTemplate(TEMPLATE).Rules) as [string, Fields][];
    for (const [rule, { Assertions: assertions }] of rules) {
        for (const { AssertDescription: said } of assertions as Fields[]) {
            assert.ok(cases.some(([, of, text]) => of === rule && text === said), `${rule}: no case for "${said}"`);
        }
    }
});

test("a token is equal to no other text", () => {
    const token = Lazy.string({ produce: () => "own" });
    const others = { WriteStreams: ["none"], ReadObjects: ["none"], WriteObjects: ["none"] };
    check(TEMPLATE, { ...others, ReadStreams: [token, token] });
    assert.throws(() => check(TEMPLATE, { ...others, ReadStreams: [token, "own"] }), /readStreams.*own stands alone/);
    const subnets = { ...others, ReadStreams: [token], SubnetIds: [token] };
    assert.throws(() => check(TEMPLATE, subnets), /subnetIds is .*, securityGroupIds is \["none"\], .*belong together/);
    check(TEMPLATE, { ...subnets, SecurityGroupIds: [token] });
});

test("a rule with a condition counts where that holds", () => {
    check(organisation, { Streams: ["own", "x"] });
    const strict = { Streams: ["x", "y"], Path: "/data/", Boundary: "b", Tracing: "PassThrough" };
    check(organisation, strict);
    const refused = (given: object, error: RegExp): void => {
        assert.throws(() => check(organisation, { ...strict, ...given }), error);
    };
    const large = /boundary is "", tracing is "PassThrough", and rule Large says: a path needs a boundary/;
    refused({ Boundary: "" }, large);
    refused({ Tracing: "Disabled" }, /tracing is "Disabled", and rule Large says: /);
    refused({ Streams: ["own", "x"] }, /streams is \["own","x"\], and rule Large says: otherwise$/);
});

test("what is not checked is refused by its name", () => {
    const refused = (rule: string, error: RegExp): void => {
        const template = parseTemplate(`Rules: { R: ${rule} }`, "t");
        assert.throws(() => checkRules(template, { A: "a", B: ["b"] }), error);
    };
    refused("{ Assertions: [{ Assert: { 'Fn::EachMemberIn': [!Ref B, [b]] } }] }", /R: .* not check Fn::EachMemberIn$/);
    refused("{ Assertions: [{ Assert: !Equals [!Ref AWS::Region, a] }] }", /R: .* not check {"Ref":"AWS::Region"}$/);
    refused("{ Assertions: [{ Assert: !Equals [{ 'Fn::RefAll': x }, a] }] }", /R: .* not check {"Fn::RefAll":"x"}$/);
    refused("{ Assertions: [{ Assert: !Not [] }] }", /R: null is no function/);
    refused("{ Assertions: [{ AssertDescription: x }] }", /R has an assertion without Assert/);
    refused("{ RuleCondition: !Equals [a, a] }", /R has no list of Assertions/);
    refused("{ Assertions: [], Other: 1 }", /R: the construct knows no Other/);
});
