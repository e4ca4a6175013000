# SPDX-License-Identifier: Apache-2.0
# Products of other libraries as kernels of ours.
if BUILD_ONEDNN
libcore_la_SOURCES += src/ext/onednn.c
endif
