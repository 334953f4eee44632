#!/usr/bin/env bash
# Puts the binary and every library it needs, except glibc's, into one archive that runs wherever it is unpacked:
#   weir-<version>-linux-x86_64/{bin/weir, lib/*.so*, licenses/, LICENSE, README.md}
# package.sh [OUT [BINARY]]: the archive goes to OUT (default: dist); its path is printed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-$root/dist}
binary=${2:-$root/build/release/weir}
die() { printf 'package: %s\n' "$*" >&2; exit 1; }

[ -x "$binary" ] || die "$binary is missing: run ./x build"
version=$(sed -n 's/^project(weir VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
[ -n "$version" ] || die "CMakeLists.txt names no version"
name=weir-$version-linux-x86_64

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/$name
mkdir -p "$tree/bin" "$tree/lib" "$tree/licenses" "$out"
cp "$root/LICENSE" "$root/README.md" "$tree/"
cp "$binary" "$tree/bin/weir"

# glibc is the one thing that has to come from the machine: it belongs to the kernel and to the dynamic linker.
is_glibc() {
  case $1 in
    linux-vdso.so.*|*ld-linux-*|libc.so.6|libm.so.6|libdl.so.2|librt.so.1|libpthread.so.0|libresolv.so.2|libutil.so.1) return 0 ;;
    *) return 1 ;;
  esac
}

while read -r soname path; do
  is_glibc "$soname" && continue
  [ "$path" != not ] || die "$soname, which $binary needs, is not found"
  cp -L "$path" "$tree/lib/$soname"
  owner=$(dpkg -S "$(realpath "$path")" "$path" 2>/dev/null | head -n 1 | cut -d: -f1 || true)
  [ -z "$owner" ] || cp "/usr/share/doc/$owner/copyright" "$tree/licenses/$owner"
done < <(ldd "$binary" | sed -n 's/^\s*\(\S*\) => \(\S*\).*/\1 \2/p')

# Arrow's wheel brings the licences of what Arrow carries inside.
for file in "$root"/.deps/venv/lib/python3*/site-packages/pyarrow-*.dist-info/licenses/{LICENSE,NOTICE}.txt; do
  cp "$file" "$tree/licenses/arrow-$(basename "$file")"
done
cp "$root"/.deps/venv/lib/python3*/site-packages/duckdb-*.dist-info/licenses/LICENSE "$tree/licenses/duckdb"

# Stripped before the rpath is set: strip does not always survive what patchelf did to a file.
strip_debug() {
  local sections; sections=$(readelf -S --wide "$1")
  if [[ $sections == *.debug_info* ]]; then strip --strip-debug "$1"; fi
}
strip_debug "$tree/bin/weir"
patchelf --set-rpath '$ORIGIN/../lib' "$tree/bin/weir"
for lib in "$tree"/lib/*; do
  chmod u+w,a+r "$lib"
  strip_debug "$lib"
  patchelf --set-rpath '$ORIGIN' "$lib"
done

archive=$out/$name.tar.gz
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git -C "$root" log -1 --format=%ct)" -C "$work" -cf - "$name" \
  | gzip -n >"$work/archive"
mv "$work/archive" "$archive"
printf '%s (%s)\n' "$archive" "$(du -h "$archive" | cut -f1)"
