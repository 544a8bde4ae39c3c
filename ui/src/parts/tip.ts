// One tooltip for the whole page: whatever has `data-tip` says it on hover and on focus. The text is text, never
// markup.

const GAP = 10;

export function installTips() {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  const show = (event: Event) => {
    const target = (event.target as Element).closest?.("[data-tip]");
    tip.hidden = !target;
    if (target) {
      tip.textContent = target.getAttribute("data-tip");
      place(tip, target.getBoundingClientRect());
    }
  };
  const hide = () => {
    tip.hidden = true;
  };
  document.addEventListener("pointerover", show);
  document.addEventListener("focusin", show);
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  addEventListener("scroll", hide, { passive: true, capture: true });
  document.addEventListener("click", hide);
}

function place(tip: HTMLElement, at: DOMRect) {
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - width / 2), innerWidth - width - 8);
  const above = at.top - height - GAP;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : at.bottom + GAP}px`;
}
