"use strict";
// The orders of all readers stand in the page; an answer is kept in the browser as it is saved, and leaves it as a file.
const facts = JSON.parse(document.getElementById("facts").textContent);
const percents = Uint8Array.from(atob(facts.shown), (letter) => letter.charCodeAt(0));
const COLUMNS = ["study", "reader", "session", "place", "image", "help", "decision", "confidence", "map_rating", "seconds", "answered"];
const sections = ["start", "between", "reading"].map((name) => document.getElementById(name));
const [begin, answer, view] = ["begin", "answer", "window"].map((name) => document.getElementById(name));
const film = document.getElementById("film");
const heat = document.getElementById("heat");
const viewer = document.querySelector(".viewer");
const told = answer.querySelector(".told");
const cell = (name) => document.querySelector(`[data-cell="${name}"]`);
const unkept = new Map(); // where the browser keeps nothing
let [reader, session] = [0, 0];
let [seen, since] = [0, null]; // milliseconds that the image was in view; when it last came into view

function make(name, words, more = {}) {
  return Object.assign(document.createElement(name), { textContent: words, ...more });
}
const place = (who) => `pneumobench reader study ${facts.study} reader ${who}`;

function answersOf(who) {
  let text = unkept.get(who);
  try { text = localStorage.getItem(place(who)) ?? text; } catch { document.getElementById("unkept").hidden = false; }
  return text ? JSON.parse(text) : [];
}

function keep(who, answers) {
  unkept.set(who, JSON.stringify(answers));
  try { localStorage.setItem(place(who), JSON.stringify(answers)); } catch { document.getElementById("unkept").hidden = false; }
}

const order = () => facts.orders[reader - 1][session - 1];
const done = (of = session) => answersOf(reader).filter((row) => row.session === of);

function show(name) {
  sections.forEach((section) => { section.hidden = section.id !== name; });
  if (name !== "reading") sections.find((section) => section.id === name).querySelector("h1").focus();
  window.scrollTo({ top: 0, behavior: "instant" });
}

// ---- the start: who reads, which session, and the file of answers

function csv(who) {
  const rows = answersOf(who).map((row) => COLUMNS.map((column) => row[column]).join(","));
  return [COLUMNS.join(","), ...rows].join("\n") + "\n";
}

function fileName(who) {
  return `reader-study-${facts.study}-reader-${who}.csv`;
}

