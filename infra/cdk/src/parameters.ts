// Generated from infra/template.yaml by `npm run generate`: change it there.

/** The template's parameters. A value may hold tokens, such as the ARN of a stream of the same app. */
export interface SluiceParameters {
    /**
     * ARNs of streams that exports may read, with * and ?; own alone for all of this account, none alone for none.
     */
    readonly readStreams: readonly string[];
    /**
     * ARNs of streams that imports may write and read back, with * and ?; own alone, or none alone.
     */
    readonly writeStreams: readonly string[];
    /**
     * ARNs of objects that imports may read, such as those of a bucket's folder with * behind it; own alone for all of
     * this account, none alone for none.
     */
    readonly readObjects: readonly string[];
    /**
     * ARNs of objects that exports may make and read back, never overwrite; own alone, or none alone.
     */
    readonly writeObjects: readonly string[];
    /**
     * Whether an import that says createTarget may make a missing stream among WriteStreams. A stream costs money for
     * each of its shards.
     * @default false
     */
    readonly createTargets?: boolean;
    /**
     * ARNs of the KMS keys that encrypt the buckets and streams, old ones too; or none.
     * @default ["none"]
     */
    readonly dataKeys?: readonly string[];
    /**
     * ARN of the KMS key that encrypts the table and the work bucket; empty for keys that AWS owns.
     * @default ""
     */
    readonly stackKeyArn?: string;
    /**
     * Of the functions, as they were built. arm64 is cheaper; building it needs the Rust target
     * aarch64-unknown-linux-gnu.
     * @default "x86_64"
     */
    readonly architecture?: "x86_64" | "arm64";
    /**
     * How long one slice works. Short ones read more twice, since the tail behind the last full part is read again; a
     * crash costs a part or two either way.
     * From 5 to 840.
     * @default 300
     */
    readonly sliceSeconds?: number;
    /**
     * MiB of the functions that move events. Half of it, less 96 MiB, holds events and parts.
     * From 256 to 10240.
     * @default 1024
     */
    readonly sliceMemory?: number;
    /**
     * Part of a shard's reading limits, calls and bytes, that all exports of a stream may take together. The rest is
     * left to other consumers. An input's readShare says otherwise for one export.
     * From 0.001 to 1.
     * @default 0.5
     */
    readonly readShare?: number;
    /**
     * Functions that move events of one transfer at once, at most. A new account may run 10 functions at once, all
     * together.
     * From 1 to 200.
     * @default 40
     */
    readonly lanesAtOnce?: number;
    /**
     * Concurrency that is reserved for export and again for import, and limits each of them; 0 for none.
     * From 0.
     * @default 0
     */
    readonly reservedConcurrency?: number;
    /**
     * How long logs are kept.
     * @default 30
     */
    readonly logRetentionDays?:
        1 | 3 | 5 | 7 | 14 | 30 | 60 | 90 | 120 | 150 | 180 | 365 | 400 | 545 | 731 | 1827 | 3653;
    /**
     * ARN of the KMS key that encrypts the logs; empty for a key that AWS owns.
     * @default ""
     */
    readonly logKeyArn?: string;
    /**
     * Days for which the records of transfers are kept behind their end; 0 for ever. Objects and manifests stay in any
     * case.
     * From 0 to 3650.
     * @default 0
     */
    readonly keepRecordsDays?: number;
    /**
     * Whether the table refuses to be deleted.
     * @default true
     */
    readonly deletionProtection?: boolean;
    /**
     * Whether X-Ray traces calls. PassThrough for those that their caller traces, Active for sampled ones of the
     * workflow too. Nothing of it is in the functions.
     * @default "Disabled"
     */
    readonly tracing?: "Disabled" | "PassThrough" | "Active";
    /**
     * ARN of the policy that bounds every role; empty for none.
     * @default ""
     */
    readonly permissionsBoundary?: string;
    /**
     * Path of the roles and managed policies, such as /teams/data/.
     * @default "/"
     */
    readonly rolePath?: string;
    /**
     * Subnets of a VPC that the functions run in, in two zones at least; or none.
     * @default ["none"]
     */
    readonly subnetIds?: readonly string[];
    /**
     * Security groups of the functions, where there are SubnetIds. They need HTTPS outwards, and nothing inwards.
     * @default ["none"]
     */
    readonly securityGroupIds?: readonly string[];
    /**
     * When ScheduleInput is started, such as cron(0 3 * * ? *) or rate(1 hour); empty for never.
     * @default ""
     */
    readonly scheduleExpression?: string;
    /**
     * Of a schedule by cron, such as Europe/Berlin.
     * @default "UTC"
     */
    readonly scheduleTimezone?: string;
    /**
     * What is started then, such as
     * {"export":{"stream":"kinesis:orders","to":"s3://archive/orders","series":"nightly"}}.
     * @default "{}"
     */
    readonly scheduleInput?: string;
}
