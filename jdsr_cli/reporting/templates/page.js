"use strict";
document.documentElement.classList.add("js");
for (const input of document.querySelectorAll(".slider input")) {
  const stage = document.getElementById(input.getAttribute("aria-controls"));
  const update = () => {
    stage.style.setProperty("--split", `${input.value}%`);
    input.setAttribute("aria-valuetext", `${input.value} % filmed, ${100 - input.value} % restored`);
  };
  input.addEventListener("input", update);
  update();
}
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const one of closed) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of closed) one.open = false;
});
