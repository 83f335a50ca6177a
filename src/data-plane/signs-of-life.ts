/**
 * A body on its way to a node that may fall silent for as long as its client likes, while the node still notices a gateway that is gone, or
 * hangs: whoever sends it shows that it is there.
 *
 * Over HTTP such a body is a sequence of records: a length of four bytes (big endian), and so many bytes. One of no bytes is a sign of life.
 * The body ends where the request does.
 *
 * L1: at most one pull of the source is under way, and what it gives is handed on in its order.
 * L2: a sign of life is never a byte of the body.
 */
import { TroupeError } from "../core/errors.ts";
import { SIGN_OF_LIFE_MS } from "../core/limits.ts";
import type { Clock } from "../core/ports/clock.ts";

const LENGTH_BYTES = 4;
const SIGN = new Uint8Array();

/** The same blocks, and an empty one whenever the source has been silent for `SIGN_OF_LIFE_MS`. */
export async function* withSignsOfLife(source: AsyncIterable<Uint8Array>, clock: Clock): AsyncGenerator<Uint8Array, void, void> {
  const iterator = source[Symbol.asyncIterator]();
  let isDone = false;
  try {
    for (;;) {
      let pulled: { readonly result: IteratorResult<Uint8Array> } | { readonly error: unknown } | undefined;
      let wake = (): void => {};
      // One reaction a pull, however long it takes: a race for every sign would gather them.
      iterator.next().then(
        (result) => {
          pulled = { result };
          wake();
        },
        (error: unknown) => {
          pulled = { error };
          wake();
        },
      );
      for (;;) {
        await new Promise<void>((resolve) => {
          const timer = clock.setTimer(SIGN_OF_LIFE_MS, resolve);
          wake = () => {
            timer.cancel();
            resolve();
          };
        });
        if (pulled !== undefined) break;
        yield SIGN;
        // It may have come while the sign was on its way.
        if (pulled !== undefined) break;
      }
      if ("error" in pulled) throw pulled.error;
      if (pulled.result.done === true) {
        isDone = true;
        return;
      }
      yield pulled.result.value;
    }
  } finally {
    // Not waited for: a source that is silent may not answer this either.
    if (!isDone) Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** Every block as a record of its own. */
export async function* inRecords(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  for await (const block of blocks) {
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, block.length);
    yield length;
    if (block.length > 0) yield block;
  }
}

/**
 * The bytes of the records, as they come.
 * @throws {TroupeError} `BAD_REQUEST` when the last one is not whole
 */
export async function* fromRecords(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const length = new Uint8Array(LENGTH_BYTES);
  let lengthCount = 0;
  let leftBytes = 0;
  for await (const block of body) {
    let rest = block;
    while (rest.length > 0) {
      const wanted = leftBytes > 0 ? leftBytes : LENGTH_BYTES - lengthCount;
      const part = rest.subarray(0, wanted);
      rest = rest.subarray(part.length);
      if (leftBytes > 0) {
        leftBytes -= part.length;
        yield part;
        continue;
      }
      length.set(part, lengthCount);
      lengthCount = (lengthCount + part.length) % LENGTH_BYTES;
      if (lengthCount === 0) leftBytes = new DataView(length.buffer).getUint32(0);
    }
  }
  if (leftBytes > 0 || lengthCount > 0) throw new TroupeError("BAD_REQUEST", "The body ends within a record.");
}
