/** The form for a token, where the server wants one. What is typed goes to the server once and is kept nowhere. */
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import type { Account } from "./account.ts";
import { html } from "./html.ts";
import { Refusal } from "./server.ts";
import { errorText } from "./words.ts";

export function SignIn({ account }: { readonly account: Account }): VNode {
  const [token, setToken] = useState("");
  const [fault, setFault] = useState<string | undefined>(undefined);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      await account.signIn(token.trim());
    } catch (error) {
      const isWrong = error instanceof Refusal && error.status === 401;
      setFault(isWrong ? "This token is not one of this server’s. Look whether all of it was copied." : errorText(error));
      setBusy(false);
    }
  };
  return html`<main class="sign-in">
    <form class="card" onSubmit=${submit}>
      <h1>Sign in</h1>
      <p>This server is for people with a token. Whoever runs it gave it a name and a secret: <code>owner:secret</code>.</p>
      <input type="text" autocomplete="username" value="Troupe" hidden />
      <label for="token">Token</label>
      <input
        id="token"
        type="password"
        autofocus
        required
        autocomplete="current-password"
        value=${token}
        onInput=${(event: InputEvent) => setToken((event.target as HTMLInputElement).value)}
      />
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      <button type="submit" class="primary" disabled=${isBusy || token.trim() === ""}>Sign in</button>
    </form>
  </main>`;
}
