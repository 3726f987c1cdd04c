"use strict";
// The slider: counts at every threshold stand in the page; what is shown is arithmetic on them.
const counts = JSON.parse(document.getElementById("counts").textContent);
const slider = document.getElementById("slider");
const { step, threshold, prevalence } = slider.elements;
const marks = slider.querySelector(".marks");
const share = (part, whole) => (whole ? (part / whole).toFixed(3) : "–");
const total = counts.positives + counts.negatives;

function show() {
  const at = Number(step.value);
  const [tp, fp] = [counts.tp[at], counts.fp[at]];
  const [fn, tn] = [counts.positives - tp, counts.negatives - fp];
  const [recall, specificity] = [tp / counts.positives, tn / counts.negatives];
  const ill = Math.min(Math.max(Number(prevalence.value), 0.1), 99.9) / 100;
  const [called, spared] = [recall * ill + (1 - specificity) * (1 - ill), (1 - recall) * ill + specificity * (1 - ill)];
  const shown = {
    tp, fp, fn, tn,
    recall: share(tp, counts.positives), specificity: share(tn, counts.negatives), accuracy: share(tp + tn, total),
    ppv: share(recall * ill, called), npv: share(specificity * (1 - ill), spared),
  };
  for (const [name, value] of Object.entries(shown)) {
    document.querySelector(`[data-cell="${name}"]`).textContent = value.toLocaleString("en");
  }
  threshold.value = counts.thresholds[at].toPrecision(3);
  step.setAttribute("aria-valuetext", `threshold ${threshold.value}`);
  marks.querySelectorAll("button").forEach((button) => {
    button.setAttribute("aria-pressed", String(Number(button.value) === at));
  });
}

step.max = counts.thresholds.length - 1;
step.value = counts.marks["0.5"];
prevalence.value = ((100 * counts.positives) / total).toFixed(1);
for (const [name, at] of Object.entries(counts.marks)) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", value: String(at), textContent: name });
  button.addEventListener("click", () => { step.value = at; show(); });
  marks.append(button);
}
slider.addEventListener("submit", (event) => event.preventDefault());
slider.addEventListener("input", show);
slider.hidden = false;
document.getElementById("decided").hidden = false;
show();
