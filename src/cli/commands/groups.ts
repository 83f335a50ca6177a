/** `troupe groups`: groups of storage nodes that hold the same files. */
import { approximateSize } from "../../config/size.ts";
import type { Definition } from "../session.ts";
import { type Column, table } from "../table.ts";

const COLUMNS: readonly Column[] = [
  { title: "GROUP" },
  { title: "NODES", align: "right" },
  { title: "UP", align: "right" },
  { title: "FREE", align: "right" },
  { title: "TOTAL", align: "right" },
];

export const groupsCommand: Definition = (program, act) => {
  program
    .command("groups")
    .description("list the groups of storage nodes")
    .addHelpText("after", "\nExample:\n  troupe groups --json\n")
    .action(
      act(async ({ client, context, json }) => {
        const { groups } = await client.cluster(context.signal);
        const rows = groups.map(({ group, nodeCount, activeCount, freeBytes, totalBytes }) => [
          group,
          String(nodeCount),
          String(activeCount),
          approximateSize(freeBytes),
          approximateSize(totalBytes),
        ]);
        context.terminal.out(json ? `${JSON.stringify({ groups })}\n` : table(COLUMNS, rows));
      }),
    );
};
