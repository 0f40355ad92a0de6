"use strict";
(function () {
  var otp = document.getElementById("otp");
  if (otp) {
    otp.addEventListener("paste", function () {
      setTimeout(function () { otp.value = otp.value.replace(/\s+/g, ""); });
    });
  }
})();
