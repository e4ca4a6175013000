# SPDX-License-Identifier: Apache-2.0

# lacuna-bench walks the kernel registry, so it links the library's objects.
bin_PROGRAMS += lacuna-bench
lacuna_bench_SOURCES = \
	bench/args.c \
	bench/args.h \
	bench/attention.c \
	bench/attention_gates.c \
	bench/attention_gates.h \
	bench/attention_head.c \
	bench/attention_head.h \
	bench/attention_rule.c \
	bench/attention_rule.h \
	bench/bench.h \
	bench/ceiling.c \
	bench/ceiling.h \
	bench/child.c \
	bench/child.h \
	bench/compare.c \
	bench/compare.h \
	bench/context.c \
	bench/crossover.c \
	bench/crew.c \
	bench/crew.h \
	bench/decode.c \
	bench/decoder.c \
	bench/decoder.h \
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
	bench/store.h \
	bench/sweep.c \
	bench/sweep.h \
	bench/writer.c \
	bench/writer.h
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

if BUILD_NEON
noinst_LTLIBRARIES += libroof_neon.la
bench_roofs += libroof_neon.la
endif
libroof_neon_la_CFLAGS = $(AM_CFLAGS) $(NEON_CFLAGS)
libroof_neon_la_SOURCES = bench/roof/neon.c

if BUILD_NEON_DOTPROD
noinst_LTLIBRARIES += libroof_neon_dotprod.la
bench_roofs += libroof_neon_dotprod.la
endif
libroof_neon_dotprod_la_CFLAGS = $(AM_CFLAGS) $(NEON_DOTPROD_CFLAGS)
libroof_neon_dotprod_la_SOURCES = bench/roof/neon_dotprod.c

if BUILD_NEON_I8MM
noinst_LTLIBRARIES += libroof_neon_i8mm.la
bench_roofs += libroof_neon_i8mm.la
endif
libroof_neon_i8mm_la_CFLAGS = $(AM_CFLAGS) $(NEON_I8MM_CFLAGS)
libroof_neon_i8mm_la_SOURCES = bench/roof/neon_i8mm.c

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
	bench/medians.py \
	bench/peers/attention.js \
	bench/peers/attention_beside.js \
	bench/peers/bert.js \
	bench/peers/common.sh \
	bench/peers/decode_beside.js \
	bench/peers/encode_beside.js \
	bench/peers/gguf.js \
	bench/peers/llamacpp.mjs \
	bench/peers/llamacpp_attention.c \
	bench/peers/no_amx.c \
	bench/peers/onnx.js \
	bench/peers/onnxruntime.js \
	bench/peers/run-attention \
	bench/peers/run-llamacpp \
	bench/peers/run-onnxruntime \
	bench/peers/table.js

# A short look at this machine.
bench: lacuna-bench
	./lacuna-bench limits --seconds 0.1
	./lacuna-bench spmm --shape 768x768 --seconds 0.1
	./lacuna-bench encode --model bert-mini --seconds 0.1

# The figures that are kept.  Each part makes files of rows and of their medians over shapes, and
# can be made by itself; all take about twenty minutes on two cores.  limits comes first: the others
# mention what it found.
BENCH_RESULTS = $(srcdir)/bench/results
BENCH_TRANSFORMERS = --shape bert-base,bert-large,tinyllama
BENCH_SPARSITIES = --sparsity 0.5,0.7,0.75,0.8,0.85,0.9
BENCH_VNNI = --isa avx512_vnni --peers onednn
BENCH_SPMM = ./lacuna-bench spmm --cpu $(BENCH_CPU) --rounds 5
BENCH_CPU = 0
BENCH_PARTS = limits spmm-u8 spmm spmm-fp32 spmm-dtypes spmm-few spmm-steps spmm-stream threads \
	encode decode peers attention crossover

bench-record:
	for part in $(BENCH_PARTS); do \
		$(MAKE) $(AM_MAKEFLAGS) bench-record-$$part || exit 1; done

bench_medians = python3 $(srcdir)/bench/medians.py

bench-results: lacuna-bench
	@$(MKDIR_P) $(BENCH_RESULTS)

bench-record-limits: bench-results
	./lacuna-bench limits --cpu $(BENCH_CPU) --seconds 0.3 --save $(BENCH_RESULTS)/limits \
		--plot $(BENCH_RESULTS)/limits.svg

# Many tokens: a layer with its epilogue, writing the next int8 panel and writing fp32.
bench-record-spmm-u8: bench-results
	$(BENCH_SPMM) --dtype int8 $(BENCH_TRANSFORMERS) --tokens 128,384 $(BENCH_SPARSITIES) \
		--pattern 16x4,8x4,4x4,1x4 --orientation token $(BENCH_VNNI) --seconds 0.03 \
		--output u8 --save $(BENCH_RESULTS)/spmm-u8
	$(bench_medians) $(BENCH_RESULTS)/spmm-u8.json

