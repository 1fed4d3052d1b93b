// Folds a template: parameters become the values that are given for them, and what follows from these alone is worked
// out: conditions, Fn::If, Fn::Sub, Fn::Join, Fn::Split, Fn::Select. What is known only when the stack is deployed
// stays as it is. So rules that look at resources, such as those of cdk-nag, see what will be deployed.
//
// A value may hold tokens of the CDK. They are text here, and a reference to something: never empty, equal to no other
// text, without a comma.

import { Token } from "aws-cdk-lib";

import { type Fields, type Value } from "./template";

/** What a template is folded with. */
export interface Known {
    /** Values of all parameters, as text or as a list of texts. */
    readonly parameters: { readonly [name: string]: string | string[] };
    /** Replaces `AWS::StackName`, if there is one. */
    readonly stackName?: string | undefined;
    /** The template's conditions. */
    readonly conditions: Fields;
}

/** Stands for `AWS::NoValue`: the property, or the item of a list, is left out. */
const NOTHING = Symbol("AWS::NoValue");
type Folded = Value | typeof NOTHING;

/** Folds values of one template. */
export class Folder {
    private readonly decided = new Map<string, Value>();

    constructor(private readonly known: Known) {}

    /** A condition's value: true, false, or what is left to decide when the stack is deployed. */
    condition(name: string): Value {
        const already = this.decided.get(name);
        if (already !== undefined) return already;
        const stated = this.known.conditions[name];
        if (stated === undefined) throw new Error(`the template has no condition ${name}`);
        const value = this.decide(stated);
        this.decided.set(name, value);
        return value;
    }

    /** Conditions that are left to decide when the stack is deployed. */
    conditions(): Fields {
        const all = Object.keys(this.known.conditions).map((name): [string, Value] => [name, this.condition(name)]);
        return Object.fromEntries(all.filter(([, value]) => typeof value !== "boolean"));
    }

    /** The value, folded; undefined if it is `AWS::NoValue`. */
    fold(value: Value): Value | undefined {
        const folded = this.any(value);
        return folded === NOTHING ? undefined : folded;
    }

    private any(value: Value): Folded {
        if (Array.isArray(value)) return this.list(value);
        if (value === null || typeof value !== "object") return value;
        const [name, ...more] = Object.keys(value);
        if (name !== undefined && more.length === 0) {
            const folded = this.intrinsic(name, value[name] as Value);
            if (folded !== undefined) return folded;
        }
        const fields = Object.entries(value).map(([key, item]): [string, Folded] => [key, this.any(item)]);
        return Object.fromEntries(fields.filter((field): field is [string, Value] => field[1] !== NOTHING));
    }

    private list(items: Value[]): Value[] {
        return items.map((item) => this.any(item)).filter((item): item is Value => item !== NOTHING);
    }

    /** Undefined if this is no function that can be folded. */
    private intrinsic(name: string, value: Value): Folded | undefined {
        switch (name) {
            case "Ref":
                return this.ref(String(value));
            case "Fn::If":
                return this.either(value as [string, Value, Value]);
            case "Fn::Sub":
                return this.sub(value);
            case "Fn::Join": {
                const [between, list] = value as [string, Value];
                const items = this.any(list);
                return Array.isArray(items) ? joined(between, items) : { "Fn::Join": [between, items as Value] };
            }
            case "Fn::Split": {
                const [at, text] = value as [string, Value];
                const whole = this.any(text);
                // What a token stands for may hold a slash, but no comma: an item of a list has none.
                const known = typeof whole === "string" && (at === "," || !isToken(whole));
                return known ? whole.split(at) : { "Fn::Split": [at, whole as Value] };
            }
            case "Fn::Select": {
                const [index, list] = value as [number | string, Value];
                const items = this.any(list);
                const item = Array.isArray(items) ? items[Number(index)] : undefined;
                return item ?? { "Fn::Select": [index, items as Value] };
            }
            default:
                return undefined;
        }
    }

    private ref(name: string): Folded {
        if (name === "AWS::NoValue") return NOTHING;
        if (name === "AWS::StackName" && this.known.stackName !== undefined) return this.known.stackName;
        return this.known.parameters[name] ?? { Ref: name };
    }

    private either([name, yes, no]: [string, Value, Value]): Folded {
        const condition = this.condition(name);
        if (typeof condition === "boolean") return this.any(condition ? yes : no);
        const left = (value: Value): Value => this.fold(value) ?? { Ref: "AWS::NoValue" };
        return { "Fn::If": [name, left(yes), left(no)] };
    }

    /** Becomes Fn::Join: a token within the text of a Fn::Sub would be taken for a reference. */
    private sub(value: Value): Value {
        const [text, own] = (Array.isArray(value) ? value : [value, {}]) as [string, Fields];
        // Every second piece stood between ${ and }.
        const pieces = text.split(/\$\{([^}]*)\}/).map((piece, index): Value => {
            if (index % 2 === 0) return piece;
            if (piece.startsWith("!")) return `\${${piece.slice(1)}}`;
            const given = own[piece];
            if (given !== undefined) return this.fold(given) ?? "";
            const dot = piece.indexOf(".");
            if (dot < 0) return this.fold({ Ref: piece }) ?? "";
            return { "Fn::GetAtt": [piece.slice(0, dot), piece.slice(dot + 1)] };
        });
        return joined("", pieces);
    }

    private decide(stated: Value): Value {
        const [[name, value]] = Object.entries(stated as Fields) as [[string, Value]];
        switch (name) {
            case "Condition":
                return this.orByName(String(value));
            case "Fn::Not": {
                const inner = this.decide((value as [Value])[0]);
                return typeof inner === "boolean" ? !inner : { "Fn::Not": [inner] };
            }
            case "Fn::And":
            case "Fn::Or": {
                const settles = name === "Fn::Or";
                const open = (value as Value[]).map((item) => this.decide(item)).filter((item) => item !== !settles);
                if (open.includes(settles)) return settles;
                if (open.length === 0) return !settles;
                return open.length === 1 ? (open[0] as Value) : { [name]: open };
            }
            case "Fn::Equals": {
                const [one, other] = (value as [Value, Value]).map((side) => this.fold(side)) as [Value, Value];
                return equal(one, other) ?? { "Fn::Equals": [one, other] };
            }
            default:
                throw new Error(`the construct knows no condition ${name}`);
        }
    }

    private orByName(name: string): Value {
        const value = this.condition(name);
        return typeof value === "boolean" ? value : { Condition: name };
    }
}

/** True or false, where both are known. */
function equal(one: Value, other: Value): boolean | undefined {
    const known = [one, other].every((side) => side === null || typeof side !== "object");
    return known ? String(one) === String(other) : undefined;
}

/** Texts joined; what is known only later stays a part of a Fn::Join. */
function joined(between: string, items: Value[]): Value {
    const parts: Value[] = [];
    items.forEach((item, index) => {
        const added = index > 0 && between !== "" ? [between, item] : [item];
        for (const part of added) {
            const last = parts.length - 1;
            const isText = part === null || typeof part !== "object";
            if (isText && typeof parts[last] === "string") parts[last] += String(part);
            else parts.push(isText ? String(part) : part);
        }
    });
    const left = parts.filter((part) => part !== "");
    if (left.length === 0) return "";
    return left.length === 1 && typeof left[0] === "string" ? left[0] : { "Fn::Join": ["", left] };
}

/** True if the text is, or holds, a token of the CDK. */
export function isToken(value: unknown): boolean {
    return Token.isUnresolved(value);
}
