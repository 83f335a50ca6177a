export function nodeFault(version: string): string | undefined;
export function launch(entry: URL, version?: string): Promise<unknown> | undefined;