bench-record-spmm: bench-results
	$(BENCH_SPMM) --dtype int8 $(BENCH_TRANSFORMERS) --tokens 128,384 $(BENCH_SPARSITIES) \
		--pattern 32x4,16x4,8x4,4x4,1x4 --orientation token $(BENCH_VNNI) --seconds 0.03 \
		--save $(BENCH_RESULTS)/spmm --plot $(BENCH_RESULTS)/spmm.svg
	$(bench_medians) $(BENCH_RESULTS)/spmm.json
	$(BENCH_SPMM) --dtype int8 --shape bert-base --tokens 384 --sparsity 0.8,0.9 \
		--seconds 0.05 --save $(BENCH_RESULTS)/spmm-best
	$(bench_medians) $(BENCH_RESULTS)/spmm-best.json

bench-record-spmm-fp32: bench-results
	$(BENCH_SPMM) --dtype fp32 --shape bert-base --tokens 384 --sparsity 0.7,0.8,0.9 \
		--peers onednn,libxsmm --seconds 0.05 --save $(BENCH_RESULTS)/spmm-fp32
	$(bench_medians) $(BENCH_RESULTS)/spmm-fp32.json

bench-record-spmm-dtypes: bench-results
	$(BENCH_SPMM) --dtype bf16,fp16,int4 --shape bert-base --tokens 16,384 \
		--sparsity 0.8,0.9 --pattern 16x4,8x4,4x4,1x4 --peers onednn --seconds 0.03 \
		--save $(BENCH_RESULTS)/spmm-dtypes
	$(bench_medians) $(BENCH_RESULTS)/spmm-dtypes.json

# A batch of short requests.
bench-record-spmm-few: bench-results
	$(BENCH_SPMM) --dtype int8 $(BENCH_TRANSFORMERS) --tokens 16,32 --sparsity 0.8,0.9 \
		--pattern 32x4,16x4,8x4,4x4 $(BENCH_VNNI) --seconds 0.03 \
		--save $(BENCH_RESULTS)/spmm-few
	$(bench_medians) $(BENCH_RESULTS)/spmm-few.json

# Every number of tokens up to a full tile: the column step is the growth of the time per token.
bench-record-spmm-steps: bench-results
	$(BENCH_SPMM) --dtype int8 --shape 768x768,2048x2048 --tokens 1-48+1 --sparsity 0.8 \
		--pattern 32x4,16x4,8x4,4x4 --isa avx512_vnni --peers none --seconds 0.05 \
		--save $(BENCH_RESULTS)/spmm-steps
	$(bench_medians) $(BENCH_RESULTS)/spmm-steps.json

# One token, weights from memory.
bench-record-spmm-stream: bench-results
	$(BENCH_SPMM) --dtype int8 --shape llama-7b --tokens 1 --sparsity 0.8,0.9 --cold \
		--pattern 32x4,16x4,8x4,4x4,bitmap,2:4 $(BENCH_VNNI) --seconds 0.1 \
		--save $(BENCH_RESULTS)/spmm-stream
	$(bench_medians) $(BENCH_RESULTS)/spmm-stream.json
	$(BENCH_SPMM) --dtype int8,int4,bf16,fp16 --shape 4096x4096 --tokens 1 --sparsity 0.8,0.9 --cold \
		--pattern 32x4,16x4,8x4,4x4,bitmap $(BENCH_VNNI) --seconds 0.1 \
		--save $(BENCH_RESULTS)/spmm-stream-dtypes
	$(bench_medians) $(BENCH_RESULTS)/spmm-stream-dtypes.json

# Two cores beside one.
bench-record-threads: bench-results
	$(BENCH_SPMM) --dtype int8 --shape bert-base,tinyllama --tokens 1,32,384 \
		--sparsity 0.8,0.9 --pattern 32x4,16x4,8x4,4x4 --threads 1,2 $(BENCH_VNNI) \
		--seconds 0.03 --save $(BENCH_RESULTS)/spmm-threads
	$(bench_medians) $(BENCH_RESULTS)/spmm-threads.json

# Whole models.
bench-record-encode: bench-results
	./lacuna-bench encode --dtype int8,fp32 --isa best,avx512_vnni --cpu $(BENCH_CPU) \
		--seconds 1 --save $(BENCH_RESULTS)/encode
	./lacuna-bench encode --length 128 --sequences 16 --isa avx512_vnni --cpu $(BENCH_CPU) \
		--seconds 1 --save $(BENCH_RESULTS)/encode-128
	./lacuna-bench encode --length 128 --sequences 1 --isa best,avx512_vnni \
		--cpu $(BENCH_CPU) --seconds 1 --save $(BENCH_RESULTS)/encode-one

