/** Who asks. Without tokens there is one principal, `local`; tokens make owners. Every request on the bus carries one. */

export interface Principal {
  /** Owner of files and uploads. */
  readonly owner: string;
}

export const LOCAL_PRINCIPAL: Principal = { owner: "local" };

/**
 * Somebody without a token, where files may be read without one (`--public-read`): reads files of every owner, and may do nothing else.
 * No token can have the name.
 */
export const ANYONE: Principal = { owner: "$anyone" };

/** Whether the principal may read the files of an owner. */
export function mayReadFilesOf(principal: Principal, owner: string): boolean {
  return principal.owner === owner || principal.owner === ANYONE.owner;
}
