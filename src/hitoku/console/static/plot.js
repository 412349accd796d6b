// SPDX-License-Identifier: Apache-2.0
// Draws an answer with Vega-Lite, in the theme's colours. Expressions are interpreted, never compiled: the
// content security policy forbids eval.
"use strict";

(() => {
  const place = document.getElementById("plot");
  if (!place) return;
  let spec = null, view = null;

  const quiet = { level: () => quiet, error: () => quiet, warn: () => quiet, info: () => quiet, debug: () => quiet };

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    const text = of("--text"), muted = of("--muted"), line = of("--line");
    return {
      background: null,
      font: getComputedStyle(document.body).fontFamily,
      bar: { color: of("--accent"), opacity: 0.55, cornerRadiusEnd: 2 },
      rule: { color: text },
      axis: { labelColor: text, titleColor: muted, gridColor: line, domainColor: line, tickColor: line, labelLimit: 220, labelFontSize: 12, titleFontSize: 12 },
      view: { stroke: null },
    };
  }

  async function draw() {
    if (view) view.finalize();
    const made = vegaLite.compile({ ...spec, autosize: { type: "fit-x", contains: "padding" } }, { config: colours(), logger: quiet }).spec;
    view = new vega.View(vega.parse(made, null, { ast: true }), {
      expr: vega.expressionInterpreter,
      renderer: "svg",
      container: place,
      hover: false,
      loader: { load: () => Promise.reject(new Error("no loading")), sanitize: () => Promise.reject(new Error("no links")) },
    });
    await view.runAsync();
    place.dataset.drawn = "yes";
  }

  function failed() {
    const words = document.createElement("p");
    words.className = "hint";
    words.textContent = place.dataset.failed;
    place.replaceChildren(words);
    place.dataset.drawn = "no";
  }

  fetch(place.dataset.plot, { credentials: "same-origin", headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
    .then((found) => {
      spec = found;
      for (const layer of spec.layer) layer.encoding.y.title = null;
      return draw();
    })
    .catch(failed);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (spec) draw().catch(failed); });
})();
