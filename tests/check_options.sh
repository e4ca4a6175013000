#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What --help, the manual pages and the completion say of commands and options is the same.
set -euo pipefail
source=${srcdir:-.}
failed=0

# differ WHAT A B: lists, of which one has what the other has not.
differ()
{
    local lines
    lines=$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | grep '^[<>]' || true)
    [ -n "$lines" ] || return 0
    echo "$1:"
    printf '%s\n' "$lines" | sed 's/^/    /'
    failed=1
}

# Lines that are indented further go on with what an option means.
help_options()
{
    "$@" --help | sed -nE 's/^ {2,6}(-[A-Za-z], )?(--[a-z0-9-]+).*/\2/p' | sort -u
}

help_commands()
{
    "$1" --help | grep -oE '^  [a-z][a-z-]+ ' | tr -d ' ' | sort -u
}

man_options()
{
    sed 's/\\-/-/g' "$1" | grep -oE -e '--[a-z0-9][a-z0-9-]*' | sort -u
}

# Of its section about them: headings, or names that begin a paragraph.
man_commands()
{
    awk '/^\.SH/ { is_inside = /COMMANDS|SUBJECTS/ }
        is_inside && (/^\.SS / || (is_first && /^\.B [a-z]/)) { print $2 }
        { is_first = /^\.TP/ }' "$1" | sed 's/\\//g' | sort -u
}

# completed PROGRAM WORD...: what stands to choose from behind the words.
completed()
{
    local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    # shellcheck disable=SC2317  # the completion calls it
    compopt() { :; }
    # shellcheck source=/dev/null
    . "$source/share/bash-completion/completions/$1"
    "_${1//-/_}" && printf '%s\n' "${COMPREPLY[@]}"
}

for program in lacuna lacuna-bench; do
    page=$source/man/$program.1
    commands=$(help_commands "./$program")
    differ "commands, of $program --help (<) and its manual page (>)" "$commands" \
        "$(man_commands "$page")"
    differ "commands, of $program --help (<) and its completion (>)" "$commands" \
        "$(completed "$program" '' | grep -v '^-' | sort -u)"
    all=$(help_options "./$program")
    for command in $commands; do
        options=$(help_options "./$program" "$command")
        all+=$'\n'$options
        differ "options, of $program $command --help (<) and its completion (>)" "$options" \
            "$(completed "$program" "$command" -- | sort -u)"
    done
    differ "options, of the --help of $program (<) and its manual page (>)" \
        "$(printf '%s\n' "$all" | grep . | sort -u)" "$(man_options "$page")"
done
[ $failed = 1 ] || echo 'help, manual pages and completion say the same'
exit $failed
