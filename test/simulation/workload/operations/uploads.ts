/** Uploads in chunks: as the command does them, given up and taken up again, cancelled, doubled, and of known content. */
import { createHmac } from "node:crypto";
import type { CreatedUpload, StoredFile } from "../../../../src/client/answers.ts";
import type { BegunFile } from "../../../../src/client/begun-uploads.ts";
import type { TroupeClient } from "../../../../src/client/troupe-client.ts";
import { uploadFile } from "../../../../src/client/uploader.ts";
import { TroupeError } from "../../../../src/core/errors.ts";
import { sleep } from "../../../../src/core/ports/clock.ts";
import { OWNERS, PUBLIC_URL } from "../../cluster.ts";
import { WORLD_BEGAN_MS } from "../../simulated-process.ts";
import type { Content } from "../content.ts";
import type { Doing } from "../doing.ts";
import { pathOf } from "../home-disk.ts";
import type { OperationKind } from "../operation-kind.ts";
import { begin, create, discard, merge, send, sendAndMerge } from "./filling.ts";
import { CHUNK_BYTES, drawChoice, drawContent, drawName, drawPopular } from "./wishes.ts";

const plain: OperationKind = {
  kind: "upload",
  weight: 5,
  draw: (random) => ({ ...drawContent(random), ...drawName(random) }),
  async run(doing) {
    const { content, labels, ports, signal } = doing;
    await uploadFile(doing.troupe(content), ports, { path: pathOf(content), ...labels, chunkBytes: CHUNK_BYTES, signal });
  },
};

/** Given up, or the process dies, somewhere on the way; taken up again from the record that was kept, perhaps at another gateway. */
const resumed: OperationKind = {
  kind: "upload.resumed",
  weight: 1.5,
  draw: (random) => ({
    ...drawContent(random),
    ...drawName(random),
    dies: random.chance(0.5),
    events: random.integer(40),
    stopMs: random.integer(150),
    restMs: random.chance(0.2) ? random.integer(20_000) : random.integer(2_000),
  }),
  isTakenUpAgain: true,
  async run(doing) {
    const { client } = doing;
    if (doing.attempt === 1 && doing.is("dies")) {
      // It may come to its end before that.
      const spare = client.process.dieAfterEvents(doing.number("events"), "killed");
      try {
        return await goOn(doing, doing.signal);
      } finally {
        spare();
      }
    }
    if (doing.attempt === 1 && (await isDoneAtOnce(doing))) return;
    if (doing.attempt > 1) doing.client.world.counts.add("upload.taken-up.after-death");
    await goOn(doing, doing.signal);
  },
};

/** Until the user stops it, who comes back after a while. */
async function isDoneAtOnce(doing: Doing): Promise<boolean> {
  const stop = new AbortController();
  const timer = doing.client.process.clock.setTimer(doing.number("stopMs"), () => stop.abort());
  try {
    await goOn(doing, AbortSignal.any([stop.signal, doing.signal]));
    return true;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    await doing.rest(doing.number("restMs"));
    doing.client.world.counts.add("upload.taken-up.after-stop");
    return false;
  } finally {
    timer.cancel();
  }
}

/** With what was begun before, if there is a record of it. */
async function goOn(doing: Doing, signal: AbortSignal): Promise<void> {
  const { content, labels, ports, owner } = doing;
  const { begun } = doing.client;
  const file: BegunFile = {
    gateway: PUBLIC_URL,
    owner,
    app: "default",
    ...labels,
    // Two operations with one content and name are two uploads.
    path: `${pathOf(content)}#${doing.record.id}`,
    sizeBytes: content.sizeBytes,
    modifiedMs: WORLD_BEGAN_MS,
  };
  let uploadId: string | undefined;
  await uploadFile(doing.troupe(content), ports, {
    path: pathOf(content),
    ...labels,
    chunkBytes: CHUNK_BYTES,
    signal,
    begun: await begun.find(file),
    onUpload: async (upload) => {
      uploadId = upload.uploadId;
      await begun.keep(file, uploadId);
    },
  });
  const kept = uploadId ?? (await begun.find(file));
  if (kept !== undefined) await begun.forget(file, kept);
}

