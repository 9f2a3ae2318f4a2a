# shellcheck shell=bash
# Completion of vmbal, vcpu_scheduler and memory_coordinator for bash.
_vmbal() {
	local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]} words=''
	case $last in
	-c | --connect) words='qemu:///system' ;;
	-g | --guests) words=$(virsh --readonly --quiet list --name 2>/dev/null) ;;
	-m | --host-memory | --host-reserve | --overcommit | --cpus | cpu | mem) return ;;
	--metrics)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	*)
		# Of an option that is a choice, the words that --help shows, such as host|guests.
		[[ $last != -* || $last = *[!a-z-]* ]] || words=$("$1" --help 2>/dev/null | sed -nE "s/^ +(-., )?$last ([a-z]+(\|[a-z]+)+).*/\2/p" | tr '|' ' ')
		# The options are those that --help shows.
		if [[ -z $words ]]; then
			words=$("$1" --help 2>/dev/null | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+')
			[[ ${1##*/} != vmbal ]] || words+=' cpu mem restore'
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _vmbal vmbal vcpu_scheduler memory_coordinator
