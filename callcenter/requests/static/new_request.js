// Directions are offered that the appeal or the chosen body has: a request takes no other.
"use strict";

const body = document.getElementById("body");
const direction = document.getElementById("direction");

function narrow() {
  const own = body.selectedOptions[0]?.dataset.directions?.split(" ") ?? [];
  for (const each of direction.options) {
    const isOffered = !each.value || "ofAppeal" in each.dataset || own.includes(each.value);
    each.disabled = each.hidden = !isOffered;
  }
  if (direction.selectedOptions[0]?.disabled) {
    direction.value = [...direction.options].find((each) => !each.disabled)?.value ?? "";
  }
}

body.addEventListener("change", narrow);
narrow();
