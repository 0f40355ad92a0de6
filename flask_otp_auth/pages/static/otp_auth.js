// All of it only improves what works without it.
"use strict";
(() => {
  const otp = document.getElementById("otp");
  const wait = document.querySelector("[data-otp-seconds]");

  // Everybody's decimal digits count, as on the server.
  const digits = (text) => text.replace(/[^\p{Nd}]/gu, "").length;
  const isWhole = (count) => (count >= 6 && count <= 10) || count === 20;

  // A code that comes at once, pasted or filled in, is sent at once; never while somebody types, or
  // pastes one group of five after the other: a long code begins as a short one.
  const send = () => {
    if (isWhole(digits(otp.value))) otp.form.requestSubmit();
  };

  if (otp) {
    let before = digits(otp.value);
    otp.addEventListener("input", (event) => {
      const count = digits(otp.value);
      const added = count - before;
      before = count;
      if (added > 1) otp.value = otp.value.replace(/[\s\u200e\u200f-]+/g, "");
      if (added >= (event.inputType === "insertFromPaste" ? 6 : 2)) send();
    });

    // WebOTP: the browser reads the code out of an SMS that ends in "@host #code".
    if ("OTPCredential" in window) {
      const aborter = new AbortController();
      otp.form.addEventListener("submit", () => aborter.abort());
      navigator.credentials
        .get({ otp: { transport: ["sms"] }, signal: aborter.signal })
        .then((found) => {
          otp.value = found.code;
          send();
        })
        .catch(() => {}); // refused, or none came: the code can be typed
    }
  }

  // A second click while the first is on its way would only be refused.
  for (const form of document.forms) {
    let sent = false;
    form.addEventListener("submit", (event) => {
      if (sent) event.preventDefault();
      sent = true;
    });
    window.addEventListener("pageshow", () => (sent = false)); // back again
  }

  // The time until a new code can be sent runs down; then the sentence goes.
  if (wait) {
    const end = Date.now() + 1000 * wait.dataset.otpSeconds;
    const tick = () => {
      const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      wait.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      if (left) return;
      clearInterval(timer);
      wait.closest("[data-otp-wait]").hidden = true;
    };
    const timer = setInterval(tick, 1000);
    tick();
  }
})();
