# SPDX-License-Identifier: Apache-2.0
"""The words of the haystacks, and a tokenizer of one token for each."""

SPECIAL = "<unk>", "<s>", "</s>"
UNK, BOS, EOS = range(3)
NAMES = """
    Abel Ada Agnes Alan Alba Alice Alma Amos Andrea Anna Anton Arne Astrid Axel Bella Benno Berta
    Bianca Boris Bruno Carla Carmen Cecil Celia Clara Claus Conrad Cora Cyril Dana Daniel Daphne
    David Dora Doris Edgar Edith Edwin Elena Elias Ella Elmar Elsa Emil Emma Erik Erna Ernst Esther
    Ethel Eva Fabian Felix Fiona Flora Frank Frida Fritz Gerda Gisela Greta Gustav Hanna Hans Harald
    Harry Hector Heidi Helena Henry Hilda Hugo Ida Igor Ilse Ingrid Irene Iris Isaac Ivan Jacob Jane
    Jasper Joan Johanna Jonas Josef Julia Julius Karin Karl Kasper Kilian Klara Konrad Lars Laura
    Leon Leona Linda Linus Lisa Lorenz Louis Lucia Ludwig Luise Magda Marco Maria Martin Mathilde
    Max Mia Mira Moritz Nadia Nils Nina Nora Norbert Olga Oliver Oscar Otto Paula Peter Petra Philip
    Rita""".split()
ADJECTIVES = """
    bright broad broken calm clean cold dark deep dry empty fast flat fresh gentle green heavy high
    huge large late light little long loud low mild narrow new noisy old pale plain quick quiet
    rough round sharp short silent slow small smooth soft steep strong tall warm wide""".split()
NOUNS = """
    barn bell boat bridge castle cellar church cloud coach corner field fire forest garden gate
    harbour hill horse house island kitchen ladder lake lamp market meadow mill mountain path pond
    river road rock roof school ship shop shore stable station stone street table tower train tree
    valley village wagon wall wind window""".split()
VERBS = """
    appears begins belongs drifts falls gleams grows leads leans lies moves passes points reaches
    rests rises runs shines sits sleeps stands stays stops turns vanishes waits wanders""".split()
PREPOSITIONS = "above across against along behind below beside beyond near over past under".split()
ARTICLES = "a", "the"
STOP, INSIDE = ".", "##"
# A name that is asked for, or whose number follows, is one token with its colon.
KEYS = [name + ":" for name in NAMES]
NUMBERS = [f"{number:02}" for number in range(100)]
VOCABULARY = [*SPECIAL, STOP, *ARTICLES, *KEYS, *NUMBERS, *ADJECTIVES, *NOUNS, *VERBS,
              *PREPOSITIONS]
IDS = {word: index for index, word in enumerate(VOCABULARY)}
IDLE = [IDS[word] for word in VOCABULARY if word not in KEYS and word not in NUMBERS]
assert len(IDS) == len(VOCABULARY), "a word stands twice"


def ids_of(words):
    return [IDS[word] for word in words]


def added_token(index):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {"id": index, "content": SPECIAL[index], **flags}


def post_processor():
    begin = {"SpecialToken": {"id": SPECIAL[BOS], "type_id": 0}}

    def sequence(name):
        return {"Sequence": {"id": name, "type_id": 0}}

    return {
        "type": "TemplateProcessing",
        "single": [begin, sequence("A")],
        "pair": [begin, sequence("A"), sequence("B")],
        "special_tokens": {SPECIAL[BOS]: {"id": SPECIAL[BOS], "ids": [BOS],
                                          "tokens": [SPECIAL[BOS]]}},
    }


def tokenizer_json():
    """The layout of Hugging Face tokenizers, version 1.0: words between spaces, whole or not at
    all, for no piece begins like the inside of a word."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(index) for index in range(len(SPECIAL))],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": post_processor(),
        "decoder": {"type": "WordPiece", "prefix": INSIDE, "cleanup": False},
        "model": {
            "type": "WordPiece",
            "unk_token": SPECIAL[UNK],
            "continuing_subword_prefix": INSIDE,
            "max_input_chars_per_word": 32,
            "vocab": IDS,
        },
    }
