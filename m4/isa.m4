dnl SPDX-License-Identifier: Apache-2.0
dnl Which instruction sets the compiler and the assembler can make.  Each has
dnl its own convenience library, so its flags never reach common code.

dnl LACUNA_PROBE_ISA(name, flags, header, body)
AC_DEFUN([LACUNA_PROBE_ISA], [
  AC_CACHE_CHECK([whether $CC can make $1], [lacuna_cv_isa_$1], [
    lacuna_saved_cflags="$CFLAGS"
    CFLAGS="$CFLAGS $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <$3>]], [[$4]])],
      [lacuna_cv_isa_$1=yes], [lacuna_cv_isa_$1=no])
    CFLAGS="$lacuna_saved_cflags"])
  AS_IF([test "x$lacuna_cv_isa_$1" = xyes], [
    lacuna_isas="$lacuna_isas $1"
    AC_DEFINE(m4_toupper([LACUNA_HAVE_$1]), [1], [Kernels for $1 are built])])
  AC_SUBST(m4_toupper([$1_CFLAGS]), ["$2"])
  AM_CONDITIONAL(m4_toupper([BUILD_$1]), [test "x$lacuna_cv_isa_$1" = xyes])
])

AC_DEFUN([LACUNA_ISA], [
  lacuna_isas=
  LACUNA_PROBE_ISA([avx2], [-mavx2 -mfma -mf16c],
    [immintrin.h], [volatile __m256i a; a = _mm256_madd_epi16(a, a);])
  LACUNA_PROBE_ISA([avx_vnni], [-mavx2 -mfma -mf16c -mavxvnni],
    [immintrin.h], [volatile __m256i a; a = _mm256_dpbusd_avx_epi32(a, a, a);])
  LACUNA_PROBE_ISA([avx512], [-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mprefer-vector-width=512],
    [immintrin.h], [volatile __m512 a; a = _mm512_fmadd_ps(a, a, a);])
  LACUNA_PROBE_ISA([avx512_vnni], [-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c -mprefer-vector-width=512],
    [immintrin.h], [volatile __m512i a; a = _mm512_dpbusd_epi32(a, a, a);])
  LACUNA_PROBE_ISA([avx512_vbmi2], [-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512vbmi2 -mfma -mf16c -mprefer-vector-width=512],
    [immintrin.h], [volatile __m512i a; a = _mm512_maskz_expand_epi8(1, a);])
  LACUNA_PROBE_ISA([avx512_half], [-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512bf16 -mavx512fp16 -mprefer-vector-width=512],
    [immintrin.h], [volatile __m512h a; a = _mm512_fmadd_ph(a, a, a); volatile __m512 b; b = _mm512_dpbf16_ps(b, (__m512bh)b, (__m512bh)b);])
  LACUNA_PROBE_ISA([amx_int8], [-mamx-tile -mamx-int8 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mprefer-vector-width=512],
    [immintrin.h], [_tile_zero(0); _tile_dpbsud(0, 1, 2);])
  dnl gcc 12 would move loads up before it knows how many registers there are, and spill sums.
  LACUNA_PROBE_ISA([neon], [-fno-schedule-insns],
    [arm_neon.h], [volatile float32x4_t a; a = vfmaq_laneq_f32(a, a, a, 3);])
  LACUNA_PROBE_ISA([neon_dotprod], [-march=armv8.2-a+dotprod -fno-schedule-insns],
    [arm_neon.h], [volatile int32x4_t a; volatile int8x16_t b; a = vdotq_laneq_s32(a, b, b, 3);])
  LACUNA_PROBE_ISA([neon_i8mm], [-march=armv8.2-a+dotprod+i8mm -fno-schedule-insns],
    [arm_neon.h], [volatile int32x4_t a; volatile uint8x16_t b; volatile int8x16_t c; a = vusmmlaq_s32(a, b, c);])
])

AC_DEFUN([LACUNA_PROGRAMS], [
  AC_CHECK_PROGS([HELP2MAN], [help2man], [no])
  AM_CONDITIONAL([HAVE_HELP2MAN], [test "x$HELP2MAN" != xno])
])
