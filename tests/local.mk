# SPDX-License-Identifier: Apache-2.0

# A test program: TESTS is what `make check` runs, each prints Check's closing
# line.  They link the library's objects with every symbol in reach.
test_libraries = tests/libtest.la liblacuna_internal.la $(CHECK_LIBS)
test_cppflags = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -DLACUNA_SOURCE_DIR='"$(abs_top_srcdir)"'
check_LTLIBRARIES += tests/libtest.la
# The programs look for a measured plan there: not the user's, whatever that says.
AM_TESTS_ENVIRONMENT = XDG_CACHE_HOME=$(abs_top_builddir)/tests/cache; export XDG_CACHE_HOME;
tests_libtest_la_SOURCES = tests/support.c tests/support.h tests/tiny.c tests/tiny.h \
    tests/tiny_forward.c tests/tiny_names.c tests/tiny_names.h
tests_libtest_la_CPPFLAGS = $(test_cppflags)

check_PROGRAMS += tests/check_base
TESTS += tests/check_base
tests_check_base_SOURCES = tests/check_base.c
tests_check_base_CPPFLAGS = $(test_cppflags)
tests_check_base_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_linear
TESTS += tests/check_linear
tests_check_linear_SOURCES = tests/check_linear.c tests/linear_layouts.c \
	tests/linear_outliers.c tests/linear_product.c tests/linear_rounding.c tests/linear_suite.h
tests_check_linear_CPPFLAGS = $(test_cppflags)
tests_check_linear_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_plan
TESTS += tests/check_plan
tests_check_plan_SOURCES = tests/check_plan.c
tests_check_plan_CPPFLAGS = $(test_cppflags)
tests_check_plan_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_sys
TESTS += tests/check_sys
tests_check_sys_SOURCES = tests/check_sys.c
tests_check_sys_CPPFLAGS = $(test_cppflags)
tests_check_sys_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_model
TESTS += tests/check_model
tests_check_model_SOURCES = tests/check_model.c tests/model_suite.h \
	tests/model_bitmask.c tests/model_checkpoint.c tests/model_config.c \
	tests/model_decoders.c tests/model_gguf.c tests/model_gguf_made.c \
	tests/model_packed.c tests/model_sentence.c tests/model_specs.c \
	tests/model_specs.h tests/model_tensors.c tests/model_writer.c
tests_check_model_CPPFLAGS = $(test_cppflags)
tests_check_model_LDADD = $(test_libraries) $(JANSSON_LIBS)
EXTRA_DIST += tests/data/model/make_files.py tests/data/model/bitmask.safetensors \
	tests/data/model/every_dtype.expected tests/data/model/every_dtype.safetensors \
	tests/data/model/config_bert.json tests/data/model/config_distilbert.json \
	tests/data/model/make_decoders.py \
	tests/data/model/decoders/gpt2.gguf tests/data/model/decoders/gpt2/config.json \
	tests/data/model/decoders/gpt2/model.safetensors \
	tests/data/model/decoders/llama.gguf tests/data/model/decoders/llama/config.json \
	tests/data/model/decoders/llama/model.safetensors \
	tests/data/model/decoders/qwen2.gguf tests/data/model/decoders/qwen2/config.json \
	tests/data/model/decoders/qwen2/model.safetensors \
	tests/data/model/plans/rules.json tests/data/model/plans/tuned.json \
	tests/fuzz/fuzz_gguf.c tests/fuzz/gguf.dict \
	tests/fuzz/run tests/fuzz/fuzz_config.c tests/fuzz/config.dict \
	tests/fuzz/fuzz_plan.c tests/fuzz/plan.dict \
	tests/fuzz/fuzz_safetensors.c tests/fuzz/safetensors.dict

# `make fuzz`: every fuzz target for FUZZ_SECONDS, with clang; no part of `make check`.
FUZZ_SECONDS = 60
.PHONY: fuzz
fuzz:
	$(srcdir)/tests/fuzz/run $(FUZZ_SECONDS)

# The vector functions of each instruction set, on arrays.
check_LTLIBRARIES += tests/libprobe_scalar.la
tests_libprobe_scalar_la_SOURCES = tests/math_probe.c tests/math_probe.h
tests_libprobe_scalar_la_CPPFLAGS = $(test_cppflags) \
	-DPROBE_NAME=math_probe_scalar -DPROBE_MATH='"simd/scalar/math.h"'
