#!/bin/sh
# pure.sh - what core's static library needs from outside: nothing but base and a few functions of libc that touch no clock,
# descriptor, thread, environment or randomness.
#
#     pure.sh LIBCORE.a LIBBASE.a      prints each offending symbol, exits with 1 when there is one
set -eu

# All of libc that core may call. Whoever adds a name says why it is pure. (exit and __assert_fail: how uthash and assert end the
# process when memory is exhausted or a bug was found.)
allowed='^(mem(chr|cmp|cpy|move|set|mem|rchr|pcpy)|bcmp|str(chr|rchr|chrnul|cmp|ncmp|casecmp|ncasecmp|casestr|cpy|ncpy|len|nlen|cspn|spn|str|pbrk|dup|ndup)'
allowed="$allowed"'|strto(l|ll|ul|ull|d|imax|umax)|v?snprintf|qsort|bsearch|malloc|calloc|realloc|reallocarray|free|abs|labs|llabs'
allowed="$allowed"'|is(alnum|alpha|blank|digit|lower|upper|space|xdigit)|to(lower|upper)|fnmatch|floor|ceil|fmod|pow|ldexp|abort|exit|__assert_fail|__errno_location|__ctype_.*_loc'
# jansson, as far as it works on memory. (Files, descriptors and the random hash seed are not on the list.)
allowed="$allowed"'|json_(array|boolean|deep_copy|pack|delete|dumpb|dumps|equal|false|integer|loadb|loads|null|number|object|real|string|true|type|unpack|vunpack)[a-z_]*|jsonp_.*'
# What compilers and sanitizers put in by themselves, and the checked forms of the above.
allowed="$allowed"'|__(memcpy|memmove|memset|strcpy|strncpy|snprintf|vsnprintf)_chk|__isoc23_strto.*|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_'
allowed="$allowed"'|__(asan|ubsan|lsan|tsan|msan|sanitizer|sancov|gcov|llvm)_.*|__start___sancov.*|__stop___sancov.*|_DYNAMIC)$'
# Of base, what is not pure: the log writes to stderr and reads the clock.
impure_base='^log_'
impure_json='^json_object_seed$'

nm=nm
command -v gcc-nm >/dev/null && nm=gcc-nm # reads objects of -flto builds too

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$nm --defined-only "$1" "$2" 2>/dev/null | awk 'NF == 3 {print $3}' | sort -u | grep -Ev "$impure_base" >"$work/defined"
$nm --undefined-only "$1" 2>/dev/null | awk '$1 == "U" || $1 == "w" {print $2}' | sort -u >"$work/needed"
[ -s "$work/defined" ] || { echo "no symbols in $1 and $2: nothing was checked"; exit 1; }
comm -23 "$work/needed" "$work/defined" | awk -v ok="$allowed" -v no="$impure_json" '$0 !~ ok || $0 ~ no' >"$work/offending" || true
if [ -s "$work/offending" ]; then
    echo "core must not use:"
    sed 's/^/  /' "$work/offending"
    exit 1
fi
echo "clean: $(wc -l <"$work/needed") symbols needed, all pure"
