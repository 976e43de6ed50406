// Comfort only: every page works without this file.
"use strict";

// A table is searched while somebody types, without asking the node again.
for (const field of document.querySelectorAll("[data-filter]")) {
  const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
  const count = document.getElementById(`${field.dataset.filter}-count`);
  const before = field.value;
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    if (before) return; // the table holds only what fitted before
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) shown += 1;
    }
    count.textContent = `${shown} of ${rows.length}`;
  });
}

// What changes by itself is fetched again, while somebody can see it.
for (const part of document.querySelectorAll("[data-refresh]")) {
  setInterval(async () => {
    if (document.hidden || part.contains(document.activeElement)) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("[data-refresh]");
      if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
    } catch (error) {
      // The node is away; it is asked again.
    }
  }, Number(part.dataset.refresh) * 1000);
}
