/** The beginning of the page that looks into uploads and actors. */
import { render } from "preact";
import { html } from "../html.ts";
import { InspectApp } from "./inspect-app.ts";
import { InspectPage } from "./inspect-page.ts";

const page = new InspectPage();
page.start();
render(html`<${InspectApp} page=${page} />`, document.getElementById("app") as HTMLElement);
