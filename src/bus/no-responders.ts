/** What it means that nobody listens on a subject, in words for people. */
import { TroupeError } from "../core/errors.ts";

/** A subject of the actors that share one, by role: `troupe.v1.tracker.place`. */
const GROUP = /^troupe\.v\d+\.([a-z]+)\.[A-Za-z]+$/;

/** @param facts more of them than `noResponders` */
export function nobodyListens(subject: string, facts: Readonly<Record<string, unknown>> = {}): TroupeError {
  const role = GROUP.exec(subject)?.[1];
  const sentence = role === undefined ? `Nobody listens on ${subject}.` : `No process with the role ${role} answers; is one started?`;
  return new TroupeError("UNAVAILABLE", sentence, { facts: { ...facts, noResponders: true } });
}
