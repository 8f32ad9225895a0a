"use strict";
// Stands where the server stands: a folder that was opened by a double click has none.
window.offline = (() => {
  const told = window.study;
  let votes = {};
  try {
    votes = JSON.parse(localStorage.getItem(told.key)) || {};
  } catch {
    // A browser that keeps nothing for files: answers then last as long as the page is open.
  }
  for (const task of told.tasks) task.done = task.done || task.pair in votes;
  const name = document.getElementById("rater");
  name.value = told.rater;
  name.readOnly = true;
  const own = document.getElementById("own");
  own.textContent = "Save your votes";
  own.download = `votes-${told.rater.replace(/[^\p{L}\p{N}]+/gu, "-")}.jsonl`;
  own.insertAdjacentText("afterend", ", and send the file to whoever gave you this folder.");

  function answer(path, body) {
    if (path === "api/session") return told;
    votes[body.pair] = {
      rater: told.rater,
      round: told.round,
      pair: body.pair,
      answers: body.answers,
      seconds: Math.round(100 * body.seconds) / 100,
      time: new Date().toISOString().replace(/\.\d+Z$/, "+00:00"),
    };
    try {
      localStorage.setItem(told.key, JSON.stringify(votes));
    } catch {
      // As above.
    }
    return { kept: true };
  }

  function lines() {
    return Object.values(votes).map((vote) => `${JSON.stringify(vote)}\n`).join("");
  }

  return { answer, lines, file: () => URL.createObjectURL(new Blob([lines()], { type: "application/x-ndjson" })) };
})();
