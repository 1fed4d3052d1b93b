// The construct in apps: names, logical ids, references to other resources of an app, what it refuses.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";

import { App, Fn, Stack } from "aws-cdk-lib";
import { Template as Synthesised } from "aws-cdk-lib/assertions";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Key } from "aws-cdk-lib/aws-kms";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { AwsSolutionsChecks } from "cdk-nag";

import { reasons, SluiceCode, SluiceTransfers, type SluiceTransfersProps } from "../src";
import { generated } from "../src/generate";
import { findings, reasonFor } from "../src/reasons";
import { isSwitch, type Parameter, propertyName, readTemplate, TEMPLATE } from "../src/template";
import { pretendToBuild } from "./built";

let folder = "";
let code = SluiceCode.samBuild("");
// For what has no default: all that the account has.
const needed = Object.fromEntries(
    Object.entries(readTemplate(TEMPLATE).Parameters)
        .filter(([, parameter]) => parameter.Default === undefined)
        .map(([name]) => [propertyName(name), ["own"]]),
);
const listed = Object.entries(readTemplate(TEMPLATE).Parameters);

before(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-cdk-test-"));
    code = SluiceCode.samBuild(pretendToBuild(TEMPLATE, join(folder, "built")));
});
after(() => rmSync(folder, { recursive: true }));

function made(props: object = {}, stack = new Stack(new App(), "Stack"), id = "Transfers"): SluiceTransfers {
    return new SluiceTransfers(stack, id, { ...needed, code, ...props } as unknown as SluiceTransfersProps);
}

function synthesised(transfers: SluiceTransfers): Synthesised {
    return Synthesised.fromStack(Stack.of(transfers));
}

/** The first parameter that fits, as a property; the test needs one. */
function parameter(fits: (parameter: Parameter) => boolean): string {
    const found = listed.find(([, declared]) => fits(declared));
    assert.ok(found, "the template has a parameter of that kind");
    return propertyName(found[0]);
}

test("what is generated is of this template", () => {
    for (const { path, text } of generated()) {
        assert.equal(readFileSync(path, "utf8"), text, `${path}: run \`npm run generate\` in infra/cdk`);
    }
});

test("the construct's properties are the template's parameters, by name", () => {
    const source = readFileSync(generated()[0]?.path ?? "", "utf8");
    const properties = [...source.matchAll(/^ {4}readonly (\w+)(\??):/gm)].map(([, name, mark]) => `${name}${mark}`);
    const parameters = listed.map(([name, { Default }]) => `${propertyName(name)}${Default === undefined ? "" : "?"}`);
    assert.deepEqual(properties, parameters);
});

test("a change of the template is a change of the construct", () => {
    const changed = join(folder, "changed");
    cpSync(join(dirname(TEMPLATE), "workflow"), join(changed, "workflow"), { recursive: true });
    const text = readFileSync(TEMPLATE, "utf8").replace(
        "\nResources:\n",
        "\nResources:\n  Extra: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub '${AWS::StackName}-extra' } }\n",
    );
    const template = join(changed, "template.yaml");
    writeFileSync(template, text);
    const stack = synthesised(made({ template, name: "other" }));
    stack.hasResourceProperties("AWS::SQS::Queue", { QueueName: "other-extra" });
});

test("two constructs in one stack share no name and no logical id", () => {
    const stack = new Stack(new App(), "Stack");
    made({ name: "one" }, stack, "One");
    made({ name: "two" }, stack, "Two");
    const machines = Synthesised.fromStack(stack).findResources("AWS::StepFunctions::StateMachine");
    const names = Object.values(machines).map((machine) => machine.Properties.StateMachineName);
    assert.deepEqual(names.sort(), ["one-transfer", "two-transfer"]);
    assert.throws(() => made({ name: "two" }, stack, "Three"), /Stack\/Two has its name/);
    assert.throws(() => made({ name: "a b" }, stack, "Four"), /letters, digits and hyphens/);
});

test("logical ids are the template's on demand, so that a stack of SAM can be taken over", () => {
    const there = synthesised(made({ keepLogicalIds: true })).toJSON().Resources as { [logicalId: string]: unknown };
    const all = Object.entries(readTemplate(TEMPLATE).Resources);
    const always = all.filter(([, { Condition }]) => Condition === undefined);
    assert.ok(always.length > 0);
    for (const [logicalId] of always) assert.ok(logicalId in there, `${logicalId} has another logical id`);
});

