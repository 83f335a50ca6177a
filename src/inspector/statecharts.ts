/** The charts there are, laid out when they were generated: an upload, the life of an actor, a storage node as trackers see it. */
import type { LaidOutChart } from "./laid-out-chart.ts";
import actor from "./statecharts/actor.json" with { type: "json" };
import node from "./statecharts/node.json" with { type: "json" };
import upload from "./statecharts/upload.json" with { type: "json" };

export const STATECHART_NAMES = ["upload", "actor", "node"] as const;
export type StatechartName = (typeof STATECHART_NAMES)[number];

/** A test holds the files to the machines, and so to this type. */
export const STATECHARTS = { upload, actor, node } as Readonly<Record<StatechartName, LaidOutChart>>;
