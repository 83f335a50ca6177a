import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeBody } from "../../src/bus/codec.ts";
import { BUS_PAYLOAD_BYTES_MAX } from "../../src/core/limits.ts";
import { run, TROUPE } from "../support/program.ts";
import { commandRig } from "./command-rig.ts";

async function decoded(input: string | Uint8Array) {
  await using rig = await commandRig();
  return await rig.run(["decode"], { input });
}

describe("decode", () => {
  it("turns msgpack into JSON, with bytes as base64", async () => {
    const message = encodeBody(
      { text: "ä\u0001", bytes: Buffer.from([1, 2, 255]), list: [1, { no: false }], nothing: null, large: 2 ** 40 },
      "msgpack",
    );
    const { code, out } = await decoded(message);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      text: "ä\u0001",
      bytes: { $base64: "AQL/" },
      list: [1, { no: false }],
      nothing: null,
      large: 2 ** 40,
    });
  });

  it("lets JSON through with every digit, and nothing of nothing", async () => {
    expect(await decoded('{"a":12345678901234567890,\r\n "b":"\\u0007"}\n')).toEqual({
      code: 0,
      out: '{"a":12345678901234567890,\n "b":"\\u0007"}\n',
      err: "",
    });
    expect(await decoded("")).toEqual({ code: 0, out: "", err: "" });
  });

  it.each([
    ["what is no message", "hello"],
    ["JSON that breaks off", '{"a":'],
    ["msgpack that breaks off", Buffer.from([0x82, 0xa1, 0x61])],
    ["a key that reaches a prototype", encodeBody(JSON.parse('{"__proto__":1}'), "msgpack")],
    ["something that stands after the message", Buffer.concat([encodeBody({ a: 1 }, "msgpack"), Buffer.from([0])])],
    ["more than a bus has in a message", Buffer.alloc(BUS_PAYLOAD_BYTES_MAX + 1, "{")],
  ])("refuses %s in words, with 1", async (_, input) => {
    const { code, out, err } = await decoded(input);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/^troupe: .+\n$/);
  });

  it("ends well or with 1, whatever it is given", async () => {
    await using rig = await commandRig();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (input) => {
        const { code, out } = await rig.run(["decode"], { input });
        expect([0, 1]).toContain(code);
        if (code === 0 && input.length > 0) JSON.parse(out);
      }),
    );
  });

  it("is a filter between programs", async () => {
    const out = await run("sh", ["-c", `printf '\\201\\242ok\\303' | "${process.execPath}" "${TROUPE}" decode`]);
    expect(out.toString()).toBe('{"ok":true}\n');
  });
});