probe_libraries = tests/libprobe_scalar.la
if BUILD_AVX2
check_LTLIBRARIES += tests/libprobe_avx2.la
probe_libraries += tests/libprobe_avx2.la
endif
tests_libprobe_avx2_la_SOURCES = tests/math_probe.c tests/math_probe.h
tests_libprobe_avx2_la_CFLAGS = $(AM_CFLAGS) $(AVX2_CFLAGS)
tests_libprobe_avx2_la_CPPFLAGS = $(test_cppflags) \
	-DPROBE_NAME=math_probe_avx2 -DPROBE_MATH='"simd/x86/avx2/math.h"'
if BUILD_AVX512
check_LTLIBRARIES += tests/libprobe_avx512.la
probe_libraries += tests/libprobe_avx512.la
endif
tests_libprobe_avx512_la_SOURCES = tests/math_probe.c tests/math_probe.h
tests_libprobe_avx512_la_CFLAGS = $(AM_CFLAGS) $(AVX512_CFLAGS)
tests_libprobe_avx512_la_CPPFLAGS = $(test_cppflags) \
	-DPROBE_NAME=math_probe_avx512 -DPROBE_MATH='"simd/x86/avx512/math.h"'
if BUILD_NEON
check_LTLIBRARIES += tests/libprobe_neon.la
probe_libraries += tests/libprobe_neon.la
endif
tests_libprobe_neon_la_SOURCES = tests/math_probe.c tests/math_probe.h
tests_libprobe_neon_la_CFLAGS = $(AM_CFLAGS) $(NEON_CFLAGS)
tests_libprobe_neon_la_CPPFLAGS = $(test_cppflags) \
	-DPROBE_NAME=math_probe_neon -DPROBE_MATH='"simd/arm/neon/math.h"'

check_PROGRAMS += tests/check_math
TESTS += tests/check_math
tests_check_math_SOURCES = tests/check_math.c
tests_check_math_CPPFLAGS = $(test_cppflags)
tests_check_math_LDADD = $(probe_libraries) $(test_libraries)

check_PROGRAMS += tests/check_ops
TESTS += tests/check_ops
tests_check_ops_SOURCES = tests/check_ops.c tests/ops_panels.c tests/ops_suite.h
tests_check_ops_CPPFLAGS = $(test_cppflags)
tests_check_ops_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_pick
TESTS += tests/check_pick
tests_check_pick_SOURCES = tests/check_pick.c tests/pick_gates.c tests/pick_head.c \
	tests/pick_methods.c tests/pick_network.c tests/pick_suite.h tests/pick_trial.c tests/run_support.c \
	tests/run_suite.h
tests_check_pick_CPPFLAGS = $(test_cppflags)
tests_check_pick_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_sight
TESTS += tests/check_sight
tests_check_sight_SOURCES = tests/check_sight.c
tests_check_sight_CPPFLAGS = $(test_cppflags)
tests_check_sight_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_neurons
TESTS += tests/check_neurons
tests_check_neurons_SOURCES = tests/check_neurons.c
tests_check_neurons_CPPFLAGS = $(test_cppflags)
tests_check_neurons_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_attention
TESTS += tests/check_attention
tests_check_attention_SOURCES = tests/check_attention.c tests/attention_compact.c \
	tests/attention_labels.c tests/attention_pages.c tests/attention_truth.c tests/attention_suite.h
tests_check_attention_CPPFLAGS = $(test_cppflags)
tests_check_attention_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_cpu
TESTS += tests/check_cpu
tests_check_cpu_SOURCES = tests/check_cpu.c
tests_check_cpu_CPPFLAGS = $(test_cppflags)
tests_check_cpu_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_bench
TESTS += tests/check_bench
tests_check_bench_SOURCES = tests/check_bench.c tests/bench_output.c tests/bench_suite.h
tests_check_bench_CPPFLAGS = $(test_cppflags) -DLACUNA_BENCH='"$(abs_top_builddir)/lacuna-bench$(EXEEXT)"'
tests_check_bench_LDADD = $(test_libraries)

TESTS += tests/check_rooms.sh tests/check_options.sh
dist_check_SCRIPTS = tests/check_rooms.sh tests/check_options.sh

# The tests again with the instruction set capped, and under the sanitizers in
# build folders of their own.
ISAS = scalar avx2 avx_vnni avx512 avx512_vnni amx_int8
check-isa: check
	for isa in $(ISAS); do \
		echo "=== $$isa"; LACUNA_ISA=$$isa $(MAKE) $(AM_MAKEFLAGS) check || exit 1; done

