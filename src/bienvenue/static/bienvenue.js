/* What is better with scripts. Every page does the same without them, and every word that a person
   reads stands in the page. */
"use strict";

/* Show a password, and hide it again before it is sent, so that no browser keeps it as plain text. */
for (const button of document.querySelectorAll("button.reveal")) {
  const field = document.getElementById(button.getAttribute("aria-controls"));
  const said = button.parentElement.querySelector("[role=status]");
  const show = (shown) => {
    field.type = shown ? "text" : "password";
    button.textContent = shown ? button.dataset.hide : button.dataset.show;
  };
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    show(shown);
    said.textContent = shown ? button.dataset.shown : button.dataset.hidden;
  });
  field.form.addEventListener("submit", () => show(false));
  button.hidden = false;
}

/* Say how many characters are missing, counted as the service counts them: to the eye at once, to
   the ear when the typing rests. */
for (const meter of document.querySelectorAll("[data-needed]")) {
  const field = document.getElementById(meter.dataset.of);
  const said = meter.nextElementSibling;
  const needed = JSON.parse(meter.dataset.needed);
  let rest;
  const measure = () => {
    const typed = [...field.value.normalize("NFC")].length;
    const missing = needed.length - typed;
    meter.classList.toggle("enough", missing <= 0);
    meter.textContent =
      typed === 0 ? ""
      : missing <= 0 ? meter.dataset.enough
      : needed[missing - 1];
    clearTimeout(rest);
    rest = setTimeout(() => { said.textContent = meter.textContent; }, 1000);
  };
  field.addEventListener("input", measure);
  if (field.value) measure();
}

/* A form is sent once, however often its button is pressed; going back to it makes it new. */
const release = (form) => {
  delete form.dataset.sent;
  form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
};
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
  setTimeout(() => release(form), 10000);
});
addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("form[data-sent]").forEach(release);
});

/* Times are those of the clock on the wall, as the reader's country writes them. English of no
   country puts the day first, as emails do. */
const page = document.documentElement.lang;
const country = navigator.languages.find((tag) => tag.startsWith(`${page}-`));
const region = country ?? (page === "en" ? "en-GB" : page);
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  const style = "minutes" in time.dataset ? { timeStyle: "short" } : {};
  const written = new Intl.DateTimeFormat(region, { dateStyle: "long", ...style });
  time.title = time.textContent;
  time.textContent = written.format(at);
}
