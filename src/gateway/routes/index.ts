/** `/`: what this is, for somebody who found an open port. */
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import type { Route } from "../router.ts";

export function indexRoutes(gateway: Gateway): Route[] {
  return [
    {
      method: "GET",
      path: "/",
      access: "anyone",
      endpoint: async (exchange) => ({
        status: 200,
        headers: { "content-type": "text/plain; charset=utf-8" },
        body: welcome(gateway, exchange),
      }),
    },
  ];
}

function welcome(gateway: Gateway, { baseUrl }: Exchange): string {
  const token = gateway.options.tokens.length === 0 ? "" : ` -H "Authorization: Bearer $TOKEN"`;
  return `This is Troupe, a store for large files and media. It takes files of any size and gives them back to any player.

Put a file here; the answer is its address:
  curl${token} -T movie.mp4 ${baseUrl}/put/

Play it, or fetch a part of it, with that address:
  curl${token} -r 0-1023 ADDRESS

See which nodes keep the bytes:
  curl${token} ${baseUrl}/api/v1/cluster
`;
}
