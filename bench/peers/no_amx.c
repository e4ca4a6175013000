/* SPDX-License-Identifier: Apache-2.0 */
/* A preload that refuses a program the kernel's leave to use AMX tiles, so that its libraries run
 * as they do on processors without them.  Linux on x86-64 with glibc; built by run-onnxruntime.
 *
 * Tiles need arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) first (kernel documentation,
 * arch/x86/xstate.rst), and libraries ask through syscall(3). */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>

enum { REQUEST_PERMISSION = 0x1023 };

/* System calls take at most six arguments in registers; reading more than were passed is what
 * syscall(3) itself does. */
long syscall(long number, ...)
{
    static long (*original)(long, ...);
    long a[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_arch_prctl && a[0] == REQUEST_PERMISSION) {
        errno = EPERM;
        return -1;
    }
    if (!original)
        original = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return original(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
