/** Asking a server as clients do: on a machine that is busy it refuses new work for a moment, and is asked again when it says. */
import { setTimeout as pause } from "node:timers/promises";

/** Longer than a server that is well refuses, however slow its machine is. */
const PATIENCE_MS = 25_000;
const RETRY_AFTER_SECONDS = 1;

/** As {@link RequestInit}; what is sent can be sent again, so it is no stream. */
export interface PatientInit extends Omit<RequestInit, "body"> {
  readonly body?: string | Uint8Array;
}

/** The first answer that is not `503` with `OVERLOADED`, or that one when there is no other within {@link PATIENCE_MS}. */
export async function patientFetch(url: string | URL, init: PatientInit = {}): Promise<Response> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await fetch(url, init as RequestInit);
    if (performance.now() > untilMs || !(await isOverloaded(answer))) return answer;
    await pause(1000 * Number(answer.headers.get("retry-after") ?? RETRY_AFTER_SECONDS));
  }
}

/** Looks into a copy: the answer's body is for whoever asked. */
async function isOverloaded(answer: Response): Promise<boolean> {
  if (answer.status !== 503) return false;
  const problem: unknown = await answer
    .clone()
    .json()
    .catch(() => undefined);
  return typeof problem === "object" && problem !== null && "code" in problem && problem.code === "OVERLOADED";
}
