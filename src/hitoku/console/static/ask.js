// SPDX-License-Identifier: Apache-2.0
// The question's editor and live progress. Everything works without: forms post, and a link looks again.
"use strict";

(() => {
  const field = document.getElementById("sql");
  if (field) editor(field);
  const progress = document.getElementById("progress");
  if (progress && progress.dataset.events) follow(progress);

  function editor(area) {
    const form = area.form;
    const under = area.parentElement.querySelector(".under");
    const verdict = document.getElementById("verdict");
    const said = document.getElementById("verdict-state");

    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        form.requestSubmit();
      }
    });

    // Names from the tables beside it go in where the cursor is.
    document.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("[data-insert]") : null;
      if (!button) return;
      const name = button.dataset.insert;
      const start = area.selectionStart;
      const space = start > 0 && /[\w"]/.test(area.value[start - 1]) ? " " : "";
      area.setRangeText(space + (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`), start, area.selectionEnd, "end");
      area.focus();
      changed();
    });

    // The refused place, marked in the text itself until the text changes.
    function mark() {
      const place = verdict.querySelector("[data-mark]");
      under.hidden = !place;
      under.replaceChildren();
      if (!place) return;
      const [start, end] = place.dataset.mark.split(",").map(Number);
      // Places are told in characters, as Python counts them; JavaScript counts halves of some.
      const text = [...area.value];
      const marked = document.createElement("mark");
      marked.textContent = text.slice(start, end).join("");
      under.append(text.slice(0, start).join(""), marked, text.slice(end).join("") + "\n");
      scroll();
    }
    function scroll() { under.scrollTop = area.scrollTop; under.scrollLeft = area.scrollLeft; }
    area.addEventListener("scroll", scroll);

    function changed() {
      under.hidden = true;
      const panel = verdict.querySelector(".verdict");
      if (!panel) return;
      const stale = panel.dataset.sql !== area.value;
      panel.classList.toggle("stale", stale);
      for (const button of panel.querySelectorAll("form.run button")) button.disabled = stale;
      said.textContent = stale ? verdict.dataset.stale : "";
      if (!stale) mark();
    }
    form.addEventListener("input", (event) => { if (event.target === area) changed(); else otherwise(); });
    function otherwise() {
      const panel = verdict.querySelector(".verdict");
      if (!panel) return;
      panel.classList.add("stale");
      for (const button of panel.querySelectorAll("form.run button")) button.disabled = true;
    }

    // A change that the refusal offers: into the editor, and checked at once.
    verdict.addEventListener("submit", (event) => {
      if (!(event.target instanceof HTMLFormElement) || !("fix" in event.target.dataset)) return;
      event.preventDefault();
      area.value = event.target.elements.sql.value;
      form.requestSubmit();
      area.focus();
    });

    new MutationObserver(() => {
      mark();
      const head = verdict.querySelector(".notice strong");
      said.textContent = head ? head.textContent : "";
    }).observe(verdict, { childList: true });
    mark();
  }

  function follow(place) {
    const said = document.getElementById("progress-said");
    const source = new EventSource(place.dataset.events);
    source.addEventListener("progress", (event) => {
      const now = JSON.parse(event.data);
      said.textContent = "";
      const badge = document.querySelector("#ask-state .badge");
      if (badge) badge.textContent = now.words;
      if (now.ended) { source.close(); window.location.reload(); return; }
      if (now.phases.length === 0) return;
      const list = document.createElement("ol");
      list.className = "steps phases";
      for (const phase of now.phases) {
        const item = document.createElement("li");
        item.className = phase.how;
        if (phase.how === "now") item.setAttribute("aria-current", "step");
        for (const [text, kind] of [[phase.name, ""], [phase.steps, "muted"], [phase.seconds, "muted time"]]) {
          const span = document.createElement("span");
          span.className = kind;
          span.textContent = text;
          item.append(span, " ");
        }
        list.append(item);
      }
      place.replaceChildren(list);
    });
    source.addEventListener("error", () => { said.textContent = place.dataset.lost; });
    window.addEventListener("pagehide", () => source.close());
  }
})();
