/**
 * System calls that Node has no interface of its own for, by its foreign function interface. That is experimental: whoever uses one does
 * without where it is missing.
 */
import { createRequire } from "node:module";
import { withoutWarnings } from "./without-warnings.ts";

interface Signature {
  readonly return: string;
  readonly arguments: readonly string[];
}
interface ForeignFunctions {
  dlopen(library: null, signatures: Readonly<Record<string, Signature>>): { readonly functions: unknown };
}

/** @throws where this Node has no such interface, or the system no such call */
export function systemCalls<Calls>(signatures: Readonly<Record<keyof Calls & string, Signature>>): Calls {
  const { dlopen } = withoutWarnings(() => createRequire(import.meta.url)("node:ffi") as ForeignFunctions);
  return dlopen(null, signatures).functions as Calls;
}