/** A chunk now and then, over longer than an idle upload is kept. */
const slow: OperationKind = {
  kind: "upload.slow",
  weight: 0.15,
  draw: (random) => ({
    content: 1_000 + random.integer(2 ** 31),
    size: 3 * CHUNK_BYTES + 1 + random.integer(CHUNK_BYTES),
    ...drawName(random),
    restMs: 20_000 + random.integer(15_000),
    patienceMs: 240_000,
  }),
  async run(doing) {
    const { content } = doing;
    const troupe = doing.troupe(content);
    const upload = await begin(doing, troupe, { content, key: doing.key() });
    for (let index = 0; index * upload.chunkBytes < content.sizeBytes; index += 1) {
      await doing.rest(doing.number("restMs"));
      await send(doing, troupe, upload, content, [[index, index]]);
    }
    await merge(doing, troupe, upload, content);
  },
};

/** The end races chunks, or the merge. */
const cancelled: OperationKind = {
  kind: "upload.cancelled",
  weight: 1,
  draw: (random) => ({ ...drawContent(random), ...drawName(random), merges: random.chance(0.5), afterMs: random.integer(60) }),
  async run(doing) {
    const { content, signal } = doing;
    const troupe = doing.troupe(content);
    const upload = await begin(doing, troupe, { content, key: doing.key() });
    const merges = doing.is("merges");
    if (merges) await send(doing, troupe, upload, content, upload.missing);
    const racing: Promise<StoredFile | undefined> = merges
      ? merge(doing, troupe, upload, content)
      : send(doing, troupe, upload, content, upload.missing).then(() => undefined);
    const [raced, ended] = await Promise.all([
      doing.attempted(racing),
      doing.rest(doing.number("afterMs")).then(() => doing.attempted(doing.again(() => troupe.cancel(upload.uploadId, signal)))),
    ]);
    const isRefused = ended instanceof TroupeError;
    doing.client.world.counts.add(isRefused ? `upload.cancel.${ended.code}` : "upload.cancel.done");
    if (isRefused && ended.code !== "UPLOAD_MERGED") throw ended;
    // The same again: the same answer.
    await doing.attempted(doing.again(() => troupe.cancel(upload.uploadId, signal)));
    if (!isRefused && merges && raced !== undefined && !(raced instanceof TroupeError))
      doing.client.world.violate("cancelled-and-merged", `upload ${upload.uploadId} is cancelled, and is the file ${raced.fileId}`);
  },
};

/** The same upload twice at once with one key; or one after the other; or the same content as two files at once. */
const doubled: OperationKind = {
  kind: "upload.doubled",
  weight: 1.5,
  draw: (random) => ({
    ...drawContent(random),
    ...drawName(random),
    how: random.pick(["key", "again", "content"]),
    laterMs: random.integer(40),
  }),
  async run(doing) {
    const { content, labels, ports, signal } = doing;
    const how = doing.text("how");
    // Each at a gateway of its own, if there are several.
    const [first, second] = [doing.troupe(content, doing.door.gateway()), doing.troupe(content, doing.door.gateway(1))];
    const key = doing.key();
    if (how === "content") {
      const file = { path: pathOf(content), user: labels.user, chunkBytes: CHUNK_BYTES, signal };
      await both(
        uploadFile(first, ports, { ...file, name: labels.name }),
        later(doing).then(() => uploadFile(second, ports, { ...file, name: `${labels.name}.copy` })),
      );
      return;
    }
    const whole = async (troupe: typeof first): Promise<string> => {
      const upload = await begin(doing, troupe, { content, key });
      return (await sendAndMerge(doing, troupe, upload, content)).fileId;
    };
    const files =
      how === "again"
        ? [await whole(first), await whole(second)]
        : await both(
            whole(first),
            later(doing).then(() => whole(second)),
          );
    if (files[0] !== files[1]) doing.client.world.violate("two-files-for-one-upload", `key ${key} is ${files.join(" and ")}`);
  },
};

const later = (doing: Doing): Promise<void> => sleep(doing.client.process.clock, doing.number("laterMs"), doing.signal);

