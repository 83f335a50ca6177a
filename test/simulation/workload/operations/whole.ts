/** A file as one body: as `curl -T` does it, with a key and a length, and as a form. */
import { contentDigestField } from "../../../../src/core/digest.ts";
import type { Doing, Said } from "../doing.ts";
import type { OperationKind } from "../operation-kind.ts";
import { drawContent, drawName } from "./wishes.ts";

const BLOCK_BYTES = 32 * 1024;

const put: OperationKind = {
  kind: "upload.whole",
  weight: 1.5,
  draw: (random) => ({ ...drawContent(random), ...drawName(random), how: random.pick(["stream", "key", "key", "digest", "lie"]) }),
  async run(doing) {
    const { content, labels, signal } = doing;
    const { name, user } = labels;
    const how = doing.text("how");
    // Without a key, whoever gets no answer does not know, and sends it once more as another file.
    if (how === "stream") return void (await doing.troupe(content).put(name, blocks(doing), { user }, signal));
    const address = `/put/${name.split("/").map(encodeURIComponent).join("/")}?user=${user}`;
    const lies = how === "lie" && content.sizeBytes > 0;
    const value = lies ? "0".repeat(64) : content.digest("sha256");
    const digest = how === "key" ? {} : { "content-digest": contentDigestField([{ algorithm: "sha256", value }]) };
    const said = (): Said => ({
      content,
      lies,
      headers: { "content-length": String(content.sizeBytes), "idempotency-key": doing.key(), ...digest },
      body: blocks(doing),
    });
    if (lies) return await doing.expectRefusal("DIGEST_MISMATCH", doing.ask("PUT", address, said()));
    await doing.again(() => doing.ask("PUT", address, said()));
  },
};

const form: OperationKind = {
  kind: "upload.form",
  weight: 0.5,
  draw: (random) => ({ ...drawContent(random), ...drawName(random) }),
  async run(doing) {
    const { content, labels } = doing;
    const { name, user } = labels;
    const boundary = "simulated-boundary";
    const part = (fields: string): string => `--${boundary}\r\nContent-Disposition: form-data; ${fields}\r\n\r\n`;
    const metadata = JSON.stringify({ name, user });
    const body = Buffer.concat([
      Buffer.from(`${part('name="metadata"')}${metadata}\r\n${part('name="file"; filename="file.bin"')}`),
      content.bytes(),
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const headers = {
      "content-type": `multipart/form-data; boundary=${boundary}`,
      "idempotency-key": doing.key(),
      "content-length": String(body.length),
    };
    const query = new URLSearchParams({ name, user });
    await doing.again(() => doing.ask("POST", `/api/v1/files?${query}`, { content, headers, body }));
  },
};

async function* blocks({ content }: Doing): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < content.sizeBytes; offset += BLOCK_BYTES) yield content.span(offset, offset + BLOCK_BYTES);
}

export const WHOLE_KINDS: readonly OperationKind[] = [put, form];
