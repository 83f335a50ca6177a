/**
 * The host of one actor: subscriptions, a bounded mailbox, one turn at a time, answers.
 *
 * H1: two turns of an actor never overlap; what waits for an effect is not a turn.
 * H2: every accepted request is answered once, or is a dead letter.
 * H3: a turn whose caller has given up is not begun.
 * H4: only an inbox is answered; a message without one is not processed.
 * H5: a crash is answered `INTERNAL`, and the actor starts again from what it recorded while others' messages wait.
 * H6: a turn runs in the trace of the message it is for, or of what posted it; the host itself, which serves many, in none.
 */
import { TroupeError } from "../core/errors.ts";
import { DEFERRED_REPLIES_MAX, DRAIN_MS_MAX, MAILBOX_PRIORITY_MESSAGES_MAX, STOP_GRACE_MS } from "../core/limits.ts";
import type { Bus, BusMessage, Subscription } from "../core/ports/bus.ts";
import type { Timer } from "../core/ports/clock.ts";
import type { SpanKind } from "../core/span.ts";
import type { OpenSpan } from "../core/span-book.ts";
import { currentTrace, inTrace, readTrace, type Trace } from "../core/trace.ts";
import {
  type Activation,
  type ActorStatus,
  type HostConfiguration,
  type HostedActor,
  type HostPorts,
  type HostStatistics,
  Later,
  type Turn,
} from "./actor.ts";
import { actorSubject, type Contract, type RequestDefinition, type SubjectIdentity, type Verb } from "./contract.ts";
import { Correspondent } from "./correspondent.ts";
import { DEAD_LETTER_REASONS, type DeadLetter, DeadLetters } from "./dead-letters.ts";
import { DeferredReplies } from "./deferred-replies.ts";
import { HEADERS } from "./headers.ts";
import { type IncomingRequest, type Question, readRequest, returnAddress } from "./incoming.ts";
import { Mailbox } from "./mailbox.ts";
import { type Start, Supervisor } from "./supervisor.ts";

interface PostedTurn {
  readonly generation: number;
  readonly name: string;
  readonly work: () => void | Promise<void>;
  /** Of whoever posted it. */
  readonly span: OpenSpan | undefined;
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
  const hosted = new ContractHost(bus, contract, identity, ports, start, configuration);
  await hosted.open();
  return hosted;
}

class ContractHost<C extends Contract> implements HostedActor {
  readonly #bus: Bus;
  readonly #contract: C;
  readonly #subject: string;
  /** Of an actor that is an upload. */
  readonly #uploadId: string | undefined;
  readonly #ports: HostPorts;
  readonly #configuration: HostConfiguration;
  readonly #mailbox: Mailbox<IncomingRequest, PostedTurn>;
  readonly #supervisor: Supervisor<C>;
  readonly #deadLetters: DeadLetters;
  readonly #correspondent: Correspondent;
  readonly #subscriptions: Subscription[] = [];
  readonly #deferred: DeferredReplies;
  #turns = 0;
  #isOpen = false;
  #hasJoinedQueue = false;
  #pumping: Promise<void> | undefined;
  #passivation: Timer | undefined;
  #isPassivationDue = false;
  #stopped: Promise<void> | undefined;
  #onChange: (() => void) | undefined;

