import { describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import type { Log } from "../../src/core/log.ts";
import { createLog, type LogLevel } from "../../src/store/pino-log.ts";

function recorded(level: LogLevel, isTTY = false): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  return { log: createLog(level, { isTTY, write: (line) => void lines.push(line) }), lines };
}

const parsed = (line: string | undefined): Record<string, unknown> => JSON.parse(line ?? "null") as Record<string, unknown>;

describe("the log", () => {
  it("writes one JSON line an event: time, level, facts and sentence", () => {
    const { log, lines } = recorded("info");
    log.info({ uploadId: "u1", sizeBytes: 12 }, "received");
    log.warn({}, "careful");
    expect(lines.length).toBe(2);
    expect(lines.every((line) => line.endsWith("}\n") && !line.slice(0, -1).includes("\n"))).toBe(true);
    expect(parsed(lines[0])).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      uploadId: "u1",
      sizeBytes: 12,
      msg: "received",
    });
    expect(parsed(lines[1])).toMatchObject({ level: "warn", msg: "careful" });
  });

  it("says nothing below its level", () => {
    const { log, lines } = recorded("warn");
    log.debug({}, "a");
    log.info({}, "b");
    log.error({}, "c");
    expect(lines.map((line) => parsed(line)["msg"])).toEqual(["c"]);
    const silent = recorded("silent");
    silent.log.error({}, "d");
    expect(silent.lines).toEqual([]);
  });

  it("a child's facts are on each of its lines, and its children's", () => {
    const { log, lines } = recorded("info");
    log.child({ nodeId: "n1" }).child({ uploadId: "u1" }).info({ index: 3 }, "stored");
    expect(parsed(lines[0])).toMatchObject({ nodeId: "n1", uploadId: "u1", index: 3, msg: "stored" });
  });

  it("I24: no secret is written, under whatever key, at whatever depth, in facts, children, errors and sentences", () => {
    for (const isTTY of [false, true]) {
      const { log, lines } = recorded("debug", isTTY);
      const secret = "hunter2";
      const error = new TroupeError("UNAVAILABLE", `cannot reach nats://user:p@${secret}@10.0.0.1:4222`, {
        facts: { token: secret },
        cause: Object.assign(new Error(`GET /files/a?token=${secret}&x=1 refused`), { password: secret }),
      });
      for (const key of [
        "token",
        "authorization",
        "Authorization",
        "cookie",
        "set-cookie",
        "secret",
        "password",
        "dataToken",
        "proxy-authorization",
        "tokens",
      ]) {
        log.info(
          { [key]: secret, a: { [key]: { deep: secret }, b: { [key]: [secret], c: { [key]: secret } } }, list: [{ [key]: secret }] },
          "facts",
        );
        log.child({ [key]: secret, a: { [key]: secret } }).info({}, "child");
        log.info({ map: new Map([[key, secret]]) }, "map");
      }
      log.error({ err: error, nested: { error } }, "failed");
      log.info(
        { url: new URL(`http://owner:${secret}@host/x`), text: `mysql://root:${secret}@db/troupe` },
        `redirected to /f/1?signature=${secret}`,
      );
      log.info({ header: `Bearer ${secret}` }, `sent Authorization: Basic ${secret}`);
      expect(lines.join("")).not.toContain(secret);
      expect(lines.join("")).toContain("redacted");
      expect(lines.join("")).toContain("10.0.0.1:4222");
    }
  });

  it("what is no secret stays", () => {
    const { log, lines } = recorded("info");
    log.info({ url: "http://127.0.0.1:8080/files/a@b?x=1", mail: "a@b.c", tokenCount: 3, tokenised: "x" }, "a basic sentence");
    expect(parsed(lines[0])).toMatchObject({ url: "http://127.0.0.1:8080/files/a@b?x=1", mail: "a@b.c", tokenCount: 3, tokenised: "x" });
  });

  it("an error is written with its stack, its code, its facts and its causes", () => {
    const { log, lines } = recorded("info");
    const root = Object.assign(new Error("no such file"), { code: "ENOENT" });
    const middle = new TroupeError("DISK_FAILED", "cannot open", { cause: root, facts: { syscall: "open" } });
    log.error({ err: new TroupeError("INTERNAL", "it broke", { cause: middle }) }, "crashed");
    expect(parsed(lines[0])["err"]).toEqual({
      type: "TroupeError",
      message: "INTERNAL: it broke",
      code: "INTERNAL",
      stack: expect.stringContaining("pino-log.test.ts"),
      cause: {
        type: "TroupeError",
        message: "DISK_FAILED: cannot open",
        code: "DISK_FAILED",
        facts: { syscall: "open" },
        cause: { type: "Error", message: "no such file", code: "ENOENT" },
      },
    });
  });

  it("what is only away or busy is written without a stack, and what broke with one", () => {
    const { log, lines } = recorded("info");
    const cause = new Error("closed");
    for (const code of ["BUS_UNAVAILABLE", "DATABASE_UNAVAILABLE", "UNAVAILABLE", "DEADLINE_EXCEEDED", "HOST_UNAVAILABLE"] as const) {
      log.warn({ err: new TroupeError(code, "away", { cause }) }, "again");
      expect(parsed(lines.at(-1))["err"]).toEqual({
        type: "TroupeError",
        message: `${code}: away`,
        code,
        cause: { type: "Error", message: "closed" },
      });
    }
    for (const error of [new TroupeError("INTERNAL"), new TroupeError("DISK_FAILED"), new TroupeError("SETTING_INVALID"), cause]) {
      log.error({ err: error }, "broke");
      expect(parsed(lines.at(-1))["err"]).toHaveProperty("stack");
    }
  });

  it("takes anything: cycles, depth, length, bytes, bigints", () => {
    const { log, lines } = recorded("info");
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const causing = new Error("own cause");
    causing.cause = causing;
    log.info(
      {
        cycle,
        causing,
        many: Array.from({ length: 10_000 }, (_, index) => index),
        wide: Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key ${index}`, index])),
        long: "x".repeat(1_000_000),
        bytes: new Uint8Array(1_000_000),
        big: 2n ** 70n,
        nothing: undefined,
        none: null,
        when: new Date(0),
        never: new Date(Number.NaN),
        call: () => 1,
        all: new AggregateError([new Error("one"), new Error("two")], "several"),
      },
      "everything",
    );
    expect(lines.length).toBe(1);
    expect(lines[0]?.length).toBeLessThan(50_000);
    expect(parsed(lines[0])).toMatchObject({
      bytes: "[1000000 bytes]",
      big: String(2n ** 70n),
      none: null,
      when: "1970-01-01T00:00:00.000Z",
      all: { errors: [{ message: "one" }, { message: "two" }] },
    });
  });

  it("on a terminal an event is one plain line, an error's stack below it", () => {
    const { log, lines } = recorded("info", true);
    log.info({ uploadId: "u1", name: "two words" }, "received");
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}received uploadId=u1 name="two words"\n$/);
    log.error({ err: new Error("broken") }, "crashed");
    expect(lines[1]).toContain("ERROR crashed err=");
    expect(lines[1]).toMatch(/\n {4}Error: broken\n {4}at /);
  });

  it("I11: a name with control characters forges neither a line nor a colour", () => {
    for (const isTTY of [false, true]) {
      const { log, lines } = recorded("info", isTTY);
      log.info({ name: "a\r\nINFO forged\u001b[2J\u009b2J" }, 'received\n{"level":"error"}\u001b[31m');
      expect(lines.length).toBe(1);
      expect(lines[0]?.trimEnd().split("\n").length).toBe(1);
      expect(lines[0]).not.toContain("\u001b");
      if (isTTY) expect(lines[0]).not.toContain("\u009b");
    }
  });

  it("I11: nor do marks on a terminal that turn writing around hide what follows", () => {
    const { log, lines } = recorded("info", true);
    log.info({ name: "a\u202egnp\u2066\u2028" }, "received");
    expect(lines[0]).toContain('name="a\\u202egnp\\u2066\\u2028"');
  });
});
