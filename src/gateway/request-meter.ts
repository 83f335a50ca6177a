/**
 * What the gateway's requests add to its metrics.
 *
 * Q1: what a request brings makes no series of its own: routes are patterns, methods and status codes come from our own tables.
 */
import { METHOD_LABELS, type MethodLabel, UNROUTED } from "../core/metrics.ts";
import type { Counter, Histogram, Metrics } from "../core/ports/metrics.ts";
import type { Route } from "./router.ts";

interface RouteMeter {
  readonly seconds: Histogram;
  readonly answers: Map<string, Counter>;
}

export class RequestMeter {
  readonly #metrics: Metrics;
  readonly #routes = new Map<string, RouteMeter>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** @param route absent where none was found */
  count(route: Pick<Route, "path"> | undefined, method: string, status: number, tookMs: number): void {
    const path = route?.path ?? UNROUTED;
    let meter = this.#routes.get(path);
    if (meter === undefined) {
      meter = { seconds: this.#metrics.histogram("troupe_http_request_seconds", { route: path }), answers: new Map() };
      this.#routes.set(path, meter);
    }
    meter.seconds.observe(tookMs / 1_000);
    const label = methodLabel(method);
    const key = `${label} ${status}`;
    let answers = meter.answers.get(key);
    if (answers === undefined) {
      answers = this.#metrics.counter("troupe_http_requests_total", { route: path, method: label, code: String(status) });
      meter.answers.set(key, answers);
    }
    answers.add();
  }
}

/** Q1 */
function methodLabel(method: string): MethodLabel {
  return METHOD_LABELS.find((label) => label === method) ?? "other";
}
