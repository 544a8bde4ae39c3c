// Where the reader is: path and query of the address bar (of its hash on a plain web host), and the links that change
// it without a reload.
import { useEffect, useState } from "preact/hooks";
import { isStatic } from "./static";

export interface Place {
  path: string;
  query: URLSearchParams;
}

const address = () => (isStatic ? location.hash.slice(1) || "/" : location.pathname + location.search);

function here(): Place {
  const url = new URL(address(), "http://app");
  return { path: decoded(url.pathname), query: url.searchParams };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The href of a place inside the app. */
export const href = (to: string) => (isStatic ? `#${to}` : to);

/** The whole address of a place, for the clipboard. */
export const absolute = (to: string) => new URL(href(to), location.href).href;

export const pageOf = (source: string, index: number) => `/f/${encodeURIComponent(source)}/${index}`;

const moved = new EventTarget();

/** Goes to a place; `replace` leaves no trace in the history. */
export function go(to: string, replace = false) {
  if (to === address()) return;
  history[replace ? "replaceState" : "pushState"](null, "", href(to));
  if (!replace) scrollTo(0, 0);
  moved.dispatchEvent(new Event("move"));
}

/** This place with other query values; an empty one is left out. */
export function withQuery(change: Record<string, string | number | null | undefined>): string {
  const { path, query } = here();
  for (const [key, value] of Object.entries(change)) {
    query.delete(key);
    if (value !== null && value !== undefined && value !== "") query.set(key, String(value));
  }
  const text = query.toString();
  return encodeURI(path) + (text ? `?${text}` : "");
}

function follow(event: MouseEvent) {
  const link = (event.target as Element).closest?.("a[href]") as HTMLAnchorElement | null;
  const elsewhere =
    event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || elsewhere || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  const to = link.getAttribute("href")!;
  if (isStatic ? !to.startsWith("#/") : !to.startsWith("/") || to.startsWith("/api/")) return;
  event.preventDefault();
  go(isStatic ? to.slice(1) : to);
}

/** The place, anew whenever it changes. */
export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const update = () => setPlace(here());
    moved.addEventListener("move", update);
    addEventListener("popstate", update);
    document.addEventListener("click", follow);
    return () => {
      moved.removeEventListener("move", update);
      removeEventListener("popstate", update);
      document.removeEventListener("click", follow);
    };
  }, []);
  return place;
}
