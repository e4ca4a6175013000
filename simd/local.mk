# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	simd/attention.h \
	simd/compact.h \
	simd/cpu.c \
	simd/cpu.h \
	simd/cpu_name.c \
	simd/cpu_name.h \
	simd/kernel.h \
	simd/neurons.h \
	simd/ops.h \
	simd/outside.h \
	simd/registry.c \
	simd/tables.h \
	simd/template/activate.h \
	simd/template/attention.h \
	simd/template/attention_row.h \
	simd/template/attention_row_s8.h \
	simd/template/attention_s8.h \
	simd/template/bitmap.h \
	simd/template/expand.h \
	simd/template/expand_s8.h \
	simd/template/int_sums.h \
	simd/template/kernels.h \
	simd/template/kv_pages.h \
	simd/template/kv_pages_s8.h \
	simd/template/linear_finish.h \
	simd/template/linear_output.h \
	simd/template/linear_output_f32.h \
	simd/template/linear_output_finish.h \
	simd/template/linear_output_s8.h \
	simd/template/linear_output_tiles.h \
	simd/template/linear_output_wide.h \
	simd/template/linear_token.h \
	simd/template/linear_token_bitmap.h \
	simd/template/linear_token_f32.h \
	simd/template/linear_token_rest.h \
	simd/template/linear_token_s8.h \
	simd/template/linear_token_wide.h \
	simd/template/loose.h \
	simd/template/math.h \
	simd/template/neurons.h \
	simd/template/neurons_f32.h \
	simd/template/neurons_s8.h \
	simd/template/norm.h \
	simd/template/page_parts.h \
	simd/template/page_scores.h \
	simd/template/panel.h \
	simd/template/quantize.h \
	simd/template/queries.h \
	simd/template/rope.h \
	simd/template/row.h \
	simd/template/row_block.h \
	simd/template/scale_s8.h \
	simd/template/lane_ranges.h \
	simd/template/score_lines.h \
	simd/template/scores.h \
	simd/template/sight.h \
	simd/template/softmax.h \
	simd/scalar/attention.c \
	simd/scalar/attention_s8.c \
	simd/scalar/expand.h \
	simd/scalar/keys.h \
	simd/scalar/ranges.h \
	simd/scalar/linear.c \
	simd/scalar/linear.h \
	simd/scalar/math.h \
	simd/scalar/ops.c \
	simd/scalar/table.c \
	simd/scalar/vector.h

# One convenience library per instruction set.
if BUILD_AVX2
noinst_LTLIBRARIES += libsimd_avx2.la
isa_libraries += libsimd_avx2.la
endif
libsimd_avx2_la_CFLAGS = $(AM_CFLAGS) $(AVX2_CFLAGS)
libsimd_avx2_la_SOURCES = \
	simd/x86/avx2/attention.c \
	simd/x86/avx2/attention_s8.c \
	simd/x86/avx2/dot_s8.h \
	simd/x86/avx2/interleave.h \
	simd/x86/avx2/lanes.h \
	simd/x86/avx2/linear_output_bf16.c \
	simd/x86/avx2/linear_output_f16.c \
	simd/x86/avx2/linear_output_f32.c \
	simd/x86/avx2/linear_output_s4.c \
	simd/x86/avx2/linear_output_s8.c \
	simd/x86/avx2/linear_token_bf16.c \
	simd/x86/avx2/linear_token_f16.c \
	simd/x86/avx2/linear_token_f32.c \
	simd/x86/avx2/linear_token_s4.c \
	simd/x86/avx2/linear_token_s8.c \
	simd/x86/avx2/math.h \
	simd/x86/avx2/neurons_f32.c \
	simd/x86/avx2/neurons_s8.c \
	simd/x86/avx2/ops.c \
	simd/x86/avx2/spread.h \
	simd/x86/avx2/table.c \
	simd/x86/avx2/vector.h \
	simd/x86/avx2/wide.h

if BUILD_AVX_VNNI
noinst_LTLIBRARIES += libsimd_avx_vnni.la
isa_libraries += libsimd_avx_vnni.la
endif
libsimd_avx_vnni_la_CFLAGS = $(AM_CFLAGS) $(AVX_VNNI_CFLAGS)
libsimd_avx_vnni_la_SOURCES = \
	simd/x86/avx_vnni/dot_s8.h \
	simd/x86/avx_vnni/linear_output_s4.c \
	simd/x86/avx_vnni/linear_output_s8.c \
	simd/x86/avx_vnni/linear_token_s4.c \
	simd/x86/avx_vnni/linear_token_s8.c \
	simd/x86/avx_vnni/neurons_s8.c \
	simd/x86/avx_vnni/table.c

if BUILD_AVX512
noinst_LTLIBRARIES += libsimd_avx512.la
isa_libraries += libsimd_avx512.la
endif
libsimd_avx512_la_CFLAGS = $(AM_CFLAGS) $(AVX512_CFLAGS)
libsimd_avx512_la_SOURCES = \
	simd/x86/avx512/dot_s8.h \
	simd/x86/avx512/attention.c \
	simd/x86/avx512/interleave.h \
	simd/x86/avx512/lanes.h \
	simd/x86/avx512/linear_output_bf16.c \
	simd/x86/avx512/linear_output_f16.c \
	simd/x86/avx512/linear_output_f32.c \
	simd/x86/avx512/linear_output_s4.c \
	simd/x86/avx512/linear_output_s8.c \
	simd/x86/avx512/linear_token_bf16.c \
	simd/x86/avx512/linear_token_f16.c \
	simd/x86/avx512/linear_token_f32.c \
	simd/x86/avx512/linear_token_s4.c \
	simd/x86/avx512/linear_token_s8.c \
	simd/x86/avx512/math.h \
	simd/x86/avx512/neurons_f32.c \
	simd/x86/avx512/neurons_s8.c \
	simd/x86/avx512/ops.c \
	simd/x86/avx512/outside.c \
	simd/x86/avx512/spread.h \
	simd/x86/avx512/table.c \
	simd/x86/avx512/vector.h \
	simd/x86/avx512/wide.h

