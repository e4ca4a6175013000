dnl SPDX-License-Identifier: Apache-2.0
dnl Libraries the build needs, and those it uses when they are there.

AC_DEFUN([LACUNA_REQUIRED_LIBRARIES], [
  PKG_PROG_PKG_CONFIG([0.29])
  PKG_CHECK_MODULES([HWLOC], [hwloc >= 2.1])
  PKG_CHECK_MODULES([JANSSON], [jansson >= 2.13])
  PKG_CHECK_MODULES([UTF8PROC], [libutf8proc >= 2.5])
  PKG_CHECK_MODULES([PCRE2], [libpcre2-8 >= 10.30])
  PKG_CHECK_MODULES([CHECK], [check >= 0.15], [have_check=yes], [have_check=no])
  AM_CONDITIONAL([HAVE_CHECK], [test "x$have_check" = xyes])
])

dnl LACUNA_WITH(name, probe): --with-name=yes|no|auto; probe sets found_name.
AC_DEFUN([LACUNA_WITH], [
  AC_ARG_WITH([$1],
    [AS_HELP_STRING([--with-$1=yes|no|auto], [use $1 @<:@auto@:>@])], [], [with_$1=auto])
  found_$1=no
  AS_IF([test "x$with_$1" != xno], [
    $2
    AS_IF([test "x$with_$1$found_$1" = xyesno], [AC_MSG_ERROR([--with-$1 was given, but $1 was not found])])])
  AM_CONDITIONAL(m4_toupper([HAVE_$1]), [test "x$found_$1" = xyes])
])

AC_DEFUN([LACUNA_OPTIONAL_LIBRARIES], [
  dnl Debian's oneDNN 2.6 has no .pc file.
  LACUNA_WITH([onednn], [
    AC_CHECK_HEADER([dnnl.h], [
      lacuna_saved_libs="$LIBS"
      AC_CHECK_LIB([dnnl], [dnnl_matmul_desc_init], [found_onednn=yes; AC_SUBST([ONEDNN_LIBS], [-ldnnl])])
      LIBS="$lacuna_saved_libs"])])
  dnl libxsmm falls back on a BLAS; nothing here calls for one, and libxsmmnoblas stands in.
  LACUNA_WITH([libxsmm], [
    PKG_CHECK_MODULES([LIBXSMM], [libxsmm], [found_libxsmm=yes; LIBXSMM_LIBS="$LIBXSMM_LIBS -lxsmmnoblas"], [found_libxsmm=no])])
])

dnl Kernels made of other libraries' products (src/ext/): their epilogues are AVX-512.
AC_DEFUN([LACUNA_EXT], [
  AM_CONDITIONAL([BUILD_ONEDNN], [test "x$found_onednn$lacuna_cv_isa_avx512" = xyesyes])
  AM_COND_IF([BUILD_ONEDNN], [
    AC_SEARCH_LIBS([dlopen], [dl])
    AC_DEFINE([LACUNA_HAVE_ONEDNN], [1], [Dense kernels of oneDNN are built])])
  AM_CONDITIONAL([BUILD_LIBXSMM], [test "x$found_libxsmm$lacuna_cv_isa_avx512" = xyesyes])
  AM_COND_IF([BUILD_LIBXSMM], [
    AC_SUBST([PRIVATE_LIBS], ["$LIBXSMM_LIBS"])
    AC_DEFINE([LACUNA_HAVE_LIBXSMM], [1], [Kernels of libxsmm for tiles are built])])
])

AC_DEFUN([LACUNA_SUMMARY], [
  AS_ECHO(["
lacuna $PACKAGE_VERSION
  host         $host
  kernels      scalar $lacuna_isas
  onednn       $found_onednn
  libxsmm      $found_libxsmm
  tests        $have_check
  man pages    $HELP2MAN
"])
])
