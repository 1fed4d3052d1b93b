// Functions that look built: headers of ELF, for tests that run none.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { readTemplate } from "../src/template";

/** Writes a folder as `sam build` leaves it, for all functions of the template. */
export function pretendToBuild(template: string, folder: string, machine = 0x3e, code = "code"): string {
    for (const [logicalId, resource] of Object.entries(readTemplate(template).Resources)) {
        if (resource.Type !== "AWS::Serverless::Function") continue;
        const header = Buffer.alloc(64);
        header.write("\x7fELF", "latin1");
        header.writeUInt16LE(machine, 18);
        mkdirSync(join(folder, logicalId), { recursive: true });
        const file = Buffer.concat([header, Buffer.from(code)]);
        writeFileSync(join(folder, logicalId, "bootstrap"), file, { mode: 0o755 });
    }
    return folder;
}
