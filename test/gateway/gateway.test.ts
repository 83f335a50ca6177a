import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { assertBindAllowed } from "../../src/gateway/listening.ts";
import { parseTarget } from "../../src/gateway/target.ts";
import { Rig } from "./rig.ts";

const code = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof TroupeError) return error.code;
    throw error;
  }
  return "none";
};

describe("targets", () => {
  test.each([
    "http://x/files",
    "*",
    "",
    "x",
    "/a/../b",
    "/../../x",
    "/%2e%2e%2f",
    "/a/%2E%2e/b",
    "/a/.",
    "/a%2fb",
    "/a%5cb",
    "/a\\b",
    "/%00",
    "/a%0d%0ab",
    "/%ff",
    "/%",
    "/%zz",
    "/%c3%28",
    "/a#b",
    `/${"a".repeat(9000)}`,
  ])("I3: %s is refused", (target) => expect(code(() => parseTarget(target))).toBe("BAD_PATH"));

  test("a plain dot between segments is nothing", () => {
    expect(parseTarget("/./browse/./a:b/././c/").segments).toEqual(["browse", "a:b", "c", ""]);
  });

  test("I3: a segment is decoded once: %252e is the text %2e", () => {
    expect(parseTarget("/files/%252e%252e%252f/a%20b?name=%252e&x=a+b&x=2&flag").segments).toEqual(["files", "%2e%2e%2f", "a b"]);
    expect([...parseTarget("/?name=%252e&x=a+b&x=2&flag").query]).toEqual([
      ["name", "%2e"],
      ["x", "a b"],
      ["flag", ""],
    ]);
    expect(code(() => parseTarget("/?x=%ff"))).toBe("BAD_REQUEST");
    expect(code(() => parseTarget(`/?${"a&".repeat(100)}`))).toBe("BAD_REQUEST");
  });

  test("whatever the text, the answer is segments without separators and parents, or a typed error", () => {
    fc.assert(
      fc.property(fc.oneof(fc.webPath(), fc.string(), fc.stringMatching(/^\/[%0-9a-fA-F./\\]*$/)), (text) => {
        try {
          for (const segment of parseTarget(text).segments)
            expect(segment === ".." || segment === "." || /[/\\\0]/.test(segment)).toBe(false);
        } catch (error) {
          expect(error).toBeInstanceOf(TroupeError);
        }
      }),
    );
  });
});

describe("routing", () => {
  test("an unknown path is 404, a known one with another method 405 with what it allows, OPTIONS tells the same", async () => {
    await using rig = await Rig.start();
    expect((await rig.ask("GET", "/nothing/here")).json).toMatchObject({
      type: "urn:troupe:error:NOT_FOUND",
      status: 404,
      code: "NOT_FOUND",
    });
    const wrong = await rig.ask("DELETE", "/healthz");
    expect([wrong.status, wrong.fields["allow"]]).toEqual([405, "GET, HEAD, OPTIONS"]);
    const options = await rig.ask("OPTIONS", "/api/v1/files/x");
    expect([options.status, options.fields["allow"]]).toEqual([204, "GET, HEAD, PATCH, DELETE, OPTIONS"]);
    expect((await rig.ask("BREW", "/healthz")).status).toBe(405);
    expect((await rig.ask("GET", "/%68ealthz")).status).toBe(200);
  });

  test("every answer has a request ID, and a problem the same one in its body", async () => {
    await using rig = await Rig.start();
    const { fields, json } = await rig.ask("GET", "/api/v1/files/x");
    expect(fields["content-type"]).toBe("application/problem+json");
    expect(json["requestId"]).toBe(fields["x-request-id"]);
    expect(Object.keys(json)).toEqual(expect.arrayContaining(["type", "title", "status", "code", "detail", "requestId"]));
  });

  test("I24: an unexpected error is told by its ID only; the log has it, and no query and no token", async () => {
    await using rig = await Rig.start({ tokens: [{ owner: "ann", secret: "t0p-secret" }] });
    rig.plane.readBlob = async () => {
      throw new RangeError("boom at /data/secret.ts");
    };
    const { fileId } = rig.addFile(new Uint8Array(10), { owner: "ann" });
    const answer = await rig.ask("GET", `/files/${fileId}?word=abcdef`, { headers: { authorization: "Bearer t0p-secret" } });
    expect([answer.status, answer.json["code"]]).toEqual([500, "INTERNAL"]);
    expect(answer.bytes.toString()).not.toMatch(/boom|secret|\.ts/);
    const log = rig.lines.join("\n");
    expect(log).toContain(fieldOf(answer.fields, "x-request-id"));
    expect(log).not.toMatch(/abcdef|t0p-secret/);
  });

  test("a file is renamed, listed and found by the beginning of its name", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(new Uint8Array(10));
    const rename = (name: string) =>
      rig.ask("PATCH", `/api/v1/files/${fileId}`, { headers: { "content-type": "application/json" }, body: JSON.stringify({ name }) });
    expect((await rename("new/name.mp4")).json).toMatchObject({
      fileId,
      name: "new/name.mp4",
      url: `http://localhost:8080/files/${fileId}/new/name.mp4`,
    });
    expect((await rename("a//b")).json["code"]).toBe("BAD_NAME");
    expect((await rig.ask("GET", "/api/v1/files?prefix=new/")).json["files"]).toHaveLength(1);
    expect((await rig.ask("GET", "/api/v1/files?prefix=old")).json["files"]).toEqual([]);
    expect((await rig.ask("GET", `/files/${fileId}`)).fields["content-disposition"]).toContain("name.mp4");
  });

  test("the cluster is shown with times; a stopping gateway says so", async () => {
    await using rig = await Rig.start();
    expect((await rig.ask("GET", "/api/v1/cluster")).json).toMatchObject({
      groups: [{ group: "group001", activeCount: 2 }],
      nodes: [{ nodeId: "node1", state: "active", freeBytes: 10, lastHeartbeat: "2025-12-31T23:59:59.000Z" }, { nodeId: "node2" }],
    });
    expect((await rig.ask("GET", "/healthz")).status).toBe(200);
    expect((await rig.ask("GET", "/")).bytes.toString()).toContain("curl -T movie.mp4 http://localhost:8080/put/");
    await rig.gateway.stop();
    expect((await rig.ask("GET", "/healthz")).json["code"]).toBe("STOPPING");
  });
});

