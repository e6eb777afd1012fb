// A table that is chosen as a file is put where it could be pasted: it is seen before it is sent.
"use strict";

document.getElementById("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  const bytes = await file.arrayBuffer();
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    text = new TextDecoder("windows-1251").decode(bytes); // as spreadsheets here save CSV
  }
  document.getElementById("table").value = text;
});
