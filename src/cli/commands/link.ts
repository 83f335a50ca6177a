/** `troupe link ID`: a URL that anyone may open until it expires. */
import type { SignedLink } from "../../client/answers.ts";
import { TroupeError } from "../../core/errors.ts";
import { chosenFile } from "../file-choice.ts";
import { LINK_TEXT_MAX, readExpiry } from "../option-values.ts";
import type { Definition, Session } from "../session.ts";

interface LinkOptions {
  /** Seconds. */
  readonly expires?: number;
}

const EXAMPLES = `
Whoever has the URL may read this one file, and nothing else, without a token. Prints the URL.

Examples:
  troupe link 65f0c1d2…01
  troupe link holidays/film.mkv --expires 12h
`;

export const linkCommand: Definition = (program, act) => {
  program
    .command("link")
    .description("print a URL that anyone may open for a while")
    .argument("<file>", "a file's ID, URL or name")
    .option("--expires <duration>", `how long it is good: 30m, 12h, 7d; at most ${LINK_TEXT_MAX} (default: the server's, 7d)`, readExpiry)
    .addHelpText("after", EXAMPLES)
    .action(
      act<LinkOptions>(async (session, [word = ""], { expires }) => {
        const { json, context } = session;
        const { fileId, ...link } = await linkTo(session, word, expires);
        context.terminal.out(json ? `${JSON.stringify({ fileId, ...link })}\n` : `${link.url}\n`);
      }),
    );
};

/** @throws {TroupeError} `BAD_REQUEST` without a gateway: it is the gateway that signs and later recognizes a link */
export async function linkTo(
  session: Session,
  word: string,
  expiresSeconds: number | undefined,
): Promise<SignedLink & { readonly fileId: string }> {
  if (!session.hasGateway)
    throw new TroupeError("BAD_REQUEST", "A link is made by the gateway that will know it again: give --gateway URL in place of --nats.");
  const fileId = await chosenFile(session, word);
  return { ...(await session.client.link(fileId, expiresSeconds, session.context.signal)), fileId };
}