test("values may refer to resources of the same app", () => {
    const stack = new Stack(new App(), "Stack");
    const orders = new Stream(stack, "Orders");
    const key = new Key(stack, "Key");
    const isList = ({ Type }: Parameter): boolean => Type === "CommaDelimitedList";
    const list = parameter((declared) => isList(declared) && /stream/i.test(declared.Description ?? ""));
    const arn = parameter(({ Type, AllowedPattern }) => Type === "String" && /:kms:/.test(AllowedPattern ?? ""));
    made({ [list]: [orders.streamArn, "arn:aws:kinesis:eu-west-1:000000000000:stream/x"], [arn]: key.keyArn }, stack);
    const text = JSON.stringify(Synthesised.fromStack(stack).toJSON());
    assert.ok(text.includes('{"Fn::Join":["",[{"Fn::GetAtt":["Orders'), "the environment lists the stream");
    assert.ok(text.includes('"KMSMasterKeyId":{"Fn::GetAtt":["Key'), "the key encrypts the table");
    assert.ok(!text.includes("${Token"), "all tokens are resolved");
});

test("values are checked as CloudFormation checks parameters", () => {
    const number = parameter(({ Type, MinValue }) => Type === "Number" && MinValue !== undefined);
    assert.throws(() => made({ [number]: -1 }), new RegExp(`${number} is "-1", and must be .* or more`));
    assert.throws(() => made({ [number]: "x" }), /must be a number/);
    const choice = parameter((declared) => declared.AllowedValues !== undefined && !isSwitch(declared));
    assert.throws(() => made({ [choice]: "none" }), /must be one of/);
    const pattern = parameter(({ AllowedPattern }) => AllowedPattern !== undefined);
    assert.throws(() => made({ [pattern]: "\u0000" }), /must match/);
    const list = parameter(({ Type }) => Type === "CommaDelimitedList");
    assert.throws(() => made({ [list]: ["a,b"] }), /no comma/);
    const later = Fn.split(",", Fn.importValue("list"));
    assert.throws(() => made({ [list]: later }), new RegExp(`${list} is one token`));
    for (const name of Object.keys(needed)) {
        assert.throws(() => made({ [name]: undefined }), new RegExp(`${name} is missing`));
    }
});

test("code that is missing, or built for another architecture, is refused", () => {
    assert.throws(() => made({ code: SluiceCode.samBuild(join(folder, "none")) }), /bootstrap is missing.*sam build/);
    const other = pretendToBuild(TEMPLATE, join(folder, "arm"), 0xb7);
    assert.throws(() => made({ code: SluiceCode.samBuild(other) }), /was not built for x86_64/);
    made({ code: SluiceCode.samBuild(other), architecture: "arm64" });
});

test("a version of a function is published when its code or a property changes, and only then", () => {
    const versions = (props: object): string[] => {
        const stack = synthesised(made({ keepLogicalIds: true, ...props }));
        return Object.keys(stack.findResources("AWS::Lambda::Version")).sort();
    };
    const now = versions({});
    assert.ok(now.length > 0);
    assert.deepEqual(versions({}), now);
    const code = SluiceCode.samBuild(pretendToBuild(TEMPLATE, join(folder, "newer"), 0x3e, "newer code"));
    const number = parameter(({ Type, Default }) => Type === "Number" && Default === 300);
    for (const changed of [versions({ code }), versions({ [number]: 200 })]) {
        assert.equal(changed.length, now.length);
        assert.deepEqual(changed.filter((version) => now.includes(version)), []);
    }
});

test("whoever is granted may start, and roles can be given more", () => {
    const stack = new Stack(new App(), "Stack");
    const transfers = made({}, stack);
    transfers.grantStart(new Role(stack, "Person", { assumedBy: new ServicePrincipal("ec2.amazonaws.com") }));
    const key = new Key(stack, "Key");
    for (const role of Object.values(transfers.roles)) key.grantEncryptDecrypt(role);
    const policies = JSON.stringify(Synthesised.fromStack(stack).findResources("AWS::IAM::Policy"));
    assert.ok(policies.includes("states:StartExecution"));
    assert.equal(policies.split('"kms:Decrypt"').length - 1, Object.keys(transfers.roles).length);
    assert.equal(transfers.resource("Table").cfnResourceType, "AWS::DynamoDB::Table");
});

test("each finding of cdk-nag has a reason, and each reason a finding", () => {
    const rules = new AwsSolutionsChecks();
    const sets = JSON.parse(readFileSync(resolve(__dirname, "../../test/sets.json"), "utf8")) as object;
    const found = Object.values(sets).flatMap((set: object) => {
        const props = Object.entries(set).map(([name, value]) => [propertyName(name), value]);
        return Object.entries(made(Object.fromEntries(props)).resources()).flatMap(([logicalId, resource]) => {
            return findings(rules, resource).map((finding) => ({ logicalId, finding }));
        });
    });
    for (const { logicalId, finding } of found) {
        assert.ok(reasonFor(finding, logicalId), `${logicalId}: correct it, or give a reason for ${finding}`);
    }
    for (const reason of reasons) {
        const fits = found.filter((one) => reason.finding.test(one.finding) && reason.resource.test(one.logicalId));
        assert.ok(fits.length > 0, `no finding for the reason: ${reason.reason}`);
        assert.ok(!reason.finding.test("AwsSolutions-IAM5[Action::s3:*]"), "a wildcard of actions has no reason");
    }
});
