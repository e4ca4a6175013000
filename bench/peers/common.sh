# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
# What the scripts that run other engines share.  Set before: name, package, version, threads, cpus,
# amx, build, here.

wrong()
{
    echo "$name: $1" >&2
    echo "Try '$name --help'." >&2
    exit 2
}

skip()
{
    echo "$name: skipped: $1" >&2
    exit 77
}

check_numbers()
{
    for number; do
        case $number in
        '' | *[!0-9]* | 0*) wrong "'$number' is not a number from 1 on" ;;
        esac
    done
}

check_amx()
{
    case $amx in
    yes | no) ;;
    *) wrong "--amx takes yes or no" ;;
    esac
}

check_model()
{
    check_amx
    case $1 in
    *[!a-z0-9-]*) wrong "no model '$1'" ;;
    esac
}

# Installs the npm packages named, all of one version, without running their scripts.  Each engine
# has a folder of its own: npm removes what another call has installed in the same.
install_packages()
{
    command -v node >/dev/null || skip "there is no node"
    build=${build:-$PWD/build/peers/${name#run-}}
    mkdir -p "$build"
    build=$(cd "$build" && pwd)
    modules=$build/node_modules
    wanted=
    for each; do
        [ -d "$modules/$each" ] || wanted=yes
    done
    [ -n "$wanted" ] || return 0
    command -v npm >/dev/null || skip "there is no npm to install $1 with"
    wanted=
    for each; do
        wanted="$wanted $each@$version"
    done
    # shellcheck disable=SC2086  # $wanted is words
    npm install --ignore-scripts --no-audit --no-fund --no-save --omit=optional \
        --prefix "$build" $wanted >"$build/npm.log" 2>&1 ||
        skip "npm could not install$wanted: see $build/npm.log"
}

# Pinned as our own workers are, on the first processors we are allowed.
first_allowed()
{
    taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r low high; do
        seq "$low" "${high:-$low}"
    done | head -n "$threads" | paste -sd, -
}

# Sets cpus, and pin, words before a command.
find_processors()
{
    pin=
    if command -v taskset >/dev/null; then
        cpus=${cpus:-$(first_allowed)}
        pin="taskset -c $cpus"
    elif [ -n "$cpus" ]; then
        wrong "--cpus needs taskset"
    fi
}

# Sets pin and preload, words before a command.
prepare_runs()
{
    find_processors
    preload=
    if [ "$amx" = no ]; then
        ${CC:-cc} -O2 -D_GNU_SOURCE -shared -fPIC -o "$build/no_amx.so" "$here/no_amx.c" -ldl ||
            skip "no_amx.c cannot be built here"
        preload="LD_PRELOAD=$build/no_amx.so"
    fi
}
