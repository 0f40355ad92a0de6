// Drives the example shop with Medusa's own client, and prints what came of it as JSON.
// It runs under node, which has no cookie jar, so one is put around fetch here.

const fs = require("node:fs")
const Medusa = require("@medusajs/js-sdk").default

const [scenario, baseUrl, output] = process.argv.slice(2)
const silent = { error() {}, warn() {}, info() {}, debug() {} }

const jar = new Map()
const plainFetch = globalThis.fetch
globalThis.fetch = async (input, init) => {
  const headers = new Headers(init.headers)
  if (init.credentials === "include" && jar.size) {
    headers.set("cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "))
  }
  const response = await plainFetch(input, { ...init, headers })
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
    value ? jar.set(name, value) : jar.delete(name)
  }
  return response
}

const client = (type) =>
  new Medusa({ baseUrl, logger: silent, auth: { type, jwtTokenStorageMethod: "memory" } })

// The shop prints a code before it answers the request for it.
const code = (identifier) =>
  fs.readFileSync(output, "utf8").match(new RegExp(`To ${identifier}: your code .* is (\\w+)`, "g"))
    .pop().split(" ").pop()

const ask = (sdk, route, identifier) =>
  sdk.client.fetch(`/auth/customer/otp/${route}`, { method: "POST", body: { identifier } })

// What a call returned, or the error that it threw.
const outcome = (promise) =>
  promise.then(
    (value) => ({ value }),
    ({ name, status, statusText, message }) => ({ error: { name, status, statusText, message } })
  )

const me = (sdk) => outcome(sdk.client.fetch("/me"))

const scenarios = {
  async token() {
    const sdk = client("jwt")
    const identifier = "token@example.com"
    const asked = await ask(sdk, "pre-register", identifier)
    const otp = code(identifier)
    const registration = await sdk.auth.register("customer", "otp", { identifier, otp })
    const early = await outcome(sdk.auth.login("customer", "otp", { identifier, otp }))
    const customer = await sdk.client.fetch("/customers", { method: "POST", body: {} })
    const byGrace = await sdk.auth.login("customer", "otp", { identifier, otp })
    const signedUp = await me(sdk)
    const again = await outcome(sdk.auth.login("customer", "otp", { identifier, otp }))

    const sent = await ask(sdk, "generate", identifier)
    const byCode = await sdk.auth.login("customer", "otp", { identifier, otp: code(identifier) })
    const signedIn = await me(sdk)
    const refreshed = await sdk.auth.refresh()
    const held = await sdk.client.getToken()
    const afterRefresh = await me(sdk)
    await sdk.auth.logout()
    const afterLogout = await me(sdk)
    return {
      asked, registration, early, customer, byGrace, signedUp, again, sent, byCode, signedIn,
      refreshed, held, afterRefresh, afterLogout,
    }
  },

  async session() {
    const sdk = client("session")
    const identifier = "session@example.com"
    await ask(sdk, "pre-register", identifier)
    const otp = code(identifier)
    const registration = await sdk.auth.register("customer", "otp", { identifier, otp })
    const authorization = { Authorization: `Bearer ${registration}` }
    const customer = await sdk.client.fetch("/customers", {
      method: "POST", body: {}, headers: authorization,
    })
    const before = await me(sdk)
    const refreshed = await sdk.auth.refresh(authorization)
    const signedUp = await me(sdk)
    const first = [...jar]
    await sdk.auth.logout()
    const loggedOut = await me(sdk)
    const emptied = [...jar]
    await sdk.auth.logout()

    await ask(sdk, "generate", identifier)
    await sdk.auth.login("customer", "otp", { identifier, otp: code(identifier) })
    const signedIn = await me(sdk)
    const second = [...jar]
    first.forEach(([name, value]) => jar.set(name, value))
    const copied = await me(sdk)
    return {
      customer, before, refreshed, signedUp, first, loggedOut, emptied, signedIn, second, copied,
    }
  },

  async errors() {
    const sdk = client("jwt")
    const identifier = "errors@example.com"
    await ask(sdk, "pre-register", identifier)
    const register = (body) => outcome(sdk.auth.register("customer", "otp", body))
    const login = (body) => outcome(sdk.auth.login("customer", "otp", body))
    return {
      wrongCode: await register({ identifier, otp: "000000" === code(identifier) ? "111111" : "000000" }),
      noCode: await register({ identifier }),
      unknown: await login({ identifier: "nobody@example.com", otp: "123456" }),
      noAddress: await login({ identifier: "nobody", otp: "123456" }),
      noType: await outcome(sdk.auth.login("nobody", "otp", { identifier, otp: "123456" })),
      noToken: await outcome(sdk.auth.refresh()),
      noSession: await outcome(client("session").auth.logout()),
    }
  },
}

scenarios[scenario]().then((found) => process.stdout.write(JSON.stringify(found)))
