// Translates what SAM adds to CloudFormation into plain resources, as SAM's own transform does: a function with its
// role, version and alias; a state machine. Only what the template uses is translated. Any other property of SAM is
// refused by its name, so that nothing is dropped. tests/cdk/same_as_sam.py compares the result with
// aws-sam-translator.

import { type Fields, type Resource, type Template, type Value } from "./template";

/** What a translation asks for: it knows files and builds, which a template does not. */
export interface Surroundings {
    /** The value, with parameters replaced. */
    fold(value: Value): Value | undefined;
    /** The property `Code` of a function, and a text that changes with the code. */
    code(logicalId: string, resource: Resource): { location: Fields; hash: string };
    /** The text of a workflow, by its path relative to the template. */
    workflow(path: string): string;
    /** A short hash of a value. */
    hash(value: Value): string;
}

type Resources = { [logicalId: string]: Resource };

const FUNCTION = "AWS::Serverless::Function";
const MACHINE = "AWS::Serverless::StateMachine";

/** Properties of a function that Lambda has too, by the same name. */
const LAMBDA = new Set([
    ...["Architectures", "Description", "EphemeralStorage", "FunctionName", "Handler", "KmsKeyArn", "Layers"],
    ...["LoggingConfig", "MemorySize", "ReservedConcurrentExecutions", "Runtime", "Timeout", "VpcConfig"],
    "Environment",
]);
/** Those that are translated, or say how. `AutoPublishAliasAllProperties` is what this translation does always. */
const OF_FUNCTIONS = new Set([
    ...["AutoPublishAlias", "AutoPublishAliasAllProperties", "CodeUri", "DeadLetterQueue", "EventInvokeConfig"],
    ...["PermissionsBoundary", "Policies", "Role", "RolePath", "Tags", "Tracing", "VersionDescription"],
]);
const OF_MACHINES = new Set([
    ...["DefinitionSubstitutions", "DefinitionUri", "Logging", "Name", "Role", "Tags", "Tracing", "Type"],
]);

/** Resources without a type of SAM. */
export function translate(template: Template, around: Surroundings): Resources {
    const resources: Resources = {};
    const renamed = new Map<string, string>();
    for (const [logicalId, resource] of Object.entries(template.Resources)) {
        if (resource.Type === FUNCTION) {
            add(resources, ofFunction(logicalId, withGlobals(template, resource), around, renamed));
        } else if (resource.Type === MACHINE) {
            add(resources, { [logicalId]: ofMachine(logicalId, resource, around) });
        } else if (resource.Type.startsWith("AWS::Serverless::")) {
            throw new Error(`${logicalId}: the construct does not translate ${resource.Type}`);
        } else {
            add(resources, { [logicalId]: resource });
        }
    }
    return refer(resources as unknown as Value, renamed) as unknown as Resources;
}

/** Writes references to `Function.Alias` and `Function.Version` as those to the resources that these are. */
export function refer(value: Value, renamed: ReadonlyMap<string, string>): Value {
    if (Array.isArray(value)) return value.map((item) => refer(item, renamed));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
        Object.entries(value).map(([key, item]): [string, Value] => {
            if (key === "Ref" && typeof item === "string") return [key, renamed.get(item) ?? item];
            if (key === "Fn::Sub") return [key, referInText(refer(item, renamed), renamed)];
            return [key, refer(item, renamed)];
        }),
    );
}

/** The names by which a template may refer to versions and aliases, and the resources that these are. */
export function aliases(template: Template, resources: Resources): Map<string, string> {
    const renamed = new Map<string, string>();
    for (const [logicalId, resource] of Object.entries(template.Resources)) {
        if (resource.Type !== FUNCTION) continue;
        for (const made of Object.keys(resources)) {
            if (made.startsWith(`${logicalId}Version`)) renamed.set(`${logicalId}.Version`, made);
            if (made.startsWith(`${logicalId}Alias`)) renamed.set(`${logicalId}.Alias`, made);
        }
    }
    return renamed;
}

function referInText(value: Value, renamed: ReadonlyMap<string, string>): Value {
    if (Array.isArray(value)) return [referInText(value[0] as Value, renamed), ...value.slice(1)];
    if (typeof value !== "string") return value;
    return value.replace(/\$\{([^}!]*)\}/g, (all, name: string) => {
        const other = renamed.get(name);
        return other === undefined ? all : `\${${other}}`;
    });
}

function add(to: Resources, more: Resources): void {
    for (const [logicalId, resource] of Object.entries(more)) {
        if (to[logicalId]) throw new Error(`${logicalId} is there twice`);
        to[logicalId] = resource;
    }
}

/** The function, with what the template says of all functions. */
export function withGlobals(template: Template, resource: Resource): Resource {
    return { ...resource, Properties: merge(template.Globals.Function ?? {}, resource.Properties ?? {}) as Fields };
}

