// Reasons for what cdk-nag finds in the template's resources, each for a kind of finding and for the resources it holds
// for. A finding without a reason stays one.

import { type IConstruct } from "constructs";

/** A pack of rules of cdk-nag, which the construct itself does not depend on. */
export interface RulePack {
    /** What the rules find below a construct. */
    validateScope(scope: IConstruct): { readonly violations: readonly { readonly ruleName: string }[] };
}

/** Why a finding is accepted. */
export interface Reason {
    /** The rule with what it found, such as `AwsSolutions-IAM5[Resource::*]`. */
    readonly finding: RegExp;
    /** Logical ids in the template. */
    readonly resource: RegExp;
    readonly reason: string;
}

/** All reasons. The first that fits is taken. */
export const reasons: readonly Reason[] = [
    {
        finding: /^AwsSolutions-IAM5\[Resource::(arn:[^:]*(::[^:]*)?:(kinesis|s3):|\{"Fn::Split"|<.*>\/(.*\/)?\*\])/,
        resource: /(Role|Policy)$/,
        reason:
            "Streams, buckets and objects that the operator lists, or the stack's own work bucket: keys of objects " +
            "and names of consumers are known only when a transfer runs. Rights on buckets hold in this account " +
            "alone (aws:ResourceAccount).",
    },
    {
        finding: /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:states:.*:execution:.*-transfer[:/]\*\]$/,
        resource: /Role$/,
        reason: "Executions of the stack's own state machine, lanes among them: their names are made when it runs.",
    },
    {
        finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
        resource: /^TransferRole$/,
        reason:
            "The log delivery of Step Functions takes no resource, and X-Ray takes none (Step Functions developer " +
            "guide, Logging and Tracing).",
    },
    {
        finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
        resource: /^FunctionPolicy$/,
        reason:
            "In a VPC alone: Lambda makes network interfaces in the name of the role, and some of these actions take " +
            "no resource (Lambda developer guide, access to resources in an Amazon VPC).",
    },
    {
        finding: /^AwsSolutions-S1$/,
        resource: /^WorkBucket$/,
        reason:
            "Lists of sources and manifests of imports, written by the functions alone. For access logs " +
            "name a bucket: transfers.resource(\"WorkBucket\").",
    },
    {
        finding: /^AwsSolutions-SQS3$/,
        resource: /DeadLetters$/,
        reason: "It is the queue of dead letters itself.",
    },
    {
        finding: /^AwsSolutions-SF2$/,
        resource: /^Transfer$/,
        reason: "Where tracing is not Active: the table and the machine's own log hold each step, and traces cost.",
    },
];

/** Why that finding is accepted in that resource; undefined if it is not. */
export function reasonFor(finding: string, logicalId: string): string | undefined {
    return reasons.find((reason) => reason.finding.test(finding) && reason.resource.test(logicalId))?.reason;
}

/** What the pack finds in one resource. */
export function findings(pack: RulePack, resource: IConstruct): string[] {
    return pack.validateScope(resource).violations.map((violation) => violation.ruleName);
}
