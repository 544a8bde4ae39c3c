// From page to page of a long list; each page is a link, so that each has an address.
import { count } from "../format";
import { href, withQuery } from "../router";

export function Pager({ offset, total, limit }: { offset: number; total: number; limit: number }) {
  if (total <= limit) return null;
  const to = (at: number) => href(withQuery({ offset: at || null }));
  return (
    <nav class="pager row" aria-label="pages">
      {offset > 0 && (
        <a class="button" rel="prev" href={to(Math.max(0, offset - limit))}>
          ← before
        </a>
      )}
      <span class="quiet">
        {count(offset + 1)} to {count(Math.min(total, offset + limit))} of {count(total)}
      </span>
      {offset + limit < total && (
        <a class="button" rel="next" href={to(offset + limit)}>
          after →
        </a>
      )}
    </nav>
  );
}
