# shellcheck shell=bash
# Completion of vmbal, vcpu_scheduler and memory_coordinator for bash.
_vmbal() {
	local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]} words='' value='' help
	help=$("$1" --help 2>/dev/null)
	# What follows is a number after a loop, and after an option what --help calls it.
	! grep -qE "^  $last +SECONDS" <<<"$help" 2>/dev/null || return
	[[ $last != -* || $last = *[!a-z-]* ]] || value=$(sed -nE "s/^ +(-., )?$last(, --[a-z-]+)? ([A-Z]+)( .*|$)/\3/p" <<<"$help")
	case $value in
	URI) words='qemu:///system' ;;
	PATTERN) words=$(virsh --readonly --quiet list --name 2>/dev/null) ;;
	FILE)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	?*) return ;;
	*)
		# Of an option that is a choice, the words that --help shows, such as host|guests.
		[[ $last != -* || $last = *[!a-z-]* ]] || words=$(sed -nE "s/^ +(-., )?$last ([a-z]+(\|[a-z]+)+).*/\2/p" <<<"$help" | tr '|' ' ')
		# Options and commands are those that --help shows.
		if [[ -z $words ]]; then
			words=$(grep -oE '^ +(-., )?--[a-z-]+' <<<"$help" | grep -oE -- '--[a-z-]+')
			[[ ${1##*/} != vmbal ]] || words+=" $(grep -oE '^  [a-z]+' <<<"$help")"
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _vmbal vmbal vcpu_scheduler memory_coordinator
