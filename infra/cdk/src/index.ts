// What an app uses.

export { type FunctionCode, SluiceCode } from "./code";
export { type SluiceParameters } from "./parameters";
export { type Reason, reasonFor, reasons, type RulePack } from "./reasons";
export { SluiceTransfers, type SluiceTransfersProps } from "./transfers";