sanitized = --quiet --enable-werror CFLAGS="-O1 -g"
check-asan:
	mkdir -p $@ && cd $@ && \
	$(abs_top_srcdir)/configure $(sanitized) --enable-sanitizers=address,undefined && \
	$(MAKE) $(AM_MAKEFLAGS) check
check-tsan:
	mkdir -p $@ && cd $@ && \
	$(abs_top_srcdir)/configure $(sanitized) --enable-sanitizers=thread && \
	$(MAKE) $(AM_MAKEFLAGS) check
# For aarch64 in a build folder of its own, the tests under QEMU.
check-aarch64:
	+$(MKDIR_P) $@ && cd $@ && MAKE="$(MAKE)" $(abs_top_srcdir)/tests/aarch64/check $(abs_top_srcdir)
.PHONY: check-isa check-asan check-tsan check-aarch64
EXTRA_DIST += tests/aarch64/check tests/aarch64/inner-loops tests/aarch64/sysroot

check_PROGRAMS += tests/check_text
TESTS += tests/check_text
tests_check_text_SOURCES = tests/check_text.c tests/text_families.c tests/text_files.c \
	tests/text_parts.c tests/text_support.c tests/text_support.h
tests_check_text_CPPFLAGS = $(test_cppflags)
tests_check_text_LDADD = $(test_libraries)
EXTRA_DIST += \
	tests/data/text/added.json \
	tests/data/text/cased.json \
	tests/data/text/expected.tsv \
	tests/data/text/families.js \
	tests/data/text/families.tsv \
	tests/data/text/families/bytes.json \
	tests/data/text/families/charsmap.json \
	tests/data/text/families/gemma.json \
	tests/data/text/families/gpt2.json \
	tests/data/text/families/llama2.json \
	tests/data/text/families/llama3.json \
	tests/data/text/families/mistral.json \
	tests/data/text/families/one.json \
	tests/data/text/families/qwen2.json \
	tests/data/text/families/t5.json \
	tests/data/text/prefix.json \
	tests/data/text/reference_tokenizers.py \
	tests/data/text/roberta.json \
	tests/data/text/roberta/merges.txt \
	tests/data/text/roberta/vocab.json \
	tests/data/text/uncased.json \
	tests/data/text/uncased/vocab.txt \
	tests/data/text/words.json \
	tests/fuzz/fuzz_tokenizer.c tests/fuzz/tokenizer.dict

check_PROGRAMS += tests/check_run
TESTS += tests/check_run
tests_check_run_SOURCES = tests/check_run.c tests/run_choice.c tests/run_core.c \
	tests/run_divisions.c tests/run_gguf.c tests/run_packed.c tests/run_sights.c \
	tests/run_suite.h tests/run_support.c
tests_check_run_CPPFLAGS = $(test_cppflags)
tests_check_run_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_api
TESTS += tests/check_api
tests_check_api_SOURCES = tests/check_api.c tests/api_attention.c tests/api_limits.c \
	tests/api_results.c tests/api_suite.h tests/api_tune.c
tests_check_api_CPPFLAGS = $(test_cppflags)
tests_check_api_LDADD = $(test_libraries)

check_PROGRAMS += tests/check_cli
TESTS += tests/check_cli
tests_check_cli_SOURCES = \
	tests/check_cli.c \
	tests/cli_files.c \
	tests/cli_generate.c \
	tests/cli_results.c \
	tests/cli_score.c \
	tests/cli_tune.c \
	tests/program.c \
	tests/program.h
tests_check_cli_CPPFLAGS = $(test_cppflags) -DLACUNA_BUILD_DIR='"$(abs_top_builddir)"'
tests_check_cli_LDADD = $(test_libraries)

# Whole models against an independent implementation's numbers, through the
# shared library as an application sees it.
check_PROGRAMS += tests/check_generate
TESTS += tests/check_generate
tests_check_generate_SOURCES = tests/check_generate.c tests/generate_activations.c \
	tests/generate_copies.c tests/generate_kv.c tests/generate_long.c tests/generate_memory.c \
	tests/generate_naive.c tests/generate_naive.h tests/generate_policies.h \
	tests/generate_sample.c tests/generate_suite.h \
	tests/generate_support.c tests/generate_texts.c
tests_check_generate_CPPFLAGS = $(test_cppflags)
tests_check_generate_LDADD = $(test_libraries)

