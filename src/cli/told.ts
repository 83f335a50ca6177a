/** Ends a command that has already said what is wrong. */
import type { ExitCode } from "./exit-code.ts";

export class Told extends Error {
  override readonly name = "Told";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode) {
    super("The command has said why it failed.");
    this.exitCode = exitCode;
  }
}
