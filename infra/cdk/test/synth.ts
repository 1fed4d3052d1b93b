// Synthesises one stack for each set of parameters, with the template's names and logical ids: for
// tests/cdk/same_as_sam.py and tests/cloud/run.py. Without --built the functions only look built.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { App, Stack } from "aws-cdk-lib";

import { SluiceCode, SluiceTransfers, type SluiceTransfersProps } from "../src";
import { propertyName, TEMPLATE } from "../src/template";
import { pretendToBuild } from "./built";

const { values: args } = parseArgs({
    options: {
        template: { type: "string", default: TEMPLATE },
        sets: { type: "string", default: resolve(__dirname, "../../test/sets.json") },
        built: { type: "string" },
        out: { type: "string" },
    },
});
const template = resolve(args.template);
const pretended = mkdtempSync(join(tmpdir(), "sluice-built-"));
const built = args.built ?? pretendToBuild(template, pretended);
const sets = JSON.parse(readFileSync(args.sets, "utf8")) as { [set: string]: { [parameter: string]: string } };
const app = new App(args.out === undefined ? {} : { outdir: args.out });
for (const [set, values] of Object.entries(sets)) {
    const properties = Object.fromEntries(Object.entries(values).map(([name, value]) => [propertyName(name), value]));
    const props = { ...properties, template, code: SluiceCode.samBuild(resolve(built)), keepLogicalIds: true };
    new SluiceTransfers(new Stack(app, set), "Transfers", props as unknown as SluiceTransfersProps);
}
app.synth();
rmSync(pretended, { recursive: true });
