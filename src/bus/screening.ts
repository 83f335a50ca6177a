/**
 * Untrusted bodies are looked through before they are decoded.
 *
 * S1: work and memory are bounded by the bytes that are there, never by a length that is only claimed.
 * S2: what passes decodes to maps with string keys, arrays, strings, binary, numbers, booleans and nil: nothing that runs code,
 *     reaches a prototype or loses digits.
 * S3: strings are valid UTF-8, because a lenient decoder would turn an overlong `__proto__` into the real one.
 */
import { isUtf8 } from "node:buffer";
import { TroupeError } from "../core/errors.ts";

export interface MessageBounds {
  readonly bytesMax: number;
  /** Array elements and map entries, of the whole body. */
  readonly itemsMax: number;
  /** The outermost map is at depth 1. */
  readonly depthMax: number;
}

const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);
const FORBIDDEN_KEY_BYTES_MAX = Math.max(...[...FORBIDDEN_KEYS].map((key) => key.length));

/** Bytes after the type: nil, false, true, floats, integers of up to 32 bits. */
const FIXED_BYTES: ReadonlyMap<number, number> = new Map([
  [0xc0, 0],
  [0xc2, 0],
  [0xc3, 0],
  [0xca, 4],
  [0xcb, 8],
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
]);
const UINT64 = 0xcf;
const INT64 = 0xd3;
const BINARY_LENGTH_BYTES: ReadonlyMap<number, 1 | 2 | 4> = new Map([
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
]);
const COUNTED: ReadonlyMap<number, { readonly countBytes: 2 | 4; readonly isMap: boolean }> = new Map([
  [0xdc, { countBytes: 2, isMap: false }],
  [0xdd, { countBytes: 4, isMap: false }],
  [0xde, { countBytes: 2, isMap: true }],
  [0xdf, { countBytes: 4, isMap: true }],
]);

/** @throws {TroupeError} `MESSAGE_REFUSED` */
export function screenMsgpack(payload: Uint8Array, bounds: MessageBounds): void {
  if (payload.length > bounds.bytesMax) throw refused(`${payload.length} bytes, more than ${bounds.bytesMax}`);
  if (!isMapStart(payload[0])) throw refused("the outermost value is not a map");
  const end = new MsgpackWalk(payload, bounds).walk();
  if (end !== payload.length) throw refused(`${payload.length - end} bytes after the end`);
}

/** The same for a value that was decoded from JSON. @throws {TroupeError} `MESSAGE_REFUSED` */
export function screenValue(value: unknown, bounds: Omit<MessageBounds, "bytesMax">): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused("the outermost value is not a map");
  let items = 0;
  let level: object[] = [value];
  // Level by level and not by recursion: the depth is the sender's choice.
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > bounds.depthMax) throw refused(`deeper than ${bounds.depthMax}`);
    const below: object[] = [];
    for (const container of level) {
      const isMap = !Array.isArray(container);
      for (const [key, field] of Object.entries(container)) {
        items += 1;
        if (items > bounds.itemsMax) throw refused(`more than ${bounds.itemsMax} items`);
        if (isMap) screenKey(key);
        if (typeof field === "object" && field !== null) below.push(field);
        else if (typeof field === "string" && !field.isWellFormed()) throw refused("a string is not valid Unicode");
        else if (typeof field === "number" && !Number.isFinite(field)) throw refused("a number is too large");
      }
    }
    level = below;
  }
}

/** One pass over the bytes, keeping only how many values each open container still lacks. */
class MsgpackWalk {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #bounds: MessageBounds;
  /** For each open container: values it still lacks (a map entry is two), and whether it is a map. */
  readonly #open: { lacking: number; readonly isMap: boolean }[] = [];
  #offset = 0;
  #items = 0;

