# SPDX-License-Identifier: Apache-2.0

# Built and run by `make check` (tests/check_cli.c runs them).
check_PROGRAMS += examples/classify examples/generate examples/reverse-dictionary
examples_classify_SOURCES = examples/classify.c
examples_classify_LDADD = liblacuna.la
examples_generate_SOURCES = examples/generate.c
examples_generate_LDADD = liblacuna.la
examples_reverse_dictionary_SOURCES = examples/reverse-dictionary.c
examples_reverse_dictionary_LDADD = liblacuna.la
