/**
 * Sends a host's answers, and keeps account of what was not answered.
 *
 * C1: an output leaves only when it is what the contract says.
 * C2: every question is counted once, when it is answered or given up.
 * C3: of an unexpected error the caller learns nothing but that it happened; the log has the rest.
 */
import { TroupeError } from "../core/errors.ts";
import { ERROR_SENTENCE_CHARACTERS_MAX } from "../core/limits.ts";
import type { Bus } from "../core/ports/bus.ts";
import { currentTrace, inTrace } from "../core/trace.ts";
import type { HostPorts } from "./actor.ts";
import { answerBytesMax, errorAnswer, outputAnswer, type WireAnswer } from "./answers.ts";
import { issuesInWords } from "./client.ts";
import { COMMON_ERRORS } from "./contract.ts";
import { DEAD_LETTER_REASONS, type DeadLetterReason, type DeadLetters } from "./dead-letters.ts";
import { headerText } from "./headers.ts";
import type { IncomingRequest, Question, ReturnAddress } from "./incoming.ts";
import type { RequestBook } from "./request-book.ts";

const COMMON: ReadonlySet<string> = new Set(COMMON_ERRORS);

export class Correspondent {
  readonly #bus: Bus;
  readonly #ports: HostPorts;
  readonly #deadLetters: DeadLetters;
  readonly #book: RequestBook | undefined;
  readonly #bytesMax: number;
  #buried = 0;

  constructor(bus: Bus, ports: HostPorts, deadLetters: DeadLetters, book: RequestBook | undefined) {
    this.#bus = bus;
    this.#ports = ports;
    this.#deadLetters = deadLetters;
    this.#book = book;
    this.#bytesMax = answerBytesMax(bus.payloadBytesMax);
  }

  get buriedCount(): number {
    return this.#buried;
  }

  answerOutput(request: IncomingRequest, value: unknown): void {
    let answer: WireAnswer;
    try {
      const output = request.definition.output.safeParse(value);
      if (!output.success) throw new Error(`The answer is not what the contract says: ${issuesInWords(output.error)}`);
      answer = outputAnswer(output.data, request.address.format, this.#bytesMax);
    } catch (error) {
      this.answerFailure(request, error);
      return;
    }
    this.#count(request);
    request.span?.of(value);
    request.span?.end();
    this.#send(request.address, answer);
  }

  /** Whatever a handler or its effect threw. The log has it in the request's trace, so that its ID finds it here, too. */
  answerFailure(request: IncomingRequest, error: unknown): void {
    inTrace(request.span ?? currentTrace(), () => this.#writeDown(request, error));
    this.answerError(request, error);
  }

  #writeDown({ address: { subject }, definition }: IncomingRequest, error: unknown): void {
    const { log } = this.#ports;
    const facts = { err: error, subject };
    if (!(error instanceof TroupeError)) log.error(facts, "A request failed in a way its actor did not expect.");
    else if (!COMMON.has(error.code) && !definition.errors.includes(error.code))
      log.warn(facts, `The contract does not declare that this request may answer ${error.code}.`);
    // What somebody did wrong is his to know; of what the system could not do, whoever runs it is told: of too much to do once, by the watch.
    else if (error.code !== "OVERLOADED")
      log[error.status >= 500 ? "info" : "debug"](
        { subject, code: error.code, detail: error.detail },
        "A request was answered with an error.",
      );
  }

  answerError(question: Question, error: unknown): void {
    const { address } = question;
    const typed = error instanceof TroupeError ? error : new TroupeError("INTERNAL");
    this.#count(question, typed.message);
    question.span?.end(typed.code);
    this.#send(address, errorAnswer(typed, address.format, this.#bytesMax));
  }

  /** Its caller waits no longer: an answer would reach nobody. */
  giveUp(request: IncomingRequest): void {
    this.#count(request, `DEADLINE_EXCEEDED: ${DEAD_LETTER_REASONS.expired}`);
    request.span?.end("DEADLINE_EXCEEDED");
    this.bury(request.address.subject, DEAD_LETTER_REASONS.expired);
  }

  bury(subject: string, reason: DeadLetterReason): void {
    this.#buried += 1;
    this.#deadLetters.add({ subject, reason, atMs: this.#ports.clock.wallMs() });
    this.#ports.log.debug({ subject, reason }, "A message was not answered.");
  }

  #count({ verb, arrivedMs }: Question, error?: string): void {
    const sentence = error === undefined ? undefined : headerText(error, ERROR_SENTENCE_CHARACTERS_MAX);
    this.#book?.count(verb, this.#ports.clock.nowMs() - arrivedMs, sentence);
  }

  #send(address: ReturnAddress, { payload, headers }: WireAnswer): void {
    try {
      this.#bus.publish(address.reply, payload, { headers });
    } catch (error) {
      this.#ports.log.warn({ err: error, subject: address.subject }, "An answer could not be sent.");
      this.bury(address.subject, DEAD_LETTER_REASONS.unsent);
    }
  }
}
