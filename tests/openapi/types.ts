// What the types let through and what they don't: tsc fails where a line marked so has no error.
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./otp_auth.js";

const api = createClient<paths>({ baseUrl: "https://shop.example" });
const params = { path: { actor_type: "customer" } } as const;
const verify = "/auth/{actor_type}/otp/verify";

export async function typed() {
  const identifier = "ada@example.com";
  // @ts-expect-error: the code is missing
  await api.POST(verify, { params, body: { identifier } });
  // @ts-expect-error: a code is a text
  await api.POST(verify, { params, body: { identifier, otp: 123456 } });
  // @ts-expect-error: no such actor type
  await api.POST(verify, { params: { path: { actor_type: "robot" } }, body: { identifier, otp: "1" } });
  // @ts-expect-error: no such route
  await api.GET("/auth/nowhere");

  const { data, error } = await api.POST(verify, { params, body: { identifier, otp: "123456" } });
  if (data) return data.token satisfies string;
  // @ts-expect-error: only limits say when to try again
  error.retry_after;
  switch (error.type) {
    case "rate_limited":
      return error.retry_after satisfies number;
    case "invalid_data":
    case "invalid_otp":
    case "not_found":
    case "payload_too_large":
    case "unsupported_media_type":
    case "unavailable":
      return error.message satisfies string;
    default:
      return error satisfies never; // there is no other
  }
}

export type Issued = operations["otpStart"]["responses"][200]["content"]["application/json"];
export const issued: Issued = { message: "", challenge: "", expires_in: 300, resend_after: 60 };

type SignIn = components["schemas"]["OTPSignInItem"];
export const signIn: SignIn = { id: "", browser: null, platform: null, since: "", current: true };
