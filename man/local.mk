# SPDX-License-Identifier: Apache-2.0
dist_man_MANS += man/lacuna-bench.1
dist_man_MANS += man/lacuna.1

bashcompletiondir = $(datarootdir)/bash-completion/completions
dist_bashcompletion_DATA = \
	share/bash-completion/completions/lacuna \
	share/bash-completion/completions/lacuna-bench
