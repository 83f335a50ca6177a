/** The beginning: one page in one document. */
import { render } from "preact";
import { App } from "./app.ts";
import { html } from "./html.ts";
import { Page } from "./page.ts";

const page = new Page();
page.start();
render(html`<${App} page=${page} />`, document.getElementById("app") as HTMLElement);
