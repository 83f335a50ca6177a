/** Being told to stop: once politely, a second time at once. */
import process from "node:process";

/** A terminal sends Ctrl-C to npm and to this process, and npm passes it on: one that comes right behind the first is the first. */
const SAME_SIGNAL_MS = 500;

export function onStopSignals(names: readonly NodeJS.Signals[], first: () => void, second: () => void): void {
  let sinceMs: number | undefined;
  const onSignal = (): void => {
    const nowMs = performance.now();
    if (sinceMs === undefined) {
      sinceMs = nowMs;
      first();
    } else if (nowMs - sinceMs > SAME_SIGNAL_MS) second();
  };
  for (const name of names) process.on(name, onSignal);
}
