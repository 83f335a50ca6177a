/** What is done with files that are there: read, renamed, deleted, listed; and uploads that are looked at. */
import { downloadBlocks } from "../../../../src/client/downloader.ts";
import { TroupeError } from "../../../../src/core/errors.ts";
import { DELETE_VISIBLE_MS_MAX } from "../../../../src/core/limits.ts";
import type { Doing } from "../doing.ts";
import { chosen } from "../doing.ts";
import type { KnownFile } from "../known-file.ts";
import type { OperationKind } from "../operation-kind.ts";
import { drawChoice, drawFolder, drawName } from "./wishes.ts";

const READS = ["whole", "whole", "ranges", "ranges", "if-range", "stale", "link", "deleted", "foreign"] as const;

/** Every byte that comes is compared by the witness. */
const read: OperationKind = {
  kind: "read",
  weight: 9,
  draw: (random) => ({ ...drawChoice(random), how: random.pick(READS) }),
  async run(doing) {
    const how = doing.text("how") as (typeof READS)[number];
    if (how === "deleted") return await readGone(doing, chosen(deletedFiles(doing), doing.number("choice")));
    if (how === "foreign") return await readGone(doing, chosen(foreignFiles(doing), doing.number("choice")));
    const file = doing.file();
    if (file === undefined) return;
    try {
      await readAs(doing, file, how);
    } catch (error) {
      // Deleted since it was chosen, perhaps by somebody else.
      if (!(error instanceof TroupeError) || error.code !== "FILE_NOT_FOUND" || !file.isDeleteAsked) throw error;
    }
  },
};

async function readAs(doing: Doing, { fileId, content }: KnownFile, how: (typeof READS)[number]): Promise<void> {
  const { random, ports, signal } = doing;
  const { sizeBytes } = content;
  const troupe = doing.troupe();
  const span = (): { readonly first: number; readonly last: number } => {
    const first = random.integer(sizeBytes);
    return { first, last: Math.min(sizeBytes - 1, first + random.integer(1 + Math.min(sizeBytes, 200_000))) };
  };
  if (how === "whole" || sizeBytes === 0) {
    const file = await doing.again(() => troupe.file(fileId, signal));
    for await (const _ of downloadBlocks(troupe, ports, { file, signal }));
    return;
  }
  if (how === "link") {
    const { url } = await doing.again(() => troupe.link(fileId, 3600, signal));
    // A stranger opens it.
    await doing.again(() => doing.ask("GET", url, { isNobody: true }));
    return;
  }
  const get = async (
    wanted: { readonly first: number; readonly last: number },
    ifRange: string | undefined,
  ): Promise<string | undefined> => {
    const opened = await troupe.open(fileId, wanted, ifRange, signal);
    for await (const _ of opened.body);
    return opened.etag;
  };
  const etag = await doing.again(() => get(span(), undefined));
  for (let count = 0; count < 2; count += 1) {
    const ifRange = how === "if-range" ? etag : how === "stale" ? '"another"' : undefined;
    await doing.again(() => get(span(), ifRange));
  }
}

const deletedFiles = ({ history, owner }: Doing): KnownFile[] =>
  [...history.files.values()].filter((file) => file.owner === owner && file.deletedMs !== undefined);
const foreignFiles = ({ history, owner }: Doing): KnownFile[] => [...history.files.values()].filter((file) => file.owner !== owner);

/** What is deleted, or somebody else's, is not there; the witness says so if it is. */
async function readGone(doing: Doing, file: KnownFile | undefined): Promise<void> {
  if (file === undefined) return;
  await doing.attempted(doing.ask("GET", `/files/${file.fileId}`, { headers: { range: "bytes=0-99" } }));
  await doing.attempted(doing.troupe().file(file.fileId, doing.signal));
}

const rename: OperationKind = {
  kind: "rename",
  weight: 1.5,
  draw: (random) => ({
    ...drawChoice(random),
    name: `${String(drawName(random)["name"])}${random.chance(0.7) ? `.${random.integer(1_000)}` : ""}`,
  }),
  async run(doing) {
    const file = doing.file();
    if (file === undefined) return;
    const said = { headers: { "content-type": "application/json" }, body: JSON.stringify({ name: doing.text("name") }) };
    const renamed = await doing.attempted(doing.again(() => doing.ask("PATCH", `/api/v1/files/${file.fileId}`, said)));
    const isRaced = renamed instanceof TroupeError && renamed.code === "FILE_NOT_FOUND" && file.isDeleteAsked;
    // Few names for many files: that one is taken is an answer, too.
    if (renamed instanceof TroupeError && !isRaced && renamed.code !== "NAME_TAKEN") throw renamed;
  },
};