describe("who may", () => {
  const tokens = [
    { owner: "ann", secret: "first" },
    { owner: "bob", secret: "second:with:colons" },
  ];
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

  test.each([
    ["Bearer first", 200],
    ["bearer first", 200],
    ["Bearer second:with:colons", 200],
    [basic("ann:first"), 200],
    [basic("bob:second:with:colons"), 200],
    [basic("bob:first"), 401],
    ["Bearer firs", 401],
    ["Bearer first2", 401],
    ["Bearer ", 401],
    ["first", 401],
    ["Digest first", 401],
    [`Bearer ${"x".repeat(8000)}`, 401],
    [basic("first"), 401],
  ])("I23: with tokens, %s is %i", async (authorization, status) => {
    await using rig = await Rig.start({ tokens });
    const answer = await rig.ask("GET", "/api/v1/files", { headers: { authorization } });
    expect(answer.status).toBe(status);
    if (status === 401) expect(answer.fields["www-authenticate"]).toMatch(/^Bearer .*Basic /);
  });

  test("I23: without a token nothing of anybody's is told, and another owner's file is not there", async () => {
    await using rig = await Rig.start({ tokens });
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "ann" });
    for (const target of [`/files/${fileId}`, "/api/v1/files", "/api/v1/uploads", "/api/v1/cluster"])
      expect((await rig.ask("GET", target)).status).toBe(401);
    expect((await rig.ask("GET", "/healthz")).status).toBe(200);
    const as = (secret: string) => ({ headers: { authorization: `Bearer ${secret}` } });
    expect((await rig.ask("GET", `/files/${fileId}`, as("first"))).status).toBe(200);
    expect((await rig.ask("GET", `/files/${fileId}`, as("second:with:colons"))).status).toBe(404);
    expect((await rig.ask("DELETE", `/api/v1/files/${fileId}`, as("second:with:colons"))).status).toBe(404);
    expect((await rig.ask("GET", `/files/${fileId}`, as("first"))).status).toBe(200);
  });

  test("without a token only loopback may be listened on", () => {
    for (const host of ["127.0.0.1", "::1", "localhost", "127.9.9.9"]) expect(code(() => assertBindAllowed(host, []))).toBe("none");
    for (const host of ["0.0.0.0", "::", "192.168.1.2", "files.example"]) {
      expect(code(() => assertBindAllowed(host, []))).toBe("SETTING_INVALID");
      expect(code(() => assertBindAllowed(host, tokens))).toBe("none");
    }
  });
});

