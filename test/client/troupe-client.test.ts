/** Errors, tokens and patience of the client. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fileIdOf } from "../../src/client/file-address.ts";
import { TroupeClient } from "../../src/client/troupe-client.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { CLIENT_ANSWER_BYTES_MAX, CLIENT_SILENCE_MS_MAX } from "../../src/core/limits.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse } from "../../src/core/ports/http-exchange.ts";
import { problemOf } from "../../src/core/received-problem.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";
import { fileIdNumber, json, once, problem } from "./memory-gateway.ts";
import { failureOf } from "./rig.ts";

const ID = fileIdNumber(7);

function clientOf(answer: (request: HttpClientRequest) => HttpClientResponse | Promise<HttpClientResponse>, token?: string) {
  const clock = new VirtualClock();
  const http: HttpClient = { exchange: async (request) => answer(request), close: async () => undefined };
  return { clock, client: new TroupeClient({ http, clock, gateway: "http://127.0.0.1:8080/", token }) };
}

describe("an error answer", () => {
  it("keeps its code, its detail and its facts", async () => {
    const { client } = clientOf(() => problem(409, "UPLOAD_INCOMPLETE", { missing: [[1, 2]] }));
    const error = await failureOf(client.merge("u1"));
    expect(error).toMatchObject({
      code: "UPLOAD_INCOMPLETE",
      detail: "UPLOAD_INCOMPLETE as told",
      facts: { missing: [[1, 2]], requestId: "r1", httpStatus: 409 },
    });
  });

  it("gets the code of its status when it is not a problem, or one of a newer version", () => {
    expect(problemOf(401, {}, "<html>").code).toBe("UNAUTHORIZED");
    expect(problemOf(404, {}, "").code).toBe("NOT_FOUND");
    expect(problemOf(502, {}, "Bad Gateway").code).toBe("UNAVAILABLE");
    expect(problemOf(418, {}, "{}").code).toBe("BAD_REQUEST");
    expect(problemOf(403, {}, '{"code":"FROM_THE_FUTURE","detail":"why"}')).toMatchObject({ code: "FORBIDDEN", detail: "why" });
  });

  it("is a typed error whatever its text is", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 400, max: 599 }),
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((text) => `{"code":${text}}`),
        ),
        fc.string(),
        (status, text, pause) => {
          const error = problemOf(status, { "retry-after": pause }, text);
          expect(error).toBeInstanceOf(TroupeError);
          expect(error.facts["httpStatus"]).toBe(status);
          expect(typeof error.detail).toBe("string");
        },
      ),
    );
  });

  it("asks for a pause in seconds, which is bounded", () => {
    expect(problemOf(503, { "retry-after": "3" }, "").facts["retryAfterMs"]).toBe(3000);
    expect(problemOf(503, { "retry-after": "999999999" }, "").facts["retryAfterMs"]).toBe(60_000);
    expect(problemOf(503, { "retry-after": "Fri, 31 Dec 1999 23:59:59 GMT" }, "").facts["retryAfterMs"]).toBeUndefined();
  });
});

describe("an answer", () => {
  it("that is not of this interface says that it is not a gateway", async () => {
    expect((await failureOf(clientOf(() => ({ status: 200, headers: {}, body: once("<html>") })).client.cluster())).detail).toMatch(
      /no Troupe gateway/,
    );
    expect((await failureOf(clientOf(() => json(200, { groups: 5 })).client.cluster())).detail).toMatch(/does not understand/);
  });

  it("is read into memory up to a bound", async () => {
    let count = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; ; count += 1) yield new Uint8Array(1024 * 1024);
    }
    expect((await failureOf(clientOf(() => ({ status: 200, headers: {}, body: endless() })).client.cluster())).code).toBe("TOO_LARGE");
    expect(count).toBeLessThanOrEqual(CLIENT_ANSWER_BYTES_MAX / (1024 * 1024));
  });
});

describe("a token", () => {
  async function sent(token: string | undefined): Promise<string | undefined> {
    let header: string | undefined;
    const { client } = clientOf((request) => {
      header = request.headers?.["authorization"];
      return json(200, { files: [] });
    }, token);
    await client.files({});
    return header;
  }

  it("is sent as a secret alone, or as owner and secret", async () => {
    expect(await sent("s3cret")).toBe("Bearer s3cret");
    expect(await sent("alice:s3:cret")).toBe(`Basic ${Buffer.from("alice:s3:cret").toString("base64")}`);
    expect(await sent(undefined)).toBeUndefined();
  });

  it("I24: that cannot be sent is refused without being repeated", () => {
    for (const token of ["SEC RET", "SEC\r\nRET", "SECRÉT"]) {
      expect(() => clientOf(() => json(200, {}), token)).toThrow(TroupeError);
      expect(() => clientOf(() => json(200, {}), token)).not.toThrow(/SEC/);
    }
  });
});

describe("a gateway's address", () => {
  it.each(["", "localhost:8080", "ftp://x", "http://", "http://x/?a=1", "http://user:pw@x"])("is refused when it is %j", (gateway) => {
    const http: HttpClient = { exchange: async () => json(200, {}), close: async () => undefined };
    expect(() => new TroupeClient({ http, clock: new VirtualClock(), gateway })).toThrow(TroupeError);
  });
});

describe("a silent server", () => {
  it("is given up after a while, and told apart from a slow one", async () => {
    const { client, clock } = clientOf(
      (request) => new Promise((_, reject) => request.signal?.addEventListener("abort", () => reject(new TroupeError("CANCELLED")))),
    );
    const failure = failureOf(client.cluster());
    await clock.advance(CLIENT_SILENCE_MS_MAX - 1);
    expect(clock.timerCount).toBe(1);
    await clock.advance(1);
    expect(await failure).toMatchObject({ code: "DEADLINE_EXCEEDED", facts: { unreachable: true } });
    expect(clock.timerCount).toBe(0);
  });

  it("is not given up while something comes now and then, or while we are the slow ones", async () => {
    let push: (() => void) | undefined;
    async function* slow(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 3; index += 1) {
        await new Promise<void>((resolve) => {
          push = resolve;
        });
        yield Buffer.from("x");
      }
    }
    let signal: AbortSignal | undefined;
    const { client, clock } = clientOf((request) => {
      signal = request.signal;
      return { status: 200, headers: {}, body: slow() };
    });
    const opened = await client.open(ID, undefined, undefined);
    const reader = opened.body[Symbol.asyncIterator]();
    for (let index = 0; index < 3; index += 1) {
      const next = reader.next();
      await clock.advance(CLIENT_SILENCE_MS_MAX - 1);
      push?.();
      expect((await next).done).toBe(false);
      // Here it is the reader who takes his time.
      await clock.advance(10 * CLIENT_SILENCE_MS_MAX);
    }
    expect((await reader.next()).done).toBe(true);
    expect(signal?.aborted).toBe(false);
    expect(clock.timerCount).toBe(0);
  });

  it("leaves no timer behind when the caller gives up", async () => {
    const { client, clock } = clientOf(
      (request) => new Promise((_, reject) => request.signal?.addEventListener("abort", () => reject(new TroupeError("CANCELLED")))),
    );
    const controller = new AbortController();
    const failure = failureOf(client.cluster(controller.signal));
    await settle();
    controller.abort();
    expect((await failure).code).toBe("CANCELLED");
    expect(clock.timerCount).toBe(0);
  });
});

describe("the name of a file", () => {
  it("is its ID or a URL that holds it", () => {
    for (const text of [ID, `http://h:1/files/${ID}`, `https://h/media/files/${ID}/a%20b.mp4?download`]) expect(fileIdOf(text)).toBe(ID);
    for (const text of ["", "x", `http://h/other/${ID}`, "http://h/files/x", `${ID}0`, `../${ID}`])
      expect(() => fileIdOf(text)).toThrow(TroupeError);
  });

  it("is one or a typed error, whatever is given", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), (text) => {
        try {
          expect(fileIdOf(text)).toMatch(/^[0-9a-f]{30}\d{6}$/);
        } catch (error) {
          expect(error).toMatchObject({ code: "BAD_REQUEST" });
        }
      }),
    );
  });
});
