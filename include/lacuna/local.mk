# SPDX-License-Identifier: Apache-2.0
lacunadir = $(includedir)/lacuna
lacuna_HEADERS = \
	include/lacuna/engine.h \
	include/lacuna/generate.h \
	include/lacuna/lacuna.h \
	include/lacuna/model.h \
	include/lacuna/session.h \
	include/lacuna/status.h \
	include/lacuna/tokenizer.h
