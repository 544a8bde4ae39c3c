// The heading of a page, which is also the title of its tab.
import { useEffect } from "preact/hooks";

export function useTitle(text: string) {
  useEffect(() => {
    document.title = text ? `${text} · Lapidary` : "Lapidary";
  }, [text]);
}

export function Title({ text }: { text: string }) {
  useTitle(text);
  return <h1>{text}</h1>;
}
