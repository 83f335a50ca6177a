/**
 * A form with a file (`multipart/form-data`, RFC 7578): `metadata`, if it comes, before `file`, and nothing else.
 *
 * M1: the file's bytes stream; what waits in memory is a block of the request and a block of the file, however long either is.
 * M2: the file's bytes end well only when the whole form has: what is wrong behind them is an error of theirs, so nothing is made of them.
 * M3: everything that is not the file's bytes is bounded, together.
 */
import { Busboy, type BusboyFileStream, type BusboyInstance } from "@fastify/busboy";
import { z } from "zod";
import { issuesInWords } from "../bus/client.ts";
import { type ErrorCode, TroupeError } from "../core/errors.ts";
import {
  JSON_BODY_BYTES_MAX,
  MULTIPART_HEADER_BYTES_MAX,
  MULTIPART_HEADERS_MAX,
  MULTIPART_OVERHEAD_BYTES_MAX,
  MULTIPART_PARTS_MAX,
  WRITE_BLOCK_BYTES,
} from "../core/limits.ts";
import type { HttpRequest } from "../core/ports/http-exchange.ts";
import { app, contentType, digestClaim, fileName, user } from "../core/shapes.ts";

const metadataShape = z.object({
  name: fileName.optional(),
  app: app.optional(),
  user: user.optional(),
  contentType: contentType.optional(),
  digest: digestClaim.optional(),
});
const CODES: Readonly<Record<string, ErrorCode>> = { name: "BAD_NAME", digest: "BAD_DIGEST" };

export type FormMetadata = z.output<typeof metadataShape>;

export interface FormFile {
  readonly metadata: FormMetadata;
  /** As the client calls it, without folders. */
  readonly fileName: string | undefined;
  /** Without parameters; `text/plain` also where the part has none. */
  readonly contentType: string;
  /** Read at most once. Throws what is wrong with the form, and what the request's body throws (M2). */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** No more is wanted. */
  close(): void;
}

/** Reads up to where the file begins. @throws {TroupeError} `BAD_REQUEST`, `BAD_NAME`, `BAD_DIGEST`, and what the body throws */
export function readMultipart(request: HttpRequest): Promise<FormFile> {
  return new MultipartBody(request).begun;
}

class MultipartBody {
  readonly #request: HttpRequest;
  readonly #parser: BusboyInstance;
  readonly #begun = Promise.withResolvers<FormFile>();
  readonly #pumped: Promise<void>;
  #metadata: FormMetadata | undefined;
  #file: BusboyFileStream | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wake = (): void => {};
  #isWritable = true;
  #hasEnded = false;

  constructor(request: HttpRequest) {
    this.#request = request;
    this.#parser = parserOf(request);
    this.#parser.on("field", (name, value, _, isCut) => this.#attempt(() => this.#takeField(name, value, isCut)));
    this.#parser.on("file", (_, file, name, __, type) => this.#attempt(() => this.#takeFile(file, name, type)));
    this.#parser.on("partsLimit", () => this.#fail(refused(`A form has at most ${MULTIPART_PARTS_MAX} parts here.`)));
    this.#parser.on("error", (cause) => this.#fail(refused("The form breaks off, or is none: its closing boundary is missing.", cause)));
    this.#parser.on("drain", () => {
      this.#isWritable = true;
      this.#wake();
    });
    this.#parser.on("finish", () => {
      this.#hasEnded = true;
      this.#wake();
    });
    this.#pumped = this.#pump();
  }

  get begun(): Promise<FormFile> {
    return this.#begun.promise;
  }

  /** The request's body into the parser, as fast as the file's bytes are taken out of it (M1). */
  async #pump(): Promise<void> {
    let readBytes = 0;
    try {
      for await (const block of this.#request.body) {
        readBytes += block.length;
        this.#isWritable = this.#parser.write(block);
        await this.#until(() => this.#isWritable);
        if (this.#failure !== undefined) return;
        // M3
        if (readBytes - (this.#file?.bytesRead ?? 0) > MULTIPART_OVERHEAD_BYTES_MAX)
          throw refused(`Beside its file a form has at most ${MULTIPART_OVERHEAD_BYTES_MAX} bytes here.`);
      }
      this.#parser.end();
      await this.#until(() => this.#hasEnded);
      if (this.#file === undefined) throw refused("The form has no file: send it as the part 'file' (curl: -F file=@FILE).");
    } catch (error) {
      this.#fail(error);
    }
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo() && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #takeField(name: string | undefined, value: string, isCut: boolean): void {
    if (name !== "metadata") throw refused(`A form has the parts 'metadata' and 'file', not '${String(name).slice(0, 80)}'.`);
    if (this.#file !== undefined) throw refused("'metadata' comes before 'file', for the bytes are stored as they come.");
    if (this.#metadata !== undefined) throw refused("'metadata' comes once.");
    if (isCut) throw refused(`'metadata' has at most ${JSON_BODY_BYTES_MAX} bytes.`);
    this.#metadata = readMetadata(value);
  }

  #takeFile(file: BusboyFileStream, name: string | undefined, type: string): void {
    // Whoever reads it hears of its error; nobody reads a second one, or one of a form that has failed.
    file.on("error", () => undefined);
    if (this.#failure !== undefined) return;
    if (this.#file !== undefined) throw refused("A form has one file here; send each in a form of its own.");
    this.#file = file;
    this.#begun.resolve({
      metadata: this.#metadata ?? {},
      fileName: name === "" ? undefined : name,
      contentType: type,
      bytes: this.#bytes(file),
      close: () => this.#fail(new TroupeError("CANCELLED", "The rest of the form is not wanted.")),
    });
  }

  /** M2 */
  async *#bytes(file: BusboyFileStream): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const block of file) yield block as Uint8Array;
    } catch (cause) {
      // The parser tells the file that breaks off in words of its own.
      throw this.#failure?.error ?? refused("The form breaks off in its file.", cause);
    }
    await this.#pumped;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #attempt(take: () => void): void {
    try {
      take();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#begun.reject(error);
    this.#file?.destroy(error as Error);
    this.#wake();
  }
}

function parserOf({ headers }: HttpRequest): BusboyInstance {
  try {
    return new Busboy({
      headers: { "content-type": headers["content-type"] ?? "" },
      // Browsers and curl name a file for either part, as it suits them.
      isPartAFile: (name) => name === "file",
      fileHwm: WRITE_BLOCK_BYTES,
      limits: {
        fieldSize: JSON_BODY_BYTES_MAX,
        parts: MULTIPART_PARTS_MAX,
        headerSize: MULTIPART_HEADER_BYTES_MAX,
        headerPairs: MULTIPART_HEADERS_MAX,
      },
    });
  } catch (cause) {
    throw refused("The Content-Type of a form is multipart/form-data, with its boundary.", cause);
  }
}

/** @throws {TroupeError} `BAD_REQUEST`, and a field's own code */
function readMetadata(text: string): FormMetadata {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refused("'metadata' is not JSON.", cause);
  }
  const checked = metadataShape.safeParse(value);
  if (checked.success) return checked.data;
  const field = String(checked.error.issues[0]?.path[0] ?? "");
  throw new TroupeError(Object.hasOwn(CODES, field) ? (CODES[field] as ErrorCode) : "BAD_REQUEST", issuesInWords(checked.error));
}

const refused = (sentence: string, cause?: unknown): TroupeError =>
  new TroupeError("BAD_REQUEST", sentence, cause === undefined ? {} : { cause });
