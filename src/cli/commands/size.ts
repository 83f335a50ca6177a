/** `troupe size ID`: how many bytes a file has. */
import { fileIdOf } from "../../client/file-address.ts";
import type { Definition } from "../session.ts";

export const sizeCommand: Definition = (program, act) => {
  program
    .command("size")
    .description("print how many bytes a file has")
    .argument("<id>", "a file's ID or URL")
    .addHelpText("after", "\nExample:\n  troupe size 65f0c1d2…01\n")
    .action(
      act(async ({ client, context, json }, [id = ""]) => {
        const { fileId, name, size } = await client.file(fileIdOf(id), context.signal);
        context.terminal.out(json ? `${JSON.stringify({ fileId, name, size })}\n` : `${size}\n`);
      }),
    );
};
