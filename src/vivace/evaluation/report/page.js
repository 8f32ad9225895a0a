"use strict";
// Light, dark, or as the system says; remembered nowhere, so that the file stays a file.
const looks = ["", "light", "dark"];
const look = document.querySelector(".look");
look.hidden = false;
look.addEventListener("click", () => {
  const next = looks[(looks.indexOf(document.documentElement.dataset.look || "") + 1) % looks.length];
  document.documentElement.dataset.look = next;
  look.textContent = `Look: ${next || "system"}`;
});
// A press on a condition fades its marks in every figure.
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") === "false";
    const name = button.dataset.condition;
    for (const other of document.querySelectorAll(".legend button")) {
      if (other.dataset.condition === name) other.setAttribute("aria-pressed", String(shown));
    }
    for (const mark of document.querySelectorAll("[data-of]")) {
      if (mark.dataset.of === name) mark.style.opacity = shown ? "" : "0.08";
    }
  });
}
