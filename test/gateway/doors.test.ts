/** Who comes in, and how: cookies, signed links, public reading, pages of others, proxies. Tokens in headers: gateway.test.ts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LINK_SECONDS_DEFAULT, LINK_SECONDS_MAX, SESSION_SECONDS } from "../../src/core/limits.ts";
import { ownerKeys } from "../../src/gateway/owner-keys.ts";
import type { GatewayOptions } from "../../src/gateway/ports.ts";
import { type Answer, Rig } from "./rig.ts";

const TOKENS = [
  { owner: "ann", secret: "anns-secret" },
  { owner: "ann", secret: "anns-other:secret" },
  { owner: "bob", secret: "bobs-secret" },
];
const OWN_PAGE = { origin: "http://localhost:8080" };
const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });
const json = (body: unknown, headers: Record<string, string> = {}) => ({
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});

const start = (options: Partial<GatewayOptions> = {}) => Rig.start({ tokens: TOKENS, ...options });

async function signIn(
  rig: Rig,
  token = "anns-secret",
  headers: Record<string, string> = OWN_PAGE,
): Promise<{ cookie: string; answer: Answer }> {
  const answer = await rig.ask("POST", "/api/v1/session", json({ token }, headers));
  expect(answer.status).toBe(200);
  return { cookie: String(answer.fields["set-cookie"]).split(";")[0] as string, answer };
}

describe("a cookie", () => {
  test.each(["anns-secret", "ann:anns-secret", "anns-other:secret", "ann:anns-other:secret"])(
    "is given for the token %s",
    async (token) => {
      await using rig = await start();
      const { cookie, answer } = await signIn(rig, token);
      expect(answer.json).toEqual({ required: true, owner: "ann", expires: "2026-01-31T00:00:00.000Z" });
      expect(answer.fields["set-cookie"]).toMatch(/; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/);
      expect(cookie).not.toContain("secret");
      expect((await rig.ask("GET", "/api/v1/files", { headers: { cookie } })).status).toBe(200);
      expect((await rig.ask("GET", "/api/v1/session", { headers: { cookie: `a=b; ${cookie}; c=d` } })).json).toMatchObject({
        owner: "ann",
      });
    },
  );

  test("I23: is given for no other token", async () => {
    await using rig = await start();
    for (const token of ["anns-secre", "bob:anns-secret", "ann:bobs-secret", "ann:", ":anns-secret", "anns-secret "])
      expect((await rig.ask("POST", "/api/v1/session", json({ token }, OWN_PAGE))).json["code"]).toBe("UNAUTHORIZED");
    expect((await rig.ask("POST", "/api/v1/session", json({ token: "" }))).json["code"]).toBe("BAD_REQUEST");
    const byHeader = await rig.ask("POST", "/api/v1/session", { headers: bearer("bobs-secret") });
    expect(byHeader.json["owner"]).toBe("bob");
    expect((await rig.ask("POST", "/api/v1/session", { headers: bearer("nobodys") })).status).toBe(401);
  });

  test("I23: another's, a changed, an ended one, and one whose secret is no more, are none", async () => {
    await using rig = await start();
    const { cookie } = await signIn(rig, "anns-other:secret");
    const [value = ""] = cookie.split("=").slice(1);
    const [owner, expires, mac = ""] = value.split(".");
    const bob = Buffer.from("bob").toString("base64url");
    const turned = mac.startsWith("A") ? `B${mac.slice(1)}` : `A${mac.slice(1)}`;
    for (const other of [
      `${bob}.${expires}.${mac}`,
      `${owner}.${Number(expires) + 1}.${mac}`,
      `${owner}.${expires}.${turned}`,
      `${owner}.${expires}.`,
      "",
      "x",
    ]) {
      const headers = { cookie: `troupe_session=${other}` };
      expect((await rig.ask("GET", "/api/v1/files", { headers })).status).toBe(401);
      expect((await rig.ask("GET", "/api/v1/session", { headers })).json).toEqual({ required: true, owner: null });
    }
    await using same = await start();
    expect((await same.ask("GET", "/api/v1/files", { headers: { cookie } })).status).toBe(200);
    await using changed = await start({ tokens: TOKENS.filter(({ secret }) => secret !== "anns-other:secret") });
    expect((await changed.ask("GET", "/api/v1/files", { headers: { cookie } })).status).toBe(401);
    await rig.clock.advance(SESSION_SECONDS * 1000);
    expect((await rig.ask("GET", "/api/v1/files", { headers: { cookie } })).status).toBe(401);
  });

  test("I23: whatever is sent as a cookie, it is nobody's", async () => {
    await using rig = await start();
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.stringMatching(/^troupe_session=[\w.=;-]*$/)), async (cookie) => {
        expect((await rig.ask("GET", "/api/v1/session", { headers: { cookie } })).json).toEqual({ required: true, owner: null });
      }),
      { numRuns: 100 },
    );
  });

  test.each<[string, Record<string, string>, string | undefined]>([
    ["our own page", OWN_PAGE, undefined],
    ["our own page, which the browser says instead", { "sec-fetch-site": "same-origin" }, undefined],
    ["a page nobody named", {}, "FOREIGN_ORIGIN"],
    ["another port of this machine", { origin: "http://localhost:3000" }, "FOREIGN_ORIGIN"],
    ["a sandboxed page", { origin: "null" }, "FOREIGN_ORIGIN"],
    ["another site", { "sec-fetch-site": "cross-site" }, "FOREIGN_ORIGIN"],
    ["another page of the same site", { "sec-fetch-site": "same-site" }, "FOREIGN_ORIGIN"],
    ["a page that --cors-origin allows", { origin: "https://page.example" }, "FOREIGN_ORIGIN"],
  ])("I12: changes something only when it comes from our own page: %s", async (_, headers, code) => {
    await using rig = await start({ corsOrigins: ["https://page.example"] });
    const { cookie } = await signIn(rig);
    const fileOf = () => rig.addFile(new Uint8Array(3), { owner: "ann" }).fileId;
    const upload = String((await rig.createJson({ name: "a", size: 1 }, bearer("anns-secret"))).json["uploadId"]);
    const changes: [string, string, ReturnType<typeof json>?][] = [
      ["POST", "/api/v1/uploads", json({ name: "a", size: 1 })],
      ["POST", `/api/v1/files/${fileOf()}/link`],
      ["PUT", "/put/a.txt"],
      ["PUT", `/api/v1/uploads/${upload}/chunks/0`, { headers: {} as never, body: "x" }],
      ["PATCH", `/api/v1/files/${fileOf()}`, json({ name: "b" })],
      ["DELETE", `/api/v1/files/${fileOf()}`],
    ];
    for (const [method, target, ask] of changes) {
      const answer = await rig.ask(method, target, { ...ask, headers: { ...ask?.headers, ...headers, cookie } });
      expect([method, target, answer.json["code"]]).toEqual([method, target, code]);
    }
  });

  test("I12: of a page that --cors-origin allows is nobody's, and no answer lets a page send cookies along", async () => {
    await using rig = await start({ corsOrigins: ["https://page.example"] });
    const { cookie } = await signIn(rig);
    const headers = { cookie, origin: "https://page.example" };
    const read = await rig.ask("GET", "/api/v1/files", { headers });
    expect(read.json["code"]).toBe("UNAUTHORIZED");
    expect((await rig.ask("GET", "/api/v1/files", { headers: { ...headers, ...bearer("anns-secret") } })).status).toBe(200);
    for (const method of ["PUT", "PATCH", "DELETE", "POST", "GET"]) {
      const preflight = await rig.ask("OPTIONS", "/api/v1/files", { headers: { ...headers, "access-control-request-method": method } });
      for (const { fields } of [read, preflight]) expect(fields["access-control-allow-credentials"]).toBeUndefined();
    }
  });

  test("is sent by https only where the user came by https, also to a proxy that is trusted", async () => {
    for (const [options, headers, isSecure] of [
      [{}, {}, false],
      [{}, { "x-forwarded-proto": "https" }, false],
      [{ trustProxy: true }, { "x-forwarded-proto": "https" }, true],
      [{ publicUrl: "https://files.example" }, { host: "files.example" }, true],
      [{ publicUrl: "https://files.example" }, {}, false],
    ] as const) {
      await using rig = await start(options);
      const { answer } = await signIn(rig, "anns-secret", headers);
      expect(/; Secure$/.test(answer.fields["set-cookie"] ?? "")).toBe(isSecure);
    }
  });

  test("goes when one signs out, and a token in a header goes before it", async () => {
    await using rig = await start();
    const { cookie } = await signIn(rig);
    const out = await rig.ask("DELETE", "/api/v1/session", { headers: { cookie, ...OWN_PAGE } });
    expect([out.status, out.fields["set-cookie"]]).toEqual([204, "troupe_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]);
    expect((await rig.ask("GET", "/api/v1/session", { headers: { cookie, ...bearer("bobs-secret") } })).json["owner"]).toBe("bob");
    expect((await rig.ask("GET", "/api/v1/files", { headers: { cookie, ...bearer("wrong") } })).status).toBe(401);
  });

  test("without tokens nobody signs in, and nobody has to", async () => {
    await using rig = await Rig.start();
    for (const method of ["GET", "POST"]) {
      const answer = await rig.ask(method, "/api/v1/session");
      expect([answer.status, answer.json, answer.fields["set-cookie"]]).toEqual([200, { required: false, owner: "local" }, undefined]);
    }
  });
});

describe("a signed link", () => {
  async function linked(rig: Rig, body?: unknown): Promise<{ fileId: string; target: string; answer: Answer }> {
    const { fileId } = rig.addFile(new Uint8Array(1000).fill(7), { owner: "ann", name: "a film.mp4" });
    const ask = body === undefined ? { headers: bearer("anns-secret") } : json(body, bearer("anns-secret"));
    const answer = await rig.ask("POST", `/api/v1/files/${fileId}/link`, ask);
    expect(answer.status).toBe(200);
    const url = new URL(String(answer.json["url"]));
    return { fileId, target: url.pathname + url.search, answer };
  }

  test("plays its file without a token: whole, in ranges, as a download, and behind any of our names", async () => {
    await using rig = await start({ publicUrl: "https://files.example" });
    const { fileId, target, answer } = await linked(rig);
    expect(answer.json["url"]).toMatch(/^https:\/\/files\.example\/files\/[0-9a-f]+\/a%20film\.mp4\?expires=\d+&signature=[\w-]{43}$/);
    expect(answer.json["expires"]).toBe(new Date(rig.clock.wallMs() + LINK_SECONDS_DEFAULT * 1000).toISOString());
    for (const host of ["files.example", "localhost:8080", "127.0.0.1:9"])
      expect((await rig.ask("GET", target, { headers: { host } })).bytes).toHaveLength(1000);
    expect((await rig.ask("HEAD", target)).fields["content-length"]).toBe("1000");
    const part = await rig.ask("GET", target, { headers: { range: "bytes=10-19" } });
    expect([part.status, part.bytes.length]).toEqual([206, 10]);
    expect((await rig.ask("GET", `${target}&download`)).fields["content-disposition"]).toMatch(/^attachment/);
    const { search } = new URL(`http://x${target}`);
    expect((await rig.ask("GET", `/files/${fileId}/another-name${search}`)).status).toBe(200);
    expect((await rig.ask("GET", `/files/${fileId}${search}`)).status).toBe(200);
  });

  test("is good for as long as was asked, a second to a year, and says when it has ended", async () => {
    await using rig = await start();
    const { target } = await linked(rig, { expiresSeconds: 60 });
    await rig.clock.advance(59_999);
    expect((await rig.ask("GET", target)).status).toBe(200);
    await rig.clock.advance(1);
    const ended = await rig.ask("GET", target);
    expect([ended.status, ended.json["code"], ended.fields["www-authenticate"]]).toEqual([403, "LINK_EXPIRED", undefined]);
    await linked(rig, { expiresSeconds: LINK_SECONDS_MAX });
    await linked(rig, {});
    const { fileId } = rig.addFile(new Uint8Array(1), { owner: "ann" });
    for (const expiresSeconds of [0, -1, 1.5, "60", LINK_SECONDS_MAX + 1, null]) {
      const answer = await rig.ask("POST", `/api/v1/files/${fileId}/link`, json({ expiresSeconds }, bearer("anns-secret")));
      expect(answer.json["code"]).toBe("BAD_REQUEST");
    }
  });

  test("I23: opens no other file, nothing but the bytes, no longer, and not when it was changed", async () => {
    await using rig = await start();
    const { fileId, target } = await linked(rig, { expiresSeconds: 60 });
    const other = rig.addFile(new Uint8Array(5), { owner: "ann" });
    const bobs = rig.addFile(new Uint8Array(5), { owner: "bob" });
    const { searchParams, search } = new URL(`http://x${target}`);
    const expires = Number(searchParams.get("expires"));
    const signature = String(searchParams.get("signature"));
    const changed = [
      `/files/${other.fileId}${search}`,
      `/files/${bobs.fileId}${search}`,
      `/files/${"0".repeat(36)}${search}`,
      `/files/${fileId}?expires=${expires + 1}&signature=${signature}`,
      `/files/${fileId}?expires=&signature=${signature}`,
      `/files/${fileId}?signature=${signature}`,
      `/files/${fileId}?expires=${expires}&signature=`,
      `/files/${fileId}?expires=${expires}&signature=${signature.slice(1)}`,
      `/files/${fileId}?expires=${expires}&signature=${signature}${signature}`,
    ];
    for (const address of changed) expect([address, (await rig.ask("GET", address)).json["code"]]).toEqual([address, "FORBIDDEN"]);
    // The token does not mend a link: what it opens does not depend on who follows it.
    expect((await rig.ask("GET", changed[0] as string, { headers: bearer("anns-secret") })).status).toBe(403);
    for (const [method, address] of [
      ["GET", `/api/v1/files/${fileId}${search}`],
      ["POST", `/api/v1/files/${fileId}/link${search}`],
      ["DELETE", `/api/v1/files/${fileId}${search}`],
      ["GET", `/api/v1/files${search}`],
    ] as const)
      expect((await rig.ask(method, address)).status).toBe(401);
    expect((await rig.ask("PUT", target)).status).toBe(405);
    const { cookie } = await signIn(rig);
    const mac = cookie.split(".")[2] as string;
    expect((await rig.ask("GET", `/files/${fileId}?expires=${cookie.split(".")[1]}&signature=${mac}`)).status).toBe(403);
  });

  test("I23: is refused whatever its signature is", async () => {
    await using rig = await start();
    const { fileId, target } = await linked(rig);
    const genuine = new URL(`http://x${target}`).searchParams.get("signature");
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string({ minLength: 0, maxLength: 60 }), async (expires, signature) => {
        fc.pre(signature !== genuine);
        const query = new URLSearchParams({ expires, signature });
        expect((await rig.ask("GET", `/files/${fileId}?${query}`)).status).toBe(403);
      }),
      { numRuns: 50 },
    );
  });

  test("of a deleted file is 404, and one whose secret is no more is refused", async () => {
    await using rig = await start();
    const { fileId, target } = await linked(rig);
    await using changed = await start({ tokens: [{ owner: "ann", secret: "new" }] });
    expect((await changed.ask("GET", target)).json["code"]).toBe("FORBIDDEN");
    expect((await rig.ask("DELETE", `/api/v1/files/${fileId}`, { headers: bearer("anns-secret") })).status).toBe(204);
    expect((await rig.ask("GET", target)).json["code"]).toBe("FILE_NOT_FOUND");
  });

  test("to somebody else's file is not given, and is refused like one to a file that is not there", async () => {
    await using rig = await start();
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "bob" });
    const codes = [fileId, "0".repeat(36), "x"].map(
      async (id) => (await rig.ask("POST", `/api/v1/files/${id}/link`, { headers: bearer("anns-secret") })).json["code"],
    );
    expect(await Promise.all(codes)).toEqual(["FILE_NOT_FOUND", "FILE_NOT_FOUND", "FILE_NOT_FOUND"]);
  });

  test("is the plain address where no token is wanted, and says that it does not end", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(new Uint8Array(5));
    const { json: link } = await rig.ask("POST", `/api/v1/files/${fileId}/link`);
    expect(link).toEqual({ url: `http://localhost:8080/files/${fileId}/film.mp4`, expires: null });
    expect((await rig.ask("GET", `/files/${fileId}?expires=1&signature=x`)).status).toBe(200);
  });

  test("I24: is in no log, and no cookie and token is, at any level", async () => {
    await using rig = await start();
    const { target } = await linked(rig);
    await rig.ask("GET", target);
    await rig.ask("GET", `${target}x`);
    const { cookie } = await signIn(rig);
    await rig.ask("GET", "/api/v1/files", { headers: { cookie } });
    rig.plane.readFaults.set("node1", "DISK_FAILED").set("node2", "DISK_FAILED");
    expect((await rig.ask("GET", target)).status).toBe(500);
    const log = rig.lines.join("\n");
    expect(log).toContain("/files/");
    for (const secret of [new URL(`http://x${target}`).searchParams.get("signature"), cookie.split("=")[1], "anns-secret"])
      expect(log).not.toContain(secret);
  });
});

test("I23: a secret makes one key for links and another for cookies, and others for another owner", () => {
  const [ann, bob] = ownerKeys([
    { owner: "ann", secret: "same" },
    { owner: "bob", secret: "same" },
  ]);
  const keys = [ann?.links, ann?.sessions, bob?.links, bob?.sessions].map((key) => Buffer.from(key as Uint8Array).toString("hex"));
  expect(new Set(keys).size).toBe(4);
});

describe("what pages elsewhere may include", () => {
  const policyOf = async (rig: Rig, target: string, headers: Record<string, string> = {}) =>
    (await rig.ask("GET", target, { headers })).fields["cross-origin-resource-policy"];

  test("is nothing of an open server's: neither files nor listings nor answers, refusals included, whatever is added to the address", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "local", name: "a.png" });
    const targets = [`/files/${fileId}/a.png`, `/files/${fileId}?signature=x&expires=9`, "/browse/", "/browse/default/a.png"];
    for (const target of [...targets, "/api/v1/files", "/files/none", "/nothing", "/"])
      expect([target, await policyOf(rig, target)]).toEqual([target, "same-origin"]);
    expect(await policyOf(rig, targets[0] as string, { range: "bytes=0-0" })).toBe("same-origin");
  });

  test("is what a signed link opens, and not that file by a token or cookie, nor by a link that was changed", async () => {
    await using rig = await start();
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "ann", name: "a.png" });
    const link = await rig.ask("POST", `/api/v1/files/${fileId}/link`, { headers: bearer("anns-secret") });
    const { pathname, search } = new URL(String(link.json["url"]));
    expect(await policyOf(rig, pathname + search)).toBe("cross-origin");
    expect(await policyOf(rig, pathname, bearer("anns-secret"))).toBe("same-origin");
    expect(await policyOf(rig, pathname, { cookie: (await signIn(rig)).cookie })).toBe("same-origin");
    expect(await policyOf(rig, `${pathname}${search}x`, bearer("anns-secret"))).toBe("same-origin");
  });

  test("is what everybody may read with --public-read, and nothing else", async () => {
    await using rig = await start({ publicRead: true });
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "ann", name: "a.png" });
    for (const target of [`/files/${fileId}`, "/browse/", "/browse/default/a.png"])
      expect([target, await policyOf(rig, target)]).toEqual([target, "cross-origin"]);
    expect(await policyOf(rig, "/api/v1/files", bearer("anns-secret"))).toBe("same-origin");
  });

  test("is everything for an origin that --cors-origin names, and for all when it is *", async () => {
    const origin = "https://player.example";
    await using rig = await Rig.start({ corsOrigins: [origin] });
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "local" });
    expect([await policyOf(rig, `/files/${fileId}`, { origin }), await policyOf(rig, `/files/${fileId}`)]).toEqual([
      "cross-origin",
      "same-origin",
    ]);
    await using open = await Rig.start({ corsOrigins: ["*"] });
    // A picture is asked for without an Origin.
    expect(await policyOf(open, "/browse/")).toBe("cross-origin");
  });
});

describe("with --public-read", () => {
  test("everybody reads every file, by its address, and nothing else", async () => {
    await using rig = await start({ publicRead: true });
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "ann" });
    for (const headers of [{}, bearer("bobs-secret"), bearer("wrong"), { cookie: "troupe_session=x" }, { range: "bytes=0-0" }])
      expect((await rig.ask("GET", `/files/${fileId}?signature=old`, { headers })).status).toBeLessThan(300);
    expect((await rig.ask("HEAD", `/files/${fileId}/name.mp4`)).status).toBe(200);
    const others: [string, string][] = [
      ["GET", "/api/v1/files"],
      ["GET", `/api/v1/files/${fileId}`],
      ["PATCH", `/api/v1/files/${fileId}`],
      ["DELETE", `/api/v1/files/${fileId}`],
      ["POST", `/api/v1/files/${fileId}/link`],
      ["GET", "/api/v1/uploads"],
      ["GET", "/api/v1/cluster"],
      ["POST", "/api/v1/uploads"],
      ["PUT", "/put/a"],
    ];
    for (const [method, target] of others) expect([target, (await rig.ask(method, target)).status]).toEqual([target, 401]);
    const link = await rig.ask("POST", `/api/v1/files/${fileId}/link`, { headers: bearer("anns-secret") });
    expect(link.json).toEqual({ url: expect.stringMatching(/film\.mp4$/), expires: null });
  });

  test("F25: a file that its owner deleted here is gone here at once for everybody, and one that somebody else tried to delete is not", async () => {
    await using rig = await start({ publicRead: true });
    const { fileId } = rig.addFile(new Uint8Array(5), { owner: "ann" });
    expect((await rig.ask("GET", `/files/${fileId}`)).status).toBe(200);
    expect((await rig.ask("DELETE", `/api/v1/files/${fileId}`, { headers: bearer("bobs-secret") })).status).toBe(404);
    expect((await rig.ask("GET", `/files/${fileId}`)).status).toBe(200);
    expect((await rig.ask("DELETE", `/api/v1/files/${fileId}`, { headers: bearer("anns-secret") })).status).toBe(204);
    expect((await rig.ask("GET", `/files/${fileId}`)).status).toBe(404);
  });
});

describe("a 401", () => {
  test.each<[string, Record<string, string>, boolean]>([
    ["curl, a player or rclone", {}, true],
    ["somebody who opens the address in a browser", { "sec-fetch-mode": "navigate" }, true],
    ["a page's fetch", { "sec-fetch-mode": "cors" }, false],
    ["a video in a page", { "sec-fetch-mode": "no-cors" }, false],
    ["a page by plain HTTP in the local network", { "x-requested-with": "troupe" }, false],
  ])("makes %s ask for a token, and no page's browser in its place", async (_, headers, hasBasic) => {
    await using rig = await start();
    const { status, headers: answered } = await rig.send("GET", "/api/v1/files", { headers });
    expect(status).toBe(401);
    expect(answered["www-authenticate"]).toEqual(['Bearer realm="Troupe"', ...(hasBasic ? ['Basic realm="Troupe", charset="UTF-8"'] : [])]);
  });
});

describe("behind a proxy", () => {
  const said = {
    "x-forwarded-for": "6.6.6.6, 10.1.1.1",
    "x-forwarded-proto": "http, https",
    "x-forwarded-host": "evil.example, files.example",
  };

  test("I13: what it says counts when it is trusted, the nearest one's word; otherwise nothing of it does", async () => {
    for (const trustProxy of [true, false]) {
      await using rig = await start({ trustProxy, publicUrl: "https://files.example" });
      const origin = "https://files.example";
      const answer = await rig.ask("PUT", "/put/a", {
        body: "x",
        headers: { host: "127.0.0.1:8080", origin, ...said, ...bearer("anns-secret") },
      });
      expect(answer.status).toBe(201);
      expect(rig.lines.join("\n").includes("10.1.1.1")).toBe(trustProxy);
      expect(rig.lines.join("\n")).not.toContain("6.6.6.6");
    }
  });

  test("I12, I13: the name it was asked by is checked like a Host, and a page of that name is our own", async () => {
    await using rig = await start({ trustProxy: true, publicUrl: "http://files.example:8000" });
    const ask = (host: string, forwarded: string, origin?: string) =>
      rig.ask("GET", "/api/v1/session", { headers: { host, "x-forwarded-host": forwarded, ...(origin === undefined ? {} : { origin }) } });
    expect((await ask("127.0.0.1:8080", "files.example")).status).toBe(200);
    expect((await ask("127.0.0.1:8080", "files.example", "https://files.example")).status).toBe(200);
    expect((await ask("127.0.0.1:8080", "evil.example")).json["code"]).toBe("FOREIGN_HOST");
    expect((await ask("127.0.0.1:8080", "files.example", "https://evil.example")).json["code"]).toBe("FOREIGN_ORIGIN");
    await using wary = await start({ publicUrl: "http://files.example:8000" });
    expect(
      (await wary.ask("GET", "/healthz", { headers: { host: "evil.example", "x-forwarded-host": "files.example" } })).json["code"],
    ).toBe("FOREIGN_HOST");
  });

  test("addresses in answers begin with what the user sees", async () => {
    await using rig = await Rig.start({ trustProxy: true });
    const answer = await rig.ask("PUT", "/put/a", {
      body: "x",
      headers: { host: "127.0.0.1:1", "x-forwarded-host": "localhost:7000", "x-forwarded-proto": "https" },
    });
    expect(answer.bytes.toString()).toMatch(/^https:\/\/localhost:7000\/files\//);
  });
});
