// Generated from infra/template.yaml by `npm run generate`: change it there.

/** The template's parameters. A value may hold tokens, such as the ARN of a stream of the same app. */
export interface SluiceParameters {
    /**
     * ARNs of streams that may be read and written, with * and ?; or own alone, for all of this account.
     * @default ["own"]
     */
    readonly allowedStreams?: readonly string[];
    /**
     * ARNs of buckets that may be read and written, with * and ?; or own alone, for all. Each must belong to this
     * account.
     * @default ["own"]
     */
    readonly allowedBuckets?: readonly string[];
    /**
     * ARNs of objects that may be written, such as arn:aws:s3:::archive/orders/*; or all alone, in the allowed
     * buckets.
     * @default ["all"]
     */
    readonly allowedObjects?: readonly string[];
    /**
     * Whether an import that says createTarget may make a missing stream among the allowed ones. A stream costs money
     * for each of its shards.
     * @default false
     */
    readonly createTargets?: boolean;
    /**
     * Key that encrypts objects, the table and the work bucket; empty for keys that AWS owns and the buckets' own way.
     * @default ""
     */
    readonly kmsKeyArn?: string;
    /**
     * Of the functions. arm64 is cheaper; building it needs the Rust target aarch64-unknown-linux-gnu.
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
     * How long logs are kept.
     * @default 30
     */
    readonly logRetentionDays?:
        1 | 3 | 5 | 7 | 14 | 30 | 60 | 90 | 120 | 150 | 180 | 365 | 400 | 545 | 731 | 1827 | 3653;
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
     * To be changed together with AllowedStreams, AllowedBuckets or AllowedObjects, so that functions with the new
     * lists are published.
     * @default "1"
     */
    readonly revision?: string;
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
