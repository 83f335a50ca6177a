/**
 * The host of one actor: subscriptions, a bounded mailbox, one turn at a time, answers.
 *
 * H1: two turns of an actor never overlap; what waits for an effect is not a turn.
 * H2: every accepted request is answered once, or is a dead letter.
 * H3: a turn whose caller has given up is not begun.
 * H4: only an inbox is answered; a message without one is not processed.
 * H5: a crash is answered `INTERNAL`, and the actor starts again from what it recorded while others' messages wait.
 */
import { TroupeError } from "../core/errors.ts";
import { DEFERRED_REPLIES_MAX, DRAIN_MS_MAX, MAILBOX_PRIORITY_MESSAGES_MAX, STOP_GRACE_MS } from "../core/limits.ts";
import type { Bus, BusMessage, Subscription } from "../core/ports/bus.ts";
import type { Timer } from "../core/ports/clock.ts";
import { type Activation, type HostConfiguration, type HostPorts, type HostStatistics, type HostedActor, Later, type Turn } from "./actor.ts";
import { answerBytesMax, errorAnswer, outputAnswer } from "./answers.ts";
import { issuesInWords } from "./client.ts";
import { COMMON_ERRORS, type Contract, type SubjectIdentity, type Verb, actorSubject } from "./contract.ts";
import { DEAD_LETTER_REASONS, type DeadLetter, DeadLetters, type DeadLetterReason } from "./dead-letters.ts";
import { type IncomingRequest, type ReturnAddress, readRequest, returnAddress } from "./incoming.ts";
import { Mailbox } from "./mailbox.ts";
import { type Start, Supervisor } from "./supervisor.ts";

interface PostedTurn {
  readonly generation: number;
  readonly name: string;
  readonly work: () => void | Promise<void>;
}

/**
 * Starts an actor and answers for it on the bus.
 * @param identity values for the contract's `{placeholders}`
 * @param start makes an activation from what is recorded; runs again after a crash or a passivation
 * @throws {TroupeError} `BAD_IDENTITY`, `BUS_UNAVAILABLE`; and what `start` throws the first time
 */
export async function host<C extends Contract>(
  bus: Bus,
  contract: C,
  identity: SubjectIdentity,
  ports: HostPorts,
  start: Start<C>,
  configuration: HostConfiguration = {},
): Promise<HostedActor> {
  const hosted = new ContractHost(bus, contract, actorSubject(contract, identity), ports, start, configuration);
  await hosted.open();
  return hosted;
}

class ContractHost<C extends Contract> implements HostedActor {
  readonly #bus: Bus;
  readonly #contract: C;
  readonly #subject: string;
  readonly #ports: HostPorts;
  readonly #configuration: HostConfiguration;
  readonly #answerBytesMax: number;
  readonly #mailbox: Mailbox<IncomingRequest, PostedTurn>;
  readonly #supervisor: Supervisor<C>;
  readonly #deadLetters: DeadLetters;
  readonly #subscriptions: Subscription[] = [];
  /** Requests whose effect has not ended, each with what answers it in the effect's place. */
  readonly #deferred = new Map<IncomingRequest, (error: TroupeError) => void>();
  #turns = 0;
  #deadLetterCount = 0;
  #isOpen = false;
  #hasJoinedQueue = false;
  #pumping: Promise<void> | undefined;
  #passivation: Timer | undefined;
  #isPassivationDue = false;
  #stopped: Promise<void> | undefined;
  #onDeferredEnd: (() => void) | undefined;

  constructor(bus: Bus, contract: C, subject: string, ports: HostPorts, start: Start<C>, configuration: HostConfiguration) {
    this.#bus = bus;
    this.#contract = contract;
    this.#subject = subject;
    this.#ports = { ...ports, log: ports.log.child({ actor: subject }) };
    this.#configuration = configuration;
    this.#answerBytesMax = answerBytesMax(bus.payloadBytesMax);
    this.#mailbox = new Mailbox(configuration.mailboxMax);
    this.#deadLetters = configuration.deadLetters ?? new DeadLetters();
    this.#supervisor = new Supervisor(this.#ports, start, (generation, name, work) => this.#post({ generation, name, work }), configuration.restartsMax);
  }

  get statistics(): HostStatistics {
    return {
      turns: this.#turns,
      crashes: this.#supervisor.crashes,
      waiting: this.#mailbox.waiting,
      deferred: this.#deferred.size,
      deadLetters: this.#deadLetterCount,
    };
  }

  deadLetters(): readonly DeadLetter[] {
    return this.#deadLetters.list();
  }

