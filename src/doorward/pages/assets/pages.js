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
  // Never sent, nor kept by the browser among what was typed before, as text.
  input.form.addEventListener("submit", () => {
    input.type = "password";
  });
  const hadFocus = document.activeElement === input;
  input.replaceWith(frame);
  frame.append(input, button);
  if (hadFocus || input.autofocus) {
    input.focus();
  }
}

// A second click while the first is on its way sends nothing.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "1";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
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
