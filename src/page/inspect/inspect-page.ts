/** All that the page that looks into uploads knows, and what one can do on it. */
import { Account } from "../account.ts";
import { ask } from "../server.ts";
import { Watched } from "../store.ts";
import { ActorList } from "./actor-list.ts";
import { ALL_SESSIONS, type InspectPlace, inspectHashOf, inspectPlaceOf, type SessionFilter } from "./inspect-place.ts";
import { SessionList } from "./session-list.ts";
import { UploadWatch } from "./upload-watch.ts";

/** A question before something is done to an upload. */
export type InspectQuestion = {
  readonly kind: "cancel" | "merge";
  readonly uploadId: string;
  readonly name: string;
  readonly text: string;
};

export class InspectPage extends Watched {
  readonly account = new Account(() => this.#arrive());
  readonly sessions = new SessionList();
  readonly actors = new ActorList();
  place: InspectPlace = { view: "uploads", filter: ALL_SESSIONS };
  watched: UploadWatch | undefined;
  question: InspectQuestion | undefined;
  /** What could not be done. */
  fault: string | undefined;

  start(): void {
    this.place = inspectPlaceOf(location.hash);
    window.addEventListener("hashchange", () => this.#arrive());
    document.addEventListener("visibilitychange", () => this.#arrive());
    void this.account.start();
  }

  ask(question: InspectQuestion | undefined): void {
    this.question = question;
    this.changed();
  }

  /** Narrows the list. What was chosen before is no place of its own to go back to. */
  choose(filter: SessionFilter): void {
    history.replaceState(null, "", inspectHashOf({ view: "uploads", filter }));
    this.#arrive();
  }

  async signOut(): Promise<void> {
    try {
      await this.account.signOut();
    } catch {
      this.fault = "The server does not answer: you are still signed in.";
      this.changed();
    }
  }

  /** @throws what {@link ask} throws */
  async answer({ kind, uploadId }: InspectQuestion): Promise<void> {
    if (kind === "cancel") await ask("DELETE", `/api/v1/uploads/${uploadId}`);
    else await ask("POST", `/api/v1/uploads/${uploadId}/merge`, { headers: { prefer: "respond-async" } });
    this.watched?.lookAgain();
  }

  /** Only what is looked at is asked for, and nothing while nobody sees the page. */
  #arrive(): void {
    const before = this.place;
    this.place = inspectPlaceOf(location.hash);
    const { place } = this;
    const isSeen = this.account.state === "in" && document.visibilityState === "visible";
    const uploadId = place.view === "upload" ? place.uploadId : undefined;
    if (this.watched !== undefined && this.watched.uploadId !== uploadId) {
      this.watched.stop();
      this.watched = undefined;
    }
    if (this.question?.uploadId !== uploadId) this.question = undefined;
    if (uploadId !== undefined && this.account.state === "in") this.watched ??= new UploadWatch(uploadId);
    if (isSeen) this.watched?.start();
    else this.watched?.stop();
    if (place.view === "uploads") this.sessions.choose(place.filter);
    this.sessions.isLookedAt = isSeen && place.view === "uploads";
    this.actors.isLookedAt = isSeen && place.view === "actors";
    if (before !== place) this.changed();
  }
}
