// Drives the client of docs/openapi.md against the example shop, and prints what came of it.
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import createClient from "openapi-fetch";
import { signIn } from "./sign_in.js";

const [, , url, output] = process.argv;
const identifier = "ada@example.com";

async function code() {
  for (;;) {
    const codes = [...readFileSync(output, "utf8").matchAll(/your code to (?:join|sign in) is (\d+)/g)];
    if (codes.length) return codes.at(-1)[1];
    await setTimeout(20);
  }
}

const wrong = await signIn(url, identifier, async () => "000").catch((error) => error.message);
const joined = await signIn(url, identifier, code);
await fetch(`${url}/customers`, {
  method: "POST",
  headers: { Authorization: `Bearer ${joined.token}` },
});

const api = createClient({ baseUrl: url });
const bearer = (token) => ({ headers: { Authorization: `Bearer ${token}` } });
const { data: refreshed } = await api.POST("/auth/token/refresh", bearer(joined.token));
const { data: listed } = await api.GET("/auth/sign-ins", bearer(refreshed.token));
const { data: ended } = await api.POST("/auth/token/revoke", bearer(refreshed.token));
const { error: after } = await api.GET("/auth/sign-ins", bearer(refreshed.token));
console.log(JSON.stringify({ wrong, joined, listed, ended, after }));