/** Both have ended before the first failure is told. */
async function both<T>(one: Promise<T>, other: Promise<T>): Promise<[T, T]> {
  const [first, second] = await Promise.allSettled([one, other]);
  if (first.status === "rejected") throw first.reason;
  if (second.status === "rejected") throw second.reason;
  return [first.value, second.value];
}

/** Content that is known: one's own, or somebody else's with a proof; and a proof that is wrong. */
const instant: OperationKind = {
  kind: "upload.instant",
  weight: 1.5,
  draw: (random) => ({
    ...drawChoice(random),
    ...drawPopular(random),
    ...drawName(random),
    how: random.pick(["own", "foreign", "foreign", "lie"]),
    sendsAlso: random.chance(0.7),
    breaksOff: random.chance(0.5),
    haltMs: random.integer(20),
    isTakenAway: random.chance(0.4),
  }),
  async run(doing) {
    const how = doing.text("how");
    const content = contentOf(doing, how === "own");
    const troupe = doing.troupe(content);
    const digest = { algorithm: "blake3", value: content.blake3 } as const;
    const created = await create(doing, troupe, { content, key: doing.key(), digest });
    if (created.kind === "file") return doing.client.world.counts.add("upload.instant.at-once");
    const { upload } = created;
    const { challenge } = upload;
    if (challenge !== undefined && how !== "own") {
      const nonce = Buffer.from(challenge.nonce, "hex");
      const hmac = createHmac("sha256", how === "lie" ? Buffer.alloc(32) : nonce);
      for (const [offset, bytes] of challenge.ranges) hmac.update(content.span(offset, offset + bytes));
      const said = {
        content,
        lies: how === "lie",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ hmac: hmac.digest("hex") }),
      };
      const [answer] = await Promise.all([
        doing.attempted(doing.ask("POST", `/api/v1/uploads/${upload.uploadId}/proof`, said)),
        doing.is("sendsAlso") ? sendHalting(doing, troupe, upload, content) : undefined,
        doing.is("isTakenAway") ? takeAway(doing, content) : undefined,
      ]);
      if (!(answer instanceof TroupeError) && answer.status === 200) return doing.client.world.counts.add("upload.instant.proven");
    }
    if (how === "lie") return await discard(doing, troupe, upload);
    await sendAndMerge(doing, troupe, upload, content);
  },
};

/** The first chunk, with a halt before its last byte: it comes after that, or never. */
async function sendHalting(doing: Doing, troupe: TroupeClient, upload: CreatedUpload, content: Content): Promise<void> {
  const bytes = content.span(0, upload.chunkBytes);
  const stop = new AbortController();
  async function* halting(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, -1);
    await doing.rest(doing.number("haltMs"));
    if (doing.is("breaksOff")) stop.abort();
    else yield bytes.subarray(-1);
  }
  try {
    await troupe.chunk(upload.uploadId, 0, bytes.length, halting(), AbortSignal.any([doing.signal, stop.signal]));
  } catch (error) {
    // What is proven meanwhile is a file, and takes no chunk.
    if (!(error instanceof TroupeError) && !stop.signal.aborted) throw error;
  }
}

/** Whoever else has the content deletes it, right now. */
async function takeAway(doing: Doing, content: Content): Promise<void> {
  await doing.rest(doing.number("haltMs"));
  const files = [...doing.history.files.values()].filter((file) => file.content.blake3 === content.blake3 && !file.isDeleteAsked);
  await Promise.all(
    files.map(async ({ fileId, owner }) => {
      const as = OWNERS.find((token) => token.owner === owner);
      if (as !== undefined) await doing.attempted(doing.ask("DELETE", `/api/v1/files/${fileId}`, { as }));
    }),
  );
}

/** Of a file that is there; otherwise one that many have. */
function contentOf(doing: Doing, isOwn: boolean): Content {
  const files = [...doing.history.files.values()].filter(
    ({ owner, isDeleteAsked, content }) => (owner === doing.owner) === isOwn && !isDeleteAsked && content.sizeBytes > 0,
  );
  return files.length === 0 ? doing.content : (files[doing.number("choice") % files.length]?.content ?? doing.content);
}

export const UPLOAD_KINDS: readonly OperationKind[] = [plain, resumed, slow, cancelled, doubled, instant];
