// mobile_app.mjs: tokens on a phone. `vault` is what your platform keeps secrets in, with
// get(), set(token) and clear(): the Keychain, the Keystore, or a library over both.
export class Session {
  constructor(base, vault, fetch = globalThis.fetch) {
    Object.assign(this, { base, vault, fetch })
  }

  async request(path, options = {}) {
    await this.refreshIfDue()
    const token = await this.vault.get()
    const headers = { ...options.headers, Authorization: `Bearer ${token}` }
    const answer = await this.fetch(this.base + path, { ...options, headers })
    // Where the view wants a code, or a newer sign-in, the token is good.
    const wantsMore = /insufficient_user_auth/.test(answer.headers.get("WWW-Authenticate"))
    if (answer.status === 401 && !wantsMore) {
      await this.vault.clear() // signed out, here or elsewhere: show the sign-in
    }
    return answer
  }

  // A token lives an hour, and can be refreshed as long as it lives: do so in its last half.
  async refreshIfDue() {
    const token = await this.vault.get()
    if (!token) return
    const { iat, exp } = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")))
    if (Date.now() / 1000 < (iat + exp) / 2) return
    const headers = { Authorization: `Bearer ${token}` }
    const answer = await this.fetch(`${this.base}/auth/token/refresh`, { method: "POST", headers })
    if (answer.ok) await this.vault.set((await answer.json()).token)
  }

  async signOut() {
    const headers = { Authorization: `Bearer ${await this.vault.get()}` }
    await this.vault.clear() // even if there is no network
    await this.fetch(`${this.base}/auth/token/revoke`, { method: "POST", headers })
  }
}