# Generation for a long time under the address sanitizer.
SOAK = 10000
check-soak:
	mkdir -p $@ && cd $@ && \
	$(abs_top_srcdir)/configure $(sanitized) --enable-sanitizers=address,undefined && \
	$(MAKE) $(AM_MAKEFLAGS) tests/check_generate && \
	LACUNA_SOAK=$(SOAK) CK_RUN_CASE=soak tests/check_generate
.PHONY: check-soak

check_PROGRAMS += tests/check_decoder
TESTS += tests/check_decoder
tests_check_decoder_SOURCES = tests/check_decoder.c tests/reference_case.c tests/reference_case.h
tests_check_decoder_CPPFLAGS = $(test_cppflags)
tests_check_decoder_LDADD = $(test_libraries) $(JANSSON_LIBS) -lm
EXTRA_DIST += \
	tests/data/decoder/decoders.py \
	tests/data/decoder/texts.py \
	tests/data/decoder/gpt2-inverse.json \
	tests/data/decoder/gpt2.json \
	tests/data/decoder/llama-biases.json \
	tests/data/decoder/llama-cats.json \
	tests/data/decoder/llama-cats-few.json \
	tests/data/decoder/llama-dynamic.json \
	tests/data/decoder/llama-linear.json \
	tests/data/decoder/llama-llama3.json \
	tests/data/decoder/llama-pruned.json \
	tests/data/decoder/llama-yarn.json \
	tests/data/decoder/llama.json \
	tests/data/decoder/mistral-wide.json \
	tests/data/decoder/mistral.json \
	tests/data/decoder/opt-projected.json \
	tests/data/decoder/opt.json \
	tests/data/decoder/qwen2-window.json \
	tests/data/decoder/qwen2.json

check_PROGRAMS += tests/check_reference
TESTS += tests/check_reference
tests_check_reference_SOURCES = tests/check_reference.c tests/reference_case.c \
	tests/reference_case.h
tests_check_reference_CPPFLAGS = $(test_cppflags)
tests_check_reference_LDADD = tests/libtest.la liblacuna.la $(CHECK_LIBS) $(JANSSON_LIBS) -lm
EXTRA_DIST += \
	tests/data/reference/encoders.py \
	tests/data/reference/generated.py \
	tests/data/reference/reference.py \
	tests/data/reference/bert-answer-pruned.json \
	tests/data/reference/bert-base.json \
	tests/data/reference/bert-base-pruned.json \
	tests/data/reference/bert-empty-rows.json \
	tests/data/reference/bert-one-head.json \
	tests/data/reference/bert-regression.json \
	tests/data/reference/bert-relu-tag.json \
	tests/data/reference/bert-tanh-fill.json \
	tests/data/reference/bigbird-embed.json \
	tests/data/reference/bigbird-fill.json \
	tests/data/reference/bigbird-full.json \
	tests/data/reference/bigbird-long.json \
	tests/data/reference/bigbird-tag.json \
	tests/data/reference/distilbert.json \
	tests/data/reference/distilbert-fill.json \
	tests/data/reference/distilbert-pruned.json \
	tests/data/reference/distilbert-tag.json \
	tests/data/reference/minilm.json \
	tests/data/reference/minilm-pruned.json \
	tests/data/reference/roberta-answer.json \
	tests/data/reference/roberta-base.json \
	tests/data/reference/roberta-base-pruned.json \
	tests/data/reference/roberta-fill.json \
	tests/data/reference/bert-blocks.json \
	tests/data/reference/longformer-answer.json \
	tests/data/reference/longformer-classify.json \
	tests/data/reference/longformer-long.json \
	tests/data/reference/longformer-tag.json \
	tests/data/reference/roberta-near.json \
	tests/data/reference/roberta-tag.json

# The shipped models on what was held out of their training.
check_PROGRAMS += tests/check_trained
TESTS += tests/check_trained
tests_check_trained_SOURCES = tests/check_trained.c tests/trained_decoder.c \
	tests/trained_needle.c tests/trained_suite.h
tests_check_trained_CPPFLAGS = $(test_cppflags)
tests_check_trained_LDADD = tests/libtest.la liblacuna.la $(CHECK_LIBS) $(JANSSON_LIBS) -lm
EXTRA_DIST += tests/data/reference/trained.json tests/data/reference/trained.py \
    tests/data/decoder/wordnet_greedy.json tests/data/decoder/wordnet_greedy.py