describe("names and origins", () => {
  test.each([
    ["localhost", 200],
    ["localhost:9", 200],
    ["127.0.0.1:8080", 200],
    ["[::1]:8080", 200],
    ["LOCALHOST:1", 200],
    ["files.example", 200],
    ["evil.example:8080", 403],
    ["localhost.evil.example", 403],
    ["127.0.0.1.evil.example", 403],
    ["192.168.1.5:8080", 403],
    ["", 403],
    ["a b", 403],
    ["localhost@evil", 403],
  ])("I12: Host %j is %i", async (host, status) => {
    await using rig = await Rig.start({ publicUrl: "https://files.example/" });
    expect((await rig.ask("GET", "/healthz", { headers: { host } })).status).toBe(status);
  });

  test("I12: beyond loopback an address is a name of ours, another name is not", async () => {
    await using rig = await Rig.start({ tokens: [{ owner: "a", secret: "b" }] });
    rig.gateway.listening({ url: "http://0.0.0.0:8080", host: "0.0.0.0" });
    expect((await rig.ask("GET", "/healthz", { headers: { host: "192.168.1.5:8080" } })).status).toBe(200);
    expect((await rig.ask("GET", "/healthz", { headers: { host: "evil.example" } })).json["code"]).toBe("FOREIGN_HOST");
  });

  test.each<[string, Record<string, string>, number]>([
    ["POST", { origin: "http://localhost:8080" }, 201],
    ["POST", { origin: "http://localhost:3000" }, 403],
    ["POST", { origin: "http://evil.example" }, 403],
    ["POST", { origin: "null" }, 403],
    ["POST", { "sec-fetch-site": "cross-site" }, 403],
    ["POST", { "sec-fetch-site": "same-origin" }, 201],
    ["POST", { origin: "https://page.example" }, 201],
    ["GET", { origin: "http://evil.example" }, 403],
    ["GET", { "sec-fetch-site": "cross-site" }, 200],
    ["GET", { origin: "https://page.example" }, 200],
    ["GET", { origin: "https://page.example.evil.example" }, 403],
  ])("I12: %s from %j is %i", async (method, headers, status) => {
    await using rig = await Rig.start({ corsOrigins: ["https://page.example"] });
    const answer =
      method === "GET" ? await rig.ask("GET", "/api/v1/files", { headers }) : await rig.createJson({ name: "a", size: 1 }, headers);
    expect(answer.status).toBe(status);
    expect(answer.fields["access-control-allow-origin"]).toBe(
      headers["origin"] === "https://page.example" ? "https://page.example" : undefined,
    );
  });

  test("I12: a page served through TLS by a proxy is of our own origin", async () => {
    await using rig = await Rig.start({ publicUrl: "https://files.example" });
    for (const host of ["files.example", "files.example:443", "localhost:8080"]) {
      expect((await rig.ask("GET", "/healthz", { headers: { host, origin: "https://files.example" } })).status).toBe(200);
    }
  });

  test("an allowed page is told what it may send and read", async () => {
    await using rig = await Rig.start({ corsOrigins: ["https://page.example"], tokens: [{ owner: "a", secret: "b" }] });
    const preflight = await rig.ask("OPTIONS", "/api/v1/uploads/x/chunks/0", {
      headers: { origin: "https://page.example", "access-control-request-method": "PUT" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.fields).toMatchObject({
      "access-control-allow-origin": "https://page.example",
      "access-control-allow-methods": "PUT, OPTIONS",
      vary: "Origin",
    });
    expect(preflight.fields["access-control-allow-headers"]).toContain("Content-Digest");
    const refused = await rig.ask("GET", "/api/v1/files", { headers: { origin: "https://page.example" } });
    expect([refused.status, refused.fields["access-control-allow-origin"]]).toEqual([401, "https://page.example"]);
    expect(refused.fields["access-control-expose-headers"]).toContain("Content-Range");
  });

  test("I13: X-Forwarded-For and -Proto count only from a trusted proxy", async () => {
    for (const trustProxy of [false, true]) {
      await using rig = await Rig.start({ trustProxy });
      const headers = { "x-forwarded-for": "8.8.8.8, 9.9.9.9", "x-forwarded-proto": "https" };
      const answer = await rig.ask("PUT", "/put/a", { body: "x", headers });
      expect(answer.bytes.toString()).toMatch(trustProxy ? /^https:/ : /^http:/);
      expect(rig.lines.join("\n").includes('"from":"9.9.9.9"')).toBe(trustProxy);
      expect(rig.lines.join("\n").includes("8.8.8.8")).toBe(false);
    }
  });
});

function fieldOf(fields: Record<string, string>, name: string): string {
  return fields[name] ?? "absent";
}
