/** Nobody can be connected to: for nodes that are alone. */
import { TroupeError } from "../../src/core/errors.ts";
import type { HttpClient } from "../../src/core/ports/http-exchange.ts";

export const NO_HTTP: HttpClient = {
  exchange: () => Promise.reject(new TroupeError("UNAVAILABLE", "there is no network.", { facts: { unconnected: true } })),
  close: () => Promise.resolve(),
};
