/** What travels on a connection: the parts of an HTTP exchange as values. */

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface AnswerHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Bytes of a body. Nobody else has this memory. */
export interface Carried {
  readonly bytes: Buffer;
  /** The body ends with them. */
  isEnd: boolean;
}

export type Segment =
  | ({ readonly kind: "request"; readonly head: RequestHead } & Carried)
  | ({ readonly kind: "answer"; readonly head: AnswerHead } & Carried)
  | ({ readonly kind: "bytes" } & Carried)
  /** The body is wanted: "100 Continue". */
  | { readonly kind: "continue" }
  /** There is room again for a body that had to wait. */
  | { readonly kind: "room" }
  /** The connection is no more. */
  | { readonly kind: "broken" };

/** Larger blocks travel in several segments. */
export const SEGMENT_BYTES_MAX = 256 * 1024;
/** So much of a body may lie between its sender and its reader: what the sockets of both hold. */
export const WINDOW_BYTES = 1024 * 1024;

export const NO_BYTES = Buffer.alloc(0);

export function bytesOf(segment: Segment): Buffer {
  return "bytes" in segment ? segment.bytes : NO_BYTES;
}

/** In a trace. */
export function labelOf(segment: Segment): string {
  switch (segment.kind) {
    case "request":
      return `${segment.head.method} ${segment.head.target.split("?")[0]}`;
    case "answer":
      return `answer ${segment.head.status}`;
    case "bytes":
      return `${segment.bytes.length} bytes`;
    default:
      return segment.kind;
  }
}

/** Copies of a block's bytes, none larger than {@link SEGMENT_BYTES_MAX}. */
export function* cut(block: Uint8Array): Generator<Buffer> {
  for (let offset = 0; offset < block.length; offset += SEGMENT_BYTES_MAX) {
    yield Buffer.from(block.subarray(offset, offset + SEGMENT_BYTES_MAX));
  }
}

/** Of a body, by its head; `undefined` when it says itself where it ends. */
export function declaredBytes(headers: Readonly<Record<string, string>>): number | undefined {
  const length = headers["content-length"];
  if (length !== undefined) return Number(length);
  return headers["transfer-encoding"] === undefined ? 0 : undefined;
}
