"use strict";
// Films are asked about one after the other; what is shown of an answer is text and drawings, never markup.
const at = (id) => document.getElementById(id);
const films = [];
const shown = { film: null, threshold: null, about: null };
let token = "";
let asking = false;
const WAIT_MAX_S = 30;
const heatColours = Uint8Array.from(atob(JSON.parse(at("colours-of-heat").textContent)), (c) => c.charCodeAt(0));
const number = (value, digits = 3) => value.toFixed(digits);
const percent = (share) => `${Math.round(100 * share)} %`;
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const calls = (probability, threshold) => (probability >= threshold ? "pneumonia" : "normal");
const threshold = () => shown.threshold ?? shown.about.threshold;

function element(name, text = "", settings = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  return Object.assign(made, settings);
}

function drawn(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.textContent = text;
  return made;
}

// --- the server

class Refused extends Error {
  constructor(problem, status, again) {
    super(problem);
    Object.assign(this, { status, again });
  }
}

async function ask(path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", body, headers });
  } catch {
    throw new Refused("The server does not answer, or broke off.", 0, null);
  }
  const said = await answer.json().catch(() => ({ problem: answer.statusText || "no answer" }));
  if (answer.ok) return said;
  const again = [429, 503].includes(answer.status) ? Number(answer.headers.get("Retry-After") ?? 2) : null;
  throw new Refused(said.problem ?? "no answer", answer.status, again);
}

async function askPatiently(path, film) {
  for (;;) {
    try {
      return await ask(path, film.file);
    } catch (error) {
      if (error.again === null || error.again === undefined || !films.includes(film)) throw error;
      film.state = "the server is busy; waiting";
      show();
      await new Promise((done) => setTimeout(done, 1000 * Math.min(error.again, WAIT_MAX_S)));
    }
  }
}

function next() {
  const here = shown.film;
  if (here && here.answer && !here.explanation && !here.unexplained) return [here, "explanation"];
  const waiting = films.find((film) => !film.answer && !film.problem);
  return waiting ? [waiting, "answer"] : [];
}

async function work() {
  if (asking) return;
  asking = true;
  for (let [film, what] = next(); film; [film, what] = next()) {
    film.state = what === "answer" ? "the networks are asked" : "where the networks look is computed";
    show();
    try {
      film[what] = await askPatiently(what === "answer" ? "/api/predict" : "/api/explain", film);
      if (what === "answer") tell(film);
    } catch (error) {
      if (error.status === 401) { askForToken("This is not its token."); break; }
      film[what === "answer" ? "problem" : "unexplained"] = error.message;
      film.status = error.status;
      at("said").textContent = `${film.name}: ${error.message}`;
    }
    film.state = "";
    show();
  }
  asking = false;
}

function tell(film) {
  const { probability, decision, review } = film.answer;
  const look = review ? " A person should look at it." : "";
  at("said").textContent = `${film.name}: ${decision}, probability of pneumonia ${number(probability)}.${look}`;
}

// --- films

function add(chosen) {
  for (const file of chosen) {
    const film = { file, name: file.name, state: "waits" };
    if (file.size > shown.about.film_bytes) film.problem = `The file is larger than ${at("film-size").textContent}.`;
    films.push(film);
    shown.film ??= film;
  }
  show();
  work();
}

function remove(film) {
  const place = films.indexOf(film);
  films.splice(place, 1);
  if (shown.film === film) shown.film = films[Math.min(place, films.length - 1)] ?? null;
  show();
  work();
  (at("films").querySelector(".here .open") ?? at("files")).focus();
}

function listed(film) {
  const row = element("li", "", { className: film === shown.film ? "here" : "" });
  const open = element("button", "", { type: "button", className: "open" });
  const said = element("span", "", { className: "film-told" });
  open.append(element("bdi", film.name, { className: "film-title", title: film.name }), said);
  if (film.answer) {
    const { probability, review } = film.answer;
    said.append(`${calls(probability, threshold())} ${number(probability)}`);
    if (calls(probability, threshold()) !== film.answer.decision) said.append(element("span", "moved", { className: "badge warn" }));
    if (review) said.append(element("span", "look", { className: "badge warn" }));
  } else {
    said.append(film.problem ? "no answer" : film.state);
  }
  if (film === shown.film) open.setAttribute("aria-current", "true");
  open.addEventListener("click", () => { shown.film = film; show(); work(); });
  const away = element("button", "×", { type: "button", className: "away" });
  away.setAttribute("aria-label", `Remove ${film.name}`);
  away.addEventListener("click", () => remove(film));
  row.append(open, away);
  return row;
}

