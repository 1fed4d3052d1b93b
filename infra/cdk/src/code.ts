// Built functions: where they lie, and whether they are what the stack will run.

import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { join } from "node:path";

/** Finds the folder with the built `bootstrap` of a function. */
export interface FunctionCode {
    /**
     * The folder of a function.
     * @param logicalId its name in the template, such as `PlanFunction`
     * @param binary its name in the workspace, such as `plan`
     */
    folder(logicalId: string, binary: string): string;
    /** What builds it, for messages. */
    readonly builtBy: string;
}

/** Where functions were built. */
export class SluiceCode {
    /** By `sam build`, in that folder: `.aws-sam/build` of a checkout. */
    static samBuild(folder: string): FunctionCode {
        return { builtBy: "sam build", folder: (logicalId) => join(folder, logicalId) };
    }

    /** By `cargo lambda build --release`, in that folder: `target/lambda` of a checkout. */
    static cargoLambda(folder: string): FunctionCode {
        return { builtBy: "cargo lambda build --release", folder: (_, binary) => join(folder, binary) };
    }
}

// The field e_machine of an ELF header.
const MACHINES: { readonly [architecture: string]: number } = { x86_64: 0x3e, arm64: 0xb7 };

/** The folder of a function; refused if nothing was built there, or for another architecture. */
export function builtFolder(code: FunctionCode, logicalId: string, binary: string, architecture: string): string {
    const folder = code.folder(logicalId, binary);
    const file = join(folder, "bootstrap");
    if (!existsSync(file)) throw new Error(`${file} is missing: it is made by \`${code.builtBy}\``);
    const wanted = MACHINES[architecture];
    if (wanted === undefined) throw new Error(`${logicalId} is for ${architecture}, which the construct does not know`);
    if (machineOf(file) !== wanted) {
        throw new Error(`${file} was not built for ${architecture}: build it again, or change architecture`);
    }
    return folder;
}

function machineOf(file: string): number | undefined {
    const header = Buffer.alloc(20);
    const opened = openSync(file, "r");
    try {
        readSync(opened, header, 0, header.length, 0);
    } finally {
        closeSync(opened);
    }
    return header.subarray(0, 4).toString("latin1") === "\x7fELF" ? header.readUInt16LE(18) : undefined;
}
