/** The options of `troupe upload`, and which of them go together. */
import { TroupeError } from "../../core/errors.ts";
import { checkIdentity } from "../../core/identity.ts";
import { nameFault } from "../../core/shapes.ts";

export interface UploadOptions {
  readonly name?: string;
  readonly app?: string;
  readonly user?: string;
  readonly parallel?: number;
  readonly chunk?: number;
  /** Bytes a second. */
  readonly bwlimit?: number;
  readonly resume?: string;
  readonly fresh?: boolean;
  readonly checksum?: boolean;
  readonly dryRun?: boolean;
}

/** @throws {TroupeError} `BAD_REQUEST`, `BAD_IDENTITY` */
export function checkUsage(words: readonly string[], options: UploadOptions): void {
  const { name, resume, fresh, dryRun } = options;
  const refuse = (isWrong: boolean, sentence: string): void => {
    if (isWrong) throw new TroupeError("BAD_REQUEST", sentence);
  };
  const isInput = words.includes("-");
  refuse(name !== undefined && words.length > 1, "--name is for one file or folder; each of several keeps its own name.");
  const fault = name === undefined ? undefined : nameFault(name);
  refuse(fault !== undefined, `--name is not a file's name: ${fault}.`);
  refuse(resume !== undefined && words.length > 1, "--resume is for one file.");
  refuse(resume !== undefined && isInput, "An upload from stdin cannot be resumed.");
  refuse(resume !== undefined && fresh === true, "--resume goes on with an upload and --fresh begins one: give one of them.");
  if (resume !== undefined) checkIdentity(resume, "The upload to resume");
  refuse(words.filter((word) => word === "-").length > 1, "stdin ('-') can be uploaded once only.");
  const isCut = options.chunk !== undefined || options.parallel !== undefined;
  refuse(isInput && isCut, "--chunk and --parallel do not apply to stdin, which is sent as one body.");
  refuse(resume !== undefined && dryRun === true, "--dry-run says what an upload would do by itself; 'troupe uploads ID' shows one.");
}
