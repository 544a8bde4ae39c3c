// The bar on top: where one is, where one can go, light or dark, and the list of keys.
import { useEffect, useState } from "preact/hooks";
import { href } from "../router";
import { isStatic } from "../static";

const PLACES = [
  ["/microscope", "Microscope"],
  ["/search", "Search"],
  ["/steer", "Steer"],
  ["/suite", "Suite"],
] as const;
/** What needs a running model is not offered by a static copy. */
const offered = PLACES.filter(([to]) => !isStatic || to === "/search" || to === "/suite");

export function Header({ path, onHelp, onRandom }: { path: string; onHelp: () => void; onRandom: () => void }) {
  return (
    <header class="top">
      <a class="brand" href={href("/")} aria-label="Lapidary, home">
        <img src={isStatic ? "favicon.svg" : "/favicon.svg"} width="22" height="22" alt="" />
        Lapidary
      </a>
      <nav aria-label="main">
        {offered.map(([to, text]) => (
          <a key={to} href={href(to)} aria-current={path.startsWith(to) ? "page" : undefined}>
            {text}
          </a>
        ))}
      </nav>
      <div class="row tools">
        <button type="button" class="small" onClick={onRandom} data-tip="a random feature (r)">
          Random
        </button>
        <ThemeButton />
        <button type="button" class="small icon" onClick={onHelp} aria-label="keys" data-tip="keys (?)">
          ?
        </button>
      </div>
    </header>
  );
}

type Theme = "light" | "dark";
const ofSystem = (): Theme => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
const current = (): Theme => (document.documentElement.dataset.theme as Theme | undefined) ?? ofSystem();

/** To the other theme; forgets the choice where it is the system's own. */
export function switchTheme() {
  const next: Theme = current() === "dark" ? "light" : "dark";
  if (next === ofSystem()) {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", next);
    document.documentElement.dataset.theme = next;
  }
  dispatchEvent(new Event("theme"));
}

function ThemeButton() {
  const [theme, setTheme] = useState(current);
  useEffect(() => {
    const update = () => setTheme(current());
    addEventListener("theme", update);
    return () => removeEventListener("theme", update);
  }, []);
  const other = theme === "dark" ? "light" : "dark";
  return (
    <button
      type="button"
      class="small icon"
      onClick={switchTheme}
      aria-label={`switch to ${other}`}
      data-tip={`${other} (t)`}
    >
      {theme === "dark" ? "☼" : "☾"}
    </button>
  );
}
