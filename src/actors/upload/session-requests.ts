/** What a session is asked: its contract's requests, and the bytes that come and go past the bus. */
import type { Handlers, Later, Turn } from "../../bus/actor.ts";
import type { InputOf } from "../../bus/contract.ts";
import { TroupeError } from "../../core/errors.ts";
import type { MachineInspection } from "../../core/inspection.ts";
import type { ByteStream } from "../../core/ports/byte-stream.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { Assembly } from "./assembly.ts";
import type { Audience, MergeAnswer } from "./audience.ts";
import type { ChunkIntake } from "./chunk-intake.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { ChunkReader } from "./chunk-reader.ts";
import type { UploadStatus, upload } from "./contract.ts";
import type { Idleness } from "./idleness.ts";
import type { LateSize } from "./late-size.ts";
import type { MergePromise } from "./merge-promise.ts";
import type { MergeSteps } from "./merge-steps.ts";
import type { SessionNode } from "./ports.ts";
import type { Possession } from "./possession.ts";
import type { SessionState } from "./session-state.ts";
import { incompleteError } from "./session-status.ts";
import type { Turns } from "./turns.ts";

interface AskedSession {
  readonly node: SessionNode;
  readonly plan: UploadPlan;
  readonly owner: string;
  readonly epoch: number;
  readonly turns: Turns;
  readonly state: SessionState;
  readonly audience: Audience;
  readonly ledger: ChunkLedger;
  readonly intake: ChunkIntake;
  readonly reader: ChunkReader;
  readonly lateSize: LateSize;
  readonly merge: MergeSteps;
  /** Of an upload that is put together from others. */
  readonly assembly: Assembly | undefined;
  readonly possession: Possession;
  readonly promise: MergePromise;
  readonly idleness: Idleness;
  /** Somebody looks into it. */
  looked(): MachineInspection;
  status(): UploadStatus;
}

export class SessionRequests {
  readonly #session: AskedSession;

  constructor(session: AskedSession) {
    this.#session = session;
  }

  readonly handlers: Handlers<typeof upload> = {
    status: () => this.#session.status(),
    inspect: () => this.#session.looked(),
    access: () => {
      const { node, plan, owner, epoch, ledger, possession } = this.#session;
      return {
        access: node.grantWrite(plan.uploadId),
        owner,
        epoch,
        chunkBytes: plan.chunkBytes,
        ...(ledger.sizeBytes === undefined ? {} : { sizeBytes: ledger.sizeBytes }),
        ...(possession.challenge === undefined ? {} : { challenge: possession.challenge }),
      };
    },
    settle: ({ epoch }, turn) => {
      this.#checkEpoch(epoch);
      return turn.later(this.#session.intake.settle().then(() => this.#session.status()));
    },
    declareSize: ({ epoch, sizeBytes }, turn) => {
      this.#checkEpoch(epoch);
      this.#refuseIfAssembled();
      this.#session.idleness.touch();
      return turn.later(this.#declareSize(sizeBytes));
    },
    merge: (input, turn) => this.#merge(input, turn),
    prove: (input, turn) => this.#prove(input, turn),
    cancel: (input, turn) => this.#cancel(input, turn),
  };

  /** Outside the turns. */
  async storeChunk(chunk: ChunkBody): Promise<ChunkStored> {
    const { audience, idleness, intake } = this.#session;
    this.#refuseIfAssembled();
    if (audience.isEnding) return await audience.untilKnown();
    idleness.touch();
    // However it ends: the upload was not idle while it came.
    return await intake.store(chunk).finally(() => idleness.touch());
  }

  /** Outside the turns. */
  async read(offset: number, lengthBytes: number): Promise<ByteStream> {
    const { audience, idleness, reader } = this.#session;
    if (audience.isEnding) return await audience.untilKnown();
    audience.refuse("storeChunk");
    idleness.touch();
    return await reader.read(offset, lengthBytes);
  }

  async #declareSize(sizeBytes: number): Promise<UploadStatus> {
    const { audience, intake, lateSize, turns, status } = this.#session;
    await intake.settle();
    if (audience.isEnding) return await audience.untilKnown();
    await turns.run("size.declared", () => lateSize.declare(sizeBytes));
    return status();
  }

  async #merge({ epoch, wait }: { epoch: number; wait: boolean }, turn: Turn): Promise<MergeAnswer | Later<MergeAnswer>> {
    const { plan, state, audience, idleness, ledger, assembly, lateSize, merge, promise } = this.#session;
    this.#checkEpoch(epoch);
    if (audience.isEnding) return turn.later(audience.untilKnown());
    audience.refuse("merge");
    idleness.touch();
    if (audience.merged !== undefined) return audience.merged;
    if (plan.tus?.isPartial === true) throw new TroupeError("UPLOAD_PARTIAL");
    const underWay = () => (wait ? turn.later(audience.untilMerged()) : { state: state.word });
    // What becomes a file of known content lacks chunks, and needs none.
    if (state.isInstant) return underWay();
    await lateSize.sealWholeTail();
    const { completeBytes } = merge;
    if (completeBytes === undefined && assembly !== undefined) return underWay();
    if (completeBytes === undefined) throw incompleteError(ledger);
    await lateSize.sealTail();
    // A merge that is not waited for is a promise: it is kept after a restart too.
    if (!wait) await promise.make(completeBytes);
    if (state.word === "receiving") state.apply({ type: "merge.requested", isComplete: true });
    return underWay();
  }

  #prove({ epoch, hmac }: { epoch: number; hmac: string }, turn: Turn): UploadStatus | Later<UploadStatus> {
    const { audience, idleness, possession } = this.#session;
    this.#checkEpoch(epoch);
    if (audience.isEnding) return turn.later(audience.untilKnown());
    audience.refuse("prove");
    idleness.touch();
    const answer = possession.request(hmac);
    return answer instanceof Promise ? turn.later(answer) : answer;
  }

  #cancel({ epoch, because }: InputOf<typeof upload, "cancel">, turn: Turn) {
    const { audience, state } = this.#session;
    this.#checkEpoch(epoch);
    audience.refuse("cancel");
    state.apply({ type: "cancel.requested", error: because });
    const answer = audience.untilEnded();
    return answer instanceof Promise ? turn.later(answer) : answer;
  }

  #checkEpoch(asked: number): void {
    const { epoch } = this.#session;
    if (asked !== epoch) throw new TroupeError("EPOCH_STALE", `This host has epoch ${epoch}, the request ${asked}.`);
  }

  /** What is put together from parts takes no bytes and no size of its own. */
  #refuseIfAssembled(): void {
    if (this.#session.assembly !== undefined) throw new TroupeError("UPLOAD_FINAL");
  }
}