  constructor(bus: Bus, contract: C, identity: SubjectIdentity, ports: HostPorts, start: Start<C>, configuration: HostConfiguration) {
    const subject = actorSubject(contract, identity);
    this.#bus = bus;
    this.#contract = contract;
    this.#subject = subject;
    this.#uploadId = identity["uploadId"];
    this.#ports = { ...ports, log: ports.log.child({ actor: subject }) };
    this.#configuration = configuration;
    this.#mailbox = new Mailbox(configuration.mailboxMax);
    this.#deadLetters = configuration.deadLetters ?? new DeadLetters();
    this.#correspondent = new Correspondent(bus, this.#ports, this.#deadLetters, ports.requestBooks?.of(contract));
    this.#deferred = new DeferredReplies(this.#correspondent, () => this.#onEffectEnd());
    this.#supervisor = new Supervisor(
      this.#ports,
      start,
      (generation, name, work) => this.#post({ generation, name, work, span: this.#postedSpan(name) }),
      configuration.restartsMax,
    );
  }

  get statistics(): HostStatistics {
    return {
      turns: this.#turns,
      crashes: this.#supervisor.crashes,
      waiting: this.#mailbox.waiting,
      deferred: this.#deferred.size,
      deadLetters: this.#correspondent.buriedCount,
      lifecycle: this.#supervisor.lifecycle,
    };
  }

  get status(): ActorStatus {
    return { actor: this.#contract.name, subject: this.#subject, ...this.statistics };
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
    this.#ports.actors?.add(this);
    this.#wake();
  }

  joinQueue(): void {
    if (this.#hasJoinedQueue || this.#stopped !== undefined) return;
    this.#hasJoinedQueue = true;
    const requests = Object.entries(this.#contract.requests);
    // An actor with an identity answers its subjects alone: one subscription serves all of them, also verbs of a later version.
    const isAlone = this.#contract.subject.includes("{") && requests.every(([, definition]) => definition.to === "one");
    const verbs = isAlone ? ["*"] : requests.flatMap(([verb, definition]) => (definition.to === "one" ? [verb] : []));
    for (const verb of verbs) this.#listen(verb, this.#contract.name);
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
    if (typeof address === "string") {
      this.#correspondent.bury(message.subject, address);
      return;
    }
    const verb = message.subject.slice(this.#subject.length + 1);
    const question = { address, verb, arrivedMs: this.#ports.clock.nowMs(), span: this.#requestSpan(verb, message) };
    try {
      this.#accept(message, question);
    } catch (error) {
      if (!(error instanceof TroupeError)) this.#ports.log.error({ err: error, subject: message.subject }, "A request broke its check.");
      this.#correspondent.answerError(question, error);
    }
  }

  /** @throws {TroupeError} what the caller is to be answered */
  #accept(message: BusMessage, question: Question): void {
    const { verb } = question;
    const definition = this.#definition(verb);
    if (definition === undefined) throw new TroupeError("NOT_FOUND", `A ${this.#contract.name} does not answer ${verb.slice(0, 64)}.`);
    if (this.#supervisor.isGivenUp) throw givenUp();
    // Full is answered before anything is decoded: shedding load costs next to nothing.
    if (!this.#mailbox.hasRoom(definition.lane)) throw new TroupeError("BUSY");
    const request = readRequest(message, question, definition);
    request.span?.of(request.input);
    this.#mailbox.offer(definition.lane, request);
    this.#wake();
  }

  #post(posted: PostedTurn): void {
    if (posted.generation === this.#supervisor.generation) {
      this.#mailbox.post(posted);
      this.#wake();
    } else this.#buryPosted(posted);
  }

  /** Not always one of the contract's. */
  #definition(verb: string): RequestDefinition | undefined {
    return Object.hasOwn(this.#contract.requests, verb) ? this.#contract.requests[verb] : undefined;
  }

  #requestSpan(verb: string, { headers }: BusMessage): OpenSpan | undefined {
    const definition = this.#definition(verb);
    const parent = readTrace(headers[HEADERS.trace], headers[HEADERS.requestId], headers[HEADERS.look] !== undefined);
    // What all hear of somebody's own accord, a heartbeat, comes so often that nothing else would be kept.
    if (definition === undefined || (parent === undefined && definition.to === "all")) return undefined;
    return this.#span("request", `${this.#contract.name}.${verb}`, parent);
  }

  /** What nobody asked for is an upload's own business, or routine. */
  #postedSpan(name: string): OpenSpan | undefined {
    const trace = currentTrace();
    if (trace === undefined && this.#uploadId === undefined) return undefined;
    return this.#span("turn", `${this.#contract.name}#${name}`, trace);
  }

  #span(kind: SpanKind, name: string, parent: Trace | undefined): OpenSpan | undefined {
    return this.#ports.spans?.begin({ kind, actor: this.#contract.name, name, parent, uploadId: this.#uploadId });
  }

  #buryPosted(posted: PostedTurn): void {
    posted.span?.end("STOPPING");
    this.#correspondent.bury(`${this.#subject}#${posted.name}`, DEAD_LETTER_REASONS.ended);
  }

  #wake(): void {
    this.#passivation?.cancel();
    this.#passivation = undefined;
    this.#isPassivationDue = false;
    this.#run();
  }

  #run(): void {
    if (!this.#isOpen || this.#pumping !== undefined) return;
    // H6
    this.#pumping = inTrace(undefined, () => this.#pump()).finally(() => {
      this.#pumping = undefined;
      // What came between the last look and here.
      if (this.#mailbox.waiting > 0) this.#run();
      else this.#setPassivation();
    });
  }

  /** H1: the one place where turns run and activations change. */
  async #pump(): Promise<void> {
    // Never inside whoever sent or posted, who may be in the middle of a turn.
    await Promise.resolve();
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
    if (posted.generation !== this.#supervisor.generation) {
      this.#buryPosted(posted);
      return;
    }
    this.#turns += 1;
    const { span, work, name } = posted;
    span?.begun();
    try {
      await inTrace(span, work);
      span?.end();
    } catch (error) {
      span?.end("INTERNAL");
      await this.#crash(error, name);
    }
  }

  async #requestTurn(request: IncomingRequest): Promise<void> {
    const activation = await this.#admit(request);
    if (activation === undefined) return;
    this.#turns += 1;
    request.span?.begun();
    let result: unknown;
    try {
      result = await inTrace(request.span, () => this.#handle(activation, request));
    } catch (error) {
      this.#correspondent.answerFailure(request, error);
      if (!(error instanceof TroupeError)) await this.#crash(error, request.verb);
      return;
    }
    if (result instanceof Later) this.#deferred.add(request, result.promise);
    else this.#correspondent.answerOutput(request, result);
  }

  /** The activation for a request that may still be begun; any other is answered, or buried when nobody waits for it any more. */
  async #admit(request: IncomingRequest): Promise<Activation<C> | undefined> {
    const activation = this.#isExpired(request) ? undefined : await this.#supervisor.revive();
    // H3: looked at again, because starting the actor may have taken long.
    if (this.#isExpired(request)) this.#correspondent.giveUp(request);
    else if (activation === undefined) {
      this.#correspondent.answerError(request, this.#supervisor.isGivenUp ? givenUp() : new TroupeError("STOPPING"));
    } else if (this.#deferred.size >= this.#deferredMax(request)) {
      this.#correspondent.answerError(request, new TroupeError("BUSY", "Too many effects of this actor are under way."));
    } else return activation;
    return undefined;
  }

  #handle(activation: Activation<C>, request: IncomingRequest): unknown {
    const turn: Turn = {
      principal: request.principal,
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

  #onEffectEnd(): void {
    this.#onChange?.();
    if (this.#pumping === undefined && this.#mailbox.waiting === 0) this.#setPassivation();
  }

  async #crash(error: unknown, during: string): Promise<void> {
    await this.#supervisor.crash(error, during);
    // At once, and not with the next message: an actor may have work of its own to go on with.
    await this.#supervisor.revive();
  }

  #isExpired(request: IncomingRequest): boolean {
    return this.#ports.clock.nowMs() >= request.deadlineMs;
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
    const unended = this.#deferred.answerInstead(new TroupeError("STOPPING"));
    if (unended > 0)
      this.#ports.log.error({ unended }, "Effects did not end when they were told to; their callers are answered without them.");
    if (this.#pumping !== undefined) this.#ports.log.error({}, "A turn did not end in time; the actor is stopped without it.");
    await this.#supervisor.close();
    this.#ports.actors?.delete(this);
  }

  /** Waits until no turn runs or waits and no effect is under way, but no longer than `timeMs`. */
  async #settled(timeMs: number): Promise<void> {
    let isOver = false;
    let wake = (): void => undefined;
    const timer = this.#ports.clock.setTimer(timeMs, () => {
      isOver = true;
      wake();
    });
    this.#onChange = () => wake();
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
