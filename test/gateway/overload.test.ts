import { expect, test } from "vitest";
import { TestLoad } from "../support/load.ts";
import { Rig } from "./rig.ts";

async function overloaded() {
  const load = new TestLoad();
  return { load, rig: await Rig.start({}, { load: load.watch }) };
}

test("F28: while there is too much to do, what would begin is refused with 503 and a time, and its connection is closed", async () => {
  const { load, rig } = await overloaded();
  await using _ = rig;
  const { fileId } = rig.addFile(new Uint8Array(10));
  await load.begin();
  const asks = [
    () => rig.createJson({ name: "film.mp4", size: 10 }),
    () => rig.ask("PUT", "/put/film.mp4", { body: "bytes" }),
    () => rig.ask("POST", "/tus/", { headers: { "tus-resumable": "1.0.0", "upload-length": "5" } }),
    () => rig.ask("GET", `/files/${fileId}`),
    () => rig.ask("HEAD", `/files/${fileId}/film.mp4`),
    () => rig.ask("GET", "/browse/"),
  ];
  for (const ask of asks) {
    const answer = await ask();
    expect(answer).toMatchObject({ status: 503, close: true, fields: { "retry-after": "3" }, json: { code: "OVERLOADED" } });
  }
  // Whoever watches the load has said it once; a line for each request would be one more load.
  expect(rig.lines.filter((line) => line.includes("failed"))).toEqual([]);
  await load.end();
  expect((await rig.ask("GET", `/files/${fileId}`)).status).toBe(200);
});

test("F28: an upload that was begun goes on to its end, and questions about the server are answered", async () => {
  const { load, rig } = await overloaded();
  await using _ = rig;
  const { uploadId } = (await rig.createJson({ name: "film.mp4", size: 5 })).json as { uploadId: string };
  await load.begin();
  expect((await rig.ask("PUT", `/api/v1/uploads/${uploadId}/chunks/0`, { body: "bytes" })).status).toBe(200);
  expect((await rig.ask("GET", `/api/v1/uploads/${uploadId}`)).status).toBe(200);
  expect((await rig.ask("POST", `/api/v1/uploads/${uploadId}/merge`)).status).toBe(200);
  expect((await rig.ask("GET", "/healthz")).status).toBe(200);
  const ready = await rig.ask("GET", "/readyz");
  expect(ready.status).toBe(503);
  expect((ready.json["checks"] as Record<string, unknown>)["load"]).toEqual({
    ok: false,
    code: "OVERLOADED",
    reason: "Nothing new is begun for now: 0 file descriptors are left.",
  });
  await load.end();
  expect((await rig.ask("GET", "/readyz")).json).toMatchObject({ ready: true, checks: { load: { ok: true } } });
});

test("a new answer of bytes, a listing or a creation is new work, and nothing else is", async () => {
  const { rig } = await overloaded();
  await using _ = rig;
  const begins = rig.gateway.routes.filter(({ beginsWork }) => beginsWork === true).map(({ method, path }) => `${method} ${path}`);
  expect(begins.sort()).toEqual([
    "GET /api/v1/files",
    "GET /api/v1/uploads",
    "GET /browse/*",
    "GET /files/:fileId",
    "GET /files/:fileId/*",
    "POST /api/v1/files",
    "POST /api/v1/uploads",
    "POST /tus",
    "POST /tus/",
    "PUT /put/*",
  ]);
});

test("a node that begins nothing new is passed over for the next", async () => {
  await using rig = await Rig.start();
  rig.createFaults.set("node1", "OVERLOADED");
  expect((await rig.createJson({ name: "film.mp4", size: 5 })).status).toBe(201);
  expect(rig.calls.filter((call) => call.startsWith("createUpload"))).toEqual(["createUpload node1", "createUpload node2"]);
  rig.createFaults.set("node2", "OVERLOADED");
  expect((await rig.createJson({ name: "film.mp4", size: 5 })).json["code"]).toBe("OVERLOADED");
});
