# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	src/sys/clock.c \
	src/sys/clock.h \
	src/sys/event.c \
	src/sys/event.h \
	src/sys/pool.c \
	src/sys/pool.h \
	src/sys/quota.c \
	src/sys/quota.h \
	src/sys/topology.c \
	src/sys/topology.h
