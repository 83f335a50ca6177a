/** `/`: the page for whoever asks for HTML by name, and for everybody else, curl first, a text that says what this is. */
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import type { Route } from "../router.ts";
import { pageEndpoint } from "./page.ts";

const PAGE = "index.html";

export function indexRoutes(gateway: Gateway): Route[] {
  const page = pageEndpoint(gateway);
  return [
    {
      method: "GET",
      path: "/",
      access: "anyone",
      endpoint: async (exchange) => {
        const shown = wantsHtml(exchange) ? page(PAGE, exchange) : undefined;
        if (shown !== undefined) return { ...shown, headers: { ...shown.headers, vary: "Accept" } };
        return { status: 200, headers: { "content-type": "text/plain; charset=utf-8", vary: "Accept" }, body: welcome(gateway, exchange) };
      },
    },
  ];
}

/** Browsers name it; programs that take anything mean the text. */
const wantsHtml = ({ request }: Exchange): boolean => /(^|[\s,])text\/html($|[\s,;])/i.test(request.headers["accept"] ?? "");

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
