#!/usr/bin/env bash
# Completion in zsh: what it offers comes from --help, the guests' names from libvirt.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

if ! command -v zsh >/dev/null; then
	echo "1..0 # SKIP zsh is needed"
	exit 0
fi

# completes WORDS...: what is offered for the last of them, a word a line, before zsh picks.
completes() {
	zsh -f -c '
		compadd() { [[ $1 != -- ]] || shift; print -l -- "$@" }
		_call_program() { shift; eval "$*" }
		_files() { print files }
		virsh() { print -l guest-1 guest-2 }
		words=("$@")
		CURRENT=$#words
		complete_it() { . contrib/vmbal.zsh }
		complete_it' zsh "$@" 2>&1
}

holds "commands" "$(completes ./vmbal '')" grep -qx restore <<<"$(completes ./vmbal '')"
holds "... which the links do not have" "" test "$(completes ./vcpu_scheduler '' | grep -c '^[^-]')" -eq 0
holds "every option of --help" "$(completes ./vmbal '')" test "$(completes ./vmbal '' | grep -c '^--')" -eq \
	"$(./vmbal --help | grep -cE '^ +(-., )?--[a-z]')"
holds "the words of a choice" "$(completes ./vmbal --grain '')" \
	test "$(completes ./vmbal --grain '' | paste -sd' ')" = "cpu core cache node"
holds "guests" "$(completes ./vmbal -g '')" test "$(completes ./vmbal -g '' | paste -sd' ')" = "guest-1 guest-2"
holds "files" "" test "$(completes ./vmbal --metrics '')" = files
holds "no complaint of a value" "$(completes ./vmbal --metrics=/a/b.prom '' | grep -v ^--)" \
	test "$(completes ./vmbal --metrics=/a/b.prom '' | grep -v ^--)" = "$(printf 'cpu\nmem\nrestore')"
holds "nothing for a number" "" test -z "$(completes ./vmbal cpu '')"
holds "... nor a size" "" test -z "$(completes ./vmbal -m '')$(completes ./vmbal --host-reserve '')"
plan
