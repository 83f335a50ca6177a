export function nodeFault(version: string): string | undefined;
export function launch(entry: URL): Promise<unknown> | undefined;
