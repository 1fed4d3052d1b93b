// The construct: the template's resources in an app of the CDK. Facts stand in the template and in the workflow alone.

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { Aws, type CfnResource, Stack, Validations } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { TableV2, type ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { EventBus, type IEventBus } from "aws-cdk-lib/aws-events";
import { type CfnRole, type Grant, type IGrantable, type IRole, Role } from "aws-cdk-lib/aws-iam";
import { Asset } from "aws-cdk-lib/aws-s3-assets";
import { type IStateMachine, StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";

import { builtFolder, type FunctionCode } from "./code";
import { Folder } from "./fold";
import { type SluiceParameters } from "./parameters";
import { findings, reasonFor, type RulePack } from "./reasons";
import { checkRules } from "./rules";
import { type Fields, readTemplate, type Resource, TEMPLATE, type Template, type Value } from "./template";
import { aliases, refer, translate } from "./translate";
import { valuesOf } from "./values";

/** Properties of `SluiceTransfers`: the template's parameters, and where the functions were built. */
export interface SluiceTransfersProps extends SluiceParameters {
    /** The built functions, such as `SluiceCode.samBuild(".aws-sam/build")`. */
    readonly code: FunctionCode;
    /**
     * Stands in the names of the state machine, the bus and the groups of logs: unique in the account and region.
     * @default the stack's name. Several constructs in one stack need one each.
     */
    readonly name?: string;
    /**
     * True if resources keep their logical ids of the template. So a stack that `sam deploy` made is taken over with
     * its table and bucket: deploy under the same stack name. For one construct a stack.
     * @default false
     */
    readonly keepLogicalIds?: boolean;
    /**
     * The SAM template.
     * @default the package's own, or infra/template.yaml of the checkout
     */
    readonly template?: string;
}

/** Sluice in a stack: state machine, functions, table, work bucket, bus, and the rights of each. */
export class SluiceTransfers extends Construct {
    /** Start its executions with the inputs of infra/README.md. */
    readonly stateMachine: IStateMachine;
    /** Records of transfers, for reading only. */
    readonly table: ITableV2;
    /** Receives each transfer's changes of state. */
    readonly bus: IEventBus;
    /** All roles, by their logical ids in the template. For what is theirs alone, such as a grant of a key. */
    readonly roles: { readonly [logicalId: string]: IRole };
    /** `AWS::StackName`, or the property `name`. */
    readonly transfersName: string;

    private readonly included: CfnInclude;
    private readonly logicalIds: string[];

    constructor(scope: Construct, id: string, props: SluiceTransfersProps) {
        super(scope, id);
        this.transfersName = props.name ?? Aws.STACK_NAME;
        this.refuseSameName(props.name);
        const path = props.template ?? TEMPLATE;
        const plain = this.plain(readTemplate(path), path, props);
        this.logicalIds = Object.keys(plain.Resources as Fields);
        this.included = this.include(plain, props.keepLogicalIds ?? false);
        this.stateMachine = StateMachine.fromStateMachineArn(this, "StateMachine", this.output("StateMachineArn"));
        this.table = TableV2.fromTableName(this, "TransfersTable", this.output("TableName"));
        this.bus = EventBus.fromEventBusName(this, "EventBus", this.output("EventBusName"));
        this.roles = this.allRoles();
    }

    /** A resource, by its logical id in the template: a typed L1, such as `CfnTable`. */
    resource(logicalId: string): CfnResource {
        return this.included.getResource(logicalId);
    }

    /** All resources, by their logical ids in the template; versions of functions have a suffix. */
    resources(): { [logicalId: string]: CfnResource } {
        return Object.fromEntries(this.logicalIds.map((logicalId) => [logicalId, this.resource(logicalId)]));
    }

    /** An output of the template, such as `StateMachineArn`. */
    output(name: string): string {
        return String(this.included.getOutput(name).value);
    }

    /** Lets somebody start executions. They can then do all that this construct's functions may. */
    grantStart(grantee: IGrantable): Grant {
        return this.stateMachine.grantStartExecution(grantee);
    }

    /**
     * Acknowledges what a pack of rules, such as `new AwsSolutionsChecks()`, finds in these resources and what
     * `reasons` gives a reason for. All else stays a finding.
     */
    explain(pack: RulePack): void {
        for (const [logicalId, resource] of Object.entries(this.resources())) {
            for (const id of findings(pack, resource)) {
                const reason = reasonFor(id, logicalId);
                if (reason !== undefined) Validations.of(resource).acknowledge({ id, reason });
            }
        }
    }

    private allRoles(): { [logicalId: string]: IRole } {
        const all = Object.entries(this.resources());
        const roles = all.filter(([, resource]) => resource.cfnResourceType === "AWS::IAM::Role");
        return Object.fromEntries(
            roles.map(([logicalId, role]) => {
                return [logicalId, Role.fromRoleArn(this, `${logicalId}Reference`, (role as CfnRole).attrArn)];
            }),
        );
    }

    /** The template without SAM, parameters and what follows from these. */
    private plain(template: Template, path: string, props: SluiceTransfersProps): Fields {
        const parameters = valuesOf(template, props as unknown as { [name: string]: unknown });
        checkRules(template, parameters);
        const folder = new Folder({ parameters, stackName: props.name, conditions: template.Conditions });
        const resources = translate(template, {
            fold: (value) => folder.fold(value),
            code: (logicalId, resource) => this.code(logicalId, resource, folder, props.code),
            workflow: (file) => readFileSync(join(dirname(path), file), "utf8"),
            hash: (value) => this.hash(folder.fold(value) ?? ""),
        });
        const outputs = refer(template.Outputs, aliases(template, resources)) as Fields;
        return {
            ...(Object.keys(template.Mappings).length > 0 ? { Mappings: template.Mappings } : {}),
            Conditions: folder.conditions(),
            Resources: existing(resources as Fields, folder),
            Outputs: existing(outputs, folder),
        };
    }

    private code(logicalId: string, resource: Resource, folder: Folder, code: FunctionCode) {
        const binary = ((resource.Metadata as Fields | undefined)?.BuildProperties as Fields | undefined)?.Binary;
        if (typeof binary !== "string") throw new Error(`${logicalId} names no Binary in Metadata, BuildProperties`);
        const [architecture] = (folder.fold(resource.Properties?.Architectures ?? ["x86_64"]) ?? []) as string[];
        const built = builtFolder(code, logicalId, binary, String(architecture));
        const asset = new Asset(this, `${logicalId}Code`, { path: built });
        return { location: { S3Bucket: asset.s3BucketName, S3Key: asset.s3ObjectKey }, hash: asset.assetHash };
    }

    private hash(value: Value): string {
        // Numbers of tokens change with the order of an app; what they stand for does not.
        const text = JSON.stringify(Stack.of(this).resolve(value));
        return createHash("sha256").update(text).digest("hex").slice(0, 10);
    }

    private include(plain: Fields, preserveLogicalIds: boolean): CfnInclude {
        // CfnInclude reads a file, and makes an L1 of each resource's own type.
        const folder = mkdtempSync(join(tmpdir(), "sluice-cdk-"));
        try {
            const templateFile = join(folder, "template.json");
            writeFileSync(templateFile, JSON.stringify(plain));
            return new CfnInclude(this, "Resources", { templateFile, preserveLogicalIds });
        } finally {
            rmSync(folder, { recursive: true });
        }
    }

    private refuseSameName(name: string | undefined): void {
        if (name !== undefined && !/^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(name)) {
            throw new Error(`name is ${JSON.stringify(name)}, and must be up to 64 letters, digits and hyphens`);
        }
        for (const other of Stack.of(this).node.findAll()) {
            if (!(other instanceof SluiceTransfers) || other === this) continue;
            if (other.transfersName !== this.transfersName) continue;
            throw new Error(`${this.node.path}: ${other.node.path} has its name; give it a \`name\` of its own`);
        }
    }
}

/** Resources or outputs, folded, without those whose condition is false. */
function existing(items: Fields, folder: Folder): Fields {
    const kept: [string, Value][] = [];
    for (const [name, item] of Object.entries(items)) {
        const { Condition: condition, ...rest } = item as Fields;
        const holds = typeof condition === "string" ? folder.condition(condition) : true;
        if (holds === false) continue;
        const folded = folder.fold(rest) as Fields;
        kept.push([name, holds === true ? folded : { ...folded, Condition: condition as Value }]);
    }
    return Object.fromEntries(kept);
}
