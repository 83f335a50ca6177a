/** The part of cli-progress that is used here; the package brings no types. */
declare module "cli-progress" {
  interface BarOptions {
    readonly stream: NodeJS.WritableStream;
    readonly format: string;
    readonly barsize: number;
    readonly hideCursor: boolean;
    readonly clearOnComplete: boolean;
    readonly stopOnComplete: boolean;
    readonly gracefulExit: boolean;
    readonly barCompleteChar: string;
    readonly barIncompleteChar: string;
    readonly autopadding: boolean;
  }
  class SingleBar {
    constructor(options: Partial<BarOptions>);
    start(total: number, value: number, payload: Readonly<Record<string, string>>): void;
    setTotal(total: number): void;
    update(value: number, payload: Readonly<Record<string, string>>): void;
    stop(): void;
  }
  const cliProgress: { readonly SingleBar: typeof SingleBar };
  export default cliProgress;
}
