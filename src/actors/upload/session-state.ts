/**
 * Where a session is: the machine's snapshot.
 *
 * S1: it changes only in a turn, and only through the machine; what follows from a change follows in the same turn.
 */
import type { ErrorCode } from "../../core/errors.ts";
import type { UploadState } from "../../core/shapes.ts";
import {
  initialSnapshot,
  isInstant,
  refusal,
  type SessionAction,
  type SessionCommand,
  type SessionContext,
  type SessionEvent,
  type SessionSnapshot,
  type SessionStep,
  stateOf,
  step,
} from "./machine.ts";

interface Consequences {
  entered(state: UploadState, before: UploadState): void;
  perform(action: SessionAction): void;
  /** Told of every event, before what follows from it. */
  stepped?(step: SessionStep): void;
}

export class SessionState {
  readonly #consequences: Consequences;
  #snapshot: SessionSnapshot = initialSnapshot();

  constructor(consequences: Consequences) {
    this.#consequences = consequences;
  }

  /** The word users see. What others are told may not be this far yet. */
  get word(): UploadState {
    return stateOf(this.#snapshot);
  }

  get context(): SessionContext {
    return this.#snapshot.context;
  }

  /** A file is being made of content that was there already. */
  get isInstant(): boolean {
    return isInstant(this.#snapshot);
  }

  refusal(command: SessionCommand): ErrorCode | undefined {
    return refusal(this.#snapshot, command);
  }

  /** S1 */
  apply(event: SessionEvent): void {
    const before = this.word;
    const { snapshot, actions } = step(this.#snapshot, event);
    this.#consequences.stepped?.({ before: this.#snapshot, event, after: snapshot });
    this.#snapshot = snapshot;
    const after = this.word;
    if (after !== before) this.#consequences.entered(after, before);
    for (const action of actions) this.#consequences.perform(action);
  }
}
