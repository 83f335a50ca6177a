/** Time that goes on: how many milliseconds have passed, told once a second. */
import { useEffect, useState } from "preact/hooks";

/** @param fromMs by the page's own clock */
export function useTicking(isOn: boolean, fromMs: number): number {
  const [, setTick] = useState(0);
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(() => setTick((tick) => tick + 1), 1_000);
    return () => clearInterval(timer);
  }, [isOn]);
  return isOn ? Math.max(0, performance.now() - fromMs) : 0;
}
