// Reads the SAM template: YAML with CloudFormation's short tags, as plain data. Nothing is interpreted here.

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { isMap, isScalar, isSeq, parseDocument } from "yaml";

/** Any value of a template. */
export type Value = string | number | boolean | null | Value[] | { [name: string]: Value };

/** A map of a template. */
export type Fields = { [name: string]: Value };

/** A parameter as the template declares it. */
export interface Parameter {
    readonly Type: string;
    readonly Description?: string;
    readonly Default?: string | number;
    readonly AllowedValues?: (string | number)[];
    readonly AllowedPattern?: string;
    readonly ConstraintDescription?: string;
    readonly MinValue?: number;
    readonly MaxValue?: number;
    readonly MinLength?: number;
    readonly MaxLength?: number;
    readonly NoEcho?: boolean;
}

/** A resource as the template declares it. */
export interface Resource {
    Type: string;
    Properties?: Fields;
    [attribute: string]: Value | undefined;
}

/** The sections of a template that are used. */
export interface Template {
    Description?: string;
    Parameters: { [name: string]: Parameter };
    Rules: Fields;
    Mappings: Fields;
    Conditions: Fields;
    Globals: { Function?: Fields };
    Resources: { [logicalId: string]: Resource };
    Outputs: { [name: string]: Fields };
}

// A package that `npm pack` made has a copy; a checkout has none, so that its template is the one that counts.
const PACKED = resolve(__dirname, "../../packed/template.yaml");

/** The template of this package or checkout, seen from the compiled file. */
export const TEMPLATE = existsSync(PACKED) ? PACKED : resolve(__dirname, "../../../template.yaml");

const SECTIONS = new Set([
    ...["Description", "Parameters", "Rules", "Mappings", "Conditions", "Globals", "Resources", "Outputs"],
]);
// Metadata only groups parameters at the console.
const IGNORED = new Set(["AWSTemplateFormatVersion", "Transform", "Metadata"]);

const FUNCTIONS = new Set([
    ...["Base64", "Cidr", "FindInMap", "GetAtt", "GetAZs", "ImportValue", "Join", "Select", "Split", "Sub"],
    ...["If", "Equals", "And", "Or", "Not"],
]);

/** The long form of a short tag: `!Ref Table` is `{ Ref: "Table" }`. */
function long(tag: string, value: Value): Fields {
    if (tag === "Ref" || tag === "Condition") return { [tag]: value };
    if (!FUNCTIONS.has(tag)) throw new Error(`the construct knows no tag !${tag}`);
    if (tag === "GetAtt" && typeof value === "string") {
        const dot = value.indexOf(".");
        return { "Fn::GetAtt": [value.slice(0, dot), value.slice(dot + 1)] };
    }
    return { [`Fn::${tag}`]: value };
}

function plain(node: unknown): Value {
    if (node === null) return null;
    if (!isMap(node) && !isSeq(node) && !isScalar(node)) throw new Error("the construct reads no anchors of YAML");
    let value: Value;
    if (isMap(node)) {
        value = Object.fromEntries(node.items.map((pair) => [String(plain(pair.key)), plain(pair.value)]));
    } else if (isSeq(node)) {
        value = node.items.map(plain);
    } else {
        value = node.value as Value;
    }
    return node.tag?.startsWith("!") && node.tag !== "!" ? long(node.tag.slice(1), value) : value;
}

/** Reads a template from its text. Unknown sections are refused, since they would be dropped. */
export function parseTemplate(text: string, name: string): Template {
    // Short tags are unknown to YAML: it warns, and keeps them.
    const document = parseDocument(text, { logLevel: "error" });
    if (document.errors.length > 0) throw new Error(`${name}: ${document.errors[0]?.message}`);
    const read = plain(document.contents) as Fields;
    const unknown = Object.keys(read).filter((section) => !SECTIONS.has(section) && !IGNORED.has(section));
    if (unknown.length > 0) throw new Error(`${name}: the construct knows no section ${unknown.join(", ")}`);
    const empty = { Parameters: {}, Rules: {}, Mappings: {}, Conditions: {}, Globals: {}, Resources: {}, Outputs: {} };
    return { ...empty, ...read } as unknown as Template;
}

/** Reads a template from a file. */
export function readTemplate(path: string): Template {
    return parseTemplate(readFileSync(path, "utf8"), path);
}

/** The name of a property for a parameter: `SliceSeconds` is `sliceSeconds`. */
export function propertyName(parameter: string): string {
    return parameter.charAt(0).toLowerCase() + parameter.slice(1);
}

/** True if the parameter takes a list. */
export function isList(parameter: Parameter): boolean {
    return parameter.Type === "CommaDelimitedList" || parameter.Type.startsWith("List<");
}

/** True if the parameter takes `true` or `false`, which CloudFormation has no type for. */
export function isSwitch(parameter: Parameter): boolean {
    return parameter.Type === "String" && [...(parameter.AllowedValues ?? [])].sort().join() === "false,true";
}
