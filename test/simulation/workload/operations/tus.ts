/** Uploads by the tus protocol: in pieces, going on after failures, terminated, and put together from parts. */
import { TroupeError } from "../../../../src/core/errors.ts";
import { Content } from "../content.ts";
import type { Doing } from "../doing.ts";
import type { OperationKind } from "../operation-kind.ts";
import { TusUpload } from "../tus-client.ts";
import { drawContent, drawName } from "./wishes.ts";

/** More of them would be more of the same. */
const PIECES_MAX = 12;

const pieces: OperationKind = {
  kind: "tus",
  weight: 2,
  draw: (random) => ({
    ...drawContent(random),
    ...drawName(random),
    pieceBytes: 1_000 + random.integer(random.chance(0.3) ? 64 * 1024 : 400 * 1024),
    isChecked: random.chance(0.5),
    isDeferred: random.chance(0.2),
    withBytes: random.chance(0.3),
    lies: random.chance(0.2),
    terminates: random.chance(0.2),
    stopMs: random.chance(0.3) ? random.integer(100) : 0,
  }),
  async run(doing) {
    const { content } = doing;
    const pieceBytes = Math.max(doing.number("pieceBytes"), Math.ceil(content.sizeBytes / PIECES_MAX));
    const isChecked = doing.is("isChecked");
    const upload = await TusUpload.create(doing, {
      content,
      isDeferred: doing.is("isDeferred") && content.sizeBytes > 0,
      firstBytes: doing.is("withBytes") ? Math.min(pieceBytes, content.sizeBytes) : 0,
    });
    if (doing.is("lies")) await lie(doing, upload, pieceBytes);
    if (doing.is("terminates")) return await terminated(doing, upload, pieceBytes);
    // A body breaks off in the middle, as when a connection is lost.
    if (doing.number("stopMs") > 0) await brokenOff(doing, upload);
    await upload.send(pieceBytes, isChecked);
    await fileOf(doing, upload);
  },
};

/** A body whose checksum is another one counts nothing. */
async function lie(doing: Doing, upload: TusUpload, pieceBytes: number): Promise<void> {
  const offset = await upload.offset();
  const piece = doing.content.span(offset, offset + pieceBytes);
  if (piece.length > 0) await doing.attempted(upload.patch(offset, piece, true, true));
}

async function terminated(doing: Doing, upload: TusUpload, pieceBytes: number): Promise<void> {
  const [sent] = await Promise.all([doing.attempted(upload.send(pieceBytes, false)), doing.rest(5).then(() => upload.terminate())]);
  if (sent instanceof TroupeError) doing.client.world.counts.add(`tus.terminated.${sent.code}`);
  await doing.attempted(upload.head());
}

async function brokenOff(doing: Doing, upload: TusUpload): Promise<void> {
  const offset = await upload.offset();
  const rest = doing.content.span(offset, doing.content.sizeBytes);
  if (rest.length === 0) return;
  const patching = doing.attempted(upload.patch(offset, rest, false));
  await doing.rest(doing.number("stopMs"));
  // Who asks how far it came ends what is under way.
  await upload.head();
  await patching;
}

/** The file comes by itself; who waits asks now and then. */
async function fileOf(doing: Doing, upload: TusUpload): Promise<void> {
  for (let pauseMs = 100; ; pauseMs = Math.min(5_000, pauseMs * 2)) {
    const { headers } = await upload.head();
    if (headers["troupe-file"] !== undefined) return;
    await doing.rest(pauseMs);
  }
}

/** Two parts, sent at once, and the file of both. */
const joined: OperationKind = {
  kind: "tus.joined",
  weight: 0.5,
  draw: (random) => ({ ...drawContent(random), ...drawName(random), second: 1 + random.integer(150_000) }),
  async run(doing) {
    const parts = [doing.content, Content.of(doing.number("content") ^ 3, doing.number("second"))];
    const uploads = await Promise.all(
      parts.map(async (content) => {
        const upload = await TusUpload.create(doing, { content, concat: "partial" });
        await upload.send(100_000, false);
        return upload;
      }),
    );
    const content = Content.joined(parts);
    const whole = await TusUpload.create(doing, { content, concat: `final;${uploads.map(({ address }) => address).join(" ")}` });
    await fileOf(doing, whole);
  },
};

export const TUS_KINDS: readonly OperationKind[] = [pieces, joined];
