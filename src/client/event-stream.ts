/**
 * Server-sent events (WHATWG HTML, 9.2) as they come: the name of each and its data. Lines end in LF or CR LF.
 *
 * E1: no event is longer than an answer may be.
 */
import { TroupeError } from "../core/errors.ts";
import { CLIENT_ANSWER_BYTES_MAX } from "../core/limits.ts";

export interface StreamEvent {
  readonly name: string;
  readonly text: string;
}

export async function* eventsOf(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let unended = "";
  let lines: string[] = [];
  let characters = 0;
  for await (const block of blocks) {
    const text = decoder.decode(block, { stream: true });
    // E1
    characters += text.length;
    const found = `${unended}${text}`.split("\n");
    unended = found.pop() ?? "";
    for (const line of found) {
      if (line !== "" && line !== "\r") {
        lines.push(line);
        continue;
      }
      const event = readEvent(lines);
      lines = [];
      characters = unended.length;
      if (event !== undefined) yield event;
    }
    if (characters > CLIENT_ANSWER_BYTES_MAX)
      throw new TroupeError("TOO_LARGE", `An event has more than ${CLIENT_ANSWER_BYTES_MAX} characters.`);
  }
}

/** Without data it is none: a sign of life. */
function readEvent(lines: readonly string[]): StreamEvent | undefined {
  let name = "message";
  const texts: string[] = [];
  for (const line of lines) {
    const [, field, value = ""] = /^([^:]+)(?:: ?(.*?))?\r?$/s.exec(line) ?? [];
    if (field === "event") name = value;
    else if (field === "data") texts.push(value);
  }
  return texts.length === 0 ? undefined : { name, text: texts.join("\n") };
}
