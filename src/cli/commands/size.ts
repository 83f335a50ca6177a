/** `troupe size ID`: how many bytes a file has. */
import { chosenFile } from "../file-choice.ts";
import type { Definition } from "../session.ts";

export const sizeCommand: Definition = (program, act) => {
  program
    .command("size")
    .description("print how many bytes a file has")
    .argument("<file>", "a file's ID, URL or name")
    .addHelpText("after", "\nExamples:\n  troupe size 65f0c1d2…01\n  troupe size holidays/film.mkv\n")
    .action(
      act(async (session, [word = ""]) => {
        const { client, context, json } = session;
        const { fileId, name, size } = await client.file(await chosenFile(session, word), context.signal);
        context.terminal.out(json ? `${JSON.stringify({ fileId, name, size })}\n` : `${size}\n`);
      }),
    );
};
