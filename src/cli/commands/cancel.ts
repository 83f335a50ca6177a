/** `troupe cancel ID`: an upload ends, and nothing of it stays. */
import { checkIdentity } from "../../core/identity.ts";
import type { Definition } from "../session.ts";

export const cancelCommand: Definition = (program, act) => {
  program
    .command("cancel")
    .description("end an upload and remove what has arrived of it")
    .argument("<id>", "an upload's ID, from 'troupe uploads'")
    .addHelpText("after", "\nExample:\n  troupe cancel V1StGXR8_Z5jdHi6B-myT0\n")
    .action(
      act(async ({ client, context, json }, [word]) => {
        const uploadId = checkIdentity(word, "The upload");
        await client.cancel(uploadId, context.signal);
        if (json) context.terminal.out(`${JSON.stringify({ uploadId, state: "cancelled" })}\n`);
        else context.terminal.err(`Cancelled upload ${uploadId}.\n`);
      }),
    );
};
