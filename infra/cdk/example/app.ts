// An app with two stacks: one that may touch everything of its account, and one for a single stream and bucket, which a
// nightly series archives. `cdk synth` in this folder, after `sam build` at the top of the checkout.

import { resolve } from "node:path";

import { App, CfnOutput, RemovalPolicy, Stack, Validations } from "aws-cdk-lib";
import { Stream, StreamEncryption } from "aws-cdk-lib/aws-kinesis";
import { BlockPublicAccess, Bucket, BucketEncryption } from "aws-cdk-lib/aws-s3";
import { AwsSolutionsChecks } from "cdk-nag";

import { SluiceCode, SluiceTransfers } from "../src";

const app = new App();
const code = SluiceCode.samBuild(process.env.SLUICE_BUILT ?? resolve(__dirname, "../../../../.aws-sam/build"));

const trying = new Stack(app, "SluiceTrying");
const all = new SluiceTransfers(trying, "Transfers", {
    code,
    readStreams: ["own"],
    writeStreams: ["own"],
    readObjects: ["own"],
    writeObjects: ["own"],
    deletionProtection: false,
    logRetentionDays: 7,
});

const nightly = new Stack(app, "SluiceNightly");
const orders = new Stream(nightly, "Orders", { encryption: StreamEncryption.MANAGED });
const archive = new Bucket(nightly, "Archive", {
    encryption: BucketEncryption.S3_MANAGED,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    enforceSSL: true,
    removalPolicy: RemovalPolicy.RETAIN,
});
const series = new SluiceTransfers(nightly, "Transfers", {
    code,
    name: "orders-archive",
    readStreams: [orders.streamArn],
    writeStreams: ["none"],
    readObjects: ["none"],
    writeObjects: [archive.arnForObjects("orders/*")],
    scheduleExpression: "cron(0 3 * * ? *)",
    scheduleTimezone: "Europe/Berlin",
    scheduleInput: JSON.stringify({
        export: { stream: `kinesis:${orders.streamName}`, to: `s3://${archive.bucketName}/orders`, series: "nightly" },
    }),
});
new CfnOutput(nightly, "StartHere", { value: series.stateMachine.stateMachineArn });

const rules = new AwsSolutionsChecks(app);
for (const transfers of [all, series]) transfers.explain(rules);
Validations.of(archive).acknowledge({
    id: "AwsSolutions-S1",
    reason: "An example: whoever needs access logs of the archive names a bucket for them.",
});
Validations.of(app).addPlugins(rules);
app.synth();
