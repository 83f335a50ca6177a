/** Processes and the actors they host, and storage nodes as the trackers see them; looked at again while somebody watches. */
import { ask } from "../server.ts";
import { Watched } from "../store.ts";
import { errorText } from "../words.ts";
import type { NodeAnswer, ProcessAnswer } from "./inspect-answers.ts";

const ROUND_MS = 2_500;

export class ActorList extends Watched {
  processes: readonly ProcessAnswer[] | undefined;
  nodes: readonly NodeAnswer[] = [];
  message: string | undefined;
  #round: number | undefined;
  #isBusy = false;

  set isLookedAt(isLookedAt: boolean) {
    clearInterval(this.#round);
    this.#round = isLookedAt ? window.setInterval(() => void this.#look(), ROUND_MS) : undefined;
    if (isLookedAt) void this.#look();
  }

  async #look(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      const [actors, cluster] = await Promise.all([
        ask<{ processes: readonly ProcessAnswer[] }>("GET", "/api/v1/inspect/actors"),
        ask<{ nodes: readonly NodeAnswer[] }>("GET", "/api/v1/cluster"),
      ]);
      this.processes = actors.value.processes;
      this.nodes = cluster.value.nodes;
      this.message = undefined;
    } catch (error) {
      this.message = errorText(error);
    }
    this.#isBusy = false;
    this.changed();
  }
}
