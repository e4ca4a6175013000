dnl SPDX-License-Identifier: Apache-2.0
dnl Warnings for our own code; CFLAGS stays the user's.
AC_DEFUN([LACUNA_WARNINGS], [
  AC_SUBST([LACUNA_CFLAGS], ["-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wno-format-truncation -ffp-contract=off -fno-math-errno -fvisibility=hidden"])
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make compiler warnings errors])],
    [AS_IF([test "x$enableval" = xyes], [LACUNA_CFLAGS="$LACUNA_CFLAGS -Werror"])])
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers=LIST], [build with -fsanitize=LIST, for example address,undefined])],
    [AS_IF([test "x$enableval" != xno], [
      LACUNA_CFLAGS="$LACUNA_CFLAGS -fsanitize=$enableval -fno-sanitize-recover=all -fno-omit-frame-pointer"
      AC_SUBST([LACUNA_LDFLAGS], ["-fsanitize=$enableval"])])])
])
