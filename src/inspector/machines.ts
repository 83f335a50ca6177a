/** The machines of which there are charts, by the name of the chart. */
import type { AnyStateMachine } from "xstate";
import { nodeMachine } from "../actors/tracker/machine.ts";
import { sessionMachine } from "../actors/upload/machine.ts";
import { lifecycleMachine } from "../bus/lifecycle.ts";
import type { StatechartName } from "./statecharts.ts";

export const MACHINES: Readonly<Record<StatechartName, AnyStateMachine>> = {
  upload: sessionMachine,
  actor: lifecycleMachine,
  node: nodeMachine,
};
