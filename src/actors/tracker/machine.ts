/**
 * A storage node as a tracker sees it, as a statechart: uploads go to it while it is active.
 *
 * N1: a node is active from its first heartbeat after a join.
 * N2: one that left is not brought back by a heartbeat that was late; it has to join.
 * N3: one that joins again without having restarted stays active: other trackers' answers made it ask again.
 */
import { setup } from "xstate";
import { stateTable } from "../../core/state-table.ts";

export type NodeEvent =
  /** A process of it that was not known. */
  | "node.joined"
  /** The process that is known. */
  | "node.rejoined"
  | "heartbeat.heard"
  | "silence.noticed"
  | "node.left";

export const NODE_PLACES = ["unknown", "joined", "active", "offline", "left"] as const;
export type NodePlace = (typeof NODE_PLACES)[number];

export const nodeMachine = setup({ types: { events: {} as { readonly type: NodeEvent } } }).createMachine({
  id: "node",
  initial: "unknown",
  states: {
    unknown: { on: { "node.joined": "expected" } },
    expected: {
      initial: "joined",
      on: {
        "node.joined": ".joined",
        "node.rejoined": ".joined",
        // N1
        "heartbeat.heard": ".active",
        "node.left": "left",
      },
      states: {
        joined: { on: { "silence.noticed": "offline" } },
        // N3
        active: { on: { "silence.noticed": "offline", "node.rejoined": "active" } },
        offline: {},
      },
    },
    // N2
    left: { on: { "node.joined": "expected", "node.rejoined": "expected", "node.left": "left" } },
  },
});

export const NODE_TABLE = stateTable<NodePlace, NodeEvent>(nodeMachine);
