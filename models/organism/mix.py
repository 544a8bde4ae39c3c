"""Chooses documents for the organism's curriculum: some from all domains, and more from those that are learned late.

A document's title names its domain, so a different mixture changes the odds of the title and of nothing after it.

    python mix.py train.jsonl --from 92000 --natural 9500 --title Rules=26000 --title Story=4500 --out rules.jsonl
"""

import argparse
import json
import random
from pathlib import Path


def choose(lines, first, natural, titles):
    """The first `natural` documents from number `first` on, then for each title so many others that bear it."""
    wanted, chosen = dict(titles), []
    for number, line in enumerate(lines):
        if number < first:
            continue
        if len(chosen) < natural:
            chosen.append(line)
            continue
        title = json.loads(line)["text"].split()[0].rstrip(".:")
        if wanted.get(title, 0) > 0:
            wanted[title] -= 1
            chosen.append(line)
        if not any(wanted.values()):
            return chosen
    missing = {title: count for title, count in wanted.items() if count}
    raise SystemExit(f"the text has too few documents: {missing} are missing; write more with `lapidary world text`")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=Path, help="JSON lines of `lapidary world text`")
    parser.add_argument("--from", dest="first", type=int, default=0, help="documents to pass over")
    parser.add_argument("--natural", type=int, default=0, help="documents taken as they come")
    parser.add_argument("--title", action="append", default=[], metavar="TITLE=N", help="further documents of a title")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    titles = [(title, int(count)) for title, count in (t.split("=") for t in args.title)]
    with open(args.text, encoding="utf-8") as lines:
        chosen = choose(lines, args.first, args.natural, titles)
    random.Random(args.seed).shuffle(chosen)
    args.out.write_text("".join(chosen), encoding="utf-8")
    print(f"{args.out}: {len(chosen):,} documents")


if __name__ == "__main__":
    main()
