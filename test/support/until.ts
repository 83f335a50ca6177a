/** Waiting for what others do: asked again and again, with a bound. */
import { setTimeout as pause } from "node:timers/promises";

const UNTIL_MS_MAX = 60_000;
const ASK_EVERY_MS = 50;

/**
 * The first answer that is the one waited for; a rejection is none yet. When there is none within {@link UNTIL_MS_MAX}, rejects with the last
 * one, or as it was rejected last.
 */
export async function until<Value>(ask: () => Promise<Value>, isIt: (value: Value) => boolean): Promise<Value> {
  const untilMs = performance.now() + UNTIL_MS_MAX;
  for (;;) {
    const outcome = await ask().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if ("value" in outcome && isIt(outcome.value)) return outcome.value;
    if (performance.now() > untilMs) throw "error" in outcome ? outcome.error : new Error(`still ${JSON.stringify(outcome.value)}`);
    await pause(ASK_EVERY_MS);
  }
}
