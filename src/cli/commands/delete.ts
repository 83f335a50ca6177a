/** `troupe delete ID…`: files are gone when it ends. */
import { fileIdOf } from "../../client/file-address.ts";
import type { Definition } from "../session.ts";

export const deleteCommand: Definition = (program, act) => {
  program
    .command("delete")
    .description("delete files; it cannot be undone")
    .argument("<id...>", "IDs or URLs of files")
    .addHelpText(
      "after",
      "\nA file is deleted by its ID or URL, never by its name, which several files may have; 'troupe ls' shows the IDs.\n\nExample:\n  troupe delete 65f0c1d2…01\n",
    )
    .action(
      act(async ({ client, context, json }, words) => {
        // All are read before the first is deleted: a slip in the last one must not leave half of the work done.
        for (const fileId of words.map(fileIdOf)) {
          await client.remove(fileId, context.signal);
          if (json) context.terminal.out(`${JSON.stringify({ fileId, deleted: true })}\n`);
          else context.terminal.err(`Deleted ${fileId}.\n`);
        }
      }),
    );
};
