# SPDX-License-Identifier: Apache-2.0
# Products of other libraries as kernels of ours.
if BUILD_ONEDNN
libcore_la_SOURCES += src/ext/onednn.c
endif
# libxsmm is a static library: its symbols stay inside.
if BUILD_LIBXSMM
libcore_la_SOURCES += src/ext/libxsmm.c
core_libraries += $(LIBXSMM_LIBS)
own_symbols += -Wl,--exclude-libs,libxsmm.a:libxsmmnoblas.a
endif