/** Globals below what a resource says: maps are merged, lists are joined, as SAM does. */
function merge(globals: Value, own: Value): Value {
    if (Array.isArray(globals) && Array.isArray(own)) return [...globals, ...own];
    if (!isMap(globals) || !isMap(own)) return own;
    const merged: Fields = { ...globals };
    for (const [key, value] of Object.entries(own)) {
        merged[key] = key in globals ? merge(globals[key] as Value, value) : value;
    }
    return merged;
}

function isPlainMap(value: Value): value is Fields {
    return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** True if it is a map, and no function of CloudFormation. */
function isMap(value: Value): value is Fields {
    if (!isPlainMap(value)) return false;
    const [key, ...more] = Object.keys(value);
    return more.length > 0 || !(key === "Ref" || key?.startsWith("Fn::"));
}

function ofFunction(
    logicalId: string,
    resource: Resource,
    around: Surroundings,
    renamed: Map<string, string>,
): Resources {
    const given = resource.Properties ?? {};
    refuseOthers(logicalId, given, [LAMBDA, OF_FUNCTIONS]);
    const { location, hash } = around.code(logicalId, resource);
    const shared = attributes(resource);
    const traced = isTraced(given, around);
    const properties: Fields = {
        ...Object.fromEntries(Object.entries(given).filter(([name]) => LAMBDA.has(name))),
        Code: location,
        Role: given.Role ?? { "Fn::GetAtt": [`${logicalId}Role`, "Arn"] },
        ...tagged(given),
        ...(traced ? { TracingConfig: { Mode: given.Tracing as Value } } : {}),
        ...(given.DeadLetterQueue ? { DeadLetterConfig: deadLetterTarget(given.DeadLetterQueue as Fields) } : {}),
    };
    const made: Resources = {
        [logicalId]: { ...resource, Type: "AWS::Lambda::Function", Properties: properties },
    };
    if (given.Role === undefined) {
        made[`${logicalId}Role`] = { ...shared, Type: "AWS::IAM::Role", Properties: role(logicalId, given, traced) };
    } else if (given.Policies !== undefined) {
        throw new Error(`${logicalId}: SAM drops Policies where there is a Role`);
    }
    const alias = given.AutoPublishAlias;
    if (typeof alias === "string") {
        // Another name with other code or another property: CloudFormation publishes it, and keeps the old one.
        const version = `${logicalId}Version${around.hash([hash, properties, given.VersionDescription ?? ""])}`;
        made[version] = {
            ...shared,
            Type: "AWS::Lambda::Version",
            DeletionPolicy: "Retain",
            UpdateReplacePolicy: "Retain",
            Properties: {
                FunctionName: { Ref: logicalId },
                ...("VersionDescription" in given ? { Description: given.VersionDescription as Value } : {}),
            },
        };
        made[`${logicalId}Alias${alias}`] = {
            ...shared,
            Type: "AWS::Lambda::Alias",
            Properties: {
                Name: alias,
                FunctionName: { Ref: logicalId },
                FunctionVersion: { "Fn::GetAtt": [version, "Version"] },
            },
        };
        renamed.set(`${logicalId}.Version`, version).set(`${logicalId}.Alias`, `${logicalId}Alias${alias}`);
    }
    if (given.EventInvokeConfig) {
        made[`${logicalId}EventInvokeConfig`] = invocations(logicalId, given, shared);
    }
    return made;
}

function invocations(logicalId: string, given: Fields, shared: Fields): Resource {
    const { DestinationConfig: _, ...config } = given.EventInvokeConfig as Fields;
    const known = new Set(["MaximumEventAgeInSeconds", "MaximumRetryAttempts"]);
    refuseOthers(`${logicalId}, EventInvokeConfig`, config, [known]);
    const places = destinations(logicalId, given).map(([event, , at]): [string, Value] => [event, { Destination: at }]);
    const alias = typeof given.AutoPublishAlias === "string" ? given.AutoPublishAlias : undefined;
    return {
        ...shared,
        Type: "AWS::Lambda::EventInvokeConfig",
        ...(alias ? { DependsOn: [`${logicalId}Alias${alias}`] } : {}),
        Properties: {
            FunctionName: { Ref: logicalId },
            Qualifier: alias ?? "$LATEST",
            ...config,
            ...(places.length > 0 ? { DestinationConfig: Object.fromEntries(places) } : {}),
        },
    };
}

/** Where results of invocations go: for which event, queue or topic, its ARN. */
function destinations(logicalId: string, given: Fields): [string, "SQS" | "SNS", Value][] {
    const config = (given.EventInvokeConfig as Fields | undefined)?.DestinationConfig;
    return Object.entries((config ?? {}) as Fields).map(([event, to]) => {
        const { Type: type, Destination: at } = to as Fields;
        if ((type !== "SQS" && type !== "SNS") || at === undefined || (isPlainMap(at) && "Fn::If" in at)) {
            throw new Error(`${logicalId}, ${event}: the construct translates only a queue or a topic that is named`);
        }
        return [event, type, at];
    });
}

/** What a role needs to send there. */
function sendTo(logicalId: string, [event, type, at]: [string, "SQS" | "SNS", Value]): Value {
    const statement = { Action: type === "SQS" ? "sqs:SendMessage" : "sns:publish", Effect: "Allow", Resource: at };
    const name = `${logicalId}EventInvokeConfig${event}${type}Policy`;
    return { PolicyName: name, PolicyDocument: { Statement: [statement] } };
}

function role(logicalId: string, given: Fields, traced: boolean): Fields {
    const managed = (name: string): Value => ({ "Fn::Sub": `arn:\${AWS::Partition}:iam::aws:policy/${name}` });
    const arns: Value[] = [managed("service-role/AWSLambdaBasicExecutionRole")];
    if (traced) arns.push(managed("AWSXrayWriteOnlyAccess"));
    // As SAM: also where a condition leaves the value out.
    if (given.VpcConfig) arns.push(managed("service-role/AWSLambdaVPCAccessExecutionRole"));
    const policies: Value[] = [];
    if (given.DeadLetterQueue) policies.push(deadLetters(given.DeadLetterQueue as Fields));
    for (const destination of destinations(logicalId, given)) policies.push(sendTo(logicalId, destination));
    ([given.Policies ?? []].flat() as Value[]).forEach((policy, index) => {
        if (typeof policy === "string" && policy.startsWith("arn:")) {
            if (!arns.includes(policy)) arns.push(policy);
        } else if (policy !== null && typeof policy === "object" && "Statement" in policy) {
            policies.push({ PolicyName: `${logicalId}RolePolicy${index}`, PolicyDocument: policy });
        } else {
            throw new Error(`${logicalId}: the construct translates ARNs and documents of policies only`);
        }
    });
    const assume = { Action: ["sts:AssumeRole"], Effect: "Allow", Principal: { Service: ["lambda.amazonaws.com"] } };
    return {
        AssumeRolePolicyDocument: { Version: "2012-10-17", Statement: [assume] },
        ManagedPolicyArns: arns,
        ...(policies.length > 0 ? { Policies: policies } : {}),
        ...("RolePath" in given ? { Path: given.RolePath as Value } : {}),
        ...("PermissionsBoundary" in given ? { PermissionsBoundary: given.PermissionsBoundary as Value } : {}),
        ...tagged(given),
    };
}

function deadLetterTarget(queue: Fields): Fields {
    return { TargetArn: queue.TargetArn as Value };
}

function deadLetters(queue: Fields): Value {
    const Action = queue.Type === "SNS" ? "sns:Publish" : "sqs:SendMessage";
    const statement = { Action, Resource: queue.TargetArn as Value, Effect: "Allow" };
    return { PolicyName: "DeadLetterQueuePolicy", PolicyDocument: { Version: "2012-10-17", Statement: [statement] } };
}

function ofMachine(logicalId: string, resource: Resource, around: Surroundings): Resource {
    const given = resource.Properties ?? {};
    refuseOthers(logicalId, given, [OF_MACHINES]);
    if (!given.Role) throw new Error(`${logicalId}: the construct translates only a state machine that names its Role`);
    const named: [string, string][] = [
        ...([["Name", "StateMachineName"], ["Type", "StateMachineType"], ["Role", "RoleArn"]] as [string, string][]),
        ...([["Logging", "LoggingConfiguration"], ["Tracing", "TracingConfiguration"]] as [string, string][]),
        ["DefinitionSubstitutions", "DefinitionSubstitutions"],
    ];
    const properties: Fields = { DefinitionString: around.workflow(String(given.DefinitionUri)), ...tagged(given) };
    for (const [from, to] of named) if (from in given) properties[to] = given[from] as Value;
    return { ...resource, Type: "AWS::StepFunctions::StateMachine", Properties: properties };
}

function isTraced(given: Fields, around: Surroundings): boolean {
    return given.Tracing !== undefined && around.fold(given.Tracing) !== "Disabled";
}

/** SAM has a map of tags, CloudFormation a list. */
function tagged(given: Fields): Fields {
    if (given.Tags === undefined) return {};
    return { Tags: Object.entries(given.Tags as Fields).map(([Key, Value]) => ({ Key, Value })) };
}

/** What holds for all that a resource becomes. */
function attributes(resource: Resource): Fields {
    const shared = ["Condition", "DeletionPolicy", "UpdateReplacePolicy"];
    return Object.fromEntries(Object.entries(resource).filter(([name]) => shared.includes(name))) as Fields;
}

function refuseOthers(what: string, given: Fields, known: ReadonlySet<string>[]): void {
    const unknown = Object.keys(given).filter((name) => !known.some((set) => set.has(name)));
    if (unknown.length === 0) return;
    const listed = "infra/cdk/src/translate.ts says what it does translate";
    throw new Error(`${what}: the construct does not translate ${unknown.join(", ")}; ${listed}`);
}
