/** What the catalog's parts are handed, and who may see what. */

import { SYSTEM_OWNER } from "../../bus/client.ts";
import type { Log } from "../../core/log.ts";
import type { Cache } from "../../core/ports/cache.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { ANYONE, type Principal } from "../../core/principal.ts";
import type { CatalogDatabase, OutboxKind } from "./tables.ts";

export interface CatalogPorts {
  readonly database: CatalogDatabase;
  readonly cache: Cache;
  readonly clock: Clock;
  readonly log: Log;
  /** Work of these kinds has been committed to the outbox. A hint: a lost one costs a second. */
  readonly wake: (...kinds: OutboxKind[]) => void;
}

/** The owner whose files may be read; `undefined` for every owner: the system, and whoever reads where reading is public. */
export function readOwner(principal: Principal): string | undefined {
  return principal.owner === ANYONE.owner ? undefined : listedOwner(principal);
}

/** The owner whose rows there are for the principal; `undefined` for all: the system sees everything. What one may not see is not there. */
export function listedOwner(principal: Principal): string | undefined {
  return principal.owner === SYSTEM_OWNER ? undefined : principal.owner;
}
