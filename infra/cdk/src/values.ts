// Values of parameters: those that are given, or the template's defaults, checked as CloudFormation checks parameters.

import { isToken } from "./fold";
import { isList, type Parameter, propertyName, type Template } from "./template";

/** What a property of a parameter may be. */
export type Given = string | number | boolean | readonly string[];

/** The value of each parameter of the template, as text or as a list of texts. */
export function valuesOf(
    template: Template,
    given: { readonly [property: string]: unknown },
): Record<string, string | string[]> {
    const values: Record<string, string | string[]> = {};
    for (const [name, parameter] of Object.entries(template.Parameters)) {
        const property = propertyName(name);
        const value = given[property] ?? parameter.Default;
        if (value === undefined) throw new Error(`${property} is missing: ${parameter.Description ?? name}`);
        if (typeof value === "object" && isToken(value)) {
            throw new Error(`${property} is one token; its items may be tokens, the list as a whole may not`);
        }
        values[name] = asText(parameter, value as Given);
        for (const text of [values[name]].flat()) checked(property, parameter, text);
    }
    return values;
}

function asText(parameter: Parameter, value: Given): string | string[] {
    if (!isList(parameter)) return String(value);
    // As CloudFormation has it: an empty list is one empty text.
    const items = typeof value === "object" ? [...value] : String(value).split(",").map((item) => item.trim());
    return items.length > 0 ? items : [""];
}

function checked(property: string, parameter: Parameter, text: string): void {
    // Known only when the stack is deployed.
    if (isToken(text)) return;
    const refuse = (why: string): never => {
        throw new Error(`${property} is ${JSON.stringify(text)}, and ${parameter.ConstraintDescription ?? why}`);
    };
    const { AllowedValues: values, AllowedPattern: pattern, MinValue, MaxValue, MinLength, MaxLength } = parameter;
    if (isList(parameter) && text.includes(",")) refuse("an item of a list can have no comma");
    if (values && !values.map(String).includes(text)) refuse(`must be one of ${values.join(", ")}`);
    if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`).test(text)) refuse(`must match ${pattern}`);
    if (parameter.Type === "Number") {
        const number = text.trim() === "" ? Number.NaN : Number(text);
        if (Number.isNaN(number)) refuse("must be a number");
        if (MinValue !== undefined && number < MinValue) refuse(`must be ${MinValue} or more`);
        if (MaxValue !== undefined && number > MaxValue) refuse(`must be ${MaxValue} or less`);
    }
    if (MinLength !== undefined && text.length < MinLength) refuse(`must have ${MinLength} characters or more`);
    if (MaxLength !== undefined && text.length > MaxLength) refuse(`must have ${MaxLength} characters or less`);
}
