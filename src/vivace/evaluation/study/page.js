"use strict";
const at = (id) => document.getElementById(id);
const figures = { left: document.querySelector('[data-side="left"]'), right: document.querySelector('[data-side="right"]') };
const SIDES = ["left", "right"];
const ANSWERS = ["left", "same", "right"];
const LETTERS = { left: "A", right: "B" };
const WORDS = { left: "A is better", same: "Same", right: "B is better" };
let study = null; // what the server gave: rater, axes, tasks, done
let task = null; // the pair on the page
let axes = []; // what is asked about it
let shown = 0; // when it appeared
let active = 0; // question that the keys answer
let answers = {};
let seen = {}; // side -> played to its end
let sending = false;

async function ask(path, body) {
  if (window.offline) return window.offline.answer(path, body);
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const told = await response.json();
  if (!response.ok) throw new Error(told.error);
  return told;
}

function complain(error) {
  at("problem").textContent = error ? error.message : "";
  at("problem").hidden = !error;
}

at("who").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    study = await ask("api/session", { rater: at("rater").value });
    complain(null);
    document.title = at("title").textContent = study.title;
    at("begin").hidden = true;
    step();
  } catch (error) {
    complain(error);
  }
});

function buildAxes() {
  at("axes").replaceChildren();
  axes.forEach((axis, number) => {
    const row = document.createElement("div");
    row.className = "axis";
    row.setAttribute("role", "radiogroup");
    row.setAttribute("aria-label", axis.question);
    const question = document.createElement("p");
    question.textContent = axis.question;
    const buttons = document.createElement("div");
    buttons.className = "answers";
    for (const answer of ANSWERS) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = WORDS[answer];
      button.dataset.answer = answer;
      button.setAttribute("role", "radio");
      button.addEventListener("click", () => choose(number, answer));
      buttons.append(button);
    }
    row.append(question, buttons);
    at("axes").append(row);
  });
}

function step() {
  const left = study.tasks.filter((each) => !each.done);
  const done = study.tasks.length - left.length;
  at("progress").hidden = false;
  at("progress").setAttribute("aria-valuemax", study.tasks.length);
  at("progress").setAttribute("aria-valuenow", done);
  at("progress").firstElementChild.style.width = `${(100 * done) / study.tasks.length}%`;
  at("count").textContent = `${done} of ${study.tasks.length} done`;
  task = left[0] || null;
  at("task").hidden = !task;
  at("done").hidden = Boolean(task);
  if (!task) {
    at("own").href = window.offline ? window.offline.file() : `api/votes?rater=${encodeURIComponent(study.rater)}`;
    for (const side of SIDES) stop(side);
    return;
  }
  answers = {};
  seen = {};
  active = 0;
  axes = study.axes.filter((axis) => task.axes.includes(axis.name));
  buildAxes();
  at("prompt").textContent = task.prompt;
  at("prompt").hidden = !task.prompt;
  at("clips").classList.remove("wide");
  for (const side of SIDES) {
    stop(side);
    figures[side].querySelector("button").classList.remove("seen");
    const video = figures[side].querySelector("video");
    video.src = task[side];
    video.load();
  }
  shown = performance.now();
  window.scrollTo(0, 0);
  show();
}

function show() {
  [...at("axes").children].forEach((row, number) => {
    row.classList.toggle("active", number === active);
    for (const button of row.querySelectorAll("button")) {
      button.setAttribute("aria-checked", String(answers[axes[number].name] === button.dataset.answer));
    }
  });
  const unseen = SIDES.filter((side) => !seen[side]).map((side) => LETTERS[side]);
  const open = axes.filter((axis) => !answers[axis.name]).length;
  at("next").disabled = sending || unseen.length > 0 || open > 0;
  at("hint").textContent = unseen.length
    ? `Play ${unseen.join(" and ")} to the end first.`
    : open ? `${open} question${open > 1 ? "s" : ""} left.` : "";
}

function choose(number, answer) {
  answers[axes[number].name] = answer;
  const next = axes.findIndex((axis) => !answers[axis.name]);
  active = next < 0 ? number : next;
  show();
  bring(next < 0 ? at("next") : at("axes").children[active]);
}

function bring(element) {
  element.scrollIntoView({ block: "nearest" }); // keys also reach what is out of sight
}

function stop(side) {
  figures[side].querySelector("video").pause();
  figures[side].classList.remove("playing");
  figures[side].querySelector("button").textContent = `Play ${LETTERS[side]}`;
}

async function play(side) {
  const other = side === "left" ? "right" : "left";
  const video = figures[side].querySelector("video");
  stop(other); // only one is heard at a time
  if (!video.paused) {
    stop(side);
    return;
  }
  video.currentTime = 0;
  figures[side].classList.add("playing");
  figures[side].querySelector("button").textContent = `Stop ${LETTERS[side]}`;
  bring(figures[side]);
  try {
    await video.play();
  } catch (error) {
    if (error.name !== "AbortError") complain(new Error(`The clip does not play here (${error.message}).`));
  }
}

for (const side of SIDES) {
  const video = figures[side].querySelector("video");
  let last = 0;
  video.addEventListener("timeupdate", () => {
    // A loop begins again without a word: its time jumps back.
    if (video.currentTime < last - 0.05 * video.duration || video.currentTime > 0.97 * video.duration) {
      if (!video.paused && !seen[side]) {
        seen[side] = true;
        figures[side].querySelector("button").classList.add("seen");
        show();
      }
    }
    last = video.currentTime;
  });
  video.addEventListener("loadedmetadata", () => {
    last = 0;
    if (video.videoWidth > 1.2 * video.videoHeight) at("clips").classList.add("wide");
  });
  video.addEventListener("error", () => complain(new Error("A clip cannot be loaded; reload the page.")));
  video.addEventListener("click", () => play(side));
  figures[side].querySelector("button").addEventListener("click", () => play(side));
}

at("next").addEventListener("click", async () => {
  if (at("next").disabled) return;
  sending = true;
  show();
  try {
    const seconds = (performance.now() - shown) / 1000;
    await ask("api/vote", { rater: study.rater, pair: task.pair, answers, seconds });
    complain(null);
    task.done = true;
    sending = false;
    step();
  } catch (error) {
    sending = false;
    complain(error);
    show();
  }
});

document.addEventListener("keydown", (event) => {
  if (!task || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const key = event.key.toLowerCase();
  const playing = SIDES.find((side) => figures[side].classList.contains("playing"));
  if (key === "a") play("left");
  else if (key === "b") play("right");
  else if (key === " ") play(playing === "left" ? "right" : "left");
  else if ("123".includes(key)) choose(active, ANSWERS[Number(key) - 1]);
  else if (key === "arrowdown") active = Math.min(active + 1, axes.length - 1);
  else if (key === "arrowup") active = Math.max(active - 1, 0);
  else if (key === "enter") at("next").click();
  else return;
  event.preventDefault();
  show();
  if (key.startsWith("arrow")) bring(at("axes").children[active]);
  else if (key === "enter" && at("next").disabled) bring(at("hint"));
});