// --- one film

function show() {
  const focused = document.activeElement?.closest?.("#films li");
  const place = focused ? [...at("films").children].indexOf(focused) : -1;
  const which = document.activeElement?.className;
  at("films").replaceChildren(...films.map(listed));
  if (place >= 0) at("films").children[place]?.querySelector(`.${which}`)?.focus();
  const film = shown.film;
  at("desk").hidden = !film;
  if (!film) return;
  at("film-name").replaceChildren(element("bdi", film.name));
  at("problem").hidden = !film.problem;
  at("problem").textContent = (film.problem ?? "").replace(/^film: /, "");
  at("retry").hidden = !film.problem || (film.status > 0 && film.status < 500) || film.file.size > shown.about.film_bytes;
  at("state").textContent = film.state && !film.answer ? `${film.state} …` : "";
  at("answer").hidden = !film.answer;
  if (!film.answer) return;
  showAnswer(film.answer);
  showThreshold(film.answer);
  showExplanation(film);
}

function showAnswer(answer) {
  at("decision").textContent = answer.decision === "pneumonia" ? "Pneumonia" : "Normal";
  at("probability").textContent = number(answer.probability);
  at("spread").textContent = answer.folds.length > 1
    ? `probability of pneumonia; the ${answer.folds.length} networks say ${number(answer.lowest)} to ${number(answer.highest)}`
    : "probability of pneumonia";
  at("look").classList.toggle("asked", answer.review);
  at("look").querySelector("h3").textContent = answer.review
    ? "A person should look at this film" : "No check asks for a person to look. The checks know only what training images were like.";
  at("look").querySelector("ul").replaceChildren(...answer.reasons.map((reason) => element("li", reason.words)));
  at("notes").replaceChildren(...answer.notes.map((note) => element("li", note)));
  at("measures").replaceChildren(...answer.measures.map((measure) => {
    const row = element("tr", "", { className: measure.given ? "given" : "" });
    const about = measure.name === "without_lungs" ? `${measure.words}: probability without them` : measure.words;
    const head = element("th", about, { scope: "row" });
    if (measure.given) head.append(element("span", "a reason to look", { className: "badge" }));
    const value = { no_lungs: measure.value ? "yes" : "no", folds_disagree: percent(measure.value) }[measure.name];
    row.append(head, element("td", value ?? number(measure.value)));
    row.append(element("td", measure.limit === null ? "–" : number(measure.limit)));
    return row;
  }));
  const classes = Object.entries(answer.classes);
  at("classes").replaceChildren();
  if (classes.length > 2) {
    const list = element("dl", "", { className: "facts" });
    for (const [name, share] of classes) list.append(element("dt", name), element("dd", number(share)));
    at("classes").append(element("h3", "Classes"), list);
  }
}

function showThreshold(answer) {
  const [declared, moved] = [shown.about.threshold, threshold()];
  const reached = answer.folds.filter((fold) => fold.probability >= moved).length;
  const alike = answer.folds.filter((fold) => fold.pneumonia === (answer.decision === "pneumonia")).length;
  const rule = shown.about.thresholds.find((one) => one.rule === shown.about.rule)?.words ?? shown.about.rule;
  at("declared").textContent = `${number(declared)} (${rule}): ${answer.decision}; ${alike} of ${counted(answer.folds.length, "network")} decide so, each at its own threshold`;
  const words = `${number(moved)}: ${calls(answer.probability, moved)}; ${reached} of ${counted(answer.folds.length, "network")} reach it`;
  at("moved").textContent = shown.threshold === null ? "not moved" : words;
  at("moved").classList.toggle("differs", calls(answer.probability, moved) !== answer.decision);
  at("threshold").value = moved;
  at("threshold").setAttribute("aria-valuetext", `threshold ${words}`);
  for (const button of at("marks").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Math.abs(Number(button.value) - moved) < 1e-9));
  }
  plot(answer, declared, moved);
}