/** Looks at once at the same gateway, and in time at the others. */
const remove: OperationKind = {
  kind: "delete",
  weight: 1.5,
  draw: (random) => ({ ...drawChoice(random), looks: random.chance(0.5) }),
  async run(doing) {
    const { signal } = doing;
    const file = doing.file();
    if (file === undefined) return;
    const gateway = doing.door.gateway();
    const troupe = doing.troupe(undefined, gateway);
    // Known to the gateways just before.
    if (doing.is("looks")) {
      await doing.attempted(troupe.file(file.fileId, signal));
      await doing.attempted(doing.troupe(undefined, doing.door.gateway(1)).file(file.fileId, signal));
    }
    const removed = await doing.attempted(doing.again(() => troupe.remove(file.fileId, signal)));
    // Not found: an attempt before, or somebody else, was heard. Both were asked for.
    if (removed instanceof TroupeError && removed.code !== "FILE_NOT_FOUND") throw removed;
    if (!doing.is("looks")) return;
    await readGone(doing, file);
    await doing.rest(DELETE_VISIBLE_MS_MAX + 10);
    await doing.attempted(doing.troupe(undefined, doing.door.gateway(1)).file(file.fileId, signal));
  },
};

/** All files of a user below a folder: each that is there for sure once, and nothing else. */
const list: OperationKind = {
  kind: "list",
  weight: 1,
  draw: (random) => ({
    ...drawFolder(random),
    isOfAll: random.chance(0.5),
    limit: random.pick([1, 2, 5, 100]),
    isUploads: random.chance(0.2),
  }),
  async run(doing) {
    const { history, owner, signal } = doing;
    const troupe = doing.troupe();
    if (doing.is("isUploads")) {
      for await (const _ of troupe.allUploads(undefined, signal));
      return;
    }
    const [prefix, limit] = [doing.text("prefix"), doing.number("limit")];
    const user = doing.is("isOfAll") ? undefined : doing.text("user");
    const beganMs = doing.nowMs;
    const sure = history.filesOf(owner).filter((file) => {
      const names = [...file.possibleNames(beganMs)];
      return (
        (user === undefined || file.user === user) &&
        file.acknowledgedMs < beganMs &&
        names.length === 1 &&
        names[0]?.startsWith(prefix) === true
      );
    });
    const renamesBefore = new Map(sure.map((file) => [file, file.renames.length]));
    const seen = new Map<string, number>();
    for await (const page of troupe.allFiles({ prefix: prefix === "" ? undefined : prefix, user, limit }, signal)) {
      for (const { fileId } of page) seen.set(fileId, (seen.get(fileId) ?? 0) + 1);
    }
    for (const [fileId, count] of seen)
      if (count > 1) doing.client.world.violate("listed-twice", `${fileId} is in a listing ${count} times`);
    for (const file of sure) {
      const isUnchanged = !file.isDeleteAsked && file.renames.length === renamesBefore.get(file);
      if (isUnchanged && !seen.has(file.fileId))
        doing.client.world.violate(
          "not-listed",
          `${file.fileId} is not in the listing of ${user ?? "everybody"}'s ${JSON.stringify(prefix)}`,
        );
    }
  },
};

/** An upload of the owner, running or ended, somebody else's now and then. */
const status: OperationKind = {
  kind: "status",
  weight: 1.5,
  draw: (random) => drawChoice(random),
  async run(doing) {
    const uploads = doing.history.uploads.filter(({ uploadId }) => uploadId !== undefined);
    const upload = chosen(uploads, doing.number("choice"));
    if (upload?.uploadId === undefined) return;
    const asked = await doing.attempted(doing.again(() => doing.troupe().status(upload.uploadId as string, doing.signal)));
    const isForeign = upload.owner !== doing.owner;
    if (asked instanceof TroupeError && !(isForeign && asked.code === "UPLOAD_NOT_FOUND")) throw asked;
  },
};

export const FILE_KINDS: readonly OperationKind[] = [read, rename, remove, list, status];
