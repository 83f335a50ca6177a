/**
 * Idempotent operations: a key, who used it for what, and what came of it. Claiming is an insert or a locking read, so that a caller
 * whose connection was lost while committing learns the outcome by asking again.
 */
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { OPERATION_KEPT_MS } from "../../core/limits.ts";
import type { Operation } from "../../core/shapes.ts";
import { bytesOfHex } from "./file-row.ts";
import type { CatalogQuery, CatalogTransaction } from "./tables.ts";

export interface ScopedOperation extends Operation {
  /** Whose key it is, and for what kind of request: keys of two owners never meet. */
  readonly scope: string;
  /** An identity that stands for the outcome. */
  readonly result: string;
}

/**
 * What came of the operation, if it was done before; looked up only.
 * @throws {TroupeError} `IDEMPOTENCY_CONFLICT` when the key was used for another request
 */
export async function findOperation(
  query: CatalogQuery,
  operation: Omit<ScopedOperation, "result">,
  nowMs: number,
): Promise<string | undefined> {
  const row = await query
    .selectFrom("t_operation")
    .selectAll()
    .where("scope_name", "=", bytesOf(operation.scope))
    .where("operation_key", "=", bytesOf(operation.key))
    .executeTakeFirst();
  return row === undefined || row.expire_time <= BigInt(nowMs) ? undefined : resultOf(row, bytesOfHex(operation.requestDigest));
}

/**
 * @returns the result of the same operation done earlier; `undefined` when this is the first, or its result is this one's
 * @throws {TroupeError} `IDEMPOTENCY_CONFLICT` when the key was used for another request
 */
export async function claimOperation(
  transaction: CatalogTransaction,
  operation: ScopedOperation,
  nowMs: number,
): Promise<string | undefined> {
  const scope_name = bytesOf(operation.scope);
  const operation_key = bytesOf(operation.key);
  const ours = {
    request_digest: bytesOfHex(operation.requestDigest),
    result: bytesOf(operation.result),
    expire_time: nowMs + OPERATION_KEPT_MS,
  };
  if (await transaction.insertIfAbsent("t_operation", { scope_name, operation_key, ...ours })) return undefined;
  const key = transaction.query
    .selectFrom("t_operation")
    .selectAll()
    .where("scope_name", "=", scope_name)
    .where("operation_key", "=", operation_key);
  const row = await transaction.lock(key).executeTakeFirst();
  if (row === undefined) throw new TroupeError("DATABASE_UNAVAILABLE", "The operation's row expired at this moment; try again.");
  if (row.expire_time <= BigInt(nowMs)) {
    // It was there only because nobody had swept it away yet.
    await transaction.query
      .updateTable("t_operation")
      .set(ours)
      .where("scope_name", "=", scope_name)
      .where("operation_key", "=", operation_key)
      .execute();
    return undefined;
  }
  const result = resultOf(row, ours.request_digest);
  return result === operation.result ? undefined : result;
}

function resultOf(row: { readonly request_digest: Uint8Array; readonly result: Uint8Array }, requestDigest: Uint8Array): string {
  if (Buffer.compare(row.request_digest, requestDigest) !== 0) throw new TroupeError("IDEMPOTENCY_CONFLICT");
  return textOf(row.result);
}
