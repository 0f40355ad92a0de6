// front_end.mjs: one form in two steps, for any front end; no library is needed.
export class SignIn {
  constructor(base = "/auth", actorType = "customer", fetch = globalThis.fetch) {
    this.call = async (path, body, headers = {}) => {
      const answer = await fetch(`${base}/${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify(body),
      })
      const found = await answer.json()
      if (!answer.ok) throw Object.assign(new Error(found.message), found)
      return found
    }
    this.actorType = actorType
  }

  // Step 1: returns the seconds after which "send again" makes sense.
  async ask(identifier) {
    const { challenge, resend_after } = await this.call(`${this.actorType}/otp/start`, { identifier })
    Object.assign(this, { identifier, challenge })
    return resend_after
  }

  // Step 2: returns { token }, or { token, registration: true } for somebody new.
  answer(otp) {
    const { identifier, challenge } = this
    return this.call(`${this.actorType}/otp/finish`, { identifier, otp, challenge })
  }

  // A cookie that scripts can't read, in place of a token that they can.
  begin(token) {
    return this.call("session", {}, { Authorization: `Bearer ${token}` })
  }
}

// What to show for an error of either step.
export function text(error) {
  switch (error.type) {
    case "invalid_data": return "Please check the address."
    case "invalid_otp": return "That code is not right, or it has expired."
    case "rate_limited": return `Too many tries. Please wait ${error.retry_after} seconds.`
    default: return "That did not work. Please try again in a moment."
  }
}
