/** Callers whose answer comes when the session has got somewhere. */

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

export class Waiters<T> {
  #waiting: Waiter<T>[] = [];
  #closed: { readonly error: unknown } | undefined;

  wait(): Promise<T> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed.error);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  resolve(value: T): void {
    for (const waiter of this.#take()) waiter.resolve(value);
  }

  reject(error: unknown): void {
    for (const waiter of this.#take()) waiter.reject(error);
  }

  /** There will be no answer any more, neither for those who wait nor for who comes later. */
  close(error: unknown): void {
    this.#closed = { error };
    this.reject(error);
  }

  #take(): Waiter<T>[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
