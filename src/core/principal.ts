/** Who asks. Without tokens there is one principal, `local`; tokens make owners. Every request on the bus carries one. */

export interface Principal {
  /** Owner of files and uploads. */
  readonly owner: string;
}

export const LOCAL_PRINCIPAL: Principal = { owner: "local" };