function plot(answer, declared, moved) {
  const where = (value) => `${100 * value}%`;
  const upright = (value, kind, from = 8) => drawn("line", { x1: where(value), x2: where(value), y1: from, y2: 82, class: kind });
  const parts = [drawn("rect", { x: where(moved), width: where(1 - moved), y: 8, height: 74, class: "side" })];
  parts.push(drawn("line", { x1: "0%", x2: "100%", y1: 82, y2: 82, class: "base" }));
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    const anchor = { 0: "start", 1: "end" }[tick] ?? "middle";
    parts.push(drawn("text", { x: where(tick), y: 99, class: "tick", "text-anchor": anchor }, String(tick)));
  }
  parts.push(upright(declared, "declared"));
  if (shown.threshold !== null) parts.push(upright(moved, "moved"));
  answer.folds.forEach((fold, row) => {
    const y = 18 + (32 * (row + 0.5)) / answer.folds.length;
    const dot = drawn("circle", { cx: where(fold.probability), cy: y, r: 5, class: "fold" });
    dot.append(drawn("title", {}, `fold ${fold.fold}: ${number(fold.probability)}`));
    parts.push(dot);
  });
  parts.push(drawn("line", { x1: where(answer.lowest), x2: where(answer.highest), y1: 66, y2: 66, class: "range" }));
  parts.push(drawn("line", { x1: where(answer.probability), x2: where(answer.probability), y1: 58, y2: 74, class: "middle" }));
  at("plot").replaceChildren(...parts);
  const folds = answer.folds.map((fold) => `fold ${fold.fold} ${number(fold.probability)}`).join(", ");
  at("plot").setAttribute("aria-label", `Probability of pneumonia ${number(answer.probability)}; ${folds}; declared threshold ${number(declared)}`);
}

// --- the picture

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

function showExplanation(film) {
  const said = film.explanation;
  const ready = Boolean(said);
  at("no-heat").textContent = ready ? said.no_heat : film.unexplained ?? `${film.state || "waits"} …`;
  for (const part of document.querySelectorAll("[data-heat]")) part.hidden = !said?.heat;
  for (const part of document.querySelectorAll("[data-lungs]")) part.hidden = !said?.lungs.length;
  at("near").hidden = !ready || !said.nearest.length;
  at("attention").textContent = ready && said.heat_in_lungs !== null
    ? `${percent(said.heat_in_lungs)} of the heat lies in the lungs, which are ${percent(said.lung_area)} of the picture.` : "";
  draw(said);
  if (!ready) return;
  at("near-told").textContent = `The bundle holds what its networks made of up to ${counted(shown.about.reference_images, "training image")} each, as numbers: no image, name or label, so none can be shown. A distance of 0 is alike, 2 opposite; of validation images 99 % have their fifth nearest within the limit.`;
  const longest = Math.max(...said.nearest.flatMap((one) => [...one.distances, one.limit ?? 0]), 1e-9) * 1.08;
  const several = new Set(said.nearest.map((one) => one.architecture)).size > 1;
  at("nearest").replaceChildren(...said.nearest.map((one) => {
    const last = one.distances[one.distances.length - 1];
    const row = element("tr", "", { className: one.limit !== null && last > one.limit ? "given" : "" });
    const lane = drawn("svg", { class: "lane-svg", role: "img", "aria-label": one.distances.map((value) => number(value)).join(", ") });
    for (const value of one.distances) lane.append(drawn("circle", { cx: `${(100 * value) / longest}%`, cy: 9, r: 4, class: "near" }));
    if (one.limit !== null) {
      const x = `${(100 * one.limit) / longest}%`;
      lane.append(drawn("line", { x1: x, x2: x, y1: 1, y2: 17, class: "limit" }));
    }
    const cell = element("td", "", { className: "text lane-cell" });
    cell.append(lane);
    row.append(element("th", several ? `fold ${one.fold}, ${one.architecture}` : `fold ${one.fold}`, { scope: "row" }), cell);
    row.append(element("td", number(last)), element("td", one.limit === null ? "–" : number(one.limit)));
    return row;
  }));
}

