"use strict";
/* The page Try: files that are dropped, and the picture that was sent beside its labels. */

let sent = null; // what the last request was made of: a file, or a question's address

function takeFiles() {
  const drop = document.getElementById("drop");
  if (!drop) return;
  const file = document.getElementById("file");
  const preview = document.getElementById("preview");
  if (preview) file.addEventListener("change", () => showPicture(preview, file.files[0]));
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    file.files = event.dataTransfer.files;
    file.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

function showPicture(image, blob) {
  image.hidden = !blob || !blob.type.startsWith("image/");
  if (image.hidden) image.removeAttribute("src");
  else {
    image.src = URL.createObjectURL(blob);
    image.onload = image.onerror = () => URL.revokeObjectURL(image.src); // it would hold the picture
  }
}

document.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
  if (elt.id !== "try") return;
  const form = new FormData(elt);
  const question = form.get("question");
  const named = new URLSearchParams({ name: form.get("name"), question });
  sent = question ? `/picture?${named}` : form.get("file");
});

/* Called where answers are shown. */
async function showSent(root) {
  const images = root.querySelectorAll("img.sent");
  if (!images.length || !sent) return;
  let blob = sent;
  if (typeof sent === "string") {
    const answer = await fetch(sent, { headers: { Authorization: authorization() } });
    blob = answer.headers.get("Content-Type")?.startsWith("image/") ? await answer.blob() : null;
  }
  for (const image of images) showPicture(image, blob?.size ? blob : null);
}
