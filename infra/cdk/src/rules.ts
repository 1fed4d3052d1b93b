// Rules of a template: what its parameters must be together. CloudFormation checks them before it makes anything; here
// they are checked at synth, where all values are given. They speak of parameters alone: any other function, or
// reference, is refused by its name.

import { type Fields, propertyName, type Template, type Value } from "./template";

/** Values of all parameters, as text or as a list of texts. */
type Values = { readonly [name: string]: string | string[] };

/** Refuses values that an assertion of the template's rules does not hold for. A token is equal to no other text. */
export function checkRules(template: Template, values: Values): void {
    for (const [name, rule] of Object.entries(template.Rules)) {
        const { RuleCondition: condition, Assertions: assertions, ...others } = rule as Fields;
        const unknown = Object.keys(others);
        if (unknown.length > 0) throw new Error(`rule ${name}: the construct knows no ${unknown.join(", ")}`);
        if (!Array.isArray(assertions)) throw new Error(`rule ${name} has no list of Assertions`);
        if (condition !== undefined && !holds(name, condition, values)) continue;
        for (const { Assert: asserted, AssertDescription: description } of assertions as Fields[]) {
            if (asserted === undefined) throw new Error(`rule ${name} has an assertion without Assert`);
            if (holds(name, asserted, values)) continue;
            const given = [...new Set(referredTo(asserted))].map((parameter) => {
                return `${propertyName(parameter)} is ${JSON.stringify(values[parameter])}`;
            });
            throw new Error(`${given.join(", ")}, and rule ${name} says: ${String(description ?? "otherwise")}`);
        }
    }
}

function holds(rule: string, stated: Value, values: Values): boolean {
    const [name, inner] = single(rule, stated);
    const every = (side: Value): string[] => [operand(rule, side, values)].flat();
    const items = Array.isArray(inner) ? inner : [];
    switch (name) {
        case "Fn::And":
            return items.every((item) => holds(rule, item, values));
        case "Fn::Or":
            return items.some((item) => holds(rule, item, values));
        case "Fn::Not":
            return !holds(rule, items[0] ?? null, values);
        case "Fn::Equals": {
            const [one, other] = items.map((side) => operand(rule, side, values));
            return JSON.stringify(one) === JSON.stringify(other);
        }
        case "Fn::Contains":
            return every(items[0] ?? null).includes(String(operand(rule, items[1] ?? null, values)));
        case "Fn::EachMemberEquals": {
            const wanted = operand(rule, items[1] ?? null, values);
            return every(items[0] ?? null).every((item) => item === wanted);
        }
        default:
            throw new Error(`rule ${rule}: the construct does not check ${name}`);
    }
}

/** A literal, or the value of a parameter. */
function operand(rule: string, side: Value, values: Values): string | string[] {
    if (Array.isArray(side)) return side.map((item) => String(operand(rule, item, values)));
    if (side === null) throw new Error(`rule ${rule} compares with nothing`);
    if (typeof side !== "object") return String(side);
    const [name, inner] = single(rule, side);
    const value = name === "Ref" ? values[String(inner)] : undefined;
    if (value === undefined) throw new Error(`rule ${rule}: the construct does not check ${JSON.stringify(side)}`);
    return value;
}

function single(rule: string, value: Value): [string, Value] {
    const entries = value !== null && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [];
    const [first, ...more] = entries;
    if (first !== undefined && more.length === 0) return first;
    throw new Error(`rule ${rule}: ${JSON.stringify(value)} is no function of a rule`);
}

/** Names of the parameters in it. */
function referredTo(value: Value): string[] {
    if (Array.isArray(value)) return value.flatMap(referredTo);
    if (value === null || typeof value !== "object") return [];
    return Object.entries(value).flatMap(([key, inner]) => (key === "Ref" ? [String(inner)] : referredTo(inner)));
}
