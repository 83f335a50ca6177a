/** A kind of thing that users do. */
import type { FaultValue, Topology } from "../fault.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Doing } from "./doing.ts";

export interface OperationKind {
  /** `upload.resumed`; counted as `operation.upload.resumed`. */
  readonly kind: string;
  /** How often it is drawn compared with others. */
  readonly weight: number;
  /** All that it depends on, beside what is drawn for every operation. */
  draw(random: RandomStream, topology: Topology): Readonly<Record<string, FaultValue>>;
  /** A client that died in the middle of it does it again in its next life. */
  readonly isTakenUpAgain?: boolean;
  /**
   * Carries it out. What is wrong with single answers the witness tells; this throws when the user does not get what they wanted.
   * @throws {TroupeError}
   */
  run(doing: Doing): Promise<void>;
}
