/** `troupe nodes`: storage nodes, and when each was last heard of. */
import { approximateDuration } from "../../config/duration.ts";
import { approximateSize } from "../../config/size.ts";
import type { Definition } from "../session.ts";
import { type Column, table } from "../table.ts";

const COLUMNS: readonly Column[] = [
  { title: "NODE" },
  { title: "GROUP" },
  { title: "ZONE" },
  { title: "STATE" },
  { title: "HEARD", align: "right" },
  { title: "FREE", align: "right" },
  { title: "TOTAL", align: "right" },
];

export const nodesCommand: Definition = (program, act) => {
  program
    .command("nodes")
    .description("list the storage nodes and their state")
    .addHelpText("after", "\nExample:\n  troupe nodes\n")
    .action(
      act(async ({ client, context, json }) => {
        const { nodes } = await client.cluster(context.signal);
        const rows = nodes.map(({ nodeId, group, zone, state, silentMs, freeBytes, totalBytes }) => [
          nodeId,
          group,
          zone,
          state,
          `${approximateDuration(silentMs)} ago`,
          approximateSize(freeBytes),
          approximateSize(totalBytes),
        ]);
        context.terminal.out(json ? `${JSON.stringify({ nodes })}\n` : table(COLUMNS, rows));
      }),
    );
};
