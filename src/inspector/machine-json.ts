/**
 * A machine as xstate's own tools take it: its configuration, with names where the program has functions. Stately Studio's editor imports
 * this text.
 */
import type { AnyStateMachine } from "xstate";
import { functionWords } from "./chart.ts";

export function machineJson(machine: AnyStateMachine): string {
  const withNames = (_: string, value: unknown): unknown => (typeof value === "function" ? functionWords(value) : value);
  return `${JSON.stringify(machine.config, withNames, 2)}\n`;
}
