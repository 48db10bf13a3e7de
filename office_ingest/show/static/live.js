// Keeps a page as it is now: changed parts come as server-sent events; where rows came or went the body is fetched again.
// Without this module the page is whole and only as old as it says.
// @ts-check

/** After so many milliseconds without a word the page is stale: the office sends one every two seconds. */
const STALE_AFTER_MS = 6000;

const topic = document.body.dataset.topic ?? "/";
const age = /** @type {HTMLElement} */ (document.getElementById("age"));
const words = /** @type {HTMLElement} */ (document.getElementById("age-words"));
const asOf = /** @type {HTMLElement} */ (document.getElementById("as-of"));
let heardAt = performance.now();
let isFetching = false;
// Asked for while a fetch runs: what that one brings may be older.
let isWanted = false;

/** @param {string} time as HH:MM:SS of the office's clock */
function heard(time) {
  heardAt = performance.now();
  asOf.textContent = time;
  if (age.classList.contains("stale")) {
    age.classList.remove("stale");
    words.textContent = "live, as of";
  } else if (!age.classList.contains("live")) {
    age.classList.add("live");
    words.textContent = "live, as of";
  }
}

function watchAge() {
  if (performance.now() - heardAt > STALE_AFTER_MS && !age.classList.contains("stale")) {
    age.classList.add("stale");
    words.textContent = "stale since";
  }
}

/** @param {Record<string, string>} parts id to inner HTML, as the office rendered it */
function replaceParts(parts) {
  for (const [id, html] of Object.entries(parts)) {
    const element = document.getElementById(id);
    if (element) {
      element.innerHTML = html;
      element.classList.remove("fresh");
      void element.offsetWidth;
      element.classList.add("fresh");
    }
  }
}

async function fetchAgain() {
  isWanted = true;
  if (isFetching) return;
  isFetching = true;
  while (isWanted) {
    isWanted = false;
    try {
      const answer = await fetch(topic, { cache: "no-store" });
      if (answer.ok) showBody(await answer.text());
    } catch {
      // The stream says when the office is back.
    }
  }
  isFetching = false;
}

/** @param {string} html of the whole page, as it is now */
function showBody(html) {
  const next = new DOMParser().parseFromString(html, "text/html").getElementById("content");
  const now = document.getElementById("content");
  if (!next || !now || next.innerHTML === now.innerHTML) return;
  // Somebody who types, or has opened a table, keeps what he has in hand.
  if (!now.contains(document.activeElement) && !now.querySelector("details[open]")) {
    now.innerHTML = next.innerHTML;
    return;
  }
  /** @type {Record<string, string>} */
  const parts = {};
  for (const element of next.querySelectorAll("[data-live]")) parts[element.id] = element.innerHTML;
  replaceParts(parts);
}

function listen() {
  const stream = new EventSource(`/live?topic=${encodeURIComponent(topic)}`);
  stream.onmessage = (event) => {
    const said = JSON.parse(event.data);
    heard(said.as_of);
    if (said.again) void fetchAgain();
    if (said.parts) replaceParts(said.parts);
  };
  stream.onerror = () => {
    // A browser gives up after some answers (a proxy's 502, a refused connection): we do not.
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(listen, 1000);
    }
  };
}

setInterval(watchAge, 500);
listen();
