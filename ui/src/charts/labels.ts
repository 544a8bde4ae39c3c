// Where the labels of marks go: into the first place beside a mark where they cover no mark and no other label, else
// nowhere.

interface Labelled {
  x: number;
  y: number;
  text: string;
}
interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Half of a mark, and the measures of a letter of `.chart text`, in pixels. */
const MARK = 6.5,
  LETTER = { width: 7.2, ascent: 11, descent: 3 };
/** From a mark's middle to where its label begins (right of it) or ends (left of it), and to the label's base line. */
const BESIDE = 8,
  BASE_LINES = [-6, 13, 4];

const apart = (a: Box, b: Box) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;

/** Where the text of each mark begins, on its base line; null where there is no room for it. */
export function placeLabels(marks: Labelled[]): ({ x: number; y: number } | null)[] {
  const taken: Box[] = marks.map(({ x, y }) => ({ left: x - MARK, top: y - MARK, right: x + MARK, bottom: y + MARK }));
  return marks.map(({ x, y, text }) => {
    const width = LETTER.width * text.length;
    const places = BASE_LINES.flatMap((down) => [
      { x: x + BESIDE, y: y + down },
      { x: x - BESIDE - width, y: y + down },
    ]);
    for (const place of places) {
      const box = {
        left: place.x,
        top: place.y - LETTER.ascent,
        right: place.x + width,
        bottom: place.y + LETTER.descent,
      };
      if (taken.every((other) => apart(box, other))) {
        taken.push(box);
        return place;
      }
    }
    return null;
  });
}
