/** stdin as one body: its size is not known before its end, and it cannot be sent twice. */
import type { StoredFile } from "../../client/answers.ts";
import { fileIdOf } from "../../client/file-address.ts";
import { paced } from "../../client/pace.ts";
import { TroupeError } from "../../core/errors.ts";
import { TransferDisplay } from "../progress.ts";
import type { UploadRun } from "./one-file.ts";

export async function sendInput({ session, options, pace }: UploadRun, name: string): Promise<StoredFile> {
  const { client, context } = session;
  const { app, user } = options;
  const display = new TransferDisplay(context.terminal, context.clock, name, undefined);
  const hash = context.hasher.stream("blake3");
  async function* blocks(): AsyncGenerator<Uint8Array> {
    let doneBytes = 0;
    for await (const block of paced(context.terminal.input(), pace, context.signal)) {
      hash.update(block);
      doneBytes += block.length;
      display.update(doneBytes);
      yield block;
    }
  }
  try {
    const url = await client.put(name, blocks(), { app, user }, context.signal);
    const file = await client.file(fileIdOf(url), context.signal);
    if (file.digest.blake3 === hash.digestHex()) return file;
    throw new TroupeError(
      "DIGEST_MISMATCH",
      `The server's file ${file.fileId} is not what was sent: its BLAKE3 differs. Delete it and upload again.`,
      { facts: { fileId: file.fileId } },
    );
  } finally {
    display.end();
  }
}
