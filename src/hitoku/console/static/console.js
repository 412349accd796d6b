// SPDX-License-Identifier: Apache-2.0
// Small helps for forms; every page works without them.
"use strict";

// A form with data-confirm asks before it is sent.
document.addEventListener("submit", (event) => {
  const words = event.target instanceof HTMLFormElement ? event.target.dataset.confirm : undefined;
  if (words && !window.confirm(words)) event.preventDefault();
});

// A button with data-copy="ID" copies that element's text.
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  if (source) navigator.clipboard.writeText(source.textContent.trim()).then(() => {
    const before = button.textContent;
    button.textContent = button.dataset.copied || "✓";
    setTimeout(() => { button.textContent = before; }, 1500);
  });
});

// A field with data-submit sends its form when it changes.
document.addEventListener("change", (event) => {
  if (event.target instanceof Element && event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// A choice NAME=VALUE opens the details with data-choice="NAME=VALUE" and shuts those of the other values.
document.addEventListener("change", (event) => {
  const choice = event.target;
  if (!(choice instanceof HTMLInputElement) || choice.type !== "radio" || !choice.form) return;
  for (const part of choice.form.querySelectorAll("details[data-choice]")) {
    const [name, value] = part.dataset.choice.split("=");
    if (name === choice.name) part.open = value === choice.value;
  }
});