function download() {
  const link = make("a", "", { download: fileName(reader), href: URL.createObjectURL(new Blob([csv(reader)], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function sessionLine(number) {
  const [read, all] = [done(number), facts.orders[reader - 1][number - 1].length];
  const [first, whole] = [done(1), read.length === all];
  const line = make("li", "");
  let early = false; // the images may still be remembered
  const words = make("span", `Session ${number}: ${read.length} of ${all} images read`);
  if (number === 2 && !whole && first.length === all) {
    const days = Math.floor((Date.now() - Date.parse(first.at(-1).answered)) / 86400000);
    early = days < facts.washout;
    const ago = days < 1 ? "less than a day ago" : days === 1 ? "1 day ago" : `${days} days ago`;
    words.append(make("small", `Session 1 was finished ${ago}${early ? `: better wait until ${facts.washout} days have gone by` : ""}.`));
  }
  line.append(words);
  if (whole) return line;
  const go = make("button", `${read.length ? "Continue" : "Begin"} session ${number}`, { type: "button", className: early ? "" : "main-action" });
  go.addEventListener("click", () => { session = number; announce(true); });
  if (number === 1 || first.length === all) {
    line.append(go);
  } else {
    const elsewhere = make("details", "");
    elsewhere.append(make("summary", "Session 1 was read in another browser"), go);
    line.append(elsewhere);
  }
  return line;
}

function showSessions() {
  const shown = document.getElementById("sessions");
  reader = Number(begin.elements.reader.value);
  shown.replaceChildren();
  if (!reader) return;
  const list = make("ol", "");
  list.append(sessionLine(1), sessionLine(2));
  shown.append(list);
  if (!answersOf(reader).length) return;
  const rest = make("div", "", { className: "rest" });
  const save = make("button", "Download the answers (CSV)", { type: "button", name: "download" });
  save.addEventListener("click", download);
  const forget = make("button", "Delete them from this browser", { type: "button", name: "forget" });
  forget.addEventListener("click", () => {
    if (!window.confirm(`Delete all ${answersOf(reader).length} answers of reader ${reader} from this browser?`)) return;
    unkept.delete(reader);
    try { localStorage.removeItem(place(reader)); } catch { /* nothing was kept */ }
    showSessions();
  });
  const copy = make("details", "");
  copy.append(make("summary", "No download? Copy the text of the file"));
  copy.append(make("textarea", csv(reader), { readOnly: true, ariaLabel: `Content of ${fileName(reader)}` }));
  rest.append(save, forget);
  shown.append(rest, copy);
}

begin.elements.reader.addEventListener("change", showSessions);
begin.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("storage", (event) => { // another tab of this page saved an answer
  if (reader && event.key === place(reader)) { since = null; show("start"); showSessions(); }
});

// ---- between blocks

function announce(started) {
  const [at, all] = [done().length, order().length];
  if (at === all) {
    cell("between-session").textContent = `Reader ${reader}`;
    cell("between-title").textContent = `Session ${session} is finished`;
    cell("between-words").textContent = session === 1
      ? `Download the answers and give the file to the investigator. Session 2 has the same images in another order: come back in ${facts.washout} days or later.`
      : "Download the answers and give the file to the investigator. Thank you for reading.";
  } else {
    const help = order()[at] > 0;
    const left = order().slice(at).findIndex((one) => (one > 0) !== help);
    const count = left < 0 ? all - at : left;
    cell("between-session").textContent = `Reader ${reader}, session ${session}`;
    cell("between-title").textContent = `${started ? "" : "Now "}${count} ${count === 1 ? "image" : "images"} ${help ? "with" : "without"} help`;
    cell("between-words").textContent = help
      ? "Beside each image you see the probability of pneumonia that a network gives, and its heat map. Read the image yourself, too: the network may be wrong."
      : "You see the image alone.";
  }
  show("between");
}

document.querySelector("#between button").addEventListener("click", () => {
  if (done().length === order().length) { show("start"); showSessions(); } else { next(); }
});

// ---- reading one image

const percentOf = (percent) => (percent < 1 ? "under 1 %" : percent > 99 ? "over 99 %" : `${percent} %`);
const shownAs = (code, folder) => `${folder}/${facts.codes[code - 1]}.jpg`;

function clock(runs) {
  if (since !== null) seen += performance.now() - since;
  since = runs ? performance.now() : null;
}

async function next() {
  const [at, all] = [done().length, order().length];
  const [code, help] = [Math.abs(order()[at]), order()[at] > 0];
  answer.reset();
  view.reset();
  setWindow();
  setConfidence(false);
  told.textContent = "";
  cell("number").textContent = `Image ${at + 1} of ${all}`;
  cell("mode").textContent = `${help ? "with" : "without"} help · session ${session} · reader ${reader}`;
  cell("probability").textContent = help ? percentOf(percents[code - 1]) : "";
  document.querySelector("#reading progress").value = at / all;
  document.querySelectorAll("[data-help]").forEach((part) => { part.hidden = !help; });
  [film.hidden, heat.hidden] = [true, true]; // never the image before under the answers of this one
  film.src = shownAs(code, "images");
  if (help) heat.src = shownAs(code, "help"); else heat.removeAttribute("src");
  show("reading");
  [seen, since] = [0, null];
  try {
    await Promise.all([film, ...(help ? [heat] : [])].map((picture) => picture.decode()));
  } catch {
    told.textContent = `${shownAs(code, "images")} cannot be shown: copy the whole folder of the study, and reload the page.`;
    return;
  }
  [film.hidden, heat.hidden] = [false, !help];
  answer.elements.decision[0].focus({ preventScroll: true });
  clock(document.visibilityState === "visible");
  if (at + 1 < all) new Image().src = shownAs(Math.abs(order()[at + 1]), "images");
}

function setConfidence(set) {
  const { confidence } = answer.elements;
  const shown = cell("confidence");
  [shown, confidence].forEach((part) => part.classList.toggle("unset", !set));
  confidence.setAttribute("aria-valuetext", set ? `${confidence.value} of 100` : "not set");
  shown.textContent = set ? `${confidence.value} of 100` : "not set";
}

function setWindow() {
  const { brightness, contrast, large } = view.elements;
  film.style.filter = `brightness(${brightness.value}%) contrast(${contrast.value}%)`;
  viewer.classList.toggle("large", large.checked);
}

function missing(help) {
  const { decision, confidence, map } = answer.elements;
  const open = [];
  if (!decision.value) open.push(["your decision", decision[0]]);
  if (confidence.classList.contains("unset")) open.push(["how likely pneumonia is", confidence]);
  if (help && !map.value) open.push(["the rating of the heat map", map[0]]);
  return open;
}

answer.addEventListener("submit", (event) => {
  event.preventDefault();
  if (film.hidden) return; // not shown yet
  const at = done().length;
  const help = order()[at] > 0;
  const open = missing(help);
  if (open.length) {
    told.textContent = `Still to be said: ${open.map(([words]) => words).join(", ")}.`;
    open[0][1].focus();
    return;
  }
  clock(false);
  const fields = answer.elements;
  keep(reader, [...answersOf(reader), {
    study: facts.study, reader, session, place: at + 1, image: facts.codes[Math.abs(order()[at]) - 1],
    help: help ? "with" : "without", decision: fields.decision.value, confidence: Number(fields.confidence.value),
    map_rating: help ? Number(fields.map.value) : "", seconds: (seen / 1000).toFixed(1),
    answered: `${new Date().toISOString().slice(0, 19)}Z`,
  }]);
  if (at + 1 === order().length || (order()[at + 1] > 0) !== help) announce(false); else next();
});
answer.elements.confidence.addEventListener("input", () => setConfidence(true));
answer.elements.confidence.addEventListener("click", () => setConfidence(true)); // 50 itself, which moves nothing
answer.addEventListener("keydown", (event) => { // Enter saves from anywhere in the form
  if (event.key === "Enter" && event.target.matches("input")) { event.preventDefault(); answer.requestSubmit(); }
});
view.addEventListener("input", setWindow);
view.addEventListener("reset", () => setTimeout(setWindow));
view.addEventListener("submit", (event) => event.preventDefault());
document.querySelector("button[name=pause]").addEventListener("click", () => { clock(false); show("start"); showSessions(); });
document.addEventListener("visibilitychange", () => {
  if (!sections[2].hidden && !film.hidden) clock(document.visibilityState === "visible");
});

show("start");
showSessions();