  async open(): Promise<void> {
    await this.#supervisor.start();
    try {
      for (const [verb, definition] of Object.entries(this.#contract.requests)) {
        if (definition.to === "all") this.#listen(verb);
      }
      if (this.#configuration.joinQueueLater !== true) this.joinQueue();
    } catch (error) {
      for (const subscription of this.#subscriptions) subscription.unsubscribe();
      await this.#supervisor.close();
      throw error;
    }
    this.#isOpen = true;
    this.#wake();
  }

  joinQueue(): void {
    if (this.#hasJoinedQueue || this.#stopped !== undefined) return;
    this.#hasJoinedQueue = true;
    const requests = Object.entries(this.#contract.requests);
    // An actor with an identity answers its subjects alone: one subscription serves all of them, also verbs of a later version.
    if (this.#contract.subject.includes("{") && requests.every(([, definition]) => definition.to === "one")) return this.#listen("*", this.#contract.name);
    for (const [verb, definition] of requests) if (definition.to === "one") this.#listen(verb, this.#contract.name);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  #listen(verb: string, queue?: string): void {
    const subject = `${this.#subject}.${verb}`;
    this.#subscriptions.push(this.#bus.subscribe(subject, (message) => this.#receive(message), queue === undefined ? {} : { queue }));
  }

  #receive(message: BusMessage): void {
    const address = returnAddress(message);
    if (typeof address === "string") return this.#bury(message.subject, address);
    try {
      const verb = message.subject.slice(this.#subject.length + 1);
      const definition = Object.hasOwn(this.#contract.requests, verb) ? this.#contract.requests[verb] : undefined;
      if (definition === undefined) throw new TroupeError("NOT_FOUND", `A ${this.#contract.name} does not answer ${JSON.stringify(verb.slice(0, 64))}.`);
      if (this.#supervisor.isGivenUp) throw givenUp();
      // Full is answered before anything is decoded: shedding load costs next to nothing.
      if (!this.#mailbox.hasRoom(definition.lane)) throw new TroupeError("BUSY");
      this.#mailbox.offer(definition.lane, readRequest(message, address, verb, definition, this.#ports.clock.nowMs()));
    } catch (error) {
      if (!(error instanceof TroupeError)) this.#ports.log.error({ err: error, subject: message.subject }, "A request could not be checked.");
      return this.#answerError(address, error);
    }
    this.#wake();
  }

  #post(posted: PostedTurn): void {
    if (posted.generation !== this.#supervisor.generation) return this.#bury(`${this.#subject}#${posted.name}`, DEAD_LETTER_REASONS.ended);
    this.#mailbox.post(posted);
    this.#wake();
  }

  #wake(): void {
    this.#passivation?.cancel();
    this.#passivation = undefined;
    this.#isPassivationDue = false;
    this.#run();
  }

  #run(): void {
    if (!this.#isOpen || this.#pumping !== undefined) return;
    this.#pumping = this.#pump().finally(() => {
      this.#pumping = undefined;
      // What came between the last look and here.
      if (this.#mailbox.waiting > 0) this.#run();
      else this.#setPassivation();
    });
  }

  /** H1: the one place where turns run and activations change. */
  async #pump(): Promise<void> {
    for (let next = this.#mailbox.take(); next !== undefined; next = this.#mailbox.take()) {
      if ("work" in next) await this.#postedTurn(next);
      else await this.#requestTurn(next);
    }
    if (this.#isPassivationDue && this.#deferred.size === 0) {
      this.#isPassivationDue = false;
      await this.#supervisor.end("passivated");
    }
  }

  async #postedTurn(posted: PostedTurn): Promise<void> {
    if (posted.generation !== this.#supervisor.generation) return this.#bury(`${this.#subject}#${posted.name}`, DEAD_LETTER_REASONS.ended);
    this.#turns += 1;
    try {
      await posted.work();
    } catch (error) {
      await this.#crash(error, posted.name);
    }
  }

  async #requestTurn(request: IncomingRequest): Promise<void> {
    if (this.#isExpired(request)) return this.#bury(request.address.subject, DEAD_LETTER_REASONS.expired);
    const activation = await this.#supervisor.revive();
    if (activation === undefined) return this.#answerError(request.address, this.#supervisor.isGivenUp ? givenUp() : new TroupeError("STOPPING"));
    // H3: starting it may have taken long.
    if (this.#isExpired(request)) return this.#bury(request.address.subject, DEAD_LETTER_REASONS.expired);
    if (this.#deferred.size >= this.#deferredMax(request)) return this.#answerError(request.address, new TroupeError("BUSY", "Too many effects of this actor are under way."));
    this.#turns += 1;
    let result: unknown;
    try {
      result = await this.#handle(activation, request);
    } catch (error) {
      this.#answerFailure(request, error);
      if (!(error instanceof TroupeError)) await this.#crash(error, request.verb);
      return;
    }
    if (result instanceof Later) this.#defer(request, result.promise);
    else this.#answerOutput(request, result);
  }

  #handle(activation: Activation<C>, request: IncomingRequest): unknown {
    const turn: Turn = {
      principal: request.principal,
      trace: request.trace,
      deadlineMs: request.deadlineMs,
      later(effect) {
        // Whoever waits for the Later hears of a failure; this keeps one that comes before anybody waits from ending the process.
        effect.catch(() => undefined);
        return new Later(effect);
      },
    };
    // The input was validated by this verb's own schema, which the compiler cannot follow through a name found at run time.
    return activation.handlers[request.verb as Verb<C>](request.input as never, turn);
  }

  /** Status and cancellation are answered also while effects have taken all places. */
  #deferredMax(request: IncomingRequest): number {
    const max = this.#configuration.deferredMax ?? DEFERRED_REPLIES_MAX;
    return request.definition.lane === "priority" ? max + MAILBOX_PRIORITY_MESSAGES_MAX : max;
  }

  #defer(request: IncomingRequest, effect: Promise<unknown>): void {
    const settle = (answer: () => void): void => {
      if (!this.#deferred.delete(request)) return;
      answer();
      this.#onDeferredEnd?.();
      if (this.#pumping === undefined && this.#mailbox.waiting === 0) this.#setPassivation();
    };
    this.#deferred.set(request, (error) => settle(() => this.#answerError(request.address, error)));
    effect.then(
      (output) => settle(() => this.#answerOutput(request, output)),
      (error: unknown) => settle(() => this.#answerFailure(request, error)),
    );
  }

  async #crash(error: unknown, during: string): Promise<void> {
    await this.#supervisor.crash(error, during);
    // At once, and not with the next message: an actor may have work of its own to go on with.
    await this.#supervisor.revive();
  }

  #answerOutput(request: IncomingRequest, value: unknown): void {
    try {
      const output = request.definition.output.safeParse(value);
      if (!output.success) throw new Error(`The answer is not what the contract says: ${issuesInWords(output.error)}`);
      const { payload, headers } = outputAnswer(output.data, request.address.format, this.#answerBytesMax);
      this.#send(request.address, payload, headers);
    } catch (error) {
      this.#answerFailure(request, error);
    }
  }

  #answerFailure(request: IncomingRequest, error: unknown): void {
    const facts = { err: error, subject: request.address.subject };
    if (!(error instanceof TroupeError)) this.#ports.log.error(facts, "A request failed in a way its actor did not expect.");
    else if (!(COMMON_ERRORS as readonly string[]).includes(error.code) && !request.definition.errors.includes(error.code)) {
      this.#ports.log.warn(facts, `The contract does not declare that this request may answer ${error.code}.`);
    }
    this.#answerError(request.address, error);
  }

  /** Of an unexpected error the caller learns nothing but that it happened. */
  #answerError(address: ReturnAddress, error: unknown): void {
    const typed = error instanceof TroupeError ? error : new TroupeError("INTERNAL");
    const { payload, headers } = errorAnswer(typed, address.format, this.#answerBytesMax);
    this.#send(address, payload, headers);
  }

  #send(address: ReturnAddress, payload: Uint8Array, headers: Readonly<Record<string, string>>): void {
    try {
      this.#bus.publish(address.reply, payload, { headers });
    } catch (error) {
      this.#ports.log.warn({ err: error, subject: address.subject }, "An answer could not be sent.");
      this.#bury(address.subject, DEAD_LETTER_REASONS.unsent);
    }
  }

  #isExpired(request: IncomingRequest): boolean {
    return this.#ports.clock.nowMs() >= request.deadlineMs;
  }

  #bury(subject: string, reason: DeadLetterReason): void {
    this.#deadLetterCount += 1;
    this.#deadLetters.add({ subject, reason, atMs: this.#ports.clock.wallMs() });
    this.#ports.log.debug({ subject, reason }, "A message was not answered.");
  }

  #setPassivation(): void {
    const afterMs = this.#configuration.passivateAfterMs;
    this.#passivation?.cancel();
    if (afterMs === undefined || this.#stopped !== undefined || this.#deferred.size > 0 || !this.#supervisor.isLive) return;
    this.#passivation = this.#ports.clock.setTimer(afterMs, () => {
      this.#isPassivationDue = true;
      this.#run();
    });
  }

  async #stop(): Promise<void> {
    this.#passivation?.cancel();
    await Promise.all(this.#subscriptions.map((subscription) => subscription.drain()));
    // A pause before a restart would keep what waits waiting.
    this.#supervisor.giveUpRestarts();
    await this.#settled(STOP_GRACE_MS);
    this.#supervisor.tellEffects();
    await this.#settled(DRAIN_MS_MAX - STOP_GRACE_MS);
    for (const answer of [...this.#deferred.values()]) {
      this.#ports.log.error({}, "An effect did not end when it was told to; its caller is answered without it.");
      answer(new TroupeError("STOPPING"));
    }
    if (this.#pumping !== undefined) this.#ports.log.error({}, "A turn did not end in time; the actor is stopped without it.");
    await this.#supervisor.close();
  }

  /** Waits until no turn runs or waits and no effect is under way, but no longer than `timeMs`. */
  async #settled(timeMs: number): Promise<void> {
    let isOver = false;
    let wake = (): void => undefined;
    const timer = this.#ports.clock.setTimer(timeMs, () => {
      isOver = true;
      wake();
    });
    this.#onDeferredEnd = () => wake();
    while (!isOver && (this.#pumping !== undefined || this.#deferred.size > 0)) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race(this.#pumping === undefined ? [changed] : [changed, this.#pumping]);
    }
    timer.cancel();
  }
}

function givenUp(): TroupeError {
  return new TroupeError("UNAVAILABLE", "This actor crashed too often and was given up until it is started again.");
}
