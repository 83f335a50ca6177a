/**
 * The steps of this node's sessions as they happen, for whoever listens on `troupe.v1.inspect.upload.<uploadId>`.
 *
 * F1: no step is published to nobody. A session that goes on asks every {@link FEED_QUIET_MS} whether anybody listens, with a short message that
 *     has a reply subject: where nobody hears it, the bus says so there. Whoever looks at a session by a request is heard of at once.
 * F2: what happens within {@link FEED_MS} is one message, so a quick upload costs no more than a slow one.
 * F3: it is a hint, as all that is published: whoever misses a message asks for the whole.
 */
import { feedSubject, type MachineFeed } from "../../core/inspection.ts";
import { FEED_MS, FEED_QUIET_MS } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Bus, Subscription } from "../../core/ports/bus.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { InspectedSession, SessionFeeds } from "../upload/ports.ts";

/** A session of this node, or one that has ended lately. */
type Seen = (uploadId: string) => InspectedSession | undefined;

interface Watched {
  /** `quiet`: nobody listened when it was asked last; `asked`: somebody may, unless it turns out otherwise; `heard`: somebody listens. */
  interest: "quiet" | "asked" | "heard";
  quietUntilMs: number;
  /** What was told last: one that is started anew counts its steps from the first again. */
  session: InspectedSession | undefined;
  /** The newest step of it that was published. */
  told: number;
  isDue: boolean;
}

export class StepFeed implements SessionFeeds {
  readonly #ports: { readonly bus: Bus; readonly clock: Clock; readonly log: Log };
  readonly #seen: Seen;
  readonly #watched = new Map<string, Watched>();
  readonly #due = new Set<string>();
  readonly #inbox: string;
  readonly #unheard: Subscription;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(ports: { readonly bus: Bus; readonly clock: Clock; readonly log: Log }, seen: Seen) {
    this.#ports = ports;
    this.#seen = seen;
    this.#inbox = ports.bus.inbox();
    this.#unheard = ports.bus.subscribe(`${this.#inbox}.*`, ({ subject }) => this.#quiet(subject.slice(this.#inbox.length + 1)));
  }

  changed(uploadId: string): void {
    if (this.#isStopped) return;
    let watched = this.#watched.get(uploadId);
    if (watched === undefined) {
      watched = { interest: "quiet", quietUntilMs: 0, session: undefined, told: 0, isDue: false };
      this.#watched.set(uploadId, watched);
    }
    if (watched.isDue || this.#isQuiet(watched)) return;
    watched.isDue = true;
    this.#due.add(uploadId);
    this.#timer ??= this.#ports.clock.setTimer(FEED_MS, () => this.#flush());
  }

  /** Somebody looks at it, who may listen from now on: what comes next is told, also when it is the end. */
  looked(uploadId: string): void {
    const watched = this.#watched.get(uploadId);
    if (watched?.interest === "quiet") watched.interest = "asked";
  }

  /** What it went through last is told before. */
  ended(uploadId: string): void {
    if ((this.#watched.get(uploadId)?.interest ?? "quiet") !== "quiet") this.#tell(uploadId);
    this.#watched.delete(uploadId);
    this.#due.delete(uploadId);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#unheard.unsubscribe();
  }

  /** F2 */
  #flush(): void {
    this.#timer = undefined;
    const due = [...this.#due];
    this.#due.clear();
    for (const uploadId of due) {
      const watched = this.#watched.get(uploadId);
      if (watched === undefined) continue;
      watched.isDue = false;
      if (watched.interest === "asked") watched.interest = "heard";
      if (watched.interest === "heard") this.#tell(uploadId);
      else if (!this.#isQuiet(watched)) this.#ask(uploadId, watched);
    }
  }

  /** F1 */
  #ask(uploadId: string, watched: Watched): void {
    const session = this.#seen(uploadId);
    if (session === undefined) return;
    watched.interest = "asked";
    this.#publish(session.news(uploadId, Number.POSITIVE_INFINITY));
    // What there is to tell is told soon, if somebody listens, also when nothing more happens.
    this.changed(uploadId);
  }

  #tell(uploadId: string): void {
    const watched = this.#watched.get(uploadId);
    const session = this.#seen(uploadId);
    if (watched === undefined || session === undefined) return;
    if (watched.session !== session) watched.told = 0;
    watched.session = session;
    const news = session.news(uploadId, watched.told);
    watched.told = session.steps;
    this.#publish(news);
  }

  #isQuiet({ interest, quietUntilMs }: Watched): boolean {
    return interest === "quiet" && this.#ports.clock.nowMs() < quietUntilMs;
  }

  #quiet(uploadId: string): void {
    const watched = this.#watched.get(uploadId);
    if (watched === undefined) return;
    watched.interest = "quiet";
    watched.quietUntilMs = this.#ports.clock.nowMs() + FEED_QUIET_MS;
  }

  /** F3 */
  #publish(feed: MachineFeed): void {
    const { uploadId } = feed;
    try {
      this.#ports.bus.publish(feedSubject("upload", uploadId), Buffer.from(JSON.stringify(feed)), { reply: `${this.#inbox}.${uploadId}` });
    } catch (error) {
      this.#ports.log.debug({ uploadId, err: error }, "The steps of an upload could not be published.");
    }
  }
}
