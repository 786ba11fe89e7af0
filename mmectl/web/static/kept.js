"use strict";
/* What was typed into a form stays with the tab: a reload, and a page that is drawn anew, keep it.
   A file cannot be kept over a reload: no browser lets a page name one. */

const KEPT = "mmectl-console-form-";
const files = {}; // by form, as long as the tab shows this document

function keep(form) {
  const fields = [...form.elements].filter((one) => one.name && one.type !== "file" && one.type !== "hidden");
  const typed = Object.fromEntries(fields.map((one) => [one.name, one.value]));
  try {
    sessionStorage.setItem(KEPT + form.id, JSON.stringify(typed));
  } catch {
    sessionStorage.removeItem(KEPT + form.id); // it is too large
  }
  const file = form.elements.file;
  if (file) files[form.id] = file.files;
}

function fill(form) {
  const typed = JSON.parse(sessionStorage.getItem(KEPT + form.id) ?? "{}");
  for (const field of form.elements) {
    const given = field.localName === "select" ? "" : field.defaultValue; // by the address
    if (field.name in typed && field.type !== "file" && !(given && field.name === "name")) {
      field.value = typed[field.name];
    }
  }
  const file = form.elements.file;
  if (file && files[form.id]?.length) {
    file.files = files[form.id];
    file.dispatchEvent(new Event("change", { bubbles: true })); // which shows it
  }
  nextName();
}

/* Runs are saved in files of their own. */
function nextName() {
  const runs = document.getElementById("suggested");
  const save = document.getElementById("save");
  if (!runs || !save) return;
  const taken = [...document.querySelectorAll("#runs input[name=run]")].some((one) => one.value === save.value);
  if (!taken && save.value) return;
  save.value = runs.dataset.name;
  save.dispatchEvent(new Event("change", { bubbles: true }));
}

document.addEventListener("input", ({ target }) => {
  const form = target.closest?.("form[data-kept]");
  if (form) keep(form);
});
document.addEventListener("change", ({ target }) => {
  const form = target.closest?.("form[data-kept]");
  if (form) keep(form);
});
