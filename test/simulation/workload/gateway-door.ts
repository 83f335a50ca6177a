/**
 * The one address that users know, and the gateways behind it: as with several addresses of one name, a client stays with one until that
 * fails, and goes to the next with its next request. Some ways lead every request to another gateway.
 */
import { TroupeError } from "../../../src/core/errors.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse } from "../../../src/core/ports/http-exchange.ts";
import { PUBLIC_URL } from "../cluster.ts";

export interface DoorOptions {
  /** Addresses of gateways; at least one. */
  readonly gateways: readonly string[];
  /** Which of them is the first; any number. */
  readonly first: number;
  /** Every request goes to another one. */
  readonly roams: boolean;
}

export class GatewayDoor {
  readonly #options: DoorOptions;
  #current: number;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#current = options.first;
  }

  /** The address of the gateway that is next. @param skip so many further on */
  gateway(skip = 0): string {
    const { gateways } = this.#options;
    return gateways[(this.#current + skip) % gateways.length] as string;
  }

  async exchange(request: HttpClientRequest, over: HttpClient): Promise<HttpClientResponse> {
    const url = request.url.replace(PUBLIC_URL, this.gateway());
    if (this.#options.roams) this.#current += 1;
    const at = this.#current;
    // Several requests may fail together: one step is enough.
    const step = (): void => {
      if (this.#current === at) this.#current += 1;
    };
    try {
      const response = await over.exchange({ ...request, url });
      if (response.status === 503) step();
      return response;
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== "CANCELLED") step();
      throw error;
    }
  }
}
