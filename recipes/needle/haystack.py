# SPDX-License-Identifier: Apache-2.0
"""Texts of idle sentences with names and numbers hidden among them.

As a program it writes lines for `lacuna score --tasks`: a text of so many tokens, names with their
numbers at evenly spread depths, and at its end one of the names, whose number must follow."""

import argparse
import json
import random

import words

# Of a number, in tokens.
DIGIT_PAIRS = 4


def sentence(draw):
    def noun_phrase():
        return [draw.choice(words.ARTICLES), draw.choice(words.ADJECTIVES),
                draw.choice(words.NOUNS)]

    return (noun_phrase() + [draw.choice(words.VERBS), draw.choice(words.PREPOSITIONS)]
            + noun_phrase() + [words.STOP])


def entries(draw, n):
    """n names, each with its number. What follows two tokens is never in doubt: no two of a number
    stand side by side in another."""
    made, pairs = [], set()
    for key in draw.sample(words.KEYS, n):
        own = None
        while own is None or own & pairs or len(own) < DIGIT_PAIRS - 1:
            number = [draw.choice(words.NUMBERS) for _ in range(DIGIT_PAIRS)]
            own = set(zip(number, number[1:]))
        pairs |= own
        made.append((key, number))
    return made


def entry_words(entry):
    key, number = entry
    return [key, *number, words.STOP]


def task(draw, n_tokens, depth, n_others):
    """A prompt of at most `n_tokens` tokens, `<s>` among them, and what must follow. What is asked
    for stands where `depth` of the text, from 0 to 1, is before it; `n_others` are spread
    evenly."""
    needle, *others = entries(draw, 1 + n_others)
    hidden = [(depth, needle)]
    hidden += [((index + draw.random()) / n_others, other) for index, other in enumerate(others)]
    room = n_tokens - 2 - sum(len(entry_words(entry)) for _, entry in hidden)
    sentences = [sentence(draw)]
    while len(sentences) * len(sentences[0]) + len(sentences[0]) <= room:
        sentences.append(sentence(draw))
    items = [((index + 0.5) / len(sentences), item) for index, item in enumerate(sentences)]
    items += [(place, entry_words(entry)) for place, entry in hidden]
    items.sort(key=lambda item: item[0])
    text = [word for _, item in items for word in item]
    return " ".join(text + [needle[0]]), " " + " ".join(needle[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--depths", type=int, default=5, help="how many, from begin to end")
    parser.add_argument("--repeats", type=int, default=4, help="texts of each length and depth")
    parser.add_argument("--others", type=int, default=16, help="names that are not asked for")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true",
                        help="the texts with what follows and nothing else, a line each")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    for length in arguments.lengths:
        for step in range(arguments.depths):
            depth = step / max(1, arguments.depths - 1)
            for _ in range(arguments.repeats):
                prompt, continuation = task(draw, length, depth, arguments.others)
                group = f"{length} tokens, depth {100 * depth:.0f} %"
                if arguments.plain:
                    print(prompt + continuation)
                else:
                    print(json.dumps({"group": group, "prompt": prompt,
                                      "continuation": continuation}))


if __name__ == "__main__":
    main()
