#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks for words out of their room, and for includes that go upward.
set -eu
cd "${srcdir:-.}"
failed=0
[ -f sparse/layout.h ] || {
    echo "$PWD is not the project: set srcdir"
    exit 1
}

complain() {
    echo "$1:"
    echo "$2" | sed 's/^/    /'
    failed=1
}

# word PATTERN MEANING ROOM... : PATTERN may stand only in the rooms named.
word() {
    pattern=$1 meaning=$2
    shift 2
    found=$(grep -rnE --include='*.[ch]' -e "$pattern" include sparse simd src || true)
    for room; do
        found=$(printf '%s\n' "$found" | grep -v "^$room" || true)
    done
    [ -z "$found" ] || complain "$meaning out of its room" "$found"
}

word '_mm(256|512)?_|__m(128|256|512)' 'an x86 intrinsic' simd/x86/
word 'vdotq|vld1q|vfmaq|vmlal|vusmmla|arm_neon\.h' 'a NEON intrinsic' simd/arm/
word 'hwloc_' 'hwloc' src/sys/topology.c
word 'dnnl_' 'oneDNN' src/ext/
word 'libxsmm_' 'libxsmm' src/ext/
word 'pthread_create' 'thread creation' src/sys/pool.c
word '[^n]printf *\(|[^a-z_]puts *\(|perror *\(' 'printing' src/cli/ src/base/error.h src/base/host.h
word '[^_a-z](exit|abort|_Exit|quick_exit) *\(' 'ending the process' src/cli/
word 'getenv *\(' 'the environment' src/cli/ src/api/engine.c
word '[^_a-z](malloc|calloc|realloc|free|strdup) *\(' 'malloc' src/base/host.c src/cli/
word 'TODO|FIXME|XXX' 'an unfinished thought' nowhere

# room FOLDER ALLOWED... : FOLDER includes, of our own headers, only those that begin with ALLOWED.
room() {
    folder=$1
    shift
    found=$(grep -rnE --include='*.[ch]' '^#include "(src|sparse|simd|bench|tests)/' "$folder" || true)
    for allowed; do
        found=$(printf '%s\n' "$found" | grep -vE "#include \"$allowed" || true)
    done
    [ -z "$found" ] || complain "$folder looks upward" "$found"
}

room include nothing
room src/base src/base/
room sparse sparse/ src/base/
room simd simd/ sparse/ src/base/
room src/ext src/ext/ simd/ sparse/ src/base/
room src/sys src/sys/ src/base/
room src/text src/text/ src/base/
room src/model src/model/ src/base/
room src/run src/run/ src/model/ src/text/ src/sys/ simd/ sparse/ src/base/
room src/api src/api/ src/run/ src/model/ src/text/ src/sys/ simd/ sparse/ src/base/
room src/cli src/cli/
found=$(grep -rnE '^#include "' examples --include='*.[ch]' 2>/dev/null || true)
[ -z "$found" ] || complain 'an example uses more than the public headers' "$found"

found=$(find include sparse simd src bench tests -name '*.[ch]' -exec wc -l {} + |
    awk '$2 != "total" && $1 > 620')
[ -z "$found" ] || complain 'files that have grown past 620 lines' "$found"

if [ $failed = 0 ]; then
    echo 'every word is in its room'
fi
exit $failed
