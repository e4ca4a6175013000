# SPDX-License-Identifier: Apache-2.0
"""Reads the synsets of an installed WordNet 3.0: definitions, words, lexicographer classes."""

import re
import zlib
from collections import namedtuple
from pathlib import Path

DEFAULT_DIR = "/usr/share/wordnet"

# Numbers and names as in lexnames(5WN): a class's index is its lex_filenum.
LEX_NAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute "
    "noun.body noun.cognition noun.communication noun.event noun.feeling noun.food noun.group "
    "noun.location noun.motive noun.object noun.person noun.phenomenon noun.plant "
    "noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication "
    "verb.competition verb.consumption verb.contact verb.creation verb.emotion verb.motion "
    "verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl"
).split()

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")

# One synset in HELD_OUT_DIVISOR is held out.
HELD_OUT_DIVISOR = 20

Synset = namedtuple("Synset", "key label words definition")

# Adjectives carry a syntactic marker, as in "galore(ip)".
MARKER = re.compile(r"\((?:a|p|ip)\)$")
# A quoted example ends the definition; a quoted word inside of it does not follow a semicolon.
EXAMPLE = re.compile(r'(?:^|;|:|,)\s*"')


def definition_of(gloss):
    """The gloss up to its first quoted example sentence."""
    example = EXAMPLE.search(gloss)
    text = gloss[: example.start()] if example else gloss
    return " ".join(text.split()).strip(" ;:,")


def parse_line(line, part_of_speech):
    """One line of a data file, laid out as wndb(5WN) says."""
    fields, _, gloss = line.partition(" | ")
    fields = fields.split(" ")
    n_words = int(fields[3], 16)
    words = [MARKER.sub("", word).replace("_", " ") for word in fields[4 : 4 + 2 * n_words : 2]]
    return Synset(part_of_speech + fields[0], int(fields[1]), words, definition_of(gloss))


def read_synsets(directory=DEFAULT_DIR):
    """All synsets that have a definition, in the order of the data files."""
    synsets = []
    for part_of_speech in PARTS_OF_SPEECH:
        path = Path(directory) / ("data." + part_of_speech)
        with open(path, encoding="utf-8", errors="replace") as lines:
            found = (parse_line(line, part_of_speech) for line in lines if not line.startswith(" "))
            synsets += [synset for synset in found if synset.definition]
    return synsets


def is_held_out(synset):
    """The same answer everywhere: by a checksum of part of speech and offset ("noun00001740")."""
    return zlib.crc32(synset.key.encode()) % HELD_OUT_DIVISOR == 0


def split(synsets):
    """(training, held out); a definition that is held out for one synset trains no other."""
    held_out = [synset for synset in synsets if is_held_out(synset)]
    hidden = {synset.definition for synset in held_out}
    training = [synset for synset in synsets if synset.definition not in hidden]
    return training, held_out
