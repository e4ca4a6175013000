# SPDX-License-Identifier: Apache-2.0

# lacuna-bench walks the kernel registry, so it links the library's objects.
bin_PROGRAMS += lacuna-bench
lacuna_bench_SOURCES = \
	bench/args.c \
	bench/args.h \
	bench/attention.c \
	bench/bench.h \
	bench/ceiling.c \
	bench/ceiling.h \
	bench/child.c \
	bench/child.h \
	bench/compare.c \
	bench/compare.h \
	bench/context.c \
	bench/crew.c \
	bench/crew.h \
	bench/decode.c \
	bench/encode.c \
	bench/encoder.c \
	bench/encoder.h \
	bench/harness.c \
	bench/harness.h \
	bench/known.c \
	bench/known.h \
	bench/layer.c \
	bench/layer.h \
	bench/libxsmm.c \
	bench/libxsmm.h \
	bench/limits.c \
	bench/main.c \
	bench/names.c \
	bench/names.h \
	bench/onednn.c \
	bench/onednn.h \
	bench/page.c \
	bench/peers.c \
	bench/peers.h \
	bench/picture.c \
	bench/picture.h \
	bench/product.c \
	bench/product.h \
	bench/prune.c \
	bench/prune.h \
	bench/report.c \
	bench/report.h \
	bench/roof.c \
	bench/roof.h \
	bench/roof/roofs.h \
	bench/scratch.c \
	bench/scratch.h \
	bench/shapes.c \
	bench/shapes.h \
	bench/spmm.c \
	bench/store.c \
	bench/store.h
nodist_lacuna_bench_SOURCES = bench/commit.h
lacuna_bench_CPPFLAGS = $(AM_CPPFLAGS) -DLACUNA_BENCH_FLAGS='"$(CFLAGS)"'
lacuna_bench_LDADD = $(bench_roofs) liblacuna_internal.la
if HAVE_ONEDNN
lacuna_bench_CPPFLAGS += -DLACUNA_BENCH_ONEDNN
lacuna_bench_LDADD += $(ONEDNN_LIBS)
endif
if HAVE_LIBXSMM
lacuna_bench_CPPFLAGS += -DLACUNA_BENCH_LIBXSMM $(LIBXSMM_CFLAGS)
lacuna_bench_LDADD += $(LIBXSMM_LIBS)
endif

# The roofs, one convenience library per instruction set.
bench_roofs =
if BUILD_AVX2
noinst_LTLIBRARIES += libroof_avx2.la
bench_roofs += libroof_avx2.la
endif
libroof_avx2_la_CFLAGS = $(AM_CFLAGS) $(AVX2_CFLAGS)
libroof_avx2_la_SOURCES = bench/roof/avx2.c

if BUILD_AVX512
noinst_LTLIBRARIES += libroof_avx512.la
bench_roofs += libroof_avx512.la
endif
libroof_avx512_la_CFLAGS = $(AM_CFLAGS) $(AVX512_CFLAGS)
libroof_avx512_la_SOURCES = bench/roof/avx512.c

if BUILD_AVX512_VNNI
noinst_LTLIBRARIES += libroof_avx512_vnni.la
bench_roofs += libroof_avx512_vnni.la
endif
libroof_avx512_vnni_la_CFLAGS = $(AM_CFLAGS) $(AVX512_VNNI_CFLAGS)
libroof_avx512_vnni_la_SOURCES = bench/roof/avx512_vnni.c

if BUILD_AVX512_HALF
noinst_LTLIBRARIES += libroof_avx512_half.la
bench_roofs += libroof_avx512_half.la
endif
libroof_avx512_half_la_CFLAGS = $(AM_CFLAGS) $(AVX512_HALF_CFLAGS)
libroof_avx512_half_la_SOURCES = bench/roof/avx512_half.c

if BUILD_AMX_INT8
noinst_LTLIBRARIES += libroof_amx.la
bench_roofs += libroof_amx.la
endif
libroof_amx_la_CFLAGS = $(AM_CFLAGS) $(AMX_INT8_CFLAGS)
libroof_amx_la_SOURCES = bench/roof/amx.c

# The commit the program is built from: written anew only when it changed.
BUILT_SOURCES += bench/commit.h
CLEANFILES += bench/commit.h
bench/lacuna_bench-context.$(OBJEXT): bench/commit.h
bench/commit.h: bench-commit
.PHONY: bench-commit
bench-commit:
	@$(MKDIR_P) bench
	@commit=`git -C $(srcdir) describe --always --dirty --abbrev=12 2>/dev/null || echo unknown`; \
	line="#define LACUNA_BENCH_COMMIT \"$$commit\""; \
	test "`cat bench/commit.h 2>/dev/null`" = "$$line" || echo "$$line" >bench/commit.h

# Other engines at the same work; run by hand, installed elsewhere.
EXTRA_DIST += \
	bench/peers/bert.js \
	bench/peers/no_amx.c \
	bench/peers/onnx.js \
	bench/peers/onnxruntime.js \
	bench/peers/run-onnxruntime

# A short look at this machine; and the figures that are kept.
bench: lacuna-bench
	./lacuna-bench limits --seconds 0.1
	./lacuna-bench spmm --shape 768x768 --seconds 0.1
	./lacuna-bench encode --model bert-mini --seconds 0.1

BENCH_RESULTS = $(srcdir)/bench/results
bench-record: lacuna-bench
	$(MKDIR_P) $(BENCH_RESULTS)
	./lacuna-bench limits --save $(BENCH_RESULTS)/limits
	./lacuna-bench spmm --isa best,avx512_vnni --save $(BENCH_RESULTS)/spmm
	./lacuna-bench encode --dtype int8,fp32 --save $(BENCH_RESULTS)/encode
.PHONY: bench bench-record