# Whole decoders.  The dense model of 7 billion weights is measured with few others beside it.
BENCH_DECODE = ./lacuna-bench decode --isa avx512_vnni --threads 1,2 --seconds 0.5 \
	--cpu $(BENCH_CPU)
bench-record-decode: bench-results
	$(BENCH_DECODE) --model tinyllama,opt-1.3b --pattern 16x4,8x4,bitmap --head dense,pruned \
		--sequences 1,8 --save $(BENCH_RESULTS)/decode
	$(BENCH_DECODE) --model tinyllama --pattern 16x4 --sequences 1,2,4,8,16 \
		--context 128,1024 --save $(BENCH_RESULTS)/decode-batch
	$(BENCH_DECODE) --model tinyllama --pattern 16x4,8x4,4x4 --sequences 0 --prompt 512 \
		--save $(BENCH_RESULTS)/decode-prompt
	$(BENCH_DECODE) --model llama-7b --pattern 16x4,bitmap --sequences 1,8 \
		--save $(BENCH_RESULTS)/decode-7b

# Other engines beside us, where they can be had: ONNX Runtime's encoders, llama.cpp's decoders, and
# the attention of both.  Packages are kept in BENCH_PEERS.
BENCH_PEERS = peers
bench_beside = --beside ./lacuna-bench --cpus $(BENCH_CPU) --rounds 3
bench_keep = keep() { case $$? in \
	0) mv $@.md $(BENCH_RESULTS)/$$1.md ;; \
	77) rm -f $@.md ;; \
	*) exit 1 ;; \
	esac; }; keep

bench-record-peers: bench-record-encode-peers bench-record-decode-peers \
	bench-record-attention-peers

bench-record-encode-peers: bench-results
	$(srcdir)/bench/peers/run-onnxruntime $(bench_beside) --amx no \
		--build $(BENCH_PEERS)/onnxruntime >$@.md; $(bench_keep) encode-peers

bench-record-decode-peers: bench-results
	$(srcdir)/bench/peers/run-llamacpp $(bench_beside) --build $(BENCH_PEERS)/llamacpp >$@.md; \
		$(bench_keep) decode-peers

bench-record-attention-peers: bench-results
	$(srcdir)/bench/peers/run-attention $(bench_beside) --build $(BENCH_PEERS) >$@.md; \
		$(bench_keep) attention-peers

bench-record-attention: bench-results
	./lacuna-bench attention --length 64,128,256,512 --head-dim 32,64,128 --seconds 0.1 \
		--isa best,avx512_vnni --cpu $(BENCH_CPU) --save $(BENCH_RESULTS)/attention
	./lacuna-bench attention --length 4096,16384,65536 --head-dim 64,128 --mode full,causal \
		--rule blocks --seconds 0.5 --isa avx512_vnni --cpu $(BENCH_CPU) \
		--save $(BENCH_RESULTS)/attention-blocks --plot $(BENCH_RESULTS)/attention-blocks.svg
	./lacuna-bench attention --length 4096,32768,131072 --mode causal --seconds 0.5 \
		--rule window,sinks,bigbird,strided,neighbours --isa avx512_vnni --cpu $(BENCH_CPU) \
		--save $(BENCH_RESULTS)/attention-rules
	./lacuna-bench attention --length 32768 --head-dim 64,128 --mode causal --zeros 0.9 \
		--rule vertical_slash,pooled,estimate,gate --seconds 0.5 --isa avx512_vnni \
		--cpu $(BENCH_CPU) --save $(BENCH_RESULTS)/attention-choices
	./lacuna-bench attention --length 32768 --head-dim 64,128 --mode decode --seconds 0.5 \
		--rule window,quest,channels --isa avx512_vnni --cpu $(BENCH_CPU) \
		--save $(BENCH_RESULTS)/attention-decode

# The planner's cache is left alone: these are figures.
bench-record-crossover: bench-results
	./lacuna-bench crossover --no-cache --seconds 0.2 --cpu $(BENCH_CPU) \
		--save $(BENCH_RESULTS)/crossover --plot $(BENCH_RESULTS)/crossover.svg
	$(bench_medians) $(BENCH_RESULTS)/crossover.json
.PHONY: bench bench-results bench-record bench-record-limits bench-record-spmm-u8 \
	bench-record-spmm bench-record-spmm-fp32 bench-record-spmm-dtypes bench-record-spmm-few \
	bench-record-spmm-steps bench-record-spmm-stream bench-record-threads bench-record-encode \
	bench-record-decode bench-record-peers bench-record-encode-peers \
	bench-record-decode-peers bench-record-attention-peers bench-record-attention bench-record-crossover
