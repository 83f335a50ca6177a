/**
 * The driver takes all listeners off a socket before it destroys it. What the socket has not told yet by then (that a message was written
 * after its end, because the server closed it at that moment) would reach nobody, which ends the process. So one listener stays.
 */

/** What is needed of a socket. */
interface LateSocket {
  on(event: "error", listener: () => void): unknown;
  removeAllListeners(event?: string): unknown;
}

/** The connection has been given up. */
function isNoNews(): void {}

/** @param transport of the driver: it has a socket while it is connected by one */
export function hearLateErrors(transport: object): void {
  const { socket } = transport as { readonly socket?: LateSocket };
  if (socket === undefined) return;
  const removeAll = socket.removeAllListeners;
  socket.removeAllListeners = (event?: string) => {
    // The name makes a difference even when it is undefined.
    if (event === undefined) removeAll.call(socket);
    else removeAll.call(socket, event);
    if (event === undefined || event === "error") socket.on("error", isNoNews);
    return socket;
  };
}
