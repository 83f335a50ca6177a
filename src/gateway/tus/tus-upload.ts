/**
 * An upload as the tus protocol sees it: how far its bytes come and how many there will be, wherever it stands: its session, or what the
 * catalog keeps of it once it has ended.
 *
 * U1: what another owner has does not exist: the directory says whose an upload is before its session is asked.
 * U2: what a gateway remembers of an upload is a hint. When the session refuses it, it is looked up anew, once.
 */
import { type UploadStatus, upload } from "../../actors/upload/contract.ts";
import { type CallOptions, type Client, client, isNoResponders } from "../../bus/client.ts";
import { type ErrorCode, TroupeError } from "../../core/errors.ts";
import { formatHttpDate } from "../../core/http-date.ts";
import type { Principal } from "../../core/principal.ts";
import { ENDED_CODES, isEnded, type TusPlan } from "../../core/shapes.ts";
import { callOptions, type Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { type EndedUpload, endedError, type LiveUpload } from "../upload-directory.ts";

export interface TusUpload {
  readonly uploadId: string;
  /** Durable from the beginning without a gap. */
  readonly offsetBytes: number;
  /** Absent while the client has not said. */
  readonly sizeBytes: number | undefined;
  readonly plan: TusPlan;
  readonly expiresMs: number | undefined;
  readonly isMerged: boolean;
  /** Where its bytes go; absent once it is a file. */
  readonly live: LiveUpload | undefined;
}

type OnBehalf = CallOptions & { readonly principal: Principal };
type AskSession<T> = (session: Client<typeof upload>, live: LiveUpload, options: OnBehalf) => Promise<T>;

const REMEMBERED_WRONGLY: ReadonlySet<ErrorCode> = new Set(["UPLOAD_NOT_FOUND", "EPOCH_STALE"]);

/** Every byte is there. */
export function isComplete({ offsetBytes, sizeBytes }: TusUpload): boolean {
  return offsetBytes === sizeBytes;
}

/** Whether the upload becomes a file when every byte is there. */
export function becomesFile({ plan }: TusUpload): boolean {
  return plan.isPartial !== true;
}

/**
 * Ends bodies of it that are under way, and tells how far it has come when that is durable.
 * @throws {TroupeError} `UPLOAD_NOT_FOUND`; `UPLOAD_CANCELLED`, `UPLOAD_EXPIRED`, `UPLOAD_FAILED` when it has ended so
 */
export async function settledUpload(gateway: Gateway, exchange: Exchange, uploadId: string): Promise<TusUpload> {
  return await askUpload(gateway, exchange, uploadId, (session, { epoch }, options) => session.settle({ epoch }, options));
}

/** The same, and nothing is ended. */
export async function uploadNow(gateway: Gateway, exchange: Exchange, uploadId: string): Promise<TusUpload> {
  return await askUpload(gateway, exchange, uploadId, (session, _live, options) => session.status({}, options));
}

/** @throws {TroupeError} also `UPLOAD_SIZE_FIXED`, `TOO_LARGE`, `DISK_FULL` */
export async function sizedUpload(gateway: Gateway, exchange: Exchange, told: TusUpload, sizeBytes: number): Promise<TusUpload> {
  if (told.sizeBytes === sizeBytes) return told;
  if (told.sizeBytes !== undefined)
    throw new TroupeError("UPLOAD_SIZE_FIXED", `The upload has ${told.sizeBytes} bytes; that was said before.`);
  return await askUpload(gateway, exchange, told.uploadId, (session, { epoch }, options) =>
    session.declareSize({ epoch, sizeBytes }, options),
  );
}

/** What the session answers, or how the upload has ended (U1, U2). */
export async function askSession<T>(
  gateway: Gateway,
  exchange: Exchange,
  uploadId: string,
  ask: AskSession<T>,
): Promise<{ readonly live: LiveUpload; readonly answer: T } | { readonly ended: EndedUpload }> {
  const options = { ...callOptions(exchange), principal: exchange.principal };
  for (let attempt = 1; ; attempt += 1) {
    const found = await gateway.uploads.find(uploadId, options);
    if (found.kind === "ended") return { ended: found.record };
    try {
      return { live: found.upload, answer: await ask(client(gateway.ports.bus, upload, { uploadId }), found.upload, options) };
    } catch (error) {
      gateway.uploads.forget(uploadId);
      const isHint = isNoResponders(error) || (error instanceof TroupeError && REMEMBERED_WRONGLY.has(error.code));
      if (attempt > 1 || !isHint) throw error;
    }
  }
}

async function askUpload(gateway: Gateway, exchange: Exchange, uploadId: string, ask: AskSession<UploadStatus>): Promise<TusUpload> {
  const asked = await askSession(gateway, exchange, uploadId, ask);
  if ("ended" in asked) return fromRecord(asked.ended);
  const { live, answer } = asked;
  const { state, tus: plan = {}, offsetBytes, sizeBytes, expiresMs, file, lastError } = answer;
  if (isEnded(state) && state !== "merged") {
    gateway.uploads.forget(uploadId);
    throw new TroupeError(ENDED_CODES[state], undefined, { facts: lastError === undefined ? {} : { lastError } });
  }
  const isMerged = state === "merged";
  const size = sizeBytes ?? file?.sizeBytes;
  return { uploadId, plan, offsetBytes: isMerged && size !== undefined ? size : offsetBytes, sizeBytes: size, expiresMs, isMerged, live };
}

function fromRecord(record: EndedUpload): TusUpload {
  const { uploadId, state, sizeBytes, tus: plan = {} } = record;
  // An address that was one and is none any more is answered 410, for as long as that is remembered; then 404.
  if (state !== "merged") throw endedError(record);
  return { uploadId, plan, offsetBytes: sizeBytes ?? 0, sizeBytes, expiresMs: undefined, isMerged: true, live: undefined };
}

/** When the server will have removed an upload that nothing comes for; left out when it will not. */
export function expiresField({ expiresMs }: Pick<TusUpload, "expiresMs">): Readonly<Record<string, string>> {
  return expiresMs === undefined ? {} : { "upload-expires": formatHttpDate(expiresMs) };
}
