import fc from "fast-check";
import { expect, it } from "vitest";
import { eventsOf, type StreamEvent } from "../../src/client/event-stream.ts";
import { CLIENT_ANSWER_BYTES_MAX } from "../../src/core/limits.ts";

async function* blocksOf(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (const [index, place] of places.slice(0, -1).entries()) yield bytes.subarray(place, places[index + 1]);
}

async function read(text: string, cuts: readonly number[] = []): Promise<StreamEvent[]> {
  return await Array.fromAsync(eventsOf(blocksOf(Buffer.from(text), cuts)));
}

it("an event has its name and its data, and a sign of life is none", async () => {
  expect(await read(': hello\n\nevent: steps\nid: 7\ndata: {"a":1}\n\n: alive\n\ndata:x\ndata: y\n\n')).toEqual([
    { name: "steps", text: '{"a":1}' },
    { name: "message", text: "x\ny" },
  ]);
});

it("what breaks off is no event", async () => {
  expect(await read("data: whole\n\ndata: half")).toEqual([{ name: "message", text: "whole" }]);
});

it("events are the same however they are cut and whichever way their lines end", async () => {
  const events = fc.array(
    fc.record({
      name: fc.constantFrom("steps", "inspection"),
      text: fc.string({ unit: "grapheme" }).map((text) => text.replace(/[\r\n]/g, "")),
    }),
    { maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(events, fc.constantFrom("\n", "\r\n"), fc.array(fc.nat()), async (sent, end, cuts) => {
      const text = sent.map((event) => `event: ${event.name}${end}data: ${event.text}${end}${end}`).join("");
      expect(await read(text, cuts)).toEqual(sent);
    }),
  );
});

it("E1: an event without an end is given up", async () => {
  await expect(read(`data: ${"x".repeat(CLIENT_ANSWER_BYTES_MAX)}`)).rejects.toMatchObject({ code: "TOO_LARGE" });
});
