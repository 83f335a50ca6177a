/**
 * `troupe decode`: one message of the bus from stdin, as JSON on stdout.
 *
 * D1: it is screened as whoever receives it does: what they refuse is refused here, in words.
 */
import { bodyFormat, decodeBody } from "../../bus/codec.ts";
import { TroupeError } from "../../core/errors.ts";
import { BUS_PAYLOAD_BYTES_MAX, REPLY_ITEMS_MAX } from "../../core/limits.ts";
import type { Terminal } from "../context.ts";
import type { Definition } from "../session.ts";

const EXAMPLES = `
JSON comes out as it went in, and nothing of nothing. Bytes inside a message become {"$base64": "…"}.

Examples:
  nats sub 'troupe.v1.>' --translate 'troupe decode'     every message, readable
  troupe decode < message.bin
  xxd -r -p <<< '81a26f6bc3' | troupe decode             {"ok":true}
`;

export const decodeCommand: Definition = (program, act) => {
  program
    .command("decode")
    .description("turn a message of the bus (msgpack) on stdin into JSON, for the NATS CLI's --translate")
    .addHelpText("after", EXAMPLES)
    .action(
      act(async ({ context: { terminal } }) => {
        const message = await readMessage(terminal);
        if (message.length === 0) return;
        // D1
        const value = decodeBody(message, { bytesMax: BUS_PAYLOAD_BYTES_MAX, itemsMax: REPLY_ITEMS_MAX });
        terminal.out(`${bodyFormat(message) === "json" ? sameText(message) : JSON.stringify(readable(value))}\n`);
      }),
    );
};

async function readMessage(terminal: Terminal): Promise<Uint8Array> {
  const blocks: Uint8Array[] = [];
  let bytes = 0;
  for await (const block of terminal.input()) {
    bytes += block.length;
    if (bytes > BUS_PAYLOAD_BYTES_MAX)
      throw new TroupeError("MESSAGE_REFUSED", `This is no message: no bus has one of more than ${BUS_PAYLOAD_BYTES_MAX} bytes.`);
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

/** Its numbers keep all their digits. In JSON that is valid, CR stands between values only. */
function sameText(message: Uint8Array): string {
  return new TextDecoder().decode(message).replaceAll("\r", "").trim();
}

function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $base64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, readable(field)]));
}
