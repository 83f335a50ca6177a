import { describe, expect, it } from "vitest";
import { Audience } from "../../../src/actors/upload/audience.ts";
import { ChunkLedger } from "../../../src/actors/upload/chunk-ledger.ts";
import { SessionState } from "../../../src/actors/upload/session-state.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** Of an upload that was cancelled, which the catalog does not know yet. */
function audienceOfAnEnd(): Audience {
  const state = new SessionState({ entered: () => {}, perform: () => {} });
  state.apply({ type: "session.opened", receivedCount: 0, isCommitUncertain: false });
  state.apply({ type: "cancel.requested" });
  return new Audience({
    ports: { clock: new VirtualClock(), log: SILENT_LOG },
    plan: { uploadId: "u" },
    ledger: new ChunkLedger({ chunkBytes: 1, sizeBytes: 1 }),
    state,
    announce: () => {},
  });
}

describe("whoever waits at an upload", () => {
  it("is told to ask again when it stops, also who comes after that", async () => {
    const audience = audienceOfAnEnd();
    expect(audience.isEnding).toBe(true);
    const before = [audience.untilKnown(), audience.untilMerged(), audience.untilEnded()];
    audience.stop(new TroupeError("STOPPING"));
    const after = [audience.untilKnown(), audience.untilMerged(), audience.untilEnded()];
    for (const waiting of [...before, ...after]) await expect(waiting).rejects.toMatchObject({ code: "STOPPING" });
  });

  it("for its end hears the catalog's word when that is another, also when the end is asked for again", async () => {
    const audience = audienceOfAnEnd();
    const first = audience.untilEnded();
    audience.endKnown(new TroupeError("UPLOAD_MERGED"));
    audience.finished();
    await expect(first).rejects.toMatchObject({ code: "UPLOAD_MERGED" });
    expect(() => audience.untilEnded()).toThrow(expect.objectContaining({ code: "UPLOAD_MERGED" }));
    expect(audience.told).toBe("init");
  });
});
