// Writes what is typed: the construct's parameters and the variables of the Terraform module, from the template's
// parameters. `npm run generate`, after a change of these; a test finds what was not generated anew.

import { writeFileSync } from "node:fs";
import { resolve } from "node:path";

import { isList, isSwitch, type Parameter, propertyName, readTemplate, TEMPLATE, type Template } from "./template";

/** The generated files, by their paths seen from infra/cdk. */
export const GENERATED = { "src/parameters.ts": typescript, "../terraform/variables.tf": terraform };

const FOLDER = resolve(__dirname, "../..");

function typescript(template: Template): string {
    const properties = Object.entries(template.Parameters).map(([name, parameter]) => {
        const lines = wrapped(parameter.Description ?? name, 112).map((line) => `     * ${line}`);
        const limits = limitsOf(parameter);
        if (limits) lines.push(`     * ${limits}`);
        if (parameter.Default !== undefined) lines.push(`     * @default ${shown(parameter)}`);
        const optional = parameter.Default === undefined ? "" : "?";
        const typed = `    readonly ${propertyName(name)}${optional}: ${typeOf(parameter)};`.replace(": \n", ":\n");
        return ["    /**", ...lines, "     */", typed].join("\n");
    });
    return `// Generated from infra/template.yaml by \`npm run generate\`: change it there.

/** The template's parameters. A value may hold tokens, such as the ARN of a stream of the same app. */
export interface SluiceParameters {
${properties.join("\n")}
}
`;
}

function typeOf(parameter: Parameter): string {
    if (isList(parameter)) return "readonly string[]";
    if (isSwitch(parameter)) return "boolean";
    const number = parameter.Type === "Number";
    if (parameter.AllowedValues) {
        const all = parameter.AllowedValues.map((value) => (number ? String(value) : JSON.stringify(value)));
        const line = all.join(" | ");
        return line.length < 70 ? line : `\n        ${wrapped(line, 104).join("\n        ")}`;
    }
    return number ? "number" : "string";
}

function shown(parameter: Parameter): string {
    const text = String(parameter.Default);
    if (isList(parameter)) return JSON.stringify(text.split(","));
    return isSwitch(parameter) || parameter.Type === "Number" ? text : JSON.stringify(text);
}

function limitsOf(parameter: Parameter): string | undefined {
    const { MinValue: least, MaxValue: most } = parameter;
    if (least === undefined) return most === undefined ? undefined : `Up to ${most}.`;
    return most === undefined ? `From ${least}.` : `From ${least} to ${most}.`;
}

function wrapped(text: string, width: number): string[] {
    const lines = [""];
    // A comment would end there.
    for (const word of text.replaceAll("*/", "* /").split(" ")) {
        const line = lines[lines.length - 1] ?? "";
        if (line !== "" && line.length + word.length >= width) lines.push(word);
        else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
    }
    return lines;
}

function terraform(template: Template): string {
    const variables = Object.entries(template.Parameters).map(([name, parameter]) => {
        const fields: [string, string][] = [
            ["description", quoted(parameter.Description ?? name)],
            ["type", terraformType(parameter)],
        ];
        if (parameter.Default !== undefined) fields.push(["default", terraformDefault(parameter)]);
        const width = Math.max(...fields.map(([key]) => key.length));
        const lines = fields.map(([key, value]) => `  ${key.padEnd(width)} = ${value}`);
        return `variable "${snake(name)}" {\n${[...lines, ...checks(name, parameter)].join("\n")}\n}\n`;
    });
    const all = Object.keys(template.Parameters).map((name) => [name, snake(name)] as const);
    const width = Math.max(...all.map(([name]) => name.length));
    const values = all.map(([name, variable]) => {
        const list = isList(template.Parameters[name] as Parameter);
        return `    ${name.padEnd(width)} = ${list ? `join(",", var.${variable})` : `tostring(var.${variable})`}`;
    });
    return `# Generated from infra/template.yaml by \`npm run generate\` in infra/cdk: change it there.

${variables.join("\n")}
locals {
  # Parameters of CloudFormation are text.
  parameters = {
${values.join("\n")}
  }
}
`;
}

function terraformType(parameter: Parameter): string {
    if (isList(parameter)) return "list(string)";
    if (isSwitch(parameter)) return "bool";
    return parameter.Type === "Number" ? "number" : "string";
}

function terraformDefault(parameter: Parameter): string {
    const text = String(parameter.Default);
    if (isList(parameter)) return `[${text.split(",").map(quoted).join(", ")}]`;
    return isSwitch(parameter) || parameter.Type === "Number" ? text : quoted(text);
}

function checks(name: string, parameter: Parameter): string[] {
    const variable = `var.${snake(name)}`;
    const checked: [string, string][] = [];
    if (parameter.AllowedValues && !isSwitch(parameter)) {
        const number = parameter.Type === "Number";
        const values = parameter.AllowedValues.map((value) => (number ? String(value) : quoted(String(value))));
        const said = `Must be one of ${parameter.AllowedValues.join(", ")}.`;
        checked.push([`contains([${values.join(", ")}], ${variable})`, said]);
    }
    const limits = limitsOf(parameter);
    const { MinValue: least, MaxValue: most, AllowedPattern: pattern } = parameter;
    const bounds = [...(least === undefined ? [] : [`>= ${least}`]), ...(most === undefined ? [] : [`<= ${most}`])];
    if (limits) checked.push([bounds.map((bound) => `${variable} ${bound}`).join(" && "), limits]);
    if (pattern !== undefined) {
        const fits = (value: string): string => `can(regex(${quoted(`^(?:${pattern})$`)}, ${value}))`;
        const all = `alltrue([for item in ${variable} : ${fits("item")}])`;
        const message = parameter.ConstraintDescription ?? `Must match ${pattern}.`;
        checked.push([isList(parameter) ? all : fits(variable), message]);
    }
    return checked.flatMap(([condition, message]) => [
        "",
        "  validation {",
        `    condition     = ${condition}`,
        `    error_message = ${quoted(message)}`,
        "  }",
    ]);
}

/** The name of a variable: `StackKeyArn` is `stack_key_arn`. */
export function snake(name: string): string {
    return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
}

function quoted(text: string): string {
    // Both begin a template of Terraform.
    return JSON.stringify(text).replaceAll("${", "$${").replaceAll("%{", "%%{");
}

/** Text and path of each generated file. */
export function generated(template = readTemplate(TEMPLATE)): { path: string; text: string }[] {
    return Object.entries(GENERATED).map(([path, write]) => ({ path: resolve(FOLDER, path), text: write(template) }));
}

if (require.main === module) {
    for (const { path, text } of generated()) writeFileSync(path, text);
}