function draw(said) {
  const canvas = at("canvas");
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", said ? "The film as the networks see it" + (said.heat ? ", under its heat map" : "") : "The film, not drawn yet");
  if (!said) return;
  const side = said.side_px;
  const gray = bytesOf(said.image);
  const heat = said.heat ? bytesOf(said.heat) : null;
  const strength = Number(at("opacity").value) / 100;
  const picture = new ImageData(side, side);
  for (let pixel = 0; pixel < gray.length; pixel += 1) {
    const level = heat ? heat[pixel] : 0;
    const tint = strength * Math.sqrt(level / 255);
    for (let part = 0; part < 3; part += 1) {
      picture.data[4 * pixel + part] = gray[pixel] * (1 - tint) + heatColours[3 * level + part] * tint;
    }
    picture.data[4 * pixel + 3] = 255;
  }
  const small = new OffscreenCanvas(side, side);
  small.getContext("2d").putImageData(picture, 0, 0);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (!at("outline").checked) return;
  const scale = canvas.width / side;
  pen.strokeStyle = "#5adcff";
  pen.lineWidth = 2.5;
  pen.lineJoin = "round";
  for (const outline of said.lungs) {
    pen.beginPath();
    outline.forEach(([x, y]) => pen.lineTo((x + 0.5) * scale, (y + 0.5) * scale));
    pen.closePath();
    pen.stroke();
  }
}

// --- the page itself

function askForToken(words) {
  at("entry-told").textContent = token ? words : "";
  at("entry").hidden = false;
  at("main").hidden = true;
  at("entry").elements.token.focus();
}

function describe(about) {
  const results = about.results;
  const area = (part) => `AUC ${number(part.auc)}${part.auc_interval ? ` [${part.auc_interval.map((end) => number(end)).join(", ")}]` : ""}`;
  const sentences = [`${about.architecture}: the mean of ${counted(about.networks, "network")}, which see ${about.image_side_px} × ${about.image_side_px} pixels`];
  if (results.out_of_fold) sentences.push(`${area(results.out_of_fold)} on images of children they were not trained on`);
  if (results.official) sentences.push(`${area(results.official)} on the separate test images`);
  if (results.source === "phantoms") sentences.push("trained on synthetic phantoms: its answers say nothing about patients");
  at("about").replaceChildren(...sentences.map((sentence) => element("li", sentence)));
  at("bundle-name").textContent = `· ${about.name}`;
  at("sha").textContent = `Bundle ${about.bundle.slice(0, 12)}.`;
  at("film-size").textContent = `${Math.floor(about.film_bytes / 2 ** 20)} MiB`;
  at("curl").textContent = `curl --data-binary @film.png ${location.origin}/api/predict${token ? " -H \"Authorization: Bearer $TOKEN\"" : ""}`;
  const legend = at("marks").querySelector("legend");
  at("marks").replaceChildren(legend, ...about.thresholds.map((one) => {
    const button = element("button", `${one.words} ${number(one.threshold)}`, { type: "button", value: String(one.threshold) });
    button.addEventListener("click", () => { shown.threshold = one.rule === about.rule ? null : one.threshold; show(); });
    return button;
  }));
}

async function begin() {
  try {
    shown.about = await ask("/api/bundle");
  } catch (error) {
    if (error.status === 401) askForToken("This is not its token.");
    else at("about").replaceChildren(element("li", error.message));
    return;
  }
  describe(shown.about);
  at("entry").hidden = true;
  at("main").hidden = false;
  work();
}

function save() {
  const rows = films.map(({ name, answer, problem }) => ({ image: name, answer: answer ?? null, problem: problem ?? null }));
  const text = JSON.stringify({ notice: document.querySelector(".pinned strong").textContent, bundle: shown.about.bundle, films: rows }, null, 1);
  const link = element("a", "", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: "answers.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

at("files").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
at("threshold").addEventListener("input", (event) => { shown.threshold = Number(event.target.value); show(); });
at("opacity").addEventListener("input", () => { at("opacity-told").value = `${at("opacity").value} %`; draw(shown.film?.explanation); });
at("outline").addEventListener("change", () => draw(shown.film?.explanation));
at("retry").addEventListener("click", () => { Object.assign(shown.film, { problem: undefined, status: undefined, state: "waits" }); show(); work(); });
at("save").addEventListener("click", save);
at("clear").addEventListener("click", () => { films.length = 0; shown.film = null; show(); at("files").focus(); });
at("entry").addEventListener("submit", (event) => { event.preventDefault(); token = at("entry").elements.token.value.trim(); asking = false; begin(); });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  window.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && shown.about) add(event.dataTransfer.files);
  });
}
begin();
