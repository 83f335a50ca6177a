/** Waiting for what others do: asked again and again, with a bound. */
import { setTimeout as pause } from "node:timers/promises";

export const UNTIL_MS_MAX = 30_000;
const ASK_EVERY_MS = 50;

/** The first answer that is the one waited for. Rejects with the last one when there is none within {@link UNTIL_MS_MAX}. */
export async function until<Value>(ask: () => Promise<Value>, isIt: (value: Value) => boolean): Promise<Value> {
  const untilMs = performance.now() + UNTIL_MS_MAX;
  for (;;) {
    const value = await ask();
    if (isIt(value)) return value;
    if (performance.now() > untilMs) throw new Error(`still ${JSON.stringify(value)}`);
    await pause(ASK_EVERY_MS);
  }
}