  constructor(bytes: Uint8Array, bounds: MessageBounds) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bounds = bounds;
  }

  /** Where the outermost value ends. */
  walk(): number {
    do {
      const container = this.#open.at(-1);
      const isKey = container?.isMap === true && container.lacking % 2 === 0;
      if (container !== undefined) container.lacking -= 1;
      if (isKey) this.#key();
      else this.#value();
      while (this.#open.at(-1)?.lacking === 0) this.#open.pop();
    } while (this.#open.length > 0);
    return this.#offset;
  }

  #key(): void {
    const length = this.#stringLength(this.#uint(1));
    if (length === undefined) throw refused("a key is not a string");
    const start = this.#offset;
    this.#string(length);
    if (length > FORBIDDEN_KEY_BYTES_MAX) return;
    const key = String.fromCharCode(...this.#bytes.subarray(start, this.#offset));
    if (FORBIDDEN_KEYS.has(key)) throw refused(`the key ${key}`);
  }

  #value(): void {
    const type = this.#uint(1);
    if (type <= 0x7f || type >= 0xe0) return;
    const fixed = FIXED_BYTES.get(type);
    const binary = BINARY_LENGTH_BYTES.get(type);
    const counted = COUNTED.get(type);
    const stringLength = this.#stringLength(type);
    if (type <= 0x9f) this.#container(type & 0x0f, type <= 0x8f);
    else if (stringLength !== undefined) this.#string(stringLength);
    else if (fixed !== undefined) this.#skip(fixed);
    else if (binary !== undefined) this.#skip(this.#uint(binary));
    else if (counted !== undefined) this.#container(this.#uint(counted.countBytes), counted.isMap);
    else if (type === UINT64) this.#wide((offset) => this.#view.getBigUint64(offset));
    else if (type === INT64) this.#wide((offset) => this.#view.getBigInt64(offset));
    // Extensions and the one reserved byte.
    else throw refused(`a value of type 0x${type.toString(16)}`);
  }

  #container(count: number, isMap: boolean): void {
    if (this.#open.length >= this.#bounds.depthMax) throw refused(`deeper than ${this.#bounds.depthMax}`);
    this.#items += count;
    if (this.#items > this.#bounds.itemsMax) throw refused(`more than ${this.#bounds.itemsMax} items`);
    this.#open.push({ lacking: isMap ? count * 2 : count, isMap });
  }

  #stringLength(type: number): number | undefined {
    if (type >= 0xa0 && type <= 0xbf) return type & 0x1f;
    if (type === 0xd9) return this.#uint(1);
    if (type === 0xda) return this.#uint(2);
    return type === 0xdb ? this.#uint(4) : undefined;
  }

  #string(length: number): void {
    const start = this.#offset;
    this.#skip(length);
    if (!isUtf8(this.#bytes.subarray(start, this.#offset))) throw refused("a string is not UTF-8");
  }

  #wide(read: (offset: number) => bigint): void {
    const start = this.#offset;
    this.#skip(8);
    const value = read(start);
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) throw refused("an integer beyond 2^53");
  }

  #uint(bytes: 1 | 2 | 4): number {
    const start = this.#offset;
    this.#skip(bytes);
    if (bytes === 1) return this.#view.getUint8(start);
    return bytes === 2 ? this.#view.getUint16(start) : this.#view.getUint32(start);
  }

  #skip(bytes: number): void {
    if (bytes > this.#bytes.length - this.#offset) throw refused("it ends too early");
    this.#offset += bytes;
  }
}

function isMapStart(type: number | undefined): boolean {
  return type !== undefined && ((type >= 0x80 && type <= 0x8f) || type === 0xde || type === 0xdf);
}

function screenKey(key: string): void {
  if (FORBIDDEN_KEYS.has(key)) throw refused(`the key ${key}`);
  if (!key.isWellFormed()) throw refused("a key is not valid Unicode");
}

function refused(why: string): TroupeError {
  return new TroupeError("MESSAGE_REFUSED", `The body was refused: ${why}.`);
}
