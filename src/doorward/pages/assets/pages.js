// What is nicer with a script; everything works without.

for (const input of document.querySelectorAll("input[type=password]")) {
  const frame = document.createElement("div");
  const button = document.createElement("button");
  const words = document.body.dataset;
  const label = (text) => {
    button.textContent = text;
    button.setAttribute("aria-label", `${text}: ${input.labels[0].textContent}`);
  };
  frame.className = "with-reveal";
  button.className = "reveal";
  button.type = "button";
  label(words.show);
  button.addEventListener("click", () => {
    const hidden = input.type === "password";
    input.type = hidden ? "text" : "password";
    label(hidden ? words.hide : words.show);
  });
  const hadFocus = document.activeElement === input;
  input.replaceWith(frame);
  frame.append(input, button);
  if (hadFocus || input.autofocus) {
    input.focus();
  }
}

// What is missing is said before anything is sent, all of it at once: a password need not be typed again.
function mistakeIn(input) {
  if (!input.value) {
    return input.dataset.missing;
  }
  return input.value.includes("@") ? undefined : input.dataset.malformed;
}

function say(input, mistake) {
  const id = `${input.id}-mistake`;
  const place = document.getElementById(id) ?? document.createElement("div");
  const described = new Set(input.getAttribute("aria-describedby")?.split(" "));
  described.delete(id);
  place.remove();
  if (mistake) {
    const line = document.createElement("p");
    line.textContent = mistake;
    place.id = id;
    place.className = "mistake";
    place.replaceChildren(line);
    (input.closest(".with-reveal") ?? input).before(place);
    input.setAttribute("aria-invalid", "true");
    described.add(id);
  } else {
    input.removeAttribute("aria-invalid");
  }
  input.setAttribute("aria-describedby", [...described].join(" "));
}

function isComplete(form) {
  const inputs = [...form.querySelectorAll("input[data-missing]")];
  const wrong = inputs.filter((input) => mistakeIn(input));
  for (const input of wrong.length ? inputs : []) {
    say(input, mistakeIn(input));
  }
  wrong[0]?.focus();
  return !wrong.length;
}

// A second click while the first is on its way sends nothing.  It is on its way until its answer comes, or until
// somebody stops it.
const BUSY_AFTER_MILLISECONDS = 400;
const GIVEN_UP_AFTER_MILLISECONDS = 20_000;
let sent;

function settle() {
  clearTimeout(sent?.busy);
  clearTimeout(sent?.end);
  if (sent?.words) {
    sent.button.replaceChildren(...sent.words);
  }
  sent?.form.removeAttribute("aria-busy");
  sent = undefined;
}

function showBusy() {
  sent.form.setAttribute("aria-busy", "true");
  if (sent.button?.classList.contains("main")) {
    sent.words = [...sent.button.childNodes];
    sent.button.replaceChildren(document.body.dataset.busy);
  }
}

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (sent || !isComplete(form)) {
      event.preventDefault();
      return;
    }
    // Before it is sent: never sent as text, nor kept by the browser among what was typed before.
    for (const input of form.querySelectorAll(".with-reveal input")) {
      input.type = "password";
    }
    sent = {
      form,
      button: event.submitter ?? form.querySelector("button.main"),
      busy: setTimeout(showBusy, BUSY_AFTER_MILLISECONDS),
      end: setTimeout(settle, GIVEN_UP_AFTER_MILLISECONDS),
    };
  });
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    settle();
  }
});
globalThis.navigation?.addEventListener("navigateerror", settle);

// A page that comes back from the browser's memory may be of somebody who has signed out since: it is hidden when it
// is left, and asks the server before it shows anything.
addEventListener("pagehide", (event) => {
  document.documentElement.hidden = event.persisted;
});
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    location.replace(`${location.pathname}${location.search}`);
  }
});

// Times as people here write them, and by their own clock.
const language = document.documentElement.lang;
const spoken = navigator.languages.find((each) => each.startsWith(language)) ?? language;
const written = new Intl.DateTimeFormat(spoken, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time")) {
  const moment = written.format(new Date(time.dateTime));
  if ("moment" in time.dataset) {
    time.textContent = moment;
  } else {
    time.title = moment;
  }
}

// An application of this origin that is open in another tab asks again who is signed in.
const base = new URL("..", document.currentScript.src).href.replace(/\/$/, "");
const news = new BroadcastChannel(`doorward ${base}`);
news.postMessage({ look: true });
news.close();