if BUILD_AVX512_VNNI
noinst_LTLIBRARIES += libsimd_avx512_vnni.la
isa_libraries += libsimd_avx512_vnni.la
endif
libsimd_avx512_vnni_la_CFLAGS = $(AM_CFLAGS) $(AVX512_VNNI_CFLAGS)
libsimd_avx512_vnni_la_SOURCES = \
	simd/x86/avx512_vnni/attention_s8.c \
	simd/x86/avx512_vnni/dot_s8.h \
	simd/x86/avx512_vnni/linear_output_s4.c \
	simd/x86/avx512_vnni/linear_output_s8.c \
	simd/x86/avx512_vnni/linear_token_s4.c \
	simd/x86/avx512_vnni/linear_token_s8.c \
	simd/x86/avx512_vnni/neurons_s8.c \
	simd/x86/avx512_vnni/table.c

if BUILD_AVX512_VBMI2
noinst_LTLIBRARIES += libsimd_avx512_vbmi2.la
isa_libraries += libsimd_avx512_vbmi2.la
endif
libsimd_avx512_vbmi2_la_CFLAGS = $(AM_CFLAGS) $(AVX512_VBMI2_CFLAGS)
libsimd_avx512_vbmi2_la_SOURCES = \
	simd/x86/avx512_vbmi2/expand.h \
	simd/x86/avx512_vbmi2/linear_output_bf16.c \
	simd/x86/avx512_vbmi2/linear_output_f16.c \
	simd/x86/avx512_vbmi2/linear_output_s8.c \
	simd/x86/avx512_vbmi2/linear_token_bf16.c \
	simd/x86/avx512_vbmi2/linear_token_f16.c \
	simd/x86/avx512_vbmi2/linear_token_s8.c \
	simd/x86/avx512_vbmi2/table.c

if BUILD_AMX_INT8
noinst_LTLIBRARIES += libsimd_amx_int8.la
isa_libraries += libsimd_amx_int8.la
endif
libsimd_amx_int8_la_CFLAGS = $(AM_CFLAGS) $(AMX_INT8_CFLAGS)
libsimd_amx_int8_la_SOURCES = \
	simd/x86/amx_int8/linear_token_s8.c \
	simd/x86/amx_int8/table.c \
	simd/x86/amx_int8/tile.h

if BUILD_NEON
noinst_LTLIBRARIES += libsimd_neon.la
isa_libraries += libsimd_neon.la
endif
libsimd_neon_la_CFLAGS = $(AM_CFLAGS) $(NEON_CFLAGS)
libsimd_neon_la_SOURCES = \
	simd/arm/neon/attention.c \
	simd/arm/neon/attention_s8.c \
	simd/arm/neon/attention_s8.h \
	simd/arm/neon/dot_s8.h \
	simd/arm/neon/interleave.h \
	simd/arm/neon/lanes.h \
	simd/arm/neon/linear_output_bf16.c \
	simd/arm/neon/linear_output_f16.c \
	simd/arm/neon/linear_output_f32.c \
	simd/arm/neon/linear_output_s4.c \
	simd/arm/neon/linear_output_s8.c \
	simd/arm/neon/linear_token_bf16.c \
	simd/arm/neon/linear_token_f16.c \
	simd/arm/neon/linear_token_f32.c \
	simd/arm/neon/linear_token_s4.c \
	simd/arm/neon/linear_token_s8.c \
	simd/arm/neon/math.h \
	simd/arm/neon/neurons_f32.c \
	simd/arm/neon/neurons_s8.c \
	simd/arm/neon/ops.c \
	simd/arm/neon/spread.h \
	simd/arm/neon/table.c \
	simd/arm/neon/tile.h \
	simd/arm/neon/vector.h \
	simd/arm/neon/wide.h

if BUILD_NEON_DOTPROD
noinst_LTLIBRARIES += libsimd_neon_dotprod.la
isa_libraries += libsimd_neon_dotprod.la
endif
libsimd_neon_dotprod_la_CFLAGS = $(AM_CFLAGS) $(NEON_DOTPROD_CFLAGS)
libsimd_neon_dotprod_la_SOURCES = \
	simd/arm/neon_dotprod/attention_s8.c \
	simd/arm/neon_dotprod/dot.h \
	simd/arm/neon_dotprod/dot_s8.h \
	simd/arm/neon_dotprod/linear_output_s4.c \
	simd/arm/neon_dotprod/linear_output_s8.c \
	simd/arm/neon_dotprod/linear_token_s4.c \
	simd/arm/neon_dotprod/linear_token_s8.c \
	simd/arm/neon_dotprod/neurons_s8.c \
	simd/arm/neon_dotprod/table.c

if BUILD_NEON_I8MM
noinst_LTLIBRARIES += libsimd_neon_i8mm.la
isa_libraries += libsimd_neon_i8mm.la
endif
libsimd_neon_i8mm_la_CFLAGS = $(AM_CFLAGS) $(NEON_I8MM_CFLAGS)
libsimd_neon_i8mm_la_SOURCES = \
	simd/arm/neon_i8mm/linear_token_s8.c \
	simd/arm/neon_i8mm/table.c
