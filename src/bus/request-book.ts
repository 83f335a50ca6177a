/**
 * How many requests of each verb came, how many were answered with an error, and how long they took. Hosts write to it, and a role's
 * micro service reads it out.
 *
 * R1: a book has the verbs of its contract and no other, so what is asked cannot make it grow.
 * R2: a book outlives hosts: a session that has ended stays counted.
 */
import type { Contract } from "./contract.ts";

export interface RequestStatistics {
  /** Those that have ended: answered, or given up because the caller had. */
  readonly requests: number;
  readonly errors: number;
  /** `BUSY: …`; empty when there was none. */
  readonly lastError: string;
  /** Milliseconds from arrival to answer, all requests together. */
  readonly processingMs: number;
}

export class RequestBook {
  readonly contract: Contract;
  readonly #pages: ReadonlyMap<string, { -readonly [Field in keyof RequestStatistics]: RequestStatistics[Field] }>;

  constructor(contract: Contract) {
    this.contract = contract;
    this.#pages = new Map(Object.keys(contract.requests).map((verb) => [verb, { requests: 0, errors: 0, lastError: "", processingMs: 0 }]));
  }

  /** A request has ended. A verb the contract does not have is not counted (R1). */
  count(verb: string, processingMs: number, error?: string): void {
    const page = this.#pages.get(verb);
    if (page === undefined) return;
    page.requests += 1;
    page.processingMs += processingMs;
    if (error === undefined) return;
    page.errors += 1;
    page.lastError = error;
  }

  /** @param verb of the contract */
  read(verb: string): RequestStatistics {
    return { ...(this.#pages.get(verb) as RequestStatistics) };
  }
}

/** A book for each contract that one role of one node answers: its hosts are given these, and its micro service reads them. */
export class RequestBooks {
  readonly #books = new Map<Contract, RequestBook>();

  of(contract: Contract): RequestBook {
    let book = this.#books.get(contract);
    if (book === undefined) {
      book = new RequestBook(contract);
      this.#books.set(contract, book);
    }
    return book;
  }

  list(): RequestBook[] {
    return [...this.#books.values()];
  }
}
