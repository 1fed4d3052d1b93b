// Parts of the translation: tags of YAML, folding, and what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Lazy } from "aws-cdk-lib";

import { Folder } from "../src/fold";
import { parseTemplate, type Value } from "../src/template";
import { translate } from "../src/translate";

const conditions = {
    IsOwn: { "Fn::Equals": [{ "Fn::Select": [0, { Ref: "Names" }] }, "own"] },
    InChina: { "Fn::Equals": [{ Ref: "AWS::Partition" }, "aws-cn"] },
    Neither: { "Fn::Not": [{ "Fn::Or": [{ Condition: "IsOwn" }, { Condition: "InChina" }] }] },
    Both: { "Fn::And": [{ Condition: "IsOwn" }, { Condition: "InChina" }] },
};

function folder(names: string[], stackName?: string): Folder {
    return new Folder({ parameters: { Names: names, Size: "5" }, stackName, conditions });
}

test("tags of CloudFormation are read in their long forms", () => {
    const properties = "{ X: !Sub ['${a}', { a: !GetAtt B.C.D }], Y: !If [Z, !Ref B, 1] }";
    const read = parseTemplate(`Resources: { A: { Type: T, Properties: ${properties} } }`, "t");
    assert.deepEqual(read.Resources.A?.Properties, {
        X: { "Fn::Sub": ["${a}", { a: { "Fn::GetAtt": ["B", "C.D"] } }] },
        Y: { "Fn::If": ["Z", { Ref: "B" }, 1] },
    });
    assert.throws(() => parseTemplate("Hooks: {}", "t.yaml"), /t.yaml: the construct knows no section Hooks/);
    assert.throws(() => parseTemplate("Resources: !Transform x", "t"), /no tag !Transform/);
    assert.throws(() => parseTemplate("Resources: { A: &a {}, B: *a }", "t"), /no anchors/);
});

test("what follows from parameters is worked out", () => {
    const cases: [Value, Value | undefined][] = [
        [{ Ref: "Size" }, "5"],
        [{ "Fn::Sub": "${Size}${!x}" }, "5${x}"],
        [{ "Fn::Split": [",", { "Fn::Join": ["/*,", { Ref: "Names" }] }] }, ["a/*", "b"]],
        [{ "Fn::If": ["IsOwn", 1, 2] }, 2],
        [{ "Fn::If": ["IsOwn", 1, { Ref: "AWS::NoValue" }] }, undefined],
        [[{ "Fn::If": ["IsOwn", 1, { Ref: "AWS::NoValue" }] }, 3], [3]],
        [{ a: { "Fn::If": ["IsOwn", 1, { Ref: "AWS::NoValue" }] }, b: 1 }, { b: 1 }],
        [{ "Fn::If": ["Both", 1, 2] }, 2],
    ];
    for (const [value, folded] of cases) assert.deepEqual(folder(["a", "b"]).fold(value), folded);
    assert.equal(folder([], "name").fold({ "Fn::Sub": "${AWS::StackName}-x" }), "name-x");
});

test("what a deployment decides stays", () => {
    const here = folder(["a"]);
    assert.deepEqual(here.fold({ "Fn::Sub": "a:${AWS::Region}:${T.Arn}" }), {
        "Fn::Join": ["", ["a:", { Ref: "AWS::Region" }, ":", { "Fn::GetAtt": ["T", "Arn"] }]],
    });
    assert.deepEqual(here.fold({ "Fn::If": ["InChina", { Ref: "AWS::NoValue" }, { Ref: "Size" }] }), {
        "Fn::If": ["InChina", { Ref: "AWS::NoValue" }, "5"],
    });
    assert.deepEqual(here.conditions(), {
        InChina: { "Fn::Equals": [{ Ref: "AWS::Partition" }, "aws-cn"] },
        Neither: { "Fn::Not": [{ Condition: "InChina" }] },
    });
    assert.throws(() => here.fold({ "Fn::If": ["Unknown", 1, 2] }), /no condition Unknown/);
    const token = Lazy.string({ produce: () => "a/b" });
    assert.deepEqual(folder([token]).fold({ "Fn::Split": ["/", { "Fn::Join": [",", { Ref: "Names" }] }] }), {
        "Fn::Split": ["/", token],
    });
    assert.deepEqual(folder([token, "c"]).fold({ "Fn::Split": [",", { "Fn::Join": ["/*,", { Ref: "Names" }] }] }), [
        `${token}/*`,
        "c",
    ]);
});

test("what is not translated is refused by its name", () => {
    const around = {
        fold: (value: Value) => value,
        code: () => ({ location: {}, hash: "" }),
        workflow: () => "",
        hash: () => "0",
    };
    const refused = (resource: string, error: RegExp): void => {
        const template = parseTemplate(`Resources: { A: { Type: 'AWS::Serverless::${resource} } }`, "t");
        assert.throws(() => translate(template, around), error);
    };
    refused("Function', Properties: { Events: {}, Timeout: 1 }", /A: .* not translate Events;/);
    refused("Function', Properties: { Policies: [AWSLambdaExecute] }", /ARNs and documents/);
    refused("Function', Properties: { Policies: [], Role: r }", /drops Policies/);
    const config = "{ DestinationConfig: { OnFailure: { Type: Lambda, Destination: a } } }";
    refused(`Function', Properties: { EventInvokeConfig: ${config} }`, /only a queue or a topic/);
    refused("StateMachine', Properties: { Policies: [] }", /not translate Policies/);
    refused("StateMachine', Properties: { Type: STANDARD }", /names its Role/);
    refused("Api'", /not translate AWS::Serverless::Api/);
});
