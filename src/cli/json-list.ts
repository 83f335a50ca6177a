/** `{"files":[…]}`, written as its items come: a listing may be longer than the memory there is. */
import type { Terminal } from "./context.ts";
import { harmless } from "./harmless-terminal.ts";

export class JsonList {
  readonly #terminal: Terminal;
  readonly #name: string;
  #isBegun = false;
  #hasItems = false;

  /** @param name under which the list stands in the object */
  constructor(terminal: Terminal, name: string) {
    this.#terminal = terminal;
    this.#name = name;
  }

  /** Nothing is written before the first items: an error that comes instead leaves stdout empty. */
  async add(items: readonly unknown[]): Promise<void> {
    await this.#begin();
    for (const item of items) {
      await this.#write(`${this.#hasItems ? "," : ""}${JSON.stringify(item)}`);
      this.#hasItems = true;
    }
  }

  /** The list is whole. Where it is not called, what was written is no JSON, and nobody takes it for the whole. */
  async end(): Promise<void> {
    await this.#begin();
    await this.#write("]}\n");
  }

  async #begin(): Promise<void> {
    if (this.#isBegun) return;
    this.#isBegun = true;
    await this.#write(`{${JSON.stringify(this.#name)}:[`);
  }

  async #write(text: string): Promise<void> {
    await this.#terminal.outBytes(Buffer.from(harmless(text)));
  }
}
